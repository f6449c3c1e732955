//! Vectors that dlt gave for the same identifiers.

use super::*;

const FREE: usize = usize::MAX;

fn all(identifier: &str) -> [String; 4] {
    [Naming::SnakeCase, Naming::SqlCi, Naming::SqlCs, Naming::DuckCase]
        .map(|naming| naming.normalize_identifier(identifier, FREE))
}

fn snake(identifier: &str) -> String {
    Naming::SnakeCase.normalize_identifier(identifier, FREE)
}

#[test]
fn identifiers_are_named_as_dlt_names_them() {
    for (identifier, names) in [
        ("HTTPServerID", ["http_server_id", "httpserverid", "HTTPServerID", "HTTPServerID"]),
        ("camelCaseX2Y", ["camel_case_x2_y", "camelcasex2y", "camelCaseX2Y", "camelCaseX2Y"]),
        ("BANANA_", ["bananax", "banana", "BANANA", "BANANA_"]),
        ("+-!$*@#=|:", ["x_xa_lx", "_", "_", "+-!$*@#=|:"]),
        ("foo(bar)", ["foo_barx", "foo_bar", "foo_bar", "foo(bar)"]),
        ("Größe", ["gr_e", "gr_e", "Gr_e", "Größe"]),
        ("日本", ["x", "_", "_", "日本"]),
        ("%", ["x", "_", "_", "%"]),
        ("x_", ["xx", "x", "x", "x_"]),
        ("___", ["xxx", "", "", "_"]),
        ("١٢x", ["_١٢x", "_١٢x", "_١٢x", "١٢x"]),
    ] {
        assert_eq!(all(identifier), names, "{identifier}");
    }
    for (identifier, name) in [
        ("iPhone15Pro", "i_phone15_pro"),
        ("123BaNaNa", "_123_ba_na_na"),
        ("1abc", "_1abc"),
        ("__lead", "_lead"),
        ("a__b", "a_b"),
        ("Event Value", "event_value"),
        ("event-.!:*<>value", "event_x_value"),
        ("ünï", "_nx"),
        ("f-1", "f_1"),
        ("a\0b", "a_b"),
        (" \u{85}a\u{1f}", "a"),
        ("½", "x"),
    ] {
        assert_eq!(snake(identifier), name, "{identifier}");
    }
    assert_eq!(Naming::Direct.normalize_identifier(" it's \"a\"▶b\n", FREE), "it_s _a__b");
    assert_eq!(Naming::DuckCase.normalize_identifier("it's \"a\"▶b\r\nc", FREE), "it's _a_▶b_c");
}

#[test]
fn paths_keep_their_separators() {
    let snake = |path| Naming::SnakeCase.normalize_path(path, FREE);
    assert_eq!(snake("a__b"), "a__b");
    assert_eq!(snake("Small___Love____Potion_____x"), "small___love__potion___x");
    assert_eq!(snake("e_vent__value_value2___"), "e_vent__value_value2__x");
    assert_eq!(snake("example_custom_field__c"), "example_custom_field__c");
    assert_eq!(snake("custom__path"), "custom__path");
    let path = |naming: Naming| naming.normalize_path("My__Sub▶Key", FREE);
    assert_eq!(path(Naming::DuckCase), "My__Sub▶Key");
    assert_eq!(path(Naming::Direct), "My__Sub▶Key");
}

#[test]
fn names_before_version_11_are_not_taken_apart() {
    let old = Naming::SnakeCase.contracting();
    assert_eq!(old.normalize_path("example__c", FREE), "example_c");
    assert_eq!(old.normalize_table_path("My__Table", FREE), "my_table");
    assert_eq!(old.shorten_fragments(["t", "l"], FREE), "t__l");
    assert_eq!((old.name(), old.contracting()), ("snake_case", old));
    assert_eq!(Naming::Direct.contracting().separator(), "▶");
}

#[test]
fn tables_of_s3_have_no_leading_underscores_and_255_characters() {
    let naming = Naming::S3Tables;
    assert_eq!(naming.normalize_table_path("_My__1Table", FREE), "my__1_table");
    assert_eq!(naming.normalize_path("_My__1Table", FREE), "_my___1_table");
    assert_eq!(naming.table_part("_1_table"), "1_table");
    assert_eq!(Naming::SnakeCase.table_part("_1_table"), "_1_table");
    assert_eq!(naming.normalize_identifier(&"n".repeat(300), FREE).len(), 255);
    assert_eq!(naming.normalize_identifier(&"n".repeat(300), 63).len(), 63);
}

#[test]
fn conventions_are_known_by_name_and_by_the_module_of_dlt() {
    for naming in Naming::ALL {
        assert_eq!(Naming::from_name(naming.name()), Some(naming));
        let module = format!("dlt.common.normalizers.naming.{}", naming.name());
        assert_eq!(Naming::from_name(&module), Some(naming));
        assert_eq!(Naming::from_name(&format!("{module}.NamingConvention")), Some(naming));
    }
    // A module of somebody else may mean something else by the same name.
    assert_eq!(Naming::from_name("my.own.snake_case"), None);
    assert_eq!(Naming::from_name("camel"), None);
}

#[test]
fn long_names_keep_their_ends_and_get_a_tag() {
    assert_eq!(tag("she played cello well"), "uanpua");
    assert_eq!(
        Naming::SnakeCase.normalize_identifier("she played cello well", 20),
        "she_plauanpualo_well"
    );
    assert_eq!(
        Naming::DuckCase.normalize_identifier("she played cello well", 20),
        "she plauanpualo well"
    );
    let path = "prospects_external_data__data365_member__member__feed_with_reactions_shared_by_author__author_details__educations";
    let shortened = Naming::SnakeCase.shorten_fragments([path], 63);
    assert_eq!(shortened.len(), 63);
    assert!(shortened.starts_with("prospects_external_data__data"), "{shortened}");
    assert_eq!(Naming::SnakeCase.shorten_fragments(["a", "", "b"], 63), "a__b");
}

#[test]
fn a_key_of_more_than_16_kib_is_refused_with_the_limit() {
    check_length(&"k".repeat(16 << 10)).unwrap();
    let error = check_length(&"k".repeat((16 << 10) + 1)).unwrap_err();
    assert_eq!(error.context("code"), Some("E_NAME_TOO_LONG"));
    assert_eq!(error.context("max_name_bytes"), Some("16384"));
    assert!(error.context("key").unwrap().len() < 100);
}
