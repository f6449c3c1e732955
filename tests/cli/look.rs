//! Commands that look: at pipelines, loads, plugins and configuration. They change nothing.

use serde_json::json;

use crate::support::{Sandbox, THROUGH_STAGING};

#[test]
fn status_and_info_need_neither_destination_nor_configuration() {
    let sandbox = Sandbox::new();
    let ran = sandbox.load_players(&["--pipelines-dir", "work", "--output", "json"]).with_code(0);
    let receipt = ran.json()["loads"][0].clone();
    std::fs::remove_dir_all(sandbox.path(".transload")).expect("the configuration goes");
    std::fs::remove_dir_all(sandbox.path("staged")).expect("the files go");
    std::fs::remove_file(sandbox.path("players.duckdb")).expect("the database goes");

    let status = sandbox.run(&["status", "--pipelines-dir", "work"]).with_code(0);
    let text = sandbox.normalised(&status.stdout);
    assert!(text.starts_with("pipelines in work\n\nchess\n  loaded  1 load, the last: <load>, 9 rows into lake on duckdb through filesystem"), "{text}");
    let status =
        sandbox.run(&["status", "--pipelines-dir", "work", "--output", "json"]).with_code(0).json();
    assert_eq!(status["pipelines"][0]["last_load"]["load_id"], receipt["load_id"]);
    assert_eq!(
        (&status["pipelines"][0]["loaded"], &status["pipelines"][0]["last_error"]),
        (&json!(1), &json!(null))
    );

    let info = sandbox
        .run(&["info", "--pipeline-name", "chess", "--pipelines-dir", "work"])
        .with_code(0)
        .stdout;
    let load = receipt["load_id"].as_str().expect("a load");
    for part in [
        load,
        "players__games__moves",
        "file",
        "sha256",
        ".parquet",
        "players: ",
        "name text",
        "_dlt_id text not null",
    ] {
        assert!(info.contains(part), "{part}\n\n{info}");
    }
    let by_name = ["info", load, "--pipelines-dir", "work", "--output", "json"];
    assert_eq!(
        sandbox.run(&by_name).with_code(0).json(),
        receipt,
        "the receipt is the one of the run"
    );
    let ran = sandbox.run(&["info", "1.5", "--pipelines-dir", "work"]).with_code(2);
    ran.says(&["error: there is no such load here", "load: 1.5", load]);
    sandbox.run(&["info"]).with_code(2).says(&["error: no pipeline was named", "pipelines: none"]);
    assert!(sandbox.run(&["status"]).with_code(0).stdout.starts_with("no pipelines in "));
}

#[test]
fn a_package_with_a_damaged_manifest_is_to_be_moved_away() {
    for damaged in ["", "{\"manifest_ver", "\0\0\0\0"] {
        let sandbox = Sandbox::empty();
        sandbox.write("work/chess/loads/1700000000.5/manifest.json", damaged);
        let ran = sandbox.run(&["info", "--pipelines-dir", "work"]).with_code(1);
        ran.says(&[
            "error: damaged: the manifest of the package is damaged (folder: work/chess/loads/1700000000.5",
            "hint: set it aside (`transload package set-aside 1700000000.5`), and load its source again",
        ]);
        let text = sandbox.run(&["status", "--pipelines-dir", "work"]).with_code(0).stdout;
        assert!(text.contains("damaged  1700000000.5: ") && !text.contains("pending"), "{text}");
    }
}

