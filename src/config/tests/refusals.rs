use super::*;

#[test]
fn a_text_that_cannot_be_taken_apart_is_named_and_not_shown() {
    for text in ["redshift://u:CANARY@pa/ss@h/db", "redshift://u:CANARY/pa@h/db", "CANARY"] {
        let machine =
            Machine::new(&[(SECRETS, &format!("\n\ndestination.redshift.credentials = '{text}'"))]);
        let error = machine.layers(&[]).resolve("p", "redshift", Warehouse::KEYS).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration);
        assert_eq!(error.context("key"), Some("destination.redshift.credentials"));
        assert_eq!(
            machine.shorten(error.context("from").unwrap()),
            "project/.transload/secrets.toml (destination.redshift.credentials, line 3)"
        );
        assert!(!format!("{error:?}").contains("CANARY"), "{error:?}");
    }
}

#[test]
fn a_part_of_a_text_that_is_no_setting_is_an_error() {
    let text = "redshift://u:CANARY@h/db?conect_timeout=1";
    let layers = Machine::new(&[]).layers(&[("DESTINATION__REDSHIFT__CREDENTIALS", text)]);
    let error = layers.resolve("p", "redshift", Warehouse::KEYS).unwrap_err();
    assert_eq!(
        format!("{error:?}"),
        "there is no such setting (part: conect_timeout, key: destination.redshift.credentials, \
         from: environment variable DESTINATION__REDSHIFT__CREDENTIALS)\n\n\
         hint: did you mean `connect_timeout`?"
    );
}

#[test]
fn a_misspelt_key_is_an_error_with_its_line() {
    let cases = [
        (
            "[destination.filesystem]\nbuckett_url = 's3://b'",
            "destination.filesystem.buckett_url",
            2,
            "did you mean `bucket_url`?",
        ),
        (
            "\ndestination.filesystem.credentials.aws_secret_access_kay = 'x'",
            "destination.filesystem.credentials.aws_secret_access_kay",
            2,
            "did you mean `aws_secret_access_key`?",
        ),
        (
            "[p.destination.filesystem]\n\nbucket_ur = 1",
            "p.destination.filesystem.bucket_ur",
            3,
            "did you mean `bucket_url`?",
        ),
        (
            "[destination]\nfilesystem = { aws_secret_access_key = 'x' }",
            "destination.filesystem.aws_secret_access_key",
            2,
            "did you mean `destination.filesystem.credentials.aws_secret_access_key`?",
        ),
        (
            "[destination.filesystem.bucket_url]\nx = 1",
            "destination.filesystem.bucket_url.x",
            2,
            "",
        ),
        (
            "[destination.filesystem.staging_config]\nx = 1",
            "destination.filesystem.staging_config",
            1,
            "",
        ),
    ];
    for (text, key, line, hint) in cases {
        let machine = Machine::new(&[(CONFIG, text)]);
        let error = machine.layers(&[]).resolve("p", "filesystem", Store::KEYS).unwrap_err();
        assert_eq!(error.message(), "there is no such setting");
        assert_eq!(error.context("key"), Some(key));
        assert_eq!(machine.shorten(error.context("in").unwrap()), format!("{CONFIG}:{line}"));
        assert_eq!(error.hint().unwrap_or_default(), hint);
        assert_eq!(error.context("known").is_some(), hint.is_empty());
    }
}

#[test]
fn a_misspelt_variable_is_an_error_too() {
    let machine = Machine::new(&[]);
    let resolve = |name| {
        machine.layers(&[(name, "CANARY")]).resolve("p", "redshift", Warehouse::KEYS).map(|_| ())
    };
    let error = resolve("DESTINATION__REDSHIFT__CREDENTIALS__PASSWORT").unwrap_err();
    assert_eq!(
        format!("{error:?}"),
        "there is no such setting (key: destination.redshift.credentials.passwort, \
         in: environment variable DESTINATION__REDSHIFT__CREDENTIALS__PASSWORT)\n\n\
         hint: did you mean `password`?"
    );
    resolve("P__DESTINATION__REDSHIFT__STRIKT").unwrap_err();
    resolve("DESTINATION__REDSHIFT__DESTINATION_TYPE").unwrap();
    resolve("DESTINATION__REDSHIFT__OPTIONS").unwrap();
    resolve("DESTINATION__FILESYSTEM__ANYTHING").unwrap();
}

#[test]
fn a_broken_file_is_reported_by_place_and_not_quoted() {
    let cases = [
        ("a = 1\npassword = CANARY-CANARY\n", ":2:12"),
        ("password = \"CANARY\nb = 1\n", ":1:19"),
        ("CANARY CANARY", ":1:8"),
        ("CANARY = 1\nCANARY = 2\n", ":2:1"),
        ("CANARY = 1\nCANARY.x = 2\n", ":2:1"),
        ("[CANARY\n", ":1:8"),
    ];
    for (text, place) in cases {
        let machine = Machine::new(&[(SECRETS, text)]);
        let error = machine.builder().build().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration);
        assert_eq!(machine.shorten(error.context("file").unwrap()), format!("{SECRETS}{place}"));
        assert!(!format!("{error:?}").contains("CANARY"), "{error:?}");
    }
    let machine = Machine::new(&[]);
    std::fs::create_dir_all(machine.0.path().join(SECRETS)).unwrap();
    let error = machine.builder().build().unwrap_err();
    assert_eq!(error.message(), "a configuration file cannot be read");
}

