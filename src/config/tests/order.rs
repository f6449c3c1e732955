use super::*;

#[test]
fn what_the_pipeline_has_for_itself_goes_before_the_environment() {
    let machine = Machine::new(&[
        (SECRETS, LOGIN),
        (CONFIG, "[p.destination.redshift.credentials]\nhost = 'config'\n"),
    ]);
    let environment = [
        ("DESTINATION__REDSHIFT__CREDENTIALS__HOST", "environment"),
        ("DESTINATION__REDSHIFT__CREDENTIALS__DATABASE", "environment"),
    ];
    let login = login(&machine.layers(&environment));
    assert_eq!(
        (login.host.as_str(), login.database.as_str(), login.username.as_str()),
        ("config", "environment", "s")
    );
}

#[test]
fn a_place_is_asked_for_every_name_of_a_key_before_the_next_place() {
    let machine = Machine::new(&[(SECRETS, LOGIN)]);
    assert_eq!(
        login(&machine.layers(&[("CREDENTIALS__PASSWORD", "farther")])).password.expose(),
        "farther"
    );
}

#[test]
fn the_sections_of_a_group_are_not_dropped_and_those_of_a_plain_key_are() {
    let machine = Machine::new(&[(SECRETS, LOGIN)]);
    let layers = machine.layers(&[("PASSWORD", "bare"), ("STRICT", "yes")]);
    assert_eq!(login(&layers).password.expose(), "secret-s");
    let settings = layers.resolve("p", "redshift", Warehouse::KEYS).unwrap();
    assert!(settings.read::<Warehouse>().unwrap().strict);
}

#[test]
fn the_order_of_places_is_that_of_dlt() {
    let key = "x";
    let places = [
        ("code", None),
        ("P__DESTINATION__REDSHIFT__X", None),
        ("P__X", None),
        ("p.destination.redshift", Some(SECRETS)),
        ("p", Some(SECRETS)),
        ("p.destination.redshift", Some(CONFIG)),
        ("p", Some(CONFIG)),
        ("DESTINATION__REDSHIFT__X", None),
        ("DESTINATION__X", None),
        ("X", None),
        ("destination.redshift", Some(SECRETS)),
        ("destination.redshift", Some("project/.dlt/secrets.toml")),
        ("destination.redshift", Some("home/.transload/secrets.toml")),
        ("destination.redshift", Some("home/.dlt/secrets.toml")),
        ("destination", Some(SECRETS)),
        ("", Some(SECRETS)),
        ("destination.redshift", Some(CONFIG)),
        ("destination.redshift", Some("home/.transload/config.toml")),
        ("", Some("home/.dlt/config.toml")),
    ];
    for first in 0..places.len() {
        let mut files = BTreeMap::<&str, String>::new();
        let mut environment = Vec::new();
        for (index, (place, file)) in places.iter().enumerate().skip(first) {
            match file {
                Some(file) => {
                    let text = files.entry(file).or_default();
                    let line = format!("{key} = '{index}'\n");
                    match *place {
                        "" => text.insert_str(0, &line),
                        table => text.push_str(&format!("[{table}]\n{line}")),
                    }
                }
                None if *place != "code" => environment.push((*place, index.to_string())),
                None => {}
            }
        }
        let files: Vec<(&str, &str)> =
            files.iter().map(|(path, text)| (*path, text.as_str())).collect();
        let machine = Machine::new(&files);
        let mut layers = machine.builder().environment(environment).build().unwrap();
        if first == 0 {
            layers.set("destination.redshift.x", SettingValue::text("0"));
        }
        assert_eq!(get(&layers, key), first.to_string(), "{:?}", places[first]);
    }
}

#[test]
fn a_text_of_the_project_hides_the_table_of_the_home_folder() {
    let machine = Machine::new(&[
        (SECRETS, "destination.redshift.credentials = 'redshift://u@h/db'"),
        ("home/.transload/secrets.toml", LOGIN),
    ]);
    let settings = machine.layers(&[]).resolve("p", "redshift", Warehouse::KEYS).unwrap();
    assert!(!settings.has("credentials.password"));
}

#[test]
fn a_table_that_is_found_first_hides_a_text() {
    let machine =
        Machine::new(&[(SECRETS, "[p.destination.redshift.credentials]\nusername = 's'\n")]);
    let layers = machine.layers(&[("DESTINATION__REDSHIFT__CREDENTIALS", TEXT)]);
    let settings = layers.resolve("p", "redshift", Warehouse::KEYS).unwrap();
    assert!(settings.has("credentials.username") && !settings.has("credentials.host"));
    assert_eq!(
        machine.shorten(&settings.looked_at["credentials.host"][0]),
        "not the text from environment variable DESTINATION__REDSHIFT__CREDENTIALS: the table from \
         project/.transload/secrets.toml (p.destination.redshift.credentials, line 1) hides it"
    );
}

#[test]
fn keys_fill_what_a_text_leaves_out_and_no_more() {
    let machine =
        Machine::new(&[(SECRETS, "destination.redshift.credentials = 'redshift://u@h/db'")]);
    let login = login(&machine.layers(&[
        ("DESTINATION__REDSHIFT__CREDENTIALS__PASSWORD", "0123456"),
        ("DESTINATION__REDSHIFT__CREDENTIALS__HOST", "other"),
        ("DESTINATION__REDSHIFT__CREDENTIALS__CONNECT_TIMEOUT", "60"),
    ]));
    assert_eq!((login.password.expose(), login.host.as_str()), ("0123456", "h"));
    assert_eq!(login.connect_timeout, 60);
}

#[test]
fn a_key_from_the_program_goes_before_a_text_from_elsewhere() {
    let machine =
        Machine::new(&[(SECRETS, &format!("destination.redshift.credentials = '{TEXT}'"))]);
    let mut layers = machine.layers(&[]);
    layers.set("destination.redshift.credentials.password", SettingValue::text("program"));
    assert_eq!(login(&layers).password.expose(), "program");
    layers.set("destination.redshift.credentials", SettingValue::text("redshift://x:y@z/db"));
    assert_eq!(login(&layers).host, "z");
}

#[test]
fn a_table_farther_out_is_no_value_of_a_plain_key() {
    let machine = Machine::new(&[(CONFIG, "[bucket_url]\nx = 1\n")]);
    let settings = machine.layers(&[]).resolve("p", "filesystem", Store::KEYS).unwrap();
    assert!(!settings.has("bucket_url"));
}

#[test]
fn a_folder_that_is_project_and_home_is_read_once() {
    let machine = Machine::new(&[(SECRETS, LOGIN)]);
    let folder = machine.0.path().join("project");
    let layers = Layers::builder().project(&folder).home(&folder).build().unwrap();
    assert_eq!(layers.files().count(), 1);
    assert_eq!(layers.folder(), folder);
}
