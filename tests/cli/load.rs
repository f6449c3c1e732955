//! Loads: what lies where after a run.

use crate::support::{PLAYERS, PLAYERS_FILE, Ran, Sandbox, THROUGH_STAGING};

#[test]
fn rows_go_through_staging_into_duckdb_once_a_run() {
    let sandbox = Sandbox::new();
    let first = sandbox.load_players(&[]).with_code(0);
    assert!(first.stdout.contains("loaded, 9 rows in 4 tables"), "{}", first.stdout);
    first.says(&["normalise: ", "stage: ", "publish: "]);

    let staged = sandbox.files("staged/lake/chess");
    let load = staged[0].split('/').next().expect("the folder of the load").to_owned();
    assert!(staged.contains(&format!("{load}/_manifest.json")), "{staged:?}");
    for table in ["players", "players__titles", "players__games", "players__games__moves"] {
        let below = format!("{load}/{table}/");
        let files: Vec<_> = staged.iter().filter(|file| file.starts_with(&below)).collect();
        assert!(files.len() == 1 && files[0].ends_with(".parquet"), "{table}: {staged:?}");
    }
    let tables = [
        ("players", 3),
        ("players__titles", 3),
        ("players__games", 1),
        ("players__games__moves", 2),
    ];
    for (table, rows) in tables {
        assert_eq!(sandbox.count(&format!("select count(*) from lake.{table}")), rows, "{table}");
    }
    assert_eq!(sandbox.count("select count(*) from lake.players where born__city = 'Riga'"), 1);
    assert_eq!(
        sandbox.count(&format!(
            "select count(*) from lake._dlt_loads where load_id = '{load}' and status = 0"
        )),
        1
    );

    sandbox.load_players(&[]).with_code(0);
    for (table, rows) in tables {
        assert_eq!(
            sandbox.count(&format!("select count(*) from lake.{table}")),
            2 * rows,
            "{table}"
        );
    }
    assert_eq!(sandbox.count("select count(*) from lake._dlt_loads"), 2);
}

#[test]
fn the_result_is_a_table_that_says_where_the_files_lie() {
    let sandbox = Sandbox::new();
    let ran = sandbox.load_players(&[]).with_code(0);
    let text = sandbox.normalised(&ran.stdout);
    for line in [
        "pipeline chess, load <load>: loaded, 9 rows in 4 tables",
        "  dataset  lake on duckdb",
        "  staged   by filesystem at file://<folder>/staged/lake/chess/<load>/",
        "  format   parquet",
        "  steps    normalise <time> s, stage <time> s, publish <time> s",
    ] {
        assert!(text.lines().any(|known| known == line), "{line}\n\n{text}");
    }
    let cells: Vec<Vec<&str>> =
        text.lines().map(|line| line.split_whitespace().collect()).collect();
    let header =
        cells.iter().position(|line| line[..] == ["table", "rows", "files", "size", "disposition"]);
    let players = &cells[header.expect("a header") + 1];
    assert_eq!(
        (players[..3].to_vec(), players.last()),
        (vec!["players", "3", "1"], Some(&"append"))
    );
    assert!(cells.iter().any(|line| line.first() == Some(&"total") && line[1] == "9"), "{text}");
}

#[test]
fn replace_leaves_the_rows_of_the_last_run() {
    let sandbox = Sandbox::new();
    sandbox.load_players(&["--write-disposition", "replace"]).with_code(0);
    sandbox.load_players(&["--write-disposition", "replace"]).with_code(0);
    assert_eq!(sandbox.count("select count(*) from lake.players"), 3);
    assert_eq!(sandbox.count("select count(*) from lake.players__titles"), 3);
    assert_eq!(sandbox.count("select count(*) from lake._dlt_loads"), 2);

    sandbox.write("players.jsonl", "{\"id\": 7, \"name\": \"Lasker\"}\n");
    sandbox.load_players(&["--write-disposition", "replace"]).with_code(0);
    assert_eq!(sandbox.count("select count(*) from lake.players where id = 7"), 1);
    assert_eq!(sandbox.count("select count(*) from lake.players"), 1);
    assert_eq!(
        sandbox.count("select count(*) from lake.players__titles"),
        0,
        "nested rows go with theirs"
    );
}

