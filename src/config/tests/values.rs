use super::*;

#[test]
fn both_forms_of_the_readme_are_read() {
    let machine = Machine::new(&[
        (
            SECRETS,
            "destination.redshift.credentials = \"redshift://loader:<password>@localhost/dlt_data?connect_timeout=15\"\n\
             [destination.filesystem.credentials]\naws_access_key_id = 'id'\naws_secret_access_key = 'key'\n",
        ),
        (CONFIG, "[destination.filesystem]\nbucket_url = \"s3://[your_bucket_name]\"\n"),
    ]);
    let layers = machine.layers(&[]);
    let login = login(&layers);
    assert_eq!(
        (
            login.username.as_str(),
            login.password.expose(),
            login.host.as_str(),
            login.database.as_str()
        ),
        ("loader", "<password>", "localhost", "dlt_data")
    );
    assert_eq!((login.port, login.connect_timeout), (5439, 15));
    let store: Store = layers.resolve("p", "filesystem", Store::KEYS).unwrap().read().unwrap();
    assert_eq!(store.bucket_url, "s3://[your_bucket_name]");
    let credentials = store.credentials.unwrap();
    assert_eq!(credentials.aws_access_key_id.unwrap(), "id");
    assert_eq!(credentials.aws_secret_access_key.unwrap().expose(), "key");
}

#[test]
fn a_password_may_be_encoded_or_written_as_a_number() {
    let text = "redshift://u%40er:p%40ss%2F%3A%23%3F%27%22@h:1/db";
    let layers = Machine::new(&[]).layers(&[("DESTINATION__REDSHIFT__CREDENTIALS", text)]);
    assert_eq!(login(&layers).password.expose(), "p@ss/:#?'\"");
    let machine = Machine::new(&[(SECRETS, &LOGIN.replace("'secret-s'", "123456"))]);
    assert_eq!(login(&machine.layers(&[])).password.expose(), "123456");
}

#[test]
fn the_text_of_a_json_object_stands_for_a_table() {
    let name = "DESTINATION__FILESYSTEM__CREDENTIALS";
    let machine = Machine::new(&[(CONFIG, "bucket_url = 'file:///x'")]);
    let layers =
        machine.layers(&[(name, r#"{"aws_access_key_id": "id", "aws_secret_access_key": null}"#)]);
    let store: Store = layers.resolve("p", "filesystem", Store::KEYS).unwrap().read().unwrap();
    let credentials = store.credentials.unwrap();
    assert_eq!(credentials.aws_access_key_id.unwrap(), "id");
    assert!(credentials.aws_secret_access_key.is_none());

    for text in ["CANARY", r#"{"aws_access_key_it": "CANARY"}"#] {
        let error =
            machine.layers(&[(name, text)]).resolve("p", "filesystem", Store::KEYS).unwrap_err();
        assert!(!format!("{error:?}").contains("CANARY"), "{error:?}");
    }
}

#[test]
fn a_table_with_free_names_is_taken_whole() {
    let machine = Machine::new(&[
        (CONFIG, "[destination.redshift.options]\na = 1\n\"b.c\" = 'x'\nday = 2026-01-02\n"),
        ("home/.transload/config.toml", "[destination.redshift.options]\na = 2\nd = 'home'\n"),
        (SECRETS, LOGIN),
    ]);
    let settings = machine.layers(&[]).resolve("p", "redshift", Warehouse::KEYS).unwrap();
    let options = settings.read::<Warehouse>().unwrap().options.unwrap();
    let options: Vec<(&str, &str)> =
        options.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    assert_eq!(options, [("a", "1"), ("b.c", "x"), ("d", "home"), ("day", "2026-01-02")]);
}

#[test]
fn a_destination_of_a_name_of_its_own_has_its_own_section_and_type() {
    let machine = Machine::new(&[(
        SECRETS,
        "[destination.mine]\ndestination_type = 'dlt.destinations.redshift'\n\
         [destination.mine.credentials]\npassword = 'mine'\n\
         [destination.credentials]\nusername = 'u'\nhost = 'h'\ndatabase = 'd'\npassword = 'shared'\n",
    )]);
    let layers = machine.layers(&[]);
    let settings = layers.resolve("p", "mine", Warehouse::KEYS).unwrap();
    assert_eq!(settings.read::<Warehouse>().unwrap().credentials.password.expose(), "mine");
    let (plugin, origin) = layers.destination_type("p", "mine").unwrap();
    assert_eq!(plugin, "redshift");
    assert_eq!(
        machine.shorten(origin),
        "project/.transload/secrets.toml (destination.mine.destination_type, line 2)"
    );
    assert!(layers.destination_type("p", "other").is_none());
    let layers = machine.layers(&[("P__DESTINATION__MINE__DESTINATION_TYPE", "duckdb")]);
    assert_eq!(layers.destination_type("p", "mine").unwrap().0, "duckdb");
}

#[test]
fn keys_of_the_engine_may_stand_in_the_section_of_a_destination() {
    settings! {
        /// Shared.
        struct Shared {
            /// The layout.
            staging_dataset_name_layout: Option<String>,
        }
    }
    let machine = Machine::new(&[
        (SECRETS, LOGIN),
        (CONFIG, "[destination.redshift]\nstaging_dataset_name_layout = '%s_staging'\n"),
    ]);
    machine.layers(&[]).resolve("p", "redshift", Warehouse::KEYS).unwrap_err();
    let layers = machine.builder().shared_keys(Shared::KEYS).build().unwrap();
    layers.resolve("p", "redshift", Warehouse::KEYS).unwrap();
    assert_eq!(get(&layers, "staging_dataset_name_layout"), "%s_staging");
}

#[test]
fn a_section_of_the_engine_is_read_by_the_same_rules() {
    settings! {
        /// Files.
        struct DataWriter {
            /// Size.
            file_max_bytes: Option<u64>,
        }
    }
    settings! {
        /// Normalising.
        struct Normalize {
            /// Threads.
            workers: usize,
            /// Files.
            data_writer: Option<DataWriter>,
        }
    }
    let machine =
        Machine::new(&[(CONFIG, "[data_writer]\nfile_max_bytes = 7\n[normalize]\nworkers = -1\n")]);
    let read = |environment: &[(&str, &str)]| {
        machine.layers(environment).read_section::<Normalize>("p", &["normalize"])
    };
    let normalize = read(&[("P__NORMALIZE__WORKERS", "3")]).unwrap();
    assert_eq!(normalize.workers, 3);
    assert_eq!(normalize.data_writer.unwrap().file_max_bytes, Some(7));
    let error = read(&[]).unwrap_err();
    assert_eq!(error.context("key"), Some("normalize.workers"));
    assert_eq!(error.context("reason"), Some("-1 is out of range"));

    let missing = Machine::new(&[])
        .layers(&[("HOME", "/")])
        .read_section::<Normalize>("", &["normalize"])
        .unwrap_err();
    assert_eq!(missing.context("key"), Some("normalize.workers"));
    assert_eq!(
        missing.hint(),
        Some(
            "add to `.transload/secrets.toml` or `.transload/config.toml`:\n[normalize]\nworkers = \"…\"\nor set NORMALIZE__WORKERS"
        )
    );
    let top =
        Machine::new(&[]).layers(&[("HOME", "/")]).read_section::<Normalize>("", &[]).unwrap_err();
    assert_eq!(top.context("key"), Some("workers"));
    assert_eq!(
        top.hint(),
        Some(
            "add to `.transload/secrets.toml` or `.transload/config.toml`:\nworkers = \"…\"\nor set WORKERS"
        )
    );
}
