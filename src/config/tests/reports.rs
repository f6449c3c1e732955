use super::*;

#[test]
fn the_report_shows_everything_but_secrets() {
    let machine = Machine::new(&[
        (SECRETS, "destination.redshift.credentials = 'redshift://u:CANARY@h/db'"),
        (
            CONFIG,
            "[destination.redshift.options]\nproxy = 'http://me:CANARY@p/?token=CANARY'\napi_key = 'CANARY'\n",
        ),
    ]);
    let settings = machine.layers(&[]).resolve("p", "redshift", Warehouse::KEYS).unwrap();
    let lines: Vec<String> = report(&settings, Warehouse::KEYS)
        .iter()
        .map(|line| machine.shorten(serde_json::to_string(line).unwrap()))
        .collect();
    insta::assert_snapshot!(lines.join("\n"), @r#"
    {"key":"credentials.username","state":"set","value_shown":"u","origin":{"from":"file","path":"project/.transload/secrets.toml","key":"destination.redshift.credentials, line 1"}}
    {"key":"credentials.password","state":"set","value_shown":"***","origin":{"from":"file","path":"project/.transload/secrets.toml","key":"destination.redshift.credentials, line 1"}}
    {"key":"credentials.host","state":"set","value_shown":"h","origin":{"from":"file","path":"project/.transload/secrets.toml","key":"destination.redshift.credentials, line 1"}}
    {"key":"credentials.database","state":"set","value_shown":"db","origin":{"from":"file","path":"project/.transload/secrets.toml","key":"destination.redshift.credentials, line 1"}}
    {"key":"credentials.port","state":"default","value_shown":"5439","origin":{"from":"default"}}
    {"key":"credentials.connect_timeout","state":"default","value_shown":"15","origin":{"from":"default"}}
    {"key":"options","state":"set","value_shown":"{api_key = ***, proxy = http://***@p/?token=***}","origin":{"from":"file","path":"project/.transload/config.toml","key":"destination.redshift.options, line 1"}}
    {"key":"strict","state":"default","value_shown":"false","origin":{"from":"default"}}
    "#);

    let nothing = Machine::new(&[]).layers(&[]);
    let lines =
        report(&nothing.resolve("p", "redshift", Warehouse::KEYS).unwrap(), Warehouse::KEYS);
    assert_eq!(lines[1].key, "credentials.password");
    assert_eq!(lines[1].state, State::Missing);
    let lines = report(&nothing.resolve("p", "filesystem", Store::KEYS).unwrap(), Store::KEYS);
    let states: Vec<State> = lines.iter().map(|line| line.state).collect();
    assert_eq!(states, [State::Missing, State::Unset, State::Unset]);
}

#[test]
fn a_secret_in_config_toml_is_a_warning() {
    let machine = Machine::new(&[(CONFIG, LOGIN)]);
    let settings = machine.layers(&[]).resolve("p", "redshift", Warehouse::KEYS).unwrap();
    let warnings: Vec<String> =
        warnings(&settings, Warehouse::KEYS).iter().map(|text| machine.shorten(text)).collect();
    assert_eq!(
        warnings,
        [
            "the secret `credentials.password` of `redshift` stands in project/.transload/config.toml \
          (destination.redshift.credentials.password, line 3): move it to secrets.toml"
        ]
    );
}

#[test]
fn every_form_of_a_secret_is_known_to_the_redactor() {
    let machine = Machine::new(&[
        (SECRETS, "destination.redshift.credentials = 'redshift://u:p%2Fw!x@h/db'"),
        (CONFIG, "[destination.redshift.options]\nproxy = 'http://me:hunter2@proxy'\n"),
    ]);
    let layers = machine.layers(&[("OTHER", "https://h/?sig=signature")]);
    let settings = layers.resolve("p", "redshift", Warehouse::KEYS).unwrap();
    let secrets = [secrets_of(&settings, Warehouse::KEYS), layers.secrets()].concat();
    let redactor = Redactor::new(&secrets);
    assert_eq!(
        redactor.scrub("p/w!x p%2Fw!x p%2Fw%21x hunter2 signature u"),
        "*** *** *** *** *** u"
    );
}

#[test]
fn nothing_prints_a_secret() {
    let machine = Machine::new(&[
        (SECRETS, &LOGIN.replace("secret-s", "CANARY")),
        (CONFIG, "other = 'CANARY'"),
    ]);
    let builder = machine.builder().environment([("PASSWORD", "CANARY")]);
    let builder = builder.value("destination.redshift.options.x", SettingValue::text("CANARY"));
    let shown = format!("{builder:?}");
    let layers = builder.build().unwrap();
    let settings = layers.resolve("p", "redshift", Warehouse::KEYS).unwrap();
    let found = layers.get("p", &[], "other");
    let secrets = (layers.secrets(), secrets_of(&settings, Warehouse::KEYS));
    let shown = format!("{shown} {layers:?} {settings:?} {found:?} {secrets:?}");
    assert!(!shown.contains("CANARY"), "{shown}");
}

#[test]
fn no_url_is_shown_with_its_password() {
    let cases = [
        ("s3://bucket/a@b", "s3://bucket/a@b"),
        ("https://h/?sig=CANARY&x", "https://h/?sig=***&***"),
        ("https://token-CANARY@h/x", "https://***@h/x"),
        ("x://u:CANARY@h/db?user=a@b&password=CANARY", "x://***"),
        ("x://u:CAN?ARY@h/db", "x://***"),
        ("x://u:CANARY/y@h/db", "x://***@h/db"),
        ("{\"private_key\": \"CANARY\"}", "***"),
    ];
    for (text, shown) in cases {
        let layers = Machine::new(&[]).layers(&[("BUCKET_URL", text)]);
        let settings = layers.resolve("p", "filesystem", Store::KEYS).unwrap();
        assert_eq!(report(&settings, Store::KEYS)[0].value_shown.as_deref(), Some(shown));
    }
}

#[test]
fn the_parts_of_a_secret_that_is_json_are_secrets_as_well() {
    let json = r#"{"type": "service_account", "private_key": "-----BEGIN\nCANARY"}"#;
    let name = "DESTINATION__FILESYSTEM__CREDENTIALS__AWS_SECRET_ACCESS_KEY";
    let layers = Machine::new(&[]).layers(&[(name, json)]);
    let settings = layers.resolve("p", "filesystem", Store::KEYS).unwrap();
    let redactor = Redactor::new(&secrets_of(&settings, Store::KEYS));
    assert_eq!(redactor.scrub("service_account -----BEGIN\nCANARY"), "service_account ***");
}
