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

const STAGED: &str = "staged.toml";

/// A sandbox whose loads go through files, with these settings under `[load]`.
fn staged(load: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write(
        ".transload/config.toml",
        &format!(
            "[destination.duckdb]\ncredentials = \"players.duckdb\"\n[destination.filesystem]\nbucket_url = \
             \"bucket\"\n[load]\n{load}"
        ),
    );
    sandbox.write(
        STAGED,
        "pipeline_name = \"flow\"\ndestination = \"duckdb\"\nstaging = \"filesystem\"\ndataset_name = \
         \"lake\"\n[[resources]]\ntable = \"players\"\nsource = \"players.jsonl\"\n",
    );
    sandbox
}

fn staged_loads(sandbox: &Sandbox) -> Vec<serde_json::Value> {
    let shown = sandbox.run(&["staging", "ls", "--output", "json", STAGED]).with_code(0).json();
    shown["loads"].as_array().expect("loads").clone()
}

fn files(sandbox: &Sandbox) -> Vec<String> {
    sandbox.files("bucket")
}

#[test]
fn staged_files_stay_unless_the_settings_let_them_go() {
    let sandbox = staged("");
    for loads in 1..=2 {
        sandbox.run(&["run", STAGED]).with_code(0);
        let listed = staged_loads(&sandbox);
        assert_eq!(listed.len(), loads);
        assert!(listed.iter().all(|load| load["state"] == "committed"), "{listed:?}");
    }
    let loads = staged_loads(&sandbox);
    let objects: u64 = loads.iter().map(|load| load["objects"].as_u64().expect("objects")).sum();
    assert_eq!(objects, files(&sandbox).len() as u64);
    assert_eq!(loads[0]["tables"], json!(["players"]));
    let shown = sandbox.run(&["staging", "ls", STAGED]).with_code(0);
    shown.prints(&[
        "staging storage file://",
        "committed",
        "players",
        "staging dataset lake_staging",
    ]);
    let gone = sandbox.run(&["staging", "gc", STAGED]).with_code(0);
    gone.prints(&["all files stay in the staging storage", "`retain_loads`"]);
    assert_eq!(files(&sandbox).len() as u64, objects);
}

#[test]
fn files_go_with_the_commit_where_that_is_asked_for() {
    let sandbox = staged("staged_files = \"delete_on_commit\"\n");
    sandbox.run(&["run", STAGED]).with_code(0);
    assert_eq!(files(&sandbox), Vec::<String>::new());
    sandbox.run(&["run", STAGED]).with_code(0);
    assert_eq!(sandbox.count("select count(*) from lake.players"), 6);
    assert_eq!(staged_loads(&sandbox), Vec::<serde_json::Value>::new());
    sandbox.run(&["staging", "gc", STAGED]).with_code(0).prints(&["files of 0 loads removed"]);
}

#[test]
fn the_newest_loads_keep_their_files_and_what_nobody_named_stays() {
    let sandbox = staged("retain_loads = 2\n");
    let keep_all = |words: &[&str]| {
        Ran::of(sandbox.command().env("LOAD__RETAIN_LOADS", "9").args(words)).with_code(0)
    };
    for _ in 0..4 {
        keep_all(&["run", STAGED]);
    }
    let all = staged_loads(&sandbox);
    assert_eq!(all.len(), 4);
    let id = |load: &serde_json::Value| load["load_id"].as_str().expect("an id").to_owned();
    let (first, second) = (id(&all[0]), id(&all[1]));
    let foreign = format!("lake/flow/{first}/players/note.txt");
    let unnamed = "lake/flow/1.5/players/part.parquet";
    sandbox.write(&format!("bucket/{foreign}"), "mine");
    sandbox.write(&format!("bucket/{unnamed}"), "whose?");

    let before = files(&sandbox);
    let would = sandbox.run(&["staging", "gc", "--dry-run", STAGED]).with_code(0);
    would.prints(&["files of 2 loads", "would go", &first, &second]);
    assert_eq!(files(&sandbox), before);
    sandbox.run(&["staging", "gc", STAGED]).with_code(0).prints(&["removed", &first, &second]);
    let left = files(&sandbox);
    let of = |id: &str| left.iter().filter(|file| file.contains(id)).cloned().collect::<Vec<_>>();
    assert_eq!((of(&first), of(&second)), (vec![foreign], vec![]));
    assert!(left.contains(&unnamed.to_owned()), "{left:?}");
    let states: Vec<_> = staged_loads(&sandbox).iter().map(|load| load["state"].clone()).collect();
    assert_eq!(states, ["unnamed", "unnamed", "committed", "committed"]);

    // The next load lets the oldest of the others go by itself.
    sandbox.run(&["run", STAGED]).with_code(0);
    let kept: Vec<String> = staged_loads(&sandbox)[2..].iter().map(id).collect();
    assert_eq!((kept.len(), &kept[0]), (2, &id(&all[3])));
    assert_eq!(sandbox.count("select count(*) from lake.players"), 15);
}

