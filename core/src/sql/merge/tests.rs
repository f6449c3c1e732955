//! The steps of every strategy, in snapshots, and what is refused.

use super::*;
use crate::sql::testing::Ansi;
use crate::{DataType, WriteDisposition};
use serde_json::json;

fn hinted(name: &str, data_type: DataType, hint: &str, value: Json) -> Column {
    let mut column = Column::new(name, data_type);
    column.hints.insert(hint.into(), value);
    column
}

/// `players`, and `players__games__moves` in `players__games` in it, the latter two with links as the normaliser makes
/// them.
fn tables(strategy: MergeStrategy) -> [Table; 3] {
    let mut players = Table::root("players", WriteDisposition::Merge);
    players.put(Column::new("id", DataType::Bigint).with_hint("primary_key"));
    players.put(Column::new("name", DataType::Text));
    players.put(hinted("at", DataType::Timestamp, "dedup_sort", json!("desc")));
    players.put(Column::new("gone", DataType::Bool).with_hint("hard_delete"));
    players.put(Column::new("_dlt_id", DataType::Text).with_hint("row_key"));
    if strategy == MergeStrategy::Scd2 {
        players.put(Column::new("since", DataType::Timestamp).with_hint("x-valid-from"));
        players.put(Column::new("until", DataType::Timestamp).with_hint("x-valid-to"));
        players.put(Column::new("_dlt_id", DataType::Text).with_hint("x-row-version"));
        players.columns["id"].hints = [("merge_key".to_owned(), json!(true))].into();
        players.columns["gone"].hints.clear();
    }
    let nested = |name: &str, parent: &str| {
        let mut table = Table::nested(name, parent);
        table.put(Column::new("won", DataType::Bool));
        table.put(Column::new("_dlt_root_id", DataType::Text).with_hint("root_key"));
        table.put(Column::new("_dlt_parent_id", DataType::Text).with_hint("parent_key"));
        table.put(Column::new("_dlt_id", DataType::Text).with_hint("row_key"));
        table
    };
    [
        players,
        nested("players__games", "players"),
        nested("players__games__moves", "players__games"),
    ]
}

fn shown(strategy: MergeStrategy, modern: bool, tables: &[Table]) -> String {
    steps(strategy, modern, tables).unwrap().iter().map(|step| format!("{step}\n")).collect()
}

fn steps(strategy: MergeStrategy, modern: bool, tables: &[Table]) -> Result<Vec<Step>> {
    let dialect = Ansi { modern };
    let mut members = tables.iter().map(|table| Member {
        target: dialect.table("d", &table.name),
        staged: Some(dialect.table("d_staging", &table.name)),
        table,
    });
    let root = members.next().unwrap();
    let nested: Vec<Member<'_>> = members.collect();
    let scratch =
        (!nested.is_empty()).then(|| Scratch { removed: "removed".into(), kept: "kept".into() });
    let published_at = "2026-11-22T17:45:39.736473Z";
    let bounds =
        Bounds { least: Some("3".into()), greatest: Some("40".into()), ..Bounds::default() };
    let bounds = [("id".to_owned(), bounds)].into();
    let merge = Merge { dialect: &dialect, strategy, root, nested, scratch, bounds, published_at };
    merge.steps()
}

#[test]
fn every_strategy_in_a_chain() {
    for strategy in [
        MergeStrategy::DeleteInsert,
        MergeStrategy::Upsert,
        MergeStrategy::InsertOnly,
        MergeStrategy::Scd2,
    ] {
        insta::assert_snapshot!(format!("{strategy:?}"), shown(strategy, true, &tables(strategy)));
    }
}

#[test]
fn engines_without_merge_and_aliases_update_and_insert() {
    for strategy in [MergeStrategy::DeleteInsert, MergeStrategy::Upsert] {
        let flat = &tables(strategy)[..1];
        insta::assert_snapshot!(format!("plain_{strategy:?}"), shown(strategy, false, flat));
    }
}

#[test]
fn rows_without_links_to_their_root_are_found_through_their_parents() {
    let mut tables = tables(MergeStrategy::DeleteInsert);
    for table in &mut tables[1..] {
        table.columns.shift_remove("_dlt_root_id");
    }
    let sql = shown(MergeStrategy::DeleteInsert, true, &tables);
    assert!(sql.contains(
        "DELETE FROM \"d\".\"players__games__moves\" WHERE \"_dlt_parent_id\" IN (SELECT \"_dlt_id\" FROM \
         \"d\".\"players__games\" WHERE \"_dlt_parent_id\" IN (SELECT \"_dlt_id\" FROM removed))"
    ), "{sql}");
    tables[2].columns.shift_remove("_dlt_parent_id");
    let error = steps(MergeStrategy::DeleteInsert, true, &tables).unwrap_err();
    assert_eq!(error.context("table"), Some("players__games__moves"));
}

#[test]
fn bounds_are_quoted_and_texts_compared_only_one_by_one() {
    let [table, ..] = &tables(MergeStrategy::DeleteInsert);
    let within = |name: &str, bounds: Bounds| {
        let root = Member { target: "t".into(), staged: None, table };
        let merge = Merge {
            dialect: &Ansi { modern: true },
            strategy: MergeStrategy::DeleteInsert,
            root,
            nested: Vec::new(),
            scratch: None,
            bounds: [(name.to_owned(), bounds)].into(),
            published_at: "",
        };
        merge.within("d", &[name])
    };
    let bounds = |least: &str, greatest: &str, distinct: Option<&[&str]>| Bounds {
        least: Some(least.into()),
        greatest: Some(greatest.into()),
        nulls: 0,
        distinct: distinct.map(|all| all.iter().map(|one| (*one).to_owned()).collect()),
    };
    assert_eq!(
        within("name", bounds("a", "it's", Some(&["a", "it's"]))),
        " AND d.\"name\" IN (CAST('a' AS text), CAST('it''s' AS text))"
    );
    assert_eq!(within("name", bounds("a", "b", None)), "");
    assert_eq!(
        within("id", bounds("-3", "7", None)),
        " AND d.\"id\" BETWEEN CAST('-3' AS bigint) AND CAST('7' AS bigint)"
    );
    assert_eq!(within("id", Bounds::of_nulls(2)), "");
}

#[test]
fn a_load_without_rows_for_the_root_has_no_steps() {
    let [table, ..] = &tables(MergeStrategy::Upsert);
    let root = Member { target: "t".into(), staged: None, table };
    let merge = Merge {
        dialect: &Ansi { modern: true },
        strategy: MergeStrategy::Upsert,
        root,
        nested: Vec::new(),
        scratch: None,
        bounds: BTreeMap::new(),
        published_at: "",
    };
    assert_eq!(merge.steps().unwrap(), []);
}

#[test]
fn hints_that_contradict_the_strategy_are_refused() {
    let refused = |strategy, change: fn(&mut Table)| {
        let [mut players, ..] = tables(strategy);
        change(&mut players);
        steps(strategy, true, &[players]).unwrap_err().to_string()
    };
    let marked =
        |table: &mut Table| table.put(Column::new("m", DataType::Bool).with_hint("hard_delete"));
    assert!(refused(MergeStrategy::DeleteInsert, marked).contains("columns: gone, m"));
    let unkeyed = |table: &mut Table| table.columns["id"].hints.clear();
    assert!(refused(MergeStrategy::Upsert, unkeyed).contains("needs a primary key"));
    let open = |table: &mut Table| table.columns["until"].hints.clear();
    assert!(refused(MergeStrategy::Scd2, open).contains("x-valid-to"));
}
