//! The chain through Google Cloud Storage, by the command line: staged there, fetched, published in DuckDB; and as a
//! destination and a source.

use crate::support::{Ran, Sandbox, THROUGH_STAGING};

/// What `cargo xtask up gcs` exports.
fn variable(name: &str) -> String {
    let name = format!("TRANSLOAD_TEST_GCS_{name}");
    std::env::var(&name)
        .unwrap_or_else(|_| panic!("{name} is not set: run `cargo xtask e2e filesystem`"))
}

/// A place that no other run has.
fn place(test: &str) -> String {
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().expect("after 1970").as_nanos();
    format!("gs://{}/{test}-{}-{now}", variable("BUCKET"), std::process::id())
}

/// A project that stages there.
fn project(bucket_url: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write(
        ".transload/config.toml",
        &format!(
            "[destination.filesystem]\nbucket_url = \"{bucket_url}\"\n\n[destination.filesystem.credentials]\n\
             endpoint_url = \"{}\"\n\n[destination.duckdb]\ncredentials = \"players.duckdb\"\n",
            variable("ENDPOINT")
        ),
    );
    sandbox
}

/// The service account in dlt's words, with another address where one is given.
fn secrets(sandbox: &Sandbox, email: Option<&str>) {
    let account: serde_json::Value =
        serde_json::from_str(&variable("CREDENTIALS")).expect("a key file");
    let text = |key: &str| account[key].as_str().expect("a text").to_owned();
    sandbox.write(
        ".dlt/secrets.toml",
        &format!(
            "[destination.filesystem.credentials]\nproject_id = \"{}\"\nclient_email = \"{}\"\n\
             private_key_id = \"{}\"\nprivate_key = '''{}'''\n",
            text("project_id"),
            email.map_or_else(|| text("client_email"), str::to_owned),
            text("private_key_id"),
            text("private_key")
        ),
    );
}

/// A line of the key.
fn canary() -> String {
    let credentials = variable("CREDENTIALS");
    let (_, key) = credentials.split_once("BEGIN PRIVATE KEY-----\\n").expect("a key");
    key[..48].to_owned()
}

fn silent(ran: &Ran) {
    let canary = canary();
    assert!(!ran.stdout.contains(&canary) && !ran.stderr.contains(&canary), "the key is shown");
}

#[test]
#[ignore = "needs a stand-in for Google Cloud Storage: cargo xtask e2e filesystem"]
fn files_staged_in_google_cloud_storage_are_fetched_and_published() {
    let url = place("chain");
    let sandbox = project(&url);
    secrets(&sandbox, None);
    for loads in 1..=2 {
        let ran = sandbox.load_players(&["--output", "json"]).with_code(0);
        silent(&ran);
        let receipt = &ran.json()["loads"][0];
        assert_eq!(receipt["status"], "loaded");
        let files = receipt["files"].as_array().expect("files");
        assert!(!files.is_empty());
        for file in files {
            let staged = file["url"].as_str().expect("staged");
            assert!(staged.starts_with(&format!("{url}/lake/chess/")), "{staged}");
        }
        assert_eq!(sandbox.count("select count(*) from lake.players"), 3 * loads);
    }
    assert_eq!(sandbox.count("select count(*) from lake.players__titles"), 6);
}

#[test]
#[ignore = "needs a stand-in for Google Cloud Storage: cargo xtask e2e filesystem"]
fn an_account_that_is_refused_is_said_without_its_key_and_the_load_can_be_resumed() {
    let sandbox = project(&place("denied"));
    secrets(&sandbox, Some("nobody@transload-test.iam.gserviceaccount.com"));
    let ran = sandbox.load_players(&[]).with_code(3);
    ran.says(&["the store refused the credentials", "credentials.private_key"]);
    silent(&ran);
    secrets(&sandbox, None);
    let resume = [&["resume"], &THROUGH_STAGING[..]].concat();
    sandbox.run(&resume).with_code(0);
    assert_eq!(sandbox.count("select count(*) from lake.players"), 3);
}

#[test]
#[ignore = "needs a stand-in for Google Cloud Storage: cargo xtask e2e filesystem"]
fn a_bucket_of_google_that_is_not_there_is_said_before_anything_is_lost() {
    let sandbox = project("gs://no-such-bucket/a");
    secrets(&sandbox, None);
    let ran = sandbox.load_players(&[]).with_code(3);
    ran.says(&["the bucket does not exist", "bucket_url"]);
}

#[test]
#[ignore = "needs a stand-in for Google Cloud Storage: cargo xtask e2e filesystem"]
fn the_text_or_the_path_of_a_key_file_is_enough_and_what_was_loaded_is_a_source() {
    let url = place("alone");
    let sandbox = project(&url);
    sandbox.write("keys/loader.json", &variable("CREDENTIALS"));
    let path = sandbox.path("keys/loader.json").display().to_string();
    let load = ["run", "--pipeline-name", "chess", "--destination", "filesystem"];
    let rows = ["--dataset-name", "lake", "--table", "players", "--source", "players.jsonl"];
    for credentials in [variable("CREDENTIALS"), path.clone()] {
        let mut command = sandbox.command();
        command.args([&load[..], &rows].concat());
        command.env("DESTINATION__FILESYSTEM__CREDENTIALS", credentials);
        let ran = Ran::of(&mut command).with_code(0);
        silent(&ran);
    }
    let mut command = sandbox.command();
    command
        .args(["run", "--pipeline-name", "back", "--destination", "duckdb"])
        .args(["--dataset-name", "back", "--table", "players"])
        .args(["--source", &format!("{url}/lake/players/*.parquet")])
        .env("SOURCES__FILESYSTEM__CREDENTIALS__ENDPOINT_URL", variable("ENDPOINT"))
        .env("GOOGLE_APPLICATION_CREDENTIALS", path);
    Ran::of(&mut command).with_code(0);
    assert_eq!(sandbox.count("select count(*) from back.players"), 6);
}

#[test]
fn half_of_a_service_account_is_asked_for_the_other_half() {
    let sandbox = Sandbox::new();
    sandbox.write(
        ".transload/config.toml",
        "[destination.filesystem]\nbucket_url = \"gs://lake/stage\"\n\n\
         [destination.filesystem.credentials]\nclient_email = \"loader@lake\"\n",
    );
    sandbox.load_players(&[]).with_code(2).says(&[
        "a setting is missing",
        "destination.filesystem.credentials.private_key",
        "DESTINATION__FILESYSTEM__CREDENTIALS__PRIVATE_KEY",
    ]);
}
