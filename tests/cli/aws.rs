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
fn a_profile_that_is_not_there_is_named() {
    let sandbox = project("s3://lake/a", "profile_name = \"loader\"");
    sandbox.load_players(&[]).with_code(2).says(&[
        "destination.filesystem.credentials.profile_name",
        "there is no such profile",
        "~/.aws/config",
    ]);
}
