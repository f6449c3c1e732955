//! Failures: what is said, where, and with which exit code.

use crate::support::{PLAYERS_FILE, Ran, Sandbox, THROUGH_STAGING};

fn to(destination: &'static str) -> Vec<&'static str> {
    let flags =
        ["run", "--pipeline-name", "chess", "--destination", destination, "--dataset-name", "lake"];
    [&flags, &PLAYERS_FILE[..]].concat()
}

#[test]
fn an_unknown_destination_lists_those_that_there_are() {
    let ran = Sandbox::new().run(&to("duckbd")).with_code(2);
    ran.says(&[
        "error: no such destination (name: duckbd, known: ",
        "duckdb",
        "\n\nhint: did you mean `duckdb`?",
    ]);
    assert_eq!(ran.stdout, "");
}

#[cfg(not(feature = "redshift"))]
#[test]
fn a_destination_that_is_not_in_this_build_names_its_feature() {
    let ran = Sandbox::new().run(&to("redshift")).with_code(2);
    ran.says(&["error: no such destination", "not in this build", "--features redshift"]);
}

#[test]
fn a_missing_setting_names_its_key_its_places_in_order_and_a_line_to_paste() {
    let sandbox = Sandbox::empty();
    sandbox.write("players.jsonl", "{}\n");
    sandbox.write(".transload/config.toml", "");
    let ran = sandbox.run(&[&["run"], &THROUGH_STAGING[..], &PLAYERS_FILE].concat()).with_code(2);
    ran.says(&[
        "error: a setting is missing (key: destination.filesystem.bucket_url",
        "environment variable CHESS__DESTINATION__FILESYSTEM__BUCKET_URL",
        "environment variable DESTINATION__FILESYSTEM__BUCKET_URL",
        "config.toml (destination.filesystem.bucket_url)",
        "files that do not exist: ",
        "hint: ",
        "[destination.filesystem]",
        "bucket_url = \"…\"",
        "DESTINATION__FILESYSTEM__BUCKET_URL",
    ]);
}

#[test]
fn a_source_that_is_no_json_names_its_place_and_loads_nothing() {
    let sandbox = Sandbox::new();
    sandbox.write("players.jsonl", "id;name\n1;Tal\n2;Petrosian\n");
    let ran = sandbox.load_players(&[]).with_code(1);
    ran.says(&["error: ", "line: 1", "column: ", "players.jsonl"]);
    let json = sandbox.load_players(&["--output", "json"]).with_code(1).json();
    assert_eq!(json["error"]["kind"], "bad_data");
    assert_eq!(json["loads"][0]["status"], "failed");

    let tables = "select count(*) from information_schema.tables where table_schema in ('lake', 'lake_staging')";
    assert!(!sandbox.path("players.duckdb").exists() || sandbox.count(tables) == 0);
    assert_eq!(sandbox.files("staged"), [""; 0]);
    assert_eq!(sandbox.files("home/.transload/pipelines/chess/loads"), [""; 0]);
    let status = sandbox.run(&["status", "--output", "json"]).with_code(0).json();
    assert_eq!(status["pipelines"][0]["pending"], serde_json::json!([]));
}

#[test]
fn rows_that_cannot_be_loaded_are_set_aside_and_can_be_repaired() {
    let sandbox = Sandbox::new();
    sandbox.write("players.jsonl", "{\"id\": 1}\n{\"id\": 2,\n{\"id\": 3}\n");
    let ran = sandbox.load_players(&[]).with_code(4);
    ran.prints(&["1 row of players set aside: E_JSON_SYNTAX 1", "players.reasons.jsonl"]);
    assert_eq!(sandbox.count("select count(*) from lake.players"), 2);

    let receipt = sandbox.run(&["info", "--output", "json"]).with_code(0).json();
    let aside = &receipt["set_aside"][0];
    assert_eq!((&aside["table"], &aside["rows"]), (&"players".into(), &1.into()));
    let package = std::path::PathBuf::from(receipt["package"].as_str().unwrap());
    let reasons =
        std::fs::read_to_string(package.join(aside["reasons"].as_str().unwrap())).unwrap();
    let reason: serde_json::Value = serde_json::from_str(&reasons).unwrap();
    assert_eq!((&reason["line"], &reason["offset"]), (&2.into(), &10.into()));
    let rows = package.join(aside["files"][0].as_str().unwrap());
    assert_eq!(std::fs::read_to_string(&rows).unwrap(), "{\"id\": 2,\n");

    // Repaired in place, it is a source like any other.
    std::fs::write(&rows, "{\"id\": 2}\n").unwrap();
    let source = rows.to_str().unwrap();
    let repaired = ["--table", "players", "--source", source];
    sandbox.run(&[&["run"], &THROUGH_STAGING[..], &repaired].concat()).with_code(0);
    assert_eq!(sandbox.count("select sum(id) from lake.players"), 6);
}

#[test]
fn no_row_is_set_aside_where_none_may_be() {
    let sandbox = Sandbox::new();
    sandbox.write("players.jsonl", "{\"id\": 1}\n{\"id\": 2,\n{\"id\": 3}\n");
    let none =
        "[normalize]\nmax_set_aside = 0\n[destination.filesystem]\nbucket_url = \"staged\"\n";
    sandbox.write(".transload/config.toml", none);
    let ran = sandbox.load_players(&[]).with_code(1);
    ran.says(&["error: the row is not JSON", "line: 2", "column: ", "max_set_aside"]);
    assert_eq!(sandbox.files("home/.transload/pipelines/chess/loads"), [""; 0]);
}

#[test]
fn a_table_is_not_replaced_by_rows_that_are_all_set_aside() {
    let sandbox = Sandbox::new();
    sandbox.write("players.jsonl", "{\"id\": 1}\n");
    sandbox.load_players(&[]).with_code(0);
    sandbox.write("players.jsonl", "{\"id\": 1,}\n{\"id\": 2,}\n");
    let ran = sandbox.load_players(&["--write-disposition", "replace"]).with_code(1);
    ran.says(&["every row would be set aside"]);
    assert_eq!(sandbox.count("select count(*) from lake.players"), 1);
}

#[test]
fn a_source_that_is_not_there_is_named() {
    let sandbox = Sandbox::new();
    let ran = sandbox.run(
        &[&["run"], &THROUGH_STAGING[..], &["--table", "t", "--source", "none.jsonl"]].concat(),
    );
    ran.with_code(2).says(&["error: there is no such source file", "none.jsonl"]);
}

#[test]
fn a_url_that_cannot_be_read_is_refused_without_its_secrets() {
    let source = ["--table", "t", "--source", "ftp://me:CANARY@host.example/rows.jsonl?sig=CANARY"];
    let ran = Sandbox::new().run(&[&["run"], &THROUGH_STAGING[..], &source].concat()).with_code(2);
    ran.says(&[
        "error: sources of this scheme cannot be read (source: ftp://host.example/rows.jsonl)",
        "hint: ",
        "https://",
    ]);
    assert!(!ran.stderr.contains("CANARY"), "{}", ran.stderr);

    let source = ["--table", "t", "--source", "s3://lake/rows.jsonl"];
    let sandbox = Sandbox::new();
    let keys = "[sources.filesystem.credentials]\naws_access_key_id = \"CANARY\"\n";
    sandbox.write(".transload/secrets.toml", keys);
    let ran = sandbox.run(&[&["run"], &THROUGH_STAGING[..], &source].concat()).with_code(2);
    ran.says(&[
        "error: a setting is missing (key: sources.filesystem.credentials.aws_secret_access_key, looked at: ",
        "./.transload/secrets.toml (sources.filesystem.credentials.aws_secret_access_key)",
        "[sources.filesystem.credentials]",
        "or set SOURCES__FILESYSTEM__CREDENTIALS__AWS_SECRET_ACCESS_KEY",
    ]);
    assert!(!ran.stderr.contains("CANARY"), "{}", ran.stderr);
}

#[test]
fn merge_is_refused_by_a_destination_that_cannot() {
    let sandbox = Sandbox::new();
    let ran = sandbox.run(
        &[&to("filesystem")[..], &["--write-disposition", "merge", "--primary-key", "id"]].concat(),
    );
    let ran = ran.with_code(2);
    ran.says(&["error: ", "merge"]);
    assert_eq!(sandbox.files("staged"), [""; 0]);
}

#[test]
fn wrong_arguments_are_a_matter_of_usage_and_list_what_there_is() {
    let sandbox = Sandbox::new();
    let ran = sandbox.load_players(&["--loader-file-format", "avro"]).with_code(2);
    ran.says(&["invalid value 'avro'", "parquet, jsonl, csv, insert_values"]);
    let ran =
        sandbox.load_players(&["--write-disposition", "upsert", "--output", "json"]).with_code(2);
    ran.says(&["append, replace, merge, skip"]);
    assert_eq!(ran.json()["error"]["kind"], "configuration");
    sandbox.run(&["run", "--table", "t"]).with_code(2).says(&["--source"]);
    sandbox.run(&["plan"]).with_code(2).says(&["unrecognized subcommand"]);
    sandbox.run(&[]).with_code(2).says(&["Usage: transload"]);
    sandbox
        .run(&["run", "--destination", "duckdb", "--table", "t", "--source", "players.jsonl"])
        .with_code(2)
        .says(&["error: no pipeline was named", "--pipeline-name"]);
    let ran = sandbox.run(&["run", "--pipeline-name", "p", "--destination", "duckdb"]).with_code(2);
    ran.says(&["error: there is nothing to run"]);
}

#[test]
fn a_wrong_pipeline_file_names_its_line_and_its_key() {
    let sandbox = Sandbox::new();
    sandbox.write("pipeline.toml", "pipeline_name = \"p\"\ndestination = \"duckdb\"\n\n[[resources]]\ntable = \"t\"\nsorce = \"x\"\n");
    let ran = sandbox.run(&["run", "pipeline.toml"]).with_code(2);
    ran.says(&[
        "error: the pipeline's file is wrong (file: pipeline.toml:6, key: sorce",
        "`source`",
        "hint: did you mean `source`?",
    ]);
    let json = sandbox.run(&["run", "none.toml", "--output", "json"]).with_code(2).json();
    assert_eq!(json["error"]["message"], "the pipeline's file cannot be read");
    assert_eq!(
        (&json["pipeline"], &json["loads"]),
        (&serde_json::Value::Null, &serde_json::json!([]))
    );
}

#[test]
fn an_unknown_load_cannot_be_resumed() {
    let sandbox = Sandbox::new();
    sandbox.load_players(&[]).with_code(0);
    sandbox.run(&[&["resume", "1.5"], &THROUGH_STAGING[..]].concat()).with_code(2).says(&[
        "error: there is no such load to resume (load: 1.5",
        "pending: none",
        "hint: `transload status`",
    ]);
    let nothing = sandbox.run(&[&["resume"], &THROUGH_STAGING[..]].concat()).with_code(0);
    assert_eq!(nothing.stdout.trim_end(), "pipeline chess: there was nothing to do");
    sandbox.run(&["resume", "--pipeline-name", "chess"]).with_code(0);
    sandbox
        .run(&["resume", "--pipeline-name", "ches"])
        .with_code(2)
        .says(&["no destination was chosen"]);
    sandbox.run(&["resume", "1.5", "1.6"]).with_code(2).says(&["error: one load of one pipeline"]);
}

#[test]
fn a_load_that_waits_for_its_store_can_be_resumed() {
    let sandbox = Sandbox::new();
    // A file stands where the store wants its folder.
    sandbox.write("staged/lake", "in the way");
    let ran = sandbox.load_players(&["--output", "json"]);
    assert!([1, 3].contains(&ran.code), "{}", ran.stderr);
    ran.says(&["error: ", "hint: the load is sealed: once the cause is gone, `transload resume`"]);
    let json = ran.json();
    assert_eq!(json["loads"][0]["status"], "pending");
    assert!(!json["error"]["message"].as_str().unwrap_or_default().is_empty());
    let status = sandbox.run(&["status"]).with_code(0);
    assert!(
        status.stdout.contains("pending") && status.stdout.contains("last error: "),
        "{}",
        status.stdout
    );

    std::fs::remove_file(sandbox.path("staged/lake")).expect("out of the way");
    let resumed = sandbox
        .run(&["resume", "--pipeline-name", "chess", "--output", "json"])
        .with_code(0)
        .json();
    assert_eq!(resumed["loads"][0]["load_id"], json["loads"][0]["load_id"]);
    assert_eq!(
        (&resumed["loads"][0]["status"], &resumed["loads"][0]["resumed"]),
        (&"loaded".into(), &true.into())
    );
    assert_eq!(resumed["loads"][0]["staging"]["name"], "filesystem");
    assert_eq!(sandbox.count("select count(*) from lake.players"), 3);
    let load = json["loads"][0]["load_id"].as_str().expect("a load");
    let again = sandbox.run(&["resume", load, "--pipeline-name", "chess"]).with_code(0);
    assert!(again.stdout.contains("loaded"), "{}", again.stdout);
}

#[test]
fn secrets_are_nowhere_to_be_seen() {
    let sandbox = Sandbox::new();
    sandbox.write(
        ".transload/secrets.toml",
        "[destination.filesystem.credentials]\naws_access_key_id = \"id\"\naws_secret_access_key = \"CANARY-in-file\"\n",
    );
    let environment = [
        ("DESTINATION__FILESYSTEM__CREDENTIALS__AWS_SESSION_TOKEN", "CANARY-in-environment"),
        ("DESTINATION__LAKE__CREDENTIALS", "redshift://loader:CANARY-in-url@localhost/db"),
        ("TRANSLOAD_LOG", "trace"),
    ];
    let run: Vec<&str> = [&["run"], &THROUGH_STAGING[..], &PLAYERS_FILE].concat();
    let check: Vec<&str> = [&["config", "check"], &THROUGH_STAGING[..]].concat();
    let elsewhere: Vec<&str> = [&["config", "check"], &["--destination", "lake"][..]].concat();
    let broken: Vec<&str> =
        ["run", "--destination", "nowhere", "--pipeline-name", "chess", "--staging", "filesystem"]
            .to_vec();
    for arguments in [run, check, elsewhere, broken] {
        for form in ["text", "json"] {
            let ran = Ran::of(
                sandbox.command().envs(environment).args(&arguments).args(["--output", form]),
            );
            let seen = format!("{}\n{}", ran.stdout, ran.stderr);
            assert!(!seen.contains("CANARY"), "{arguments:?}\n{seen}");
        }
    }
    let bucket = (
        "DESTINATION__FILESYSTEM__BUCKET_URL",
        "s3://me:CANARY-in-bucket@lake/x?password=CANARY-too",
    );
    let check = [&["config", "check"], &THROUGH_STAGING[..]].concat();
    let ran = Ran::of(sandbox.command().envs(environment).env(bucket.0, bucket.1).args(check));
    assert!(
        !format!("{}\n{}", ran.stdout, ran.stderr).contains("CANARY"),
        "{}\n{}",
        ran.stdout,
        ran.stderr
    );
    for file in sandbox.files("").iter().filter(|file| !file.ends_with("secrets.toml")) {
        let bytes = std::fs::read(sandbox.path(file)).expect("a file");
        assert!(!bytes.windows(6).any(|six| six == b"CANARY"), "{file}");
    }
}
