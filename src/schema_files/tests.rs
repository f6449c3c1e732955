use transload_core::DataType;

use super::*;

const DLT: &str = include_str!("../../core/tests/data/dlt-schema.json");

fn dlt() -> Schema {
    Schema::from_json(DLT).unwrap()
}

fn files(folder: &Path) -> SchemaFiles {
    SchemaFiles { import: Some(folder.to_owned()), ..SchemaFiles::default() }
}

fn path() -> &'static Path {
    Path::new("x.schema.yaml")
}

#[test]
fn a_schema_of_dlt_comes_back_from_both_forms_with_the_same_hash() {
    for format in [SchemaFormat::Yaml, SchemaFormat::Json] {
        let text = to_text(&dlt(), format).unwrap();
        let read = from_text(&text, format, path()).unwrap();
        assert_eq!(read, dlt(), "{format}");
        assert_eq!(read.content_hash(), dlt().version_hash);
        assert!(!text.contains("name: players") && !text.contains("\"name\": \"players\""));
    }
}

#[test]
fn names_that_yaml_takes_for_something_else_are_quoted() {
    let words = [
        "no",
        "Yes",
        "on",
        "off",
        "y",
        "n",
        "null",
        "~",
        "1e3",
        "12:30:00",
        "0x1f",
        "1_000",
        "2024-01-01",
        "a: b",
        "- x",
        "#x",
        "true",
        "",
        " x",
        "=",
        "<<",
        "*a",
        "&a",
        "!x",
        "é\u{202e}",
        "a\nb",
        "'",
        "\"",
        ".inf",
        "0o7",
        "1.5",
    ];
    let mut schema = dlt();
    let table = schema.tables.get_mut("players").unwrap();
    for word in words {
        let mut column = Column::new(word, DataType::Text);
        column.hints.insert("description".into(), word.into());
        table.put(column);
    }
    table.hints.insert("description".into(), "x".repeat(300).into());
    table.hints.insert("x-long".into(), "many words ".repeat(40).into());
    let text = to_text(&schema, SchemaFormat::Yaml).unwrap();
    assert_eq!(from_text(&text, SchemaFormat::Yaml, path()).unwrap(), schema, "{text}");
    // Readers of YAML 1.1, as Python's, know more words for true and false.
    for word in ["no", "Yes", "on", "off", "y", "n"] {
        assert!(!text.lines().any(|line| line.trim() == format!("{word}:")), "{word}");
    }
}

#[test]
fn a_file_of_few_lines_is_a_schema() {
    let text = "name: shop\ntables:\n  items:\n    write_disposition: append\n    columns:\n      id: {data_type: bigint, nullable: false}\n      no_type: {}\n";
    let schema = from_text(text, SchemaFormat::Yaml, path()).unwrap();
    assert_eq!(schema.tables["items"].columns["id"].data_type, Some(DataType::Bigint));
    assert_eq!(schema.tables["items"].columns["no_type"].data_type, None);
    assert!(schema.tables.contains_key("_dlt_loads"));
    assert_eq!(schema.settings["detections"], json!(["iso_timestamp"]));
    assert_eq!(schema.normalizers["names"], json!("snake_case"));
}

#[test]
fn what_is_no_schema_is_refused_with_the_place() {
    let refused = |text: &str| from_text(text, SchemaFormat::Yaml, path()).unwrap_err();
    for text in ["", "tables: {}", "name: [", "name: x\ntables: 1", "name: a\nname: b"] {
        assert!(
            refused(text).context("reason").is_some_and(|reason| !reason.is_empty()),
            "{text:?}"
        );
    }
    let error = refused("name: x\ntables:\n  t:\n    columns:\n      c: {data_type: integer}\n");
    assert_eq!((error.context("table"), error.context("column")), (Some("t"), Some("c")));
    assert!(error.context("reason").unwrap().contains("bigint"), "{error:?}");
    let error = refused("name: x\nengine_version: 12\n");
    assert_eq!(error.context("format"), Some("12"));
    assert!(error.hint().unwrap().contains("newer"));
    assert!(refused("name: x\nengine_version: 9\n").hint().unwrap().contains("dlt"));
    assert_eq!(refused("name: x\ntables: {a: {parent: b}}\n").context("parent"), Some("b"));
    assert!(read(Path::new("a.txt")).is_err());
}

