//! Names are kept as they are, or refused before anything is made; they never become other names.

use std::sync::Arc;

use super::table;
use crate::conformance::case::{Case, Claim, Outcome, cases, ensure, rows, same};
use crate::conformance::package::Chain;
use crate::conformance::world::World;
use crate::{DataType, ErrorKind};

pub(super) fn cases() -> Vec<Case<World>> {
    let mut all = cases!("identifiers", []:
        reserved_words_are_names,
        the_longest_names_of_tables_stay_apart,
        the_longest_names_of_columns_stay_apart,
        blanks_and_points_are_kept_or_refused,
        quotes_are_kept_or_refused,
        letters_of_every_script_are_kept_or_refused,
        names_that_look_like_statements_are_kept_or_refused,
        names_that_look_like_placeholders_are_kept_or_refused,
        a_pipeline_may_have_any_name,
    );
    all.extend(cases!("identifiers", [Claim::KeepsCase]: names_that_differ_in_case_are_two_tables));
    all.extend(cases!("identifiers", [Claim::FoldsCase]: a_table_is_found_in_any_case));
    all
}

/// Loads a row into a table of this name with columns of these names, and looks for it under them.
async fn kept(world: &mut World, name: &str, columns: &[&str]) -> Outcome {
    let typed: Vec<(&str, DataType)> =
        columns.iter().map(|column| (*column, DataType::Text)).collect();
    world.put(table(name, &typed));
    let row = columns.iter().enumerate().map(|(number, _)| Some(format!("v{number}"))).collect();
    world.append(name, vec![row]).await?;
    let row = columns.iter().enumerate().map(|(number, _)| Some(format!("v{number}"))).collect();
    world.expect(name, columns, vec![row]).await?;
    let state = world.state().await?;
    if state.tables.is_empty() {
        return Ok(());
    }
    let found = state.tables.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
    let Some((_, found)) = found else {
        ensure!(false, "the table {name:?} is not described; there are {:?}", state.tables.keys());
        return Ok(());
    };
    for column in columns {
        ensure!(
            found.iter().any(|known| known.name.eq_ignore_ascii_case(column)),
            "the column {column:?} is not described; there are {found:?}"
        );
    }
    Ok(())
}

/// As [`kept`]; a destination that cannot have such a name must say so when it is asked for it.
async fn kept_or_refused(world: &mut World, name: &str, columns: &[&str]) -> Outcome {
    let typed: Vec<(&str, DataType)> =
        columns.iter().map(|column| (*column, DataType::Text)).collect();
    world.put(table(name, &typed));
    let row = columns.iter().map(|_| Some("v".to_owned())).collect();
    let part = world.part(name, vec![row])?;
    let mut package = world.package(vec![Chain::append(part)]);
    let destination = Arc::clone(&world.destination);
    let state = world.describe(destination.as_ref(), Some(&package)).await?;
    if let Err(error) = world.apply(destination.as_ref(), &package, &state).await {
        ensure!(
            matches!(error.kind(), ErrorKind::Configuration | ErrorKind::Unsupported),
            "a name that cannot be had is refused as what it is: {error:?}"
        );
        return Ok(());
    }
    world.finish(destination.as_ref(), &mut package).await?;
    let row = columns.iter().map(|_| Some("v".to_owned())).collect();
    world.expect(name, columns, vec![row]).await
}

async fn reserved_words_are_names(world: &mut World) -> Outcome {
    kept(
        world,
        "select",
        &["from", "table", "order", "user", "primary", "null", "default", "values"],
    )
    .await?;
    kept(world, "table", &["column", "index", "group", "end", "case", "timestamp"]).await
}

/// The longest length that is worth trying: engines that set no limit name one in the tens of thousands.
fn longest(claimed: usize) -> usize {
    claimed.min(1000)
}

async fn the_longest_names_of_tables_stay_apart(world: &mut World) -> Outcome {
    let length = longest(world.capabilities().identifiers.max_table_length);
    for last in ["a", "b"] {
        let name = format!("{}{last}", "t".repeat(length - 1));
        world.put(table(&name, &[("c", DataType::Text)]));
        world.append(&name, rows![[last]]).await?;
    }
    for last in ["a", "b"] {
        let name = format!("{}{last}", "t".repeat(length - 1));
        world.expect(&name, &["c"], rows![[last]]).await?;
    }
    Ok(())
}

async fn the_longest_names_of_columns_stay_apart(world: &mut World) -> Outcome {
    let length = longest(world.capabilities().identifiers.max_column_length);
    let [a, b] = ["a", "b"].map(|last| format!("{}{last}", "c".repeat(length - 1)));
    kept(world, "t", &[&a, &b]).await
}

async fn blanks_and_points_are_kept_or_refused(world: &mut World) -> Outcome {
    kept_or_refused(world, "a table.of things", &["a b", "x.y", " ", "trailing "]).await
}

async fn quotes_are_kept_or_refused(world: &mut World) -> Outcome {
    kept_or_refused(
        world,
        "the \"best\" table, isn't it",
        &["it's", "a\"b", "`c`", "[d]", "\"\"", "\\"],
    )
    .await
}

async fn letters_of_every_script_are_kept_or_refused(world: &mut World) -> Outcome {
    kept_or_refused(world, "größen_表_😀", &["straße", "ключ", "値", "😀", "e\u{301}"]).await
}

async fn names_that_look_like_statements_are_kept_or_refused(world: &mut World) -> Outcome {
    kept_or_refused(world, "x\"; DROP TABLE players; --", &["'); SELECT 1; --", "/* c */", "a;b"])
        .await
}

async fn names_that_look_like_placeholders_are_kept_or_refused(world: &mut World) -> Outcome {
    kept_or_refused(world, "t {} ? $1", &["{}", "?", "$1", ":name", "%s", "@v"]).await
}

async fn a_pipeline_may_have_any_name(world: &mut World) -> Outcome {
    world.put(super::players());
    for (number, pipeline) in
        ["it's \"mine\"", "größe 😀", "a/b", "'; DROP TABLE x; --"].iter().enumerate()
    {
        world.pipeline = (*pipeline).to_owned();
        let id = i64::try_from(number).unwrap_or_default();
        world.append("players", rows![[id, "a"]]).await?;
        let fence = world.state().await?.fence;
        ensure!(fence.is_some_and(|fence| fence.last_load.is_some()), "{pipeline:?} has no fence");
    }
    world.expect("players", &["id"], rows![[0], [1], [2], [3]]).await
}

async fn names_that_differ_in_case_are_two_tables(world: &mut World) -> Outcome {
    for name in ["Players", "players"] {
        world.put(table(name, &[("c", DataType::Text)]));
        world.append(name, rows![[name]]).await?;
    }
    for name in ["Players", "players"] {
        world.expect(name, &["c"], rows![[name]]).await?;
    }
    Ok(())
}

async fn a_table_is_found_in_any_case(world: &mut World) -> Outcome {
    world.put(table("players", &[("name", DataType::Text)]));
    world.append("players", rows![["a"]]).await?;
    let before = world.state().await?.tables.len();
    world.put(table("PLAYERS", &[("NAME", DataType::Text)]));
    world.append("PLAYERS", rows![["b"]]).await?;
    same!(world.state().await?.tables.len(), before, "the number of tables");
    world.expect("players", &["name"], rows![["a"], ["b"]]).await
}
