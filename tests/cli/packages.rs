//! Packages that block others: set aside, brought back, given up; and loads that are finished from the storage alone.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::support::{PLAYERS_FILE, Ran, Sandbox, THROUGH_STAGING};

const OTHERS: [&str; 4] = ["--table", "others", "--source", "others.jsonl"];

/// A sandbox with a load of the players that is sealed and fails for good: a byte of a file of it is another.
struct Poisoned {
    sandbox: Sandbox,
    load: String,
    file: PathBuf,
    whole: Vec<u8>,
}

impl Poisoned {
    fn new(more: &[&str]) -> Self {
        let sandbox = Sandbox::new();
        sandbox.write("others.jsonl", "{\"id\": 7}\n");
        // A file stands where the store wants its folder.
        sandbox.write("staged/lake", "in the way");
        let json =
            sandbox.load_players(&[more, &["--output", "json"]].concat()).with_code(3).json();
        std::fs::remove_file(sandbox.path("staged/lake")).expect("out of the way");
        let load = json["loads"][0]["load_id"].as_str().expect("a load").to_owned();
        let package = PathBuf::from(json["loads"][0]["package"].as_str().expect("a package"));
        let files = std::fs::read_dir(package.join("players")).expect("files");
        let file = files.map(|file| file.expect("a file").path()).next().expect("a file");
        let whole = std::fs::read(&file).expect("a file");
        let mut flipped = whole.clone();
        flipped[whole.len() / 2] ^= 1;
        std::fs::write(&file, flipped).expect("is written");
        Self { sandbox, load, file, whole }
    }

    fn package(&self, command: &str) -> Ran {
        self.sandbox.run(&["package", command, &self.load])
    }

    fn run(&self, more: &[&str]) -> Ran {
        self.sandbox.run(&[&["run"], &THROUGH_STAGING[..], more].concat())
    }

    fn resume(&self, more: &[&str]) -> Ran {
        self.sandbox.run(&[&["resume"], &THROUGH_STAGING[..], more].concat())
    }

    /// Mends the file where the package lies now.
    fn mend(&self, place: &str) {
        let file = self.file.to_str().expect("a path").replace("/loads/", &format!("/{place}/"));
        std::fs::write(file, &self.whole).expect("is written");
    }
}

#[test]
fn a_package_that_fails_for_good_does_not_block_the_pipeline() {
    let case = Poisoned::new(&[]);
    let blocked = case.run(&OTHERS).with_code(3);
    let way_out = format!("`transload package set-aside {} --pipeline-name chess`", case.load);
    blocked.says(&["error: ", "damaged", "hint: ", &way_out]);

    let aside = case.package("set-aside").with_code(0);
    aside.prints(&[
        "is set aside in",
        "/aside/",
        "transload package restore",
        "transload package drop",
    ]);
    let on = case.run(&[&OTHERS[..], &["--output", "json"]].concat()).with_code(0);
    let warning = on.json()["loads"][0]["warnings"][0].as_str().map(str::to_owned);
    assert!(warning.is_some_and(|warning| warning.contains(&case.load)), "{}", on.stdout);
    on.says(&["warning: load ", &case.load, " is set aside and stays out of this run"]);
    assert_eq!(case.sandbox.count("select count(*) from lake.others"), 1);

    let status = case.sandbox.run(&["status", "--output", "json"]).with_code(0).json();
    assert_eq!(status["pipelines"][0]["set_aside"][0]["load_id"], json!(case.load));
    assert_eq!(status["pipelines"][0]["pending"], json!([]));
    case.sandbox.run(&["status"]).with_code(0).prints(&["set aside  ", &case.load]);
    case.sandbox.run(&["info", &case.load]).with_code(0).prints(&[
        "stands   set aside: no run loads it",
        "last error: ",
        "to do: `transload package restore",
    ]);
    let named = case.resume(&[&case.load]).with_code(2);
    named.says(&["error: the load is set aside", "hint: ", "package restore"]);

    case.mend("aside");
    case.package("restore").with_code(0).prints(&["waits to be loaded again"]);
    case.resume(&[]).with_code(0).prints(&[": loaded", "9 rows in 4 tables"]);
    assert_eq!(case.sandbox.count("select count(*) from lake.players"), 3);
    assert_eq!(case.sandbox.count("select count(*) from lake._dlt_loads"), 2);
    case.package("restore").with_code(2).says(&["reason: it is loaded"]);
}