#[test]
fn destinations_shows_plugins_their_keys_and_what_is_not_in_this_build() {
    let sandbox = Sandbox::empty();
    let text = sandbox.run(&["destinations"]).with_code(0).stdout;
    for part in
        ["filesystem: destination and staging", "bucket_url", "required", "transload-dest-duckdb"]
    {
        assert!(text.contains(part), "{part}\n\n{text}");
    }
    let json = sandbox.run(&["destinations", "--output", "json"]).with_code(0).json();
    let plugins = json["destinations"].as_array().expect("plugins");
    let filesystem =
        plugins.iter().find(|plugin| plugin["name"] == "filesystem").expect("filesystem");
    assert_eq!(filesystem["kinds"], json!(["destination", "staging"]));
    let key = |name: &str| {
        filesystem["settings"]
            .as_array()
            .expect("keys")
            .iter()
            .find(|key| key["key"] == name)
            .expect("the key")
            .clone()
    };
    assert_eq!(key("bucket_url")["required"], true);
    assert_eq!(key("credentials.aws_secret_access_key")["secret"], true);
    let absent = json["absent"].as_array().expect("plugins").len();
    assert_eq!(plugins.len() + absent, 5);

    let one = sandbox.run(&["destinations", "filesystem"]).with_code(0).stdout;
    assert!(
        one.contains("under [destination.filesystem]:") && one.contains("credentials.region_name"),
        "{one}"
    );
    sandbox.run(&["destinations", "filesytem"]).with_code(2).says(&[
        "no such plugin",
        "known: ",
        "did you mean `filesystem`?",
    ]);
}

#[test]
fn config_check_shows_each_value_with_its_place_and_hides_secrets() {
    let sandbox = Sandbox::new();
    sandbox.write(
        ".transload/secrets.toml",
        "[destination.filesystem.credentials]\naws_secret_access_key = \"CANARY\"\n",
    );
    let mut command = sandbox.command();
    command
        .args(["config", "check"])
        .args(THROUGH_STAGING)
        .env("DESTINATION__FILESYSTEM__MAX_STATE_FILES", "7");
    let ran = crate::support::Ran::of(&mut command).with_code(0);
    let lines: Vec<String> = ran
        .stdout
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    for line in [
        "[destination.filesystem] (filesystem)",
        "bucket_url staged ./.transload/config.toml (destination.filesystem.bucket_url, line 2)",
        "credentials.aws_secret_access_key *** ./.transload/secrets.toml (destination.filesystem.credentials.aws_secret_access_key, line 2)",
        "max_state_files 7 environment variable DESTINATION__FILESYSTEM__MAX_STATE_FILES",
        "workers 20 default",
        "files read: ./.transload/secrets.toml, ./.transload/config.toml",
        "the configuration is complete",
    ] {
        assert!(lines.iter().any(|known| known == line), "{line}\n\n{}", ran.stdout);
    }
    assert!(lines.iter().any(|line| line.starts_with("files that do not exist: ")
        && line.contains("home/.transload/config.toml")));
    assert!(!ran.stdout.contains("CANARY"));
}

#[test]
fn config_check_names_everything_that_is_missing_or_wrong() {
    let sandbox = Sandbox::empty();
    let ran = sandbox.run(&[&["config", "check"], &THROUGH_STAGING[..]].concat()).with_code(2);
    assert!(ran.stdout.contains("missing"), "{}", ran.stdout);
    ran.says(&["error: a setting is missing (key: destination.filesystem.bucket_url", "hint: "]);

    sandbox.write(".transload/config.toml", "[load]\nworkers = \"many\"\n");
    let ran = sandbox
        .run(&[&["config", "check"], &THROUGH_STAGING[..], &["--output", "json"]].concat())
        .with_code(2);
    ran.says(&["error: 2 things are wrong", "destination.filesystem.bucket_url", "load.workers"]);
    assert_eq!(ran.json()["error"]["message"], "2 things are wrong");
    sandbox.run(&["config", "check"]).with_code(2).says(&["error: ", "no destination was chosen"]);
}

