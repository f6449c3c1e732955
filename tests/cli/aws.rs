//! Who asks S3, by the command line: the variables and files of Amazon's own tools.

use crate::support::{PLAYERS_FILE, Ran, Sandbox, THROUGH_STAGING};

/// What `cargo xtask up s3` exports.
fn variable(name: &str) -> String {
    let name = format!("TRANSLOAD_TEST_S3_{name}");
    std::env::var(&name)
        .unwrap_or_else(|_| panic!("{name} is not set: run `cargo xtask e2e filesystem`"))
}

fn project(bucket_url: &str, more: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write(
        ".transload/config.toml",
        &format!(
            "[destination.filesystem]\nbucket_url = \"{bucket_url}\"\n\n[destination.filesystem.credentials]\n{more}\n\
             \n[destination.duckdb]\ncredentials = \"players.duckdb\"\n"
        ),
    );
    sandbox
}

#[test]
#[ignore = "needs an S3 server: cargo xtask e2e filesystem"]
fn the_variables_of_amazon_or_a_role_of_a_profile_are_enough() {
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().expect("after 1970").as_nanos();
    let url = format!("s3://{}/aws-{}-{now}", variable("BUCKET"), std::process::id());
    let sandbox = project(&url, &format!("endpoint_url = \"{}\"", variable("ENDPOINT")));
    sandbox.write(
        "home/.aws/config",
        &format!("[profile loader]\nrole_arn = {}\nsource_profile = base\n", variable("ROLE")),
    );
    sandbox.write(
        "home/.aws/credentials",
        &format!(
            "[base]\naws_access_key_id = {}\naws_secret_access_key = {}\n",
            variable("KEY"),
            variable("SECRET")
        ),
    );
    let (key, secret) = (variable("KEY"), variable("SECRET"));
    let keys = [("AWS_ACCESS_KEY_ID", key.as_str()), ("AWS_SECRET_ACCESS_KEY", &secret)];
    let mut loads = 0;
    for variables in [&keys[..], &[("AWS_PROFILE", "loader")]] {
        let mut command = sandbox.command();
        command.args([&["run"], &THROUGH_STAGING[..], &PLAYERS_FILE].concat());
        command.envs(variables.iter().copied());
        let ran = Ran::of(&mut command).with_code(0);
        assert!(!ran.stdout.contains(&secret) && !ran.stderr.contains(&secret));
        loads += 1;
        assert_eq!(sandbox.count("select count(*) from lake.players"), 3 * loads);
    }
}

#[test]
#[ignore = "needs an S3 server: cargo xtask e2e filesystem"]
fn what_lies_in_a_bucket_is_read_by_a_profile_or_by_a_role() {
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().expect("after 1970").as_nanos();
    let url = format!("s3://{}/read-{}-{now}", variable("BUCKET"), std::process::id());
    let (key, secret) = (variable("KEY"), variable("SECRET"));
    let keys = format!(
        "endpoint_url = \"{}\"\naws_access_key_id = \"{key}\"\naws_secret_access_key = \"{secret}\"",
        variable("ENDPOINT")
    );
    let sandbox = project(&url, &keys);
    let written = ["run", "--pipeline-name", "chess", "--destination", "filesystem"];
    let rows = ["--dataset-name", "lake", "--table", "players", "--source", "players.jsonl"];
    sandbox.run(&[&written[..], &rows].concat()).with_code(0);

    let config =
        format!("[profile loader]\nrole_arn = {}\nsource_profile = base\n", variable("ROLE"));
    sandbox.write("home/.aws/config", &config);
    let credentials =
        format!("[base]\naws_access_key_id = {key}\naws_secret_access_key = {secret}\n");
    sandbox.write("home/.aws/credentials", &credentials);
    let (role, powerless) = (variable("ROLE"), variable("POWERLESS_ROLE"));
    let source = format!("{url}/lake/players/*.parquet");
    let read = |setting: &str, value: &str, more: &[(&str, &str)]| {
        let mut command = sandbox.command();
        command
            .args(["run", "--pipeline-name", "back", "--destination", "duckdb"])
            .args(["--dataset-name", "back", "--table", "players", "--source", &source])
            .env("SOURCES__FILESYSTEM__CREDENTIALS__ENDPOINT_URL", variable("ENDPOINT"))
            .env(format!("SOURCES__FILESYSTEM__CREDENTIALS__{setting}"), value)
            .envs(more.iter().copied());
        let ran = Ran::of(&mut command);
        assert!(!ran.stdout.contains(&secret) && !ran.stderr.contains(&secret));
        ran
    };
    let of_variables = [("AWS_ACCESS_KEY_ID", key.as_str()), ("AWS_SECRET_ACCESS_KEY", &secret)];
    let mut loads = 0;
    for (setting, value, more) in [
        ("PROFILE_NAME", "base", &[][..]),
        ("PROFILE_NAME", "loader", &[]),
        ("ROLE_ARN", &role, &of_variables),
    ] {
        read(setting, value, more).with_code(0);
        loads += 1;
        assert_eq!(sandbox.count("select count(*) from back.players"), 3 * loads, "{setting}");
    }
    let refused = read("ROLE_ARN", &powerless, &of_variables);
    refused.says(&["the credentials do not allow to read the source", "AccessDenied"]);
    let unknown = read("ROLE_ARN", "arn:aws:iam::123456789012:role/nobody", &of_variables);
    unknown.says(&["the role cannot be taken on", "sources.filesystem.credentials.role_arn"]);
}

#[test]
fn a_profile_that_is_not_there_is_named() {
    let sandbox = project("s3://lake/a", "profile_name = \"loader\"");
    sandbox.load_players(&[]).with_code(2).says(&[
        "destination.filesystem.credentials.profile_name",
        "there is no such profile",
        "~/.aws/config",
    ]);
}