#[test]
fn every_format_reaches_duckdb() {
    for format in ["parquet", "jsonl", "csv", "insert_values"] {
        let sandbox = Sandbox::new();
        let to = [
            "run",
            "--pipeline-name",
            "chess",
            "--destination",
            "duckdb",
            "--dataset-name",
            "lake",
        ];
        let arguments =
            [&to, &PLAYERS_FILE[..], &["--loader-file-format", format, "--output", "json"]]
                .concat();
        let ran = sandbox.run(&arguments).with_code(0);
        assert_eq!(ran.json()["loads"][0]["format"], format);
        assert_eq!(
            sandbox.count("select count(*) from lake.players where name = 'Polgár' and id = 2"),
            1,
            "{format}"
        );
        assert_eq!(
            sandbox.count("select count(*) from lake.players where born__city is null"),
            2,
            "{format}"
        );
        assert_eq!(
            sandbox.count("select count(*) from lake.players__games__moves where value = 'c5'"),
            1,
            "{format}"
        );
    }
}

#[test]
fn every_format_that_can_be_copied_goes_through_staging() {
    for format in ["parquet", "jsonl", "csv"] {
        let sandbox = Sandbox::new();
        sandbox.load_players(&["--loader-file-format", format]).with_code(0);
        let staged = sandbox.files("staged");
        assert!(staged.iter().any(|file| file.contains(&format!(".{format}"))), "{staged:?}");
        assert_eq!(sandbox.count("select count(*) from lake.players"), 3, "{format}");
    }
}

#[test]
fn the_store_is_a_destination_of_its_own() {
    let sandbox = Sandbox::new();
    let to = [
        "run",
        "--pipeline-name",
        "chess",
        "--destination",
        "filesystem",
        "--dataset-name",
        "lake",
    ];
    let ran = sandbox.run(&[&to, &PLAYERS_FILE[..], &["--output", "json"]].concat()).with_code(0);
    let load = ran.json()["loads"][0]["load_id"].as_str().expect("a load").to_owned();
    let files = sandbox.files("staged/lake");
    for table in ["players", "players__titles"] {
        assert!(
            files.iter().any(|file| file.starts_with(&format!("{table}/{load}."))),
            "{table}: {files:?}"
        );
    }
}

#[test]
fn rows_come_from_the_standard_input() {
    let sandbox = Sandbox::new();
    let arguments =
        [&["run"], &THROUGH_STAGING[..], &["--table", "players", "--source", "-"]].concat();
    Ran::of(sandbox.command().args(arguments).write_stdin(PLAYERS)).with_code(0);
    assert_eq!(sandbox.count("select count(*) from lake.players"), 3);
}

#[test]
fn several_sources_and_globs_become_one_load() {
    let sandbox = Sandbox::new();
    sandbox.write("more/a.jsonl", "{\"id\": 10}\n");
    sandbox.write("more/b.json", "[{\"id\": 11}, {\"id\": 12}]");
    let sources = [
        "--table",
        "players",
        "--source",
        "players.jsonl",
        "more/*.jsonl",
        "--source",
        "more/b.json",
    ];
    sandbox.run(&[&["run"], &THROUGH_STAGING[..], &sources].concat()).with_code(0);
    assert_eq!(sandbox.count("select count(distinct id) from lake.players"), 6);
    assert_eq!(sandbox.count("select count(*) from lake._dlt_loads"), 1);
}