#[test]
fn files_of_a_load_that_is_set_aside_are_not_read_again_until_it_is_dropped() {
    let case = Poisoned::new(&[]);
    case.package("set-aside").with_code(0);
    let again = case.run(&PLAYERS_FILE).with_code(0);
    again.says(&["1 of the files were read by a load that is set aside", "package drop"]);
    assert_eq!(case.sandbox.count("select count(*) from lake.players"), 0);
    let replaced = case.run(&[&PLAYERS_FILE[..], &["--write-disposition", "replace"]].concat());
    replaced
        .with_code(2)
        .says(&["a load that is set aside holds rows of this file", "players.jsonl"]);

    case.package("drop").with_code(0).prints(&["is dropped"]);
    assert_eq!(case.sandbox.files("home/.transload/pipelines/chess/aside"), [""; 0]);
    case.run(&PLAYERS_FILE).with_code(0);
    assert_eq!(case.sandbox.count("select count(*) from lake.players"), 3);
}

#[test]
fn a_package_that_replaces_comes_back_only_where_nothing_was_published_since() {
    for published in [false, true] {
        let case = Poisoned::new(&["--write-disposition", "replace"]);
        case.package("set-aside").with_code(0);
        case.mend("aside");
        if published {
            // It can no longer come back, so its files are read again.
            case.run(&[&PLAYERS_FILE[..], &["--write-disposition", "replace"]].concat())
                .with_code(0);
        }
        case.package("restore").with_code(0);
        let resumed = case.resume(&[]);
        if published {
            let resumed = resumed.with_code(3);
            resumed.says(&["another load of this pipeline was published meanwhile", "hint: "]);
            resumed.says(&["set the package aside and drop it"]);
            case.package("set-aside").with_code(0);
            case.package("drop").with_code(0);
            case.resume(&[]).with_code(0);
        } else {
            resumed.with_code(0);
        }
        assert_eq!(case.sandbox.count("select count(*) from lake.players"), 3);
        assert_eq!(case.sandbox.count("select count(*) from lake._dlt_loads"), 1);
    }
}

#[test]
fn only_the_user_removes_a_package_that_is_not_loaded() {
    let case = Poisoned::new(&[]);
    let ran = case.package("drop").with_code(2);
    ran.says(&["error: ", "it waits to be loaded", "hint: ", "set-aside"]);
    let files = case.sandbox.files("home/.transload/pipelines/chess/loads");
    case.run(&OTHERS).with_code(3);
    case.resume(&[]).with_code(3);
    assert_eq!(case.sandbox.files("home/.transload/pipelines/chess/loads"), files);
    case.sandbox.run(&["package", "set-aside", "1.5"]).with_code(2).says(&[
        "error: there is no such package here",
        &case.load,
        "hint: ",
    ]);
}

#[test]
fn a_damaged_package_can_be_set_aside_and_its_source_is_loaded_again() {
    let sandbox = Sandbox::new();
    sandbox.load_players(&[]).with_code(0);
    sandbox.write("home/.transload/pipelines/chess/loads/1700000000.5/manifest.json", "{");
    sandbox.load_players(&[]).with_code(1).says(&["the manifest of the package is damaged"]);
    sandbox.run(&["package", "set-aside", "1700000000.5"]).with_code(0);
    sandbox.load_players(&[]).with_code(0);
    assert_eq!(sandbox.count("select count(*) from lake.players"), 6);
    let info = sandbox.run(&["info", "1700000000.5"]).with_code(1);
    info.says(&["damaged", "hint: restore its manifest.json, or drop it"]);
    sandbox.run(&["package", "drop", "1700000000.5"]).with_code(0);
    assert_eq!(sandbox.files("home/.transload/pipelines/chess/aside"), [""; 0]);
}