#[test]
fn bytes_that_are_not_utf8_are_reported_by_place() {
    let machine = Machine::new(&[(SECRETS, "")]);
    std::fs::write(machine.0.path().join(SECRETS), b"a = 1\nb = '\xff CANARY'").unwrap();
    let error = machine.builder().build().unwrap_err();
    assert_eq!(machine.shorten(error.context("file").unwrap()), format!("{SECRETS}:2:6"));
    assert!(!format!("{error:?}").contains("CANARY"));
}

#[test]
fn a_missing_value_names_the_places_in_their_order() {
    let machine = Machine::new(&[
        (SECRETS, "[destination.redshift.credentials]\nusername = 's'\nhost = 's'\n"),
        ("home/.dlt/config.toml", "x = 1"),
    ]);
    let error = machine
        .layers(&[("HOME", "/")])
        .resolve("p", "redshift", Warehouse::KEYS)
        .unwrap()
        .read::<Warehouse>()
        .unwrap_err();
    let without = machine.layers(&[]).resolve("p", "redshift", Warehouse::KEYS).unwrap();
    let without = format!("{:?}", without.read::<Warehouse>().unwrap_err());
    assert!(without.contains(".environment(std::env::vars_os())"), "{without}");
    assert!(!without.contains("or set"), "{without}");
    insta::assert_snapshot!(machine.shorten(format!("{error:?}")), @r#"
    a setting is missing (key: destination.redshift.credentials.password, looked at: 
      environment variable P__DESTINATION__REDSHIFT__CREDENTIALS__PASSWORD
      environment variable P__DESTINATION__CREDENTIALS__PASSWORD
      environment variable P__CREDENTIALS__PASSWORD
      project/.transload/secrets.toml (p.destination.redshift.credentials.password)
      project/.transload/secrets.toml (p.destination.credentials.password)
      project/.transload/secrets.toml (p.credentials.password)
      home/.dlt/config.toml (p.destination.redshift.credentials.password)
      home/.dlt/config.toml (p.destination.credentials.password)
      home/.dlt/config.toml (p.credentials.password)
      environment variable DESTINATION__REDSHIFT__CREDENTIALS__PASSWORD
      environment variable DESTINATION__CREDENTIALS__PASSWORD
      environment variable CREDENTIALS__PASSWORD
      project/.transload/secrets.toml (destination.redshift.credentials.password)
      project/.transload/secrets.toml (destination.credentials.password)
      project/.transload/secrets.toml (credentials.password)
      home/.dlt/config.toml (destination.redshift.credentials.password)
      home/.dlt/config.toml (destination.credentials.password)
      home/.dlt/config.toml (credentials.password)
      files that do not exist: home/.transload/secrets.toml, home/.dlt/secrets.toml, project/.transload/config.toml, home/.transload/config.toml
    )

    hint: add to `.transload/secrets.toml` or `.transload/config.toml`:
          [destination.redshift.credentials]
          password = "…"
          or set DESTINATION__REDSHIFT__CREDENTIALS__PASSWORD
    "#);
}

#[test]
fn a_wrong_value_names_its_line() {
    let machine = Machine::new(&[(SECRETS, &format!("{LOGIN}port = 'CANARY'\n"))]);
    let settings = machine.layers(&[]).resolve("p", "redshift", Warehouse::KEYS).unwrap();
    let error = settings.read::<Warehouse>().unwrap_err();
    insta::assert_snapshot!(machine.shorten(format!("{error:?}")), @r#"a setting is wrong (key: destination.redshift.credentials.port, from: project/.transload/secrets.toml (destination.redshift.credentials.port, line 6), reason: expected a whole number, found another text)"#);
}

#[test]
fn nothing_of_a_file_is_quoted_wherever_it_breaks() {
    let whole = "CANARY = \"CANARY\"\n[CANARY-x]\nCANARY.CANARY = ['CANARY', 1, 2026-01-02]\n[[CANARY-y]]\n";
    let broken = (0..whole.len()).flat_map(|end| {
        [
            "",
            "\"",
            "=",
            "[",
            "]",
            ".",
            "\u{7f}",
            "CANARY",
            "CANARY = 1\n[CANARY-x]\nCANARY = 1e999999",
        ]
        .map(|sign| {
            [
                format!("{}{sign}", &whole[..end]),
                format!("{}{sign}{}", &whole[..end], &whole[end..]),
            ]
        })
    });
    let mut refused = 0;
    for text in broken.flatten() {
        let machine = Machine::new(&[(SECRETS, &text)]);
        if let Err(error) = machine.builder().build() {
            refused += 1;
            assert!(!format!("{error:?}").contains("CANARY"), "{text:?}: {error:?}");
        }
    }
    assert!(refused > 500, "{refused}");
}

#[test]
fn a_misspelt_key_of_the_program_is_an_error_too() {
    let machine = Machine::new(&[]);
    let layers =
        machine.builder().value("destination.redshift.strikt", SettingValue::Boolean(true));
    let error = layers.build().unwrap().resolve("p", "redshift", Warehouse::KEYS).unwrap_err();
    assert_eq!(error.context("in"), Some("code"));
    assert_eq!(error.hint(), Some("did you mean `strict`?"));
}