#[test]
fn config_check_shows_each_error_with_its_place_and_its_hint() {
    let sandbox = Sandbox::new();
    sandbox.write(
        ".transload/config.toml",
        "[destination.filesystem]\nbucket_urls = \"staged\"\n[destination.duckdb]\nthread = 1\n",
    );
    let check = [&["config", "check"], &THROUGH_STAGING[..]].concat();
    let ran = sandbox.run(&check).with_code(2);
    ran.says(&[
        "error: 2 things are wrong",
        "because: there is no such setting (key: destination.duckdb.thread, in: ./.transload/config.toml:4)",
        "hint: did you mean `threads`?",
        "because: there is no such setting (key: destination.filesystem.bucket_urls, in: ./.transload/config.toml:2)",
        "hint: did you mean `bucket_url`?",
    ]);
    let json = sandbox.run(&[&check[..], &["--output", "json"]].concat()).with_code(2).json();
    assert_eq!(json["errors"][1]["hint"], "did you mean `bucket_url`?");
}

#[test]
fn config_check_takes_the_folder_of_a_dlt_project() {
    let sandbox = Sandbox::empty();
    sandbox.write(
        ".dlt/config.toml",
        "[destination.filesystem]\nbucket_url = \"staged\"\n[destination.filesystem.kwargs]\nuse_ssl = true\n",
    );
    let ran = sandbox.run(&[&["config", "check"], &THROUGH_STAGING[..]].concat()).with_code(0);
    let warning = "warning: dlt's setting `destination.filesystem.kwargs` has no meaning here and is not used \
                   (./.dlt/config.toml:3)";
    assert!(ran.stdout.contains(warning), "{}", ran.stdout);
}

#[test]
fn config_check_shows_no_token_of_a_text_that_is_no_url() {
    let sandbox = Sandbox::empty();
    let mut command = sandbox.command();
    command
        .args(["config", "check", "--destination", "duckdb"])
        .env("DESTINATION__DUCKDB__CREDENTIALS", "md:db?motherduck_token=S3cr3t");
    let ran = crate::support::Ran::of(&mut command).with_code(2);
    assert!(ran.stdout.contains("md:db?***"), "{}", ran.stdout);
    assert!(!format!("{}{}", ran.stdout, ran.stderr).contains("S3cr3t"), "{}", ran.stderr);
}

#[test]
fn a_pipeline_file_finds_the_configuration_beside_it() {
    let sandbox = Sandbox::new();
    sandbox.write("flow/pipeline.toml", "pipeline_name = \"flow\"\ndestination = \"filesystem\"\n");
    let check = |more: &[&str]| {
        sandbox
            .run(&[&["config", "check", "flow/pipeline.toml", "--output", "json"], more].concat())
            .with_code(0)
            .json()["files"]
            .clone()
    };
    assert_eq!(check(&[]), json!(["./.transload/config.toml"]), "there is none beside it");
    sandbox.write("flow/.dlt/config.toml", "destination.filesystem.bucket_url = \"elsewhere\"\n");
    assert_eq!(check(&[]), json!(["flow/.dlt/config.toml"]));
    assert_eq!(check(&["--config-dir", "."]), json!(["./.transload/config.toml"]));
}

#[test]
fn help_version_and_completions_go_to_stdout() {
    let sandbox = Sandbox::empty();
    let version = sandbox.run(&["--version"]).with_code(0);
    assert_eq!(version.stdout, format!("transload {}\n", env!("CARGO_PKG_VERSION")));
    let help = sandbox.run(&["run", "--help"]).with_code(0).stdout;
    for part in [
        "--write-disposition <DISPOSITION>",
        "[possible values: append, replace, merge, skip]",
        "--pipelines-dir <DIR>",
        "PIPELINE.TOML",
    ] {
        assert!(help.contains(part), "{part}\n\n{help}");
    }
    let script = sandbox.run(&["completions", "bash"]).with_code(0).stdout;
    assert!(script.contains("transload") && script.contains("--loader-file-format"));
    let exits = sandbox.run(&["--help"]).with_code(0).stdout;
    assert!(exits.contains(
        "Exit codes: 0 done, 1 the load failed, 2 usage or configuration, 3 interrupted"
    ));
}
