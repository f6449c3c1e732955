//! Staged loads published once more: into further destinations, and by `replay`.

use serde_json::{Value, json};

use crate::support::{Ran, Sandbox};

const FLOW: &str = "flow.toml";

/// A sandbox with two DuckDB databases and a folder for staged files. `flow` goes before the resource.
fn sandbox(flow: &str, resource: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write(
        ".transload/config.toml",
        "[destination.duckdb]\ncredentials = \"players.duckdb\"\n[destination.second]\ndestination_type = \
         \"duckdb\"\ncredentials = \"second.duckdb\"\n[destination.filesystem]\nbucket_url = \"bucket\"\n",
    );
    sandbox.write(
        FLOW,
        &format!(
            "pipeline_name = \"flow\"\nstaging = \"filesystem\"\ndataset_name = \
             \"lake\"\n{flow}\n[[resources]]\ntable = \"items\"\nsource = \"items.jsonl\"\n{resource}\n"
        ),
    );
    sandbox.write("items.jsonl", "{\"id\": 1, \"parts\": [1, 2]}\n{\"id\": 2, \"parts\": []}\n");
    sandbox
}

const BOTH: &str = "destination = [\"duckdb\", \"second\"]";
const FIRST: &str = "destination = \"duckdb\"";

fn value(sandbox: &Sandbox, database: &str, sql: &str) -> i64 {
    let connection = duckdb::Connection::open(sandbox.path(database)).expect("opens");
    connection.query_row(sql, [], |row| row.get(0)).unwrap_or_else(|error| panic!("{sql}: {error}"))
}

/// Rows, nested rows, loads, states and schemas in a dataset.
fn counts(sandbox: &Sandbox, database: &str, dataset: &str) -> [i64; 5] {
    ["items", "items__parts", "_dlt_loads", "_dlt_pipeline_state", "_dlt_version"]
        .map(|table| value(sandbox, database, &format!("select count(*) from {dataset}.{table}")))
}

fn loads(ran: &Ran) -> Vec<(String, String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let info = ran.json();
    let loads = info["loads"].as_array().expect("loads");
    loads
        .iter()
        .map(|load| {
            (text(&load["load_id"]), text(&load["destination"]["name"]), text(&load["status"]))
        })
        .collect()
}

fn run(sandbox: &Sandbox) -> Ran {
    sandbox.run(&["run", "--output", "json", FLOW])
}

#[test]
fn one_staging_feeds_several_destinations_each_with_its_own_publication_and_state() {
    let sandbox = sandbox(BOTH, "");
    let first = loads(&run(&sandbox).with_code(0));
    assert_eq!(first.len(), 2, "{first:?}");
    assert_eq!(first[0].0, first[1].0);
    assert_eq!([&*first[0].1, &*first[1].1], ["duckdb", "second"]);
    assert!(first.iter().all(|load| load.2 == "loaded"), "{first:?}");
    let files = sandbox.files("bucket").len();
    assert_eq!(counts(&sandbox, "players.duckdb", "lake"), [2, 2, 1, 1, 1]);
    assert_eq!(counts(&sandbox, "second.duckdb", "lake"), [2, 2, 1, 1, 1]);
    run(&sandbox).with_code(0);
    assert_eq!(sandbox.files("bucket").len(), 2 * files, "staged once a load");
    for database in ["players.duckdb", "second.duckdb"] {
        assert_eq!(counts(&sandbox, database, "lake"), [4, 4, 2, 1, 1], "{database}");
        let own = value(&sandbox, database, "select max(epoch) from lake._transload_commits");
        assert!(own > 0);
    }
}

#[test]
fn a_destination_that_was_away_is_brought_up_by_the_next_run() {
    let sandbox = sandbox(BOTH, "write_disposition = \"merge\"\nprimary_key = \"id\"");
    run(&sandbox).with_code(0);
    // It cannot be opened while two loads go by.
    std::fs::rename(sandbox.path("second.duckdb"), sandbox.path("away")).expect("it moves");
    sandbox.write("second.duckdb", "this is no database, and not an empty file either");
    for id in [2, 3] {
        sandbox.write("items.jsonl", &format!("{{\"id\": {id}, \"parts\": [7, 8, 9]}}\n"));
        let ran = run(&sandbox).with_code(3);
        ran.says(&["second is behind"]);
        let loads = loads(&ran);
        assert_eq!((&*loads[0].1, &*loads[0].2), ("duckdb", "loaded"));
        assert_eq!((&*loads[1].1, &*loads[1].2), ("second", "pending"));
    }
    assert_eq!(counts(&sandbox, "players.duckdb", "lake")[..3], [3, 8, 3]);
    std::fs::rename(sandbox.path("away"), sandbox.path("second.duckdb")).expect("it comes back");
    assert_eq!(counts(&sandbox, "second.duckdb", "lake")[..3], [2, 2, 1]);
    let resumed = sandbox.run(&["resume", "--output", "json", FLOW]).with_code(0);
    assert_eq!(loads(&resumed).len(), 2, "the loads that it missed");
    assert_eq!(counts(&sandbox, "second.duckdb", "lake")[..3], [3, 8, 3]);
    assert_eq!(loads(&sandbox.run(&["resume", "--output", "json", FLOW]).with_code(0)).len(), 0);
}