#[test]
fn the_file_is_written_once_before_the_first_rows_and_counts_as_imported() {
    let folder = tempfile::tempdir().unwrap();
    let files = files(&folder.path().join("new/schemas"));
    let mut schema = dlt();
    files.begin_import(&mut schema).unwrap();
    let file = folder.path().join("new/schemas").join(file_name(&schema.name, SchemaFormat::Yaml));
    let text = fs::read_to_string(&file).unwrap();
    assert!(!text.contains(PROCESSING));
    let imported = from_text(&text, SchemaFormat::Yaml, &file).unwrap();
    assert_eq!(schema.rest[IMPORTED], json!(imported.content_hash()));

    // As it was written, it changes nothing; and it is not written again.
    schema.tables["players"].put(Column::new("later", DataType::Text));
    schema.bump();
    let (after, warnings) = files.import(&schema.name, Some(schema.clone())).unwrap();
    assert_eq!((after.as_ref(), warnings.len()), (Some(&schema), 0));
    files.begin_import(&mut schema).unwrap();
    assert_eq!(fs::read_to_string(&file).unwrap(), text);

    // Once it is edited, it takes the place of what was stored.
    let edited = text.replace("write_disposition: replace", "write_disposition: append");
    assert_ne!(edited, text);
    fs::write(&file, edited).unwrap();
    let (after, warnings) = files.import(&schema.name, Some(schema.clone())).unwrap();
    let mut after = after.unwrap();
    assert!(!after.tables["players"].columns.contains_key("later"));
    assert!(seen(&after.tables["players"]), "that a table has rows is remembered");
    assert!(warnings[0].contains("players"), "{warnings:?}");
    let (version, hash) = (schema.version, schema.version_hash.clone());
    assert!(after.bump());
    assert_eq!((after.version, &after.previous_hashes[0]), (version + 1, &hash));
    let (again, warnings) = files.import(&schema.name, Some(after.clone())).unwrap();
    assert_eq!((again, warnings.len()), (Some(after), 0));
}

#[test]
fn a_first_load_begins_with_the_file_and_a_file_of_another_name_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let files = files(folder.path());
    let schema = dlt();
    assert_eq!(files.import(&schema.name, None).unwrap().0, None);
    fs::write(
        folder.path().join(file_name(&schema.name, SchemaFormat::Yaml)),
        to_text(&schema, SchemaFormat::Yaml).unwrap(),
    )
    .unwrap();
    let (imported, warnings) = files.import(&schema.name, None).unwrap();
    assert_eq!(imported.unwrap().tables, schema.tables);
    assert!(warnings[0].contains(PROCESSING));
    fs::write(folder.path().join("other.schema.yaml"), "name: x\n").unwrap();
    assert_eq!(files.import("other", None).unwrap_err().context("expected"), Some("other"));
}

#[test]
fn the_schema_is_exported_and_in_a_shared_folder_it_is_the_imported_one() {
    let folder = tempfile::tempdir().unwrap();
    let mut files = SchemaFiles { export: Some(folder.path().into()), ..SchemaFiles::default() };
    files.format = SchemaFormat::Json;
    let mut schema = dlt();
    files.prepare_export(&mut schema);
    files.export(&schema).unwrap();
    let file = folder.path().join(file_name(&schema.name, SchemaFormat::Json));
    assert_eq!(read(&file).unwrap(), dlt());

    files.import = files.export.clone();
    files.prepare_export(&mut schema);
    files.export(&schema).unwrap();
    assert!(!fs::read_to_string(&file).unwrap().contains(PROCESSING));
    let (after, warnings) = files.import(&schema.name, Some(schema.clone())).unwrap();
    assert_eq!((after, warnings.len()), (Some(schema), 0));
}