#[test]
fn a_pipeline_is_described_by_a_file_and_flags_go_before_it() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "flow/pipeline.toml",
        r#"
        pipeline_name = "flow"
        destination = "duckdb"
        dataset_name = "lake"
        pipelines_dir = "work"
        progress = "off"

        [[resources]]
        table = "players"
        source = ["rows.jsonl"]
        primary_key = ["id"]
        columns.rating = { data_type = "decimal", precision = 10, scale = 2 }

        [[resources]]
        name = "second"
        table = "others"
        source = "rows.jsonl"
        "#,
    );
    sandbox.write("flow/rows.jsonl", "{\"id\": 1, \"rating\": 2700}\n");
    let ran = sandbox.run(&["run", "flow/pipeline.toml"]).with_code(0);
    assert_eq!(ran.stderr, "", "progress is off");
    assert_eq!(sandbox.count("select count(*) from lake.players where rating = 2700"), 1);
    assert_eq!(sandbox.count("select count(*) from lake.others"), 1);
    let scale = "select numeric_scale from information_schema.columns where table_name = 'players' and column_name = 'rating'";
    assert_eq!(sandbox.count(scale), 2);
    assert!(sandbox.path("work/flow/loaded").is_dir());

    let flags = [
        "--dataset-name",
        "other",
        "--table",
        "third",
        "--source",
        "players.jsonl",
        "--write-disposition",
        "replace",
    ];
    sandbox.run(&[&["run", "flow/pipeline.toml"], &flags[..]].concat()).with_code(0);
    assert_eq!(sandbox.count("select count(*) from other.third"), 3);
    assert_eq!(sandbox.count("select count(*) from information_schema.tables where table_schema = 'other' and table_name = 'players'"), 0);
}

#[test]
fn the_chess_example_works_as_it_stands_and_twice() {
    let sandbox = Sandbox::empty();
    for file in ["pipeline.toml", "players.jsonl", ".transload/config.toml"] {
        let from =
            std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/chess").join(file);
        let text = std::fs::read_to_string(from).expect("the example is there");
        sandbox.write(&format!("examples/chess/{file}"), &text);
    }
    for loads in 1..=2 {
        sandbox.run(&["run", "examples/chess/pipeline.toml"]).with_code(0);
        let database = duckdb::Connection::open(sandbox.path("chess_demo/chess.duckdb"))
            .expect("the database opens");
        for (table, rows) in [
            ("players", 54),
            ("players__titles_held", 67),
            ("players__matches", 169),
            ("players__matches__games", 174),
            ("players__nicknames", 19),
            ("_dlt_loads", loads),
        ] {
            let sql = format!("select count(*) from chess_players.{table}");
            let count: u64 = database.query_row(&sql, [], |row| row.get(0)).expect(&sql);
            assert_eq!(count, rows, "{table}");
        }
    }
    assert!(sandbox.path("chess_demo/staged/chess_players/chess_pipeline").is_dir());
    assert!(sandbox.path("chess_demo/pipelines/chess_pipeline/loaded").is_dir());
}

#[test]
fn a_user_without_a_home_works_in_the_working_folder() {
    let sandbox = Sandbox::new();
    let arguments = [&["run"], &THROUGH_STAGING[..], &PLAYERS_FILE].concat();
    Ran::of(sandbox.command().env_remove("HOME").args(arguments)).with_code(0);
    assert!(sandbox.path(".transload/pipelines/chess/loaded").is_dir());
    let status = Ran::of(sandbox.command().env_remove("HOME").arg("status")).with_code(0);
    assert!(status.stdout.contains("chess"), "{}", status.stdout);
}

#[test]
fn a_table_may_have_the_name_of_a_file_of_the_package() {
    let sandbox = Sandbox::new();
    sandbox.write("rows.jsonl", "{\"id\": 1}\n");
    for table in ["source", "set_aside", "summary", "manifest", "receipt", "lock"] {
        let args = ["--table", table, "--source", "rows.jsonl"];
        sandbox.run(&[&["run"], &THROUGH_STAGING[..], &args].concat()).with_code(0);
        assert_eq!(sandbox.count(&format!("select count(*) from lake.{table}")), 1);
    }
}
