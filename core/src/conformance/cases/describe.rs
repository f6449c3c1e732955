//! What a destination says of itself and of what it holds.

use std::sync::Arc;

use super::{players, table};
use crate::conformance::case::{Case, Outcome, cases, ensure, rows, same};
use crate::conformance::world::World;
use crate::{DataType, Dataset, DatasetState, FileFormat, WriteDisposition};

pub(super) fn cases() -> Vec<Case<World>> {
    cases!("describe", []:
        claims_do_not_contradict_one_another,
        a_place_has_one_identity_for_everyone,
        a_check_leaves_nothing_behind,
        a_dataset_that_does_not_exist_is_no_error,
        looking_makes_nothing,
        tables_are_described_with_their_columns_in_order,
        types_are_described_in_the_words_in_which_they_are_asked_for,
        what_one_has_made_the_next_one_sees,
        datasets_do_not_see_each_other,
        a_load_that_was_never_published_has_no_commit,
    )
}

async fn claims_do_not_contradict_one_another(world: &mut World) -> Outcome {
    let claims = world.capabilities();
    ensure!(
        !claims.loads.is_empty() || !claims.copies.is_empty(),
        "it neither loads local files nor copies staged ones"
    );
    ensure!(!claims.write_dispositions.is_empty(), "it claims no write disposition");
    for (disposition, strategies) in [
        (WriteDisposition::Replace, claims.replace_strategies.len()),
        (WriteDisposition::Merge, claims.merge_strategies.len()),
    ] {
        same!(
            claims.write_dispositions.contains(&disposition),
            strategies > 0,
            "it claims to {disposition}, and has strategies for it"
        );
    }
    let copied = claims.copies.iter().flat_map(|source| &source.formats);
    if claims.loads.iter().chain(copied).any(|format| *format == FileFormat::InsertValues) {
        ensure!(
            claims.literals.is_some(),
            "it claims insert_values and does not say how literals are written"
        );
    }
    for source in &claims.copies {
        ensure!(
            !source.formats.is_empty() && !source.access.is_empty(),
            "it claims to copy from {} and names no format or no way in",
            source.storage
        );
    }
    ensure!(
        claims.identifiers.max_table_length >= 30,
        "names of tables have no room for the loader's own"
    );
    Ok(())
}

async fn a_place_has_one_identity_for_everyone(world: &mut World) -> Outcome {
    let identity = world.destination.identity();
    ensure!(!identity.is_empty(), "it has none");
    same!(world.open()?.identity(), identity, "the identity of the same place, opened again");
    world.create().await?;
    same!(world.destination.identity(), identity, "the identity after a dataset was made");
    Ok(())
}

async fn a_check_leaves_nothing_behind(world: &mut World) -> Outcome {
    world.destination.check().await?;
    world.destination.check().await?;
    same!(world.state().await?, DatasetState::default(), "the dataset after a check");
    Ok(())
}

async fn a_dataset_that_does_not_exist_is_no_error(world: &mut World) -> Outcome {
    same!(world.state().await?, DatasetState::default(), "a dataset that does not exist");
    Ok(())
}

async fn looking_makes_nothing(world: &mut World) -> Outcome {
    world.state().await?;
    let tables = world.harness().tables(&world.dataset.name).await?;
    same!(tables, Vec::<String>::new(), "the tables after a look");
    ensure!(!world.state().await?.exists, "the look made the dataset");
    Ok(())
}

async fn tables_are_described_with_their_columns_in_order(world: &mut World) -> Outcome {
    world.put(table(
        "wide",
        &[("z", DataType::Text), ("a", DataType::Bigint), ("m", DataType::Bool)],
    ));
    world.append("wide", rows![["x", 1, "true"]]).await?;
    let state = world.state().await?;
    ensure!(state.exists, "the dataset exists");
    let names: Option<Vec<&str>> = state
        .tables
        .get(&world.stored("wide"))
        .map(|columns| columns.iter().map(|column| column.name.as_str()).collect());
    let expected = ["z", "a", "m"].map(|name| world.stored(name));
    same!(
        names,
        Some(expected.iter().map(String::as_str).collect::<Vec<_>>()),
        "the columns of the table"
    );
    Ok(())
}

async fn types_are_described_in_the_words_in_which_they_are_asked_for(
    world: &mut World,
) -> Outcome {
    let types: Vec<(&str, DataType)> = DataType::ALL
        .into_iter()
        .filter(|data_type| !world.capabilities().not_carried.contains(&(world.format, *data_type)))
        .map(|data_type| (data_type.as_str(), data_type))
        .collect();
    world.put(table("every", &types));
    let nothing = vec![None; types.len()];
    world.append("every", vec![nothing]).await?;
    let state = world.state().await?;
    let described = state.tables.get(&world.stored("every")).cloned().unwrap_or_default();
    for column in world.columns("every") {
        let asked = world.destination.native_type(&column)?;
        let found = described.iter().find(|other| other.name == world.stored(&column.name));
        same!(
            found.map(|found| found.native_type.to_ascii_lowercase()),
            Some(asked.to_ascii_lowercase()),
            "the type of {}",
            column.name
        );
    }
    Ok(())
}

async fn what_one_has_made_the_next_one_sees(world: &mut World) -> Outcome {
    world.put(players());
    world.append("players", rows![[1, "a"]]).await?;
    let before = world.state().await?;
    world.destination = world.open()?;
    same!(world.state().await?, before, "what the destination sees that was opened later");
    Ok(())
}

async fn datasets_do_not_see_each_other(world: &mut World) -> Outcome {
    world.put(players());
    world.append("players", rows![[1, "a"]]).await?;
    let beside = Dataset::new(format!("{}_2", world.dataset.name));
    let ours = std::mem::replace(&mut world.dataset, beside);
    let state = world.state().await;
    let theirs = std::mem::replace(&mut world.dataset, ours);
    same!(state?, DatasetState::default(), "the dataset {} beside it", theirs.name);
    Ok(())
}

async fn a_load_that_was_never_published_has_no_commit(world: &mut World) -> Outcome {
    world.put(players());
    world.append("players", rows![[1, "a"]]).await?;
    let part = world.part("players", rows![[2, "b"]])?;
    let mut package = world.package(vec![crate::conformance::package::Chain::append(part)]);
    let destination = Arc::clone(&world.destination);
    world.up_to_publication(destination.as_ref(), &mut package).await?;
    let state = world.describe(destination.as_ref(), Some(&package)).await?;
    same!(state.commit, None, "the commit of a load that was not published");
    Ok(())
}
