//! Merging, as it is asked for on the command line and in a `pipeline.toml`: both are the same.

use crate::support::{Ran, Sandbox};

const FIRST: &str = "{\"id\": 1, \"part\": \"a\", \"v\": 1, \"l\": [1, 2]}\n{\"id\": 2, \"part\": \"a\", \"v\": 2, \"l\": [3]}\n";
const SECOND: &str =
    "{\"id\": 2, \"part\": \"a\", \"v\": 20}\n{\"id\": 3, \"part\": \"b\", \"v\": 3, \"l\": [4]}\n";

/// One way to say what is merged, and how.
struct Way {
    name: &'static str,
    flags: &'static [&'static str],
    file: &'static str,
}

const WAYS: [Way; 4] = [
    Way {
        name: "delete_insert",
        flags: &["--primary-key", "id,part"],
        file: "write_disposition = \"merge\"\nprimary_key = [\"id\", \"part\"]",
    },
    Way {
        name: "by_merge_key",
        flags: &["--merge-strategy", "delete-insert", "--merge-key", "id"],
        file: "write_disposition = { disposition = \"merge\", strategy = \"delete-insert\" }\nmerge_key = \"id\"",
    },
    Way {
        name: "upsert",
        flags: &["--merge-strategy", "upsert", "--primary-key", "id"],
        file: "write_disposition = { disposition = \"merge\", strategy = \"upsert\" }\nprimary_key = \"id\"",
    },
    Way {
        name: "insert_only",
        flags: &["--merge-strategy", "insert-only", "--primary-key", "id"],
        file: "write_disposition = \"merge\"\nmerge_strategy = \"insert-only\"\nprimary_key = \"id\"",
    },
];

fn by_flags(sandbox: &Sandbox, way: &Way) -> Ran {
    let merge =
        ["run", "--pipeline-name", "p", "--destination", "duckdb", "--dataset-name", "lake"];
    let source = ["--table", way.name, "--source", "rows.jsonl", "--write-disposition", "merge"];
    sandbox.run(&[&merge[..], &source, way.flags].concat())
}

fn by_file(sandbox: &Sandbox, way: &Way) -> Ran {
    let text = format!(
        "pipeline_name = \"q\"\ndestination = \"duckdb\"\ndataset_name = \"lake\"\n[[resources]]\n\
         table = \"file_{}\"\nsource = \"rows.jsonl\"\n{}\n",
        way.name, way.file
    );
    sandbox.write("pipeline.toml", &text);
    sandbox.run(&["run", "pipeline.toml"])
}

#[test]
fn rows_are_merged_as_flags_and_files_say() {
    let sandbox = Sandbox::new();
    for rows in [FIRST, SECOND] {
        sandbox.write("rows.jsonl", rows);
        for way in &WAYS {
            by_flags(&sandbox, way).with_code(0);
            by_file(&sandbox, way).with_code(0);
        }
    }
    for way in &WAYS {
        let is_replaced = way.name != "insert_only";
        for table in [way.name.to_owned(), format!("file_{}", way.name)] {
            let count = |what: &str| sandbox.count(&format!("select count(*) from lake.{what}"));
            assert_eq!(count(&table), 3, "{table}");
            assert_eq!(count(&format!("{table} where v = 20")), u64::from(is_replaced), "{table}");
            // The list of row 2 goes with the row that has none.
            let nested = if is_replaced { 3 } else { 4 };
            assert_eq!(count(&format!("{table}__l")), nested, "{table}");
            let linked = format!("{table}__l l join lake.{table} t on l._dlt_root_id = t._dlt_id");
            assert_eq!(count(&linked), nested, "{table}");
        }
    }
}

#[test]
fn versions_of_rows_are_kept_with_their_times() {
    let sandbox = Sandbox::new();
    let scd2 = |rows: &str, day: u8| {
        sandbox.write("rows.jsonl", rows);
        let text = format!(
            "pipeline_name = \"p\"\ndestination = \"duckdb\"\ndataset_name = \"lake\"\n[[resources]]\n\
             table = \"t\"\nsource = \"rows.jsonl\"\n[resources.write_disposition]\n\
             disposition = \"merge\"\nstrategy = \"scd2\"\nboundary_timestamp = \"2024-01-0{day}\"\n"
        );
        sandbox.write("pipeline.toml", &text);
        sandbox.run(&["run", "pipeline.toml"]).with_code(0);
    };
    scd2("{\"id\": 1, \"v\": \"a\"}\n{\"id\": 2, \"v\": \"b\"}\n", 1);
    scd2("{\"id\": 1, \"v\": \"c\"}\n", 2);
    let count = |what: &str| sandbox.count(&format!("select count(*) from lake.t where {what}"));
    assert_eq!(count("_dlt_valid_to is null"), 1);
    assert_eq!(count("_dlt_valid_to = timestamptz '2024-01-02 00:00:00+00'"), 2);
    assert_eq!(count("v = 'c' and _dlt_valid_from = timestamptz '2024-01-02 00:00:00+00'"), 1);
}

#[test]
fn what_cannot_be_merged_is_refused_before_a_row_is_read() {
    let sandbox = Sandbox::new();
    sandbox.write("rows.jsonl", "no JSON at all");
    let upsert = Way { name: "t", flags: &["--merge-strategy", "upsert"], file: "" };
    by_flags(&sandbox, &upsert).with_code(2).says(&["primary key", "--primary-key"]);
    let two = Way {
        name: "t",
        flags: &[],
        file: "write_disposition = \"merge\"\nprimary_key = \"id\"\n\
               columns.a = { hard_delete = true }\ncolumns.b = { hard_delete = true }",
    };
    by_file(&sandbox, &two).with_code(2).says(&["hard_delete", "a, b"]);

    sandbox.write("rows.jsonl", "{\"id\": 1}\n");
    let misspelled = Way { name: "t", flags: &["--primary-key", "idd"], file: "" };
    by_flags(&sandbox, &misspelled).with_code(2).says(&["idd", "primary key"]);
    let keyless = Way { name: "t", flags: &[], file: "" };
    by_flags(&sandbox, &keyless).with_code(0).says(&["its rows are appended"]);
}

#[test]
fn rows_without_their_key_are_set_aside_and_the_others_merged() {
    let sandbox = Sandbox::new();
    sandbox.write("rows.jsonl", "{\"id\": 1, \"v\": 1}\n{\"id\": null, \"v\": 2}\n{\"v\": 3}\n");
    let keyed = Way { name: "t", flags: &["--primary-key", "id"], file: "" };
    by_flags(&sandbox, &keyed).with_code(4).prints(&["E_KEY_NULL"]);
    assert_eq!(sandbox.count("select count(*) from lake.t"), 1);
}