#[test]
fn info_tells_what_a_pending_load_is_to_add_where_it_stands_and_what_to_do() {
    let case = Poisoned::new(&[]);
    let info = case.sandbox.run(&["info", &case.load]).with_code(0);
    info.prints(&[
        "pending, to be resumed, 9 rows in 4 tables",
        "stands   sealed; the last attempt ended in the step stage",
        "to come  4 tables and ",
        "+players: +id bigint, +name text",
        "last error: ",
        &format!("to do: once the cause is gone `transload resume {}", case.load),
        "package set-aside",
    ]);
    let json: Value =
        case.sandbox.run(&["info", &case.load, "--output", "json"]).with_code(0).json();
    assert_eq!(json["status"], "pending");
}

#[test]
fn an_empty_disk_finishes_what_lies_in_the_storage_once() {
    let sandbox = Sandbox::new();
    let ran = sandbox.load_players(&["--output", "json"]).with_code(0).json();
    let load = ran["loads"][0]["load_id"].as_str().expect("a load");
    // Neither the package nor what became of it is left.
    std::fs::remove_dir_all(sandbox.path("home/.transload")).expect("the disk is lost");
    std::fs::remove_file(sandbox.path("players.duckdb")).expect("the rows are gone");
    let resume = [&["resume"], &THROUGH_STAGING[..]].concat();
    let resumed = sandbox.run(&[&resume[..], &["--output", "json"]].concat()).with_code(0).json();
    assert_eq!(resumed["loads"][0]["load_id"], load);
    assert_eq!(
        (&resumed["loads"][0]["status"], &resumed["loads"][0]["resumed"]),
        (&json!("loaded"), &json!(true))
    );
    assert_eq!(resumed["loads"][0]["digest"], ran["loads"][0]["digest"]);
    sandbox.run(&resume).with_code(0).prints(&["there was nothing to do"]);
    sandbox
        .run(&[&resume[..], &[load]].concat())
        .with_code(0)
        .prints(&[": loaded", "9 rows in 4 tables"]);
    assert_eq!(sandbox.count("select count(*) from lake.players"), 3);
    assert_eq!(sandbox.count("select count(*) from lake._dlt_loads"), 1);
    sandbox.run(&["info", load]).with_code(0).prints(&["stands   loaded"]);
}

#[test]
fn what_is_dropped_with_its_staged_files_is_not_taken_up_from_the_storage() {
    for keep in [false, true] {
        let sandbox = Sandbox::new();
        let ran = sandbox.load_players(&["--output", "json"]).with_code(0).json();
        let load = ran["loads"][0]["load_id"].as_str().expect("a load");
        std::fs::remove_file(sandbox.path("players.duckdb")).expect("the rows are gone");
        let (loaded, aside) = (format!("loaded/{load}"), format!("aside/{load}"));
        let place = |name: &str| sandbox.path("home/.transload/pipelines/chess").join(name);
        std::fs::rename(place(&loaded), place(&aside)).expect("as if it had been set aside");
        let drop = ["package", "drop", load, "--output", "json"];
        let more: &[&str] = if keep { &["--keep-staged"] } else { &[] };
        let dropped = sandbox.run(&[&drop[..], more].concat()).with_code(0).json();
        assert_eq!(dropped["in_storage"], !keep);
        assert_eq!(sandbox.files("staged").is_empty(), !keep);
        let resume = [&["resume"], &THROUGH_STAGING[..]].concat();
        sandbox.run(&resume).with_code(0).prints(&["there was nothing to do"]);
    }
}
