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
    {"key":"options","state":"set","value_shown":"{api_key = ***, proxy = http://***@p/?***}","origin":{"from":"file","path":"project/.transload/config.toml","key":"destination.redshift.options, line 1"}}
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
    let layers = machine.layers(&[
        ("OTHER", "https://h/?sig=signature"),
        ("DUCK", "md:db?motherduck_token=quack&x=1"),
    ]);
    let settings = layers.resolve("p", "redshift", Warehouse::KEYS).unwrap();
    let secrets = [secrets_of(&settings, Warehouse::KEYS), layers.secrets()].concat();
    let redactor = Redactor::new(&secrets);
    assert_eq!(
        redactor.scrub("p/w!x p%2Fw!x p%2Fw%21x hunter2 signature quack u"),
        "*** *** *** *** *** *** u"
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
        ("abfss://lake@acc.dfs.core.windows.net/a", "abfss://lake@acc.dfs.core.windows.net/a"),
        ("abfss://u:CANARY@h/a", "abfss://***@h/a"),
        ("https://h/?sig=CANARY&x", "https://h/?***"),
        ("md:db?motherduck_token=CANARY", "md:db?***"),
        ("folder?CANARY", "folder?***"),
        ("md:db?a@b=CANARY://x", "md:db?***"),
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

fn ignored(machine: &Machine, layers: &Layers, name: &str, keys: &[SettingKey]) -> Vec<String> {
    layers.resolve("p", name, keys).unwrap();
    layers.ignored("p", name, keys).iter().map(|text| machine.shorten(text)).collect()
}

#[test]
fn what_only_dlt_knows_is_a_warning_with_its_line() {
    let machine = Machine::new(&[
        (
            "project/.dlt/config.toml",
            "[destination.filesystem]\nbucket_url = 's3://b'\nreplace_strategy = 'staging-optimized'\n\
             config_kwargs = { a = 1 }\n[destination.filesystem.kwargs]\nuse_ssl = true\n\
             client = { verify = 'public.crt' }\n",
        ),
        (
            "project/.dlt/secrets.toml",
            "[destination.filesystem.credentials]\naws_access_key_id = 'a'\nhf_token = 'CANARY'\n\
             [p.destination.filesystem]\nclient_kwargs.verify = false\n",
        ),
    ]);
    let layers = machine.layers(&[("DESTINATION__FILESYSTEM__KWARGS__USE_SSL", "CANARY")]);
    insta::assert_snapshot!(ignored(&machine, &layers, "filesystem", Store::KEYS).join("\n"), @r"
    dlt's setting `destination.filesystem.credentials.hf_token` has no meaning here and is not used (project/.dlt/secrets.toml:3)
    dlt's setting `destination.filesystem.replace_strategy` has no meaning here and is not used (project/.dlt/config.toml:3)
    dlt's setting `destination.filesystem.config_kwargs` has no meaning here and is not used (project/.dlt/config.toml:4)
    dlt's setting `destination.filesystem.kwargs` has no meaning here and is not used (project/.dlt/config.toml:5)
    dlt's setting `destination.filesystem.kwargs` has no meaning here and is not used (environment variable DESTINATION__FILESYSTEM__KWARGS__USE_SSL)
    dlt's setting `p.destination.filesystem.client_kwargs` has no meaning here and is not used (project/.dlt/secrets.toml:5)
    ");
}

#[test]
fn what_only_dlt_knows_of_a_text_is_a_warning_too() {
    let machine = Machine::new(&[(
        SECRETS,
        "[destination.filesystem]\ncredentials = '{\"aws_access_key_id\": \"a\", \"hf_token\": \"CANARY\"}'\n",
    )]);
    let text = "redshift://u:p@h/db?query=CANARY";
    let layers = machine.layers(&[("DESTINATION__REDSHIFT__CREDENTIALS", text)]);
    assert_eq!(
        ignored(&machine, &layers, "filesystem", Store::KEYS),
        [
            "dlt's setting `destination.filesystem.credentials.hf_token` has no meaning here and is not used \
          (project/.transload/secrets.toml (destination.filesystem.credentials, line 2))"
        ]
    );
    assert_eq!(
        ignored(&machine, &layers, "redshift", Warehouse::KEYS),
        [
            "dlt's setting `destination.redshift.credentials.query` has no meaning here and is not used \
          (environment variable DESTINATION__REDSHIFT__CREDENTIALS)"
        ]
    );
}

#[test]
fn what_dlt_knows_counts_for_its_own_destination_only_and_a_plugin_goes_before_dlt() {
    settings! {
        /// A plugin with a key that dlt has as well.
        struct Own {
            /// Read here.
            kwargs: Option<String>,
        }
    }
    let machine = Machine::new(&[(
        CONFIG,
        "[destination.redshift]\nkwargs = 'x'\n[destination.lake]\ndestination_type = 'filesystem'\nkwargs = 'x'\n",
    )]);
    let layers = machine.layers(&[]);
    let error = layers.resolve("p", "redshift", Warehouse::KEYS).unwrap_err();
    assert_eq!(machine.shorten(error.context("in").unwrap()), format!("{CONFIG}:2"));
    assert!(layers.ignored("p", "redshift", Warehouse::KEYS).is_empty());
    assert_eq!(ignored(&machine, &layers, "lake", Store::KEYS).len(), 1);
    assert!(ignored(&machine, &layers, "lake", Own::KEYS).is_empty());
    let below = machine.layers(&[("DESTINATION__LAKE__KWARGS__X", "1")]);
    below.resolve("p", "lake", Own::KEYS).unwrap_err();
    for typo in ["kwarg", "client_kwarg", "replace_strateggy"] {
        let layers =
            machine.layers(&[(&format!("DESTINATION__LAKE__{}", typo.to_uppercase()), "x")]);
        layers.resolve("p", "lake", Store::KEYS).unwrap_err();
    }
}