#[test]
fn files_of_a_load_that_this_dataset_does_not_have_stay() {
    let sandbox = staged("staged_files = \"delete_on_commit\"\n");
    let mut elsewhere = sandbox.command();
    elsewhere
        .env("DESTINATION__DUCKDB__CREDENTIALS", "other.duckdb")
        .env("LOAD__STAGED_FILES", "keep")
        .args(["run", STAGED]);
    Ran::of(&mut elsewhere).with_code(0);
    let before = files(&sandbox);
    assert_eq!(staged_loads(&sandbox)[0]["state"], "unfinished");
    sandbox.run(&["staging", "gc", STAGED]).with_code(0).prints(&["files of 0 loads removed"]);
    sandbox.run(&["run", STAGED]).with_code(0);
    assert_eq!(files(&sandbox), before);
}

#[test]
fn what_the_settings_say_must_fit_together() {
    let both = staged("staged_files = \"delete_on_commit\"\nretain = \"7d\"\n");
    both.run(&["run", STAGED]).with_code(2).says(&["cannot be retained", "hint: "]);
    let wrong = staged("retain = \"a week\"\n");
    wrong.run(&["run", STAGED]).with_code(2).says(&["load.retain", "such as `7d`"]);
    let wrong = staged("staged_files = \"delete\"\n");
    wrong.run(&["run", STAGED]).with_code(2).says(&["load.staged_files", "`delete_on_commit`"]);
}

#[test]
fn a_rule_for_the_bucket_is_printed_alone_on_stdout() {
    let sandbox = staged("retain = \"20d\"\n");
    let with = |url: &str, words: &[&str]| {
        let mut command = sandbox.command();
        command
            .env("DESTINATION__FILESYSTEM__BUCKET_URL", url)
            .env("DESTINATION__FILESYSTEM__CREDENTIALS__AWS_ACCESS_KEY_ID", "id")
            .env("DESTINATION__FILESYSTEM__CREDENTIALS__AWS_SECRET_ACCESS_KEY", "not to be seen")
            .env("DESTINATION__FILESYSTEM__CREDENTIALS__REGION_NAME", "eu-central-1");
        Ran::of(command.args([&["staging", "lifecycle", STAGED], words].concat()))
    };
    let printed = with("s3://lake/raw", &[]).with_code(0);
    let rule = &printed.json()["Rules"][0];
    assert_eq!(rule["Filter"]["Prefix"], "raw/lake/flow/");
    assert_eq!(rule["Expiration"]["Days"], 40);
    printed.says(&["put-bucket-lifecycle-configuration --bucket lake", "unfinished"]);
    let printed = with("s3://lake/raw", &["--days", "90", "--output", "json"]).with_code(0).json();
    assert_eq!((&printed["storage"], &printed["days"]), (&json!("s3"), &json!(90)));
    sandbox.run(&["staging", "lifecycle", STAGED]).with_code(2).says(&["no lifecycle rules"]);
    let direct = Ran::of(sandbox.command().args([
        "staging",
        "lifecycle",
        "--pipeline-name",
        "flow",
        "--destination",
        "duckdb",
    ]));
    direct.with_code(2).says(&["no staging destination"]);
}