#[test]
fn staged_files_stay_until_every_destination_has_them() {
    let sandbox = sandbox(BOTH, "");
    let run = |code| {
        let mut command = sandbox.command();
        command.env("LOAD__STAGED_FILES", "delete_on_commit").args(["run", FLOW]);
        Ran::of(&mut command).with_code(code)
    };
    sandbox.write("second.duckdb", "this is no database, and not an empty file either");
    run(3);
    assert!(!sandbox.files("bucket").is_empty());
    std::fs::remove_file(sandbox.path("second.duckdb")).expect("it goes");
    run(0);
    assert_eq!(sandbox.files("bucket"), Vec::<String>::new());
    assert_eq!(counts(&sandbox, "second.duckdb", "lake")[..3], [4, 4, 2]);
}

#[test]
fn a_staged_load_is_published_again_elsewhere_and_only_once() {
    let sandbox = sandbox(FIRST, "write_disposition = \"merge\"\nprimary_key = \"id\"");
    run(&sandbox).with_code(0);
    sandbox.write("items.jsonl", "{\"id\": 2, \"parts\": [5]}\n{\"id\": 3, \"note\": \"new\"}\n");
    run(&sandbox).with_code(0);
    let here = counts(&sandbox, "players.duckdb", "lake");
    let replay =
        |words: &[&str]| sandbox.run(&[&["replay", "--output", "json", FLOW], words].concat());
    for (words, database, dataset) in [
        (&["--destination", "second"][..], "second.duckdb", "lake"),
        (
            &["--dataset-name", "Copy of it", "--from-dataset", "lake"],
            "players.duckdb",
            "copy_of_it",
        ),
    ] {
        for published in [2, 0] {
            let ran = replay(words).with_code(0);
            assert_eq!(loads(&ran).len(), published, "{words:?}");
            assert_eq!(counts(&sandbox, database, dataset), here, "{words:?}");
        }
    }
    // One of the loads alone is there already.
    let ids = loads(&run(&sandbox).with_code(0));
    let id = &ids[0].0;
    for _ in 0..2 {
        let ran = replay(&["--destination", "second", id]).with_code(0);
        assert_eq!(loads(&ran), [(id.clone(), "second".to_owned(), "loaded".to_owned())]);
    }
    assert_eq!(counts(&sandbox, "second.duckdb", "lake")[..3], [3, 3, 3]);
    // What was replayed is no package of the pipeline itself.
    let status = sandbox.run(&["status", "--output", "json"]).with_code(0).json();
    assert_eq!(status["pipelines"].as_array().map(Vec::len), Some(1));
}

#[test]
fn loads_that_are_missing_between_are_noticed_and_named_ones_go_on_without_them() {
    let sandbox = sandbox(FIRST, "write_disposition = \"merge\"\nprimary_key = \"id\"");
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(loads(&run(&sandbox).with_code(0))[0].0.clone());
    }
    std::fs::remove_dir_all(sandbox.path(format!("bucket/lake/flow/{}", ids[0]))).expect("it goes");
    let replay = |words: &[&str]| {
        sandbox.run(&[&["replay", "--destination", "second", FLOW], words].concat())
    };
    replay(&[]).with_code(1).says(&["E_REPLAY_GAP", &ids[1], "made after", &ids[0]]);
    replay(&["--dataset-name", "late", "--from-dataset", "lake"]).with_code(1).says(&[&format!(
        "`transload replay {} --destination second --dataset-name late --from-dataset lake`",
        ids[1]
    )]);
    replay(&[&ids[1]]).with_code(0);
    replay(&[]).with_code(0);
    assert_eq!(counts(&sandbox, "second.duckdb", "lake")[..3], [2, 2, 2]);
    // An older one cannot come after a newer one where it merges.
    replay(&["--dataset-name", "late", "--from-dataset", "lake", &ids[2]]).with_code(0);
    let late = replay(&["--dataset-name", "late", "--from-dataset", "lake", &ids[1]]);
    assert_ne!(late.code, 0);
    late.says(&["error: "]);
    assert_eq!(counts(&sandbox, "second.duckdb", "late")[..3], [2, 2, 1]);
}

#[test]
fn what_cannot_be_replayed_or_fanned_out_is_said() {
    let sandbox = sandbox(BOTH, "");
    let run = |words: &[&str]| sandbox.run(&[&["run", FLOW], words].concat());
    run(&["--destination", "duckdb", "--destination", "duckdb"])
        .with_code(2)
        .says(&["the same place", "hint: "]);
    run(&["--destination", "duckdb", "--destination", "sceond"])
        .with_code(2)
        .says(&["no such destination (name: sceond"]);
    let direct = sandbox.run(&[
        "run",
        "--pipeline-name",
        "p",
        "--destination",
        "duckdb",
        "--destination",
        "second",
        "--table",
        "t",
        "--source",
        "items.jsonl",
    ]);
    direct.with_code(2).says(&["several destinations need a staging destination"]);
    let none = sandbox.run(&["replay", "--pipeline-name", "p", "--destination", "duckdb"]);
    none.with_code(2).says(&["nothing to publish once more", "--staging filesystem"]);
    sandbox.run(&["replay", FLOW]).with_code(2).says(&["no such load", "bucket/lake/flow"]);
    sandbox.run(&["replay", FLOW, "1.5"]).with_code(2).says(&["no such load", "load: 1.5"]);
    let shown = sandbox.run(&["config", "check", "--output", "json", FLOW]).with_code(0).json();
    let sections: Vec<&Value> =
        shown["sections"].as_array().expect("sections").iter().map(|s| &s["section"]).collect();
    assert!(sections.contains(&&json!("destination.second")), "{sections:?}");
}
