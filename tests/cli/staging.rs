//! The staging dataset: what loads leave in it, what is shown of it, and what is removed.

use serde_json::json;
use transload::LoadId;

use crate::support::{Ran, Sandbox};

const FILE: &str = "flow.toml";

/// A sandbox whose loads replace by way of the staging dataset.
fn sandbox(config: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write(
        ".transload/config.toml",
        &format!("[destination.duckdb]\ncredentials = \"players.duckdb\"\n{config}"),
    );
    sandbox.write(
        FILE,
        "pipeline_name = \"flow\"\ndestination = \"duckdb\"\ndataset_name = \"lake\"\n[[resources]]\ntable = \
         \"players\"\nsource = \"players.jsonl\"\nwrite_disposition = \"replace\"\nreplace_strategy = \
         \"insert-from-staging\"\n",
    );
    sandbox
}

fn tables_in(sandbox: &Sandbox, dataset: &str) -> u64 {
    sandbox.count(&format!(
        "select count(*) from information_schema.tables where table_schema = '{dataset}'"
    ))
}

fn staging(sandbox: &Sandbox, arguments: &[&str]) -> Ran {
    sandbox.run(&[&["staging"], arguments, &[FILE]].concat())
}

/// The state of each table, by name.
fn states(sandbox: &Sandbox) -> Vec<(String, String)> {
    let listed = staging(sandbox, &["ls", "--output", "json"]).with_code(0).json();
    let tables = listed["tables"].as_array().expect("tables");
    let text = |value: &serde_json::Value| value.as_str().expect("a text").to_owned();
    tables.iter().map(|table| (text(&table["table"]), text(&table["state"]))).collect()
}

#[test]
fn staging_tables_go_with_the_commit_unless_they_are_to_be_kept() {
    for kept in [false, true] {
        let sandbox = sandbox(&format!("[load]\nkeep_staging_tables = {kept}\n"));
        sandbox.run(&["run", FILE]).with_code(0);
        let tables = if kept { 4 } else { 0 };
        assert_eq!(tables_in(&sandbox, "lake_staging"), tables);
        let shown = staging(&sandbox, &["ls"]).with_code(0);
        if !kept {
            assert_eq!(shown.stdout.trim_end(), "staging dataset lake_staging: no tables");
            continue;
        }
        shown.prints(&["players__games__moves__", "committed", "hint"].map(|part| match part {
            "hint" => "`transload staging gc` removes those of loads that are committed",
            part => part,
        }));
        let would = staging(&sandbox, &["gc", "--dry-run"]).with_code(0);
        would.prints(&["4 tables of dead loads would go from the staging dataset lake_staging"]);
        assert_eq!(tables_in(&sandbox, "lake_staging"), 4);
        let gone = staging(&sandbox, &["gc", "--output", "json"]).with_code(0).json();
        assert_eq!(
            (gone["tables"].as_array().map(Vec::len), &gone["dry_run"]),
            (Some(4), &json!(false))
        );
        assert_eq!(tables_in(&sandbox, "lake_staging"), 0);
        assert_eq!(sandbox.count("select count(*) from lake.players"), 3);
        staging(&sandbox, &["gc"]).with_code(0).prints(&["0 tables of dead loads removed"]);
    }
}

#[test]
fn only_tables_of_loads_that_are_known_to_be_over_are_removed() {
    let sandbox = sandbox("");
    sandbox.run(&["run", FILE]).with_code(0);
    let (pending, stranger) = (LoadId::new("1700000000.5"), LoadId::new("1700000001.5"));
    sandbox.write(&format!("home/.transload/pipelines/other/loads/{pending}/manifest.json"), "{}");
    let tables = [
        ("dlt_left_this", "foreign"),
        (&*format!("players__{}_e7", pending.tag()), "alive"),
        (&*format!("players__{}_e7", stranger.tag()), "unknown"),
    ]
    .map(|(table, state)| (table.to_owned(), state.to_owned()));
    {
        let database = duckdb::Connection::open(sandbox.path("players.duckdb")).expect("opens");
        for (table, _) in &tables {
            let sql = format!(
                "create schema if not exists lake_staging; create table lake_staging.\"{table}\" (a int)"
            );
            database.execute_batch(&sql).expect("is made");
        }
    }
    let sorted = |tables: &[(String, String)]| {
        let mut tables = tables.to_vec();
        tables.sort();
        tables
    };
    assert_eq!(states(&sandbox), sorted(&tables));
    staging(&sandbox, &["gc"]).with_code(0).prints(&["0 tables"]);
    assert_eq!(states(&sandbox), sorted(&tables));
    staging(&sandbox, &["gc", "--unknown"]).with_code(0).prints(&["1 table", "unknown"]);
    assert_eq!(states(&sandbox), sorted(&tables[..2]));

    // Once its load is given up, nobody needs it.
    sandbox.write("home/.transload/pipelines/flow/dropped", &format!("{pending}\n"));
    std::fs::remove_dir_all(sandbox.path("home/.transload/pipelines/other")).expect("it goes");
    staging(&sandbox, &["gc"]).with_code(0).prints(&["1 table", "dropped"]);
    assert_eq!(states(&sandbox), tables[..1]);
}

#[test]
fn the_staging_dataset_has_the_name_that_is_configured_and_never_that_of_the_dataset() {
    let layout = "staging_dataset_name_layout = \"prep_%s\"\n[load]\nkeep_staging_tables = true\n";
    let sandbox = sandbox(layout);
    sandbox.run(&["run", FILE]).with_code(0);
    assert_eq!((tables_in(&sandbox, "prep_lake"), tables_in(&sandbox, "lake_staging")), (4, 0));
    let refused = Ran::of(
        sandbox
            .command()
            .env("DESTINATION__DUCKDB__STAGING_DATASET_NAME_LAYOUT", "LAKE")
            .args(["run", FILE]),
    );
    refused.with_code(2).says(&[
        "error: a staging dataset cannot have this name (key: destination.duckdb.staging_dataset_name_layout",
        "the staging dataset would be the dataset itself",
        "hint: ",
    ]);
}
