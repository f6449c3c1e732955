//! A01 to A29, C and D: which tables and columns rows make.

use super::*;

#[test]
fn a01_a02_scalars_come_first_and_the_last_object_before_the_others() {
    let run = Run::of(r#"{"a":{"b":1,"c":{"d":"x"}},"e":2}"#);
    assert_eq!(run.tables(), "t(e bigint, a__b bigint, a__c__d text)");
    assert_eq!(run.data("t"), json!([{"e": 2, "a__b": 1, "a__c__d": "x"}]));
    let run = Run::of(r#"{"z":{"q":1},"y":{"r":2},"x":3}"#);
    assert_eq!(run.tables(), "t(x bigint, y__r bigint, z__q bigint)");
}

#[test]
fn a03_a_list_of_mixed_scalars_has_a_column_for_each_type() {
    let run = Run::of(r#"{"id":1,"l":[1,"a",2.5]}"#);
    assert_eq!(
        run.tables(),
        "t(id bigint) t__l(value bigint, value__v_text text, value__v_double double)"
    );
    assert_eq!(
        run.data("t__l"),
        json!([{"value": 1}, {"value__v_text": "a"}, {"value__v_double": 2.5}])
    );
}

#[test]
fn a04_a05_null_elements_are_rows() {
    let run = Run::of(r#"{"id":1,"l":[null,null]}"#);
    assert_eq!(run.tables(), "t(id bigint) t__l()");
    assert_eq!(run.data("t__l"), json!([{}, {}]));
    let run = Run::of(r#"{"id":1,"l":[null,3]}"#);
    assert_eq!(run.data("t__l"), json!([{}, {"value": 3}]));
}

#[test]
fn a06_a07_what_is_empty_leaves_nothing_but_the_row() {
    assert_eq!(Run::of("{\"id\":1,\"l\":[]}\n{\"id\":1,\"d\":{}}").tables(), "t(id bigint)");
    let run = Run::of("{}");
    assert_eq!(run.tables(), "t()");
    assert_eq!(run.data("t"), json!([{}]));
}

#[test]
fn a08_a09_lists_in_lists_have_a_row_that_links_them() {
    let run = Run::of(r#"{"id":1,"l":[[1,2],[3]]}"#);
    assert_eq!(run.tables(), "t(id bigint) t__l() t__l__list(value bigint)");
    assert_eq!(run.data("t__l__list"), json!([{"value": 1}, {"value": 2}, {"value": 3}]));
    let run = Run::of(r#"{"id":1,"l":[{"a":1},5,[7]]}"#);
    assert_eq!(run.tables(), "t(id bigint) t__l(a bigint, value bigint) t__l__list(value bigint)");
    assert_eq!(run.data("t__l"), json!([{"a": 1}, {"value": 5}, {}]));
    assert_eq!(run.data("t__l__list"), json!([{"value": 7}]));
}

/// dlt keeps the last of them and loses the others.
#[test]
fn a10_a11_a12_a13_two_keys_of_one_name_are_an_error() {
    for rows in [
        r#"{"a":{"b":1},"a__b":2}"#,
        r#"{"a__b":2,"a":{"b":1}}"#,
        r#"{"Id":1,"ID":2,"id":3}"#,
        r#"{"aB":1,"a_b":2}"#,
    ] {
        let error = fault(empty_schema(), rows);
        assert_eq!(error.message(), "two keys become one column", "{rows}");
        assert_eq!((error.kind(), error.context("line")), (ErrorKind::BadData, Some("1")));
    }
    let error = fault(empty_schema(), "{\"a__b\":2}\n{\"a__b\":2,\"a\":{\"b\":1}}");
    assert_eq!(
        error.to_string(),
        "two keys become one column (code: E_NAME_COLLISION, table: t, column: a__b, key: a__b, other key: a.b, file: rows.jsonl, line: 2)"
    );
    let error = fault(empty_schema(), r#"{"L":[1],"l":[2]}"#);
    assert_eq!(error.message(), "two lists become one table");
    // NULL is no value: nothing is lost.
    for rows in [r#"{"aB":1,"a_b":null}"#, r#"{"a_b":null,"aB":1}"#] {
        assert_eq!(Run::of(rows).data("t"), json!([{"a_b": 1}]));
    }
    // In different rows, two keys may share a column.
    assert_eq!(Run::of("{\"aB\":1}\n{\"a_b\":2}").data("t"), json!([{"a_b": 1}, {"a_b": 2}]));
}

#[test]
fn a14_empty_keys_have_a_name() {
    let run = Run::of(r#"{"":1,"a":{"":2},"b":[{"":3}]}"#);
    assert_eq!(run.tables(), "t(_empty bigint, a___empty bigint) t__b(_empty bigint)");
}

#[test]
fn a18_a19_rows_of_children_follow_their_parents() {
    let run =
        Run::of(r#"{"f":[{"l":["a","b","c"],"v":120,"o":[{"a":1},{"a":2}]}],"g":[{"l":["a"]}]}"#);
    assert_eq!(
        run.tables(),
        "t() t__f(v bigint) t__f__l(value text) t__f__o(a bigint) t__g() t__g__l(value text)"
    );
    let ids: Vec<&Json> = run.rows["t__f__l"].iter().map(|row| &row["_dlt_list_idx"]).collect();
    assert_eq!(ids, [0, 1, 2]);
    let parent = &run.rows["t__f"][0]["_dlt_id"];
    assert!(run.rows["t__f__o"].iter().all(|row| &row["_dlt_parent_id"] == parent));
}

#[test]
fn a20_objects_between_row_and_list_make_no_table() {
    let run = Run::of(r#"{"id":"0","d":{"a":[{"id":"4"}],"b":{"a":[{"id":"5"}]},"c":"x"}}"#);
    assert_eq!(run.tables(), "t(id text, d__c text) t__d__a(id text) t__d__b__a(id text)");
    let schema = run.normalizer.schema();
    assert_eq!(schema.tables["t__d__b__a"].parent.as_deref(), Some("t"));
}

#[test]
fn a21_lists_in_lists_in_lists() {
    let row = r#"{"_dlt_id":"123456","webpath":[[{"a":1},{"a":2},{"a":3},[{"a":4}]],[1,2,3]]}"#;
    let run = Run::of(row);
    let count = |table: &str| run.rows[table].len();
    assert_eq!(count("t__webpath"), 2);
    assert_eq!(count("t__webpath__list"), 7);
    assert_eq!(count("t__webpath__list__list"), 1);
    assert_eq!(run.rows["t"][0]["_dlt_id"], "123456");
}

#[test]
fn a22_a23_columns_of_type_json_keep_nested_values() {
    let mut schema = schema_with(json!({"name": "t", "columns": {}}));
    let child = json!({"name": "t__webpath", "parent": "t", "columns": {"list": {"name": "list", "data_type": "json"}}});
    schema.tables.insert("t__webpath".to_owned(), serde_json::from_value(child).unwrap());
    let run = Run::with(schema, r#"{"webpath":[[{"a": 1}, [2]],[1]]}"#);
    assert_eq!(run.data("t__webpath"), json!([{"list": "[{\"a\":1},[2]]"}, {"list": "[1]"}]));

    let columns =
        json!({"a": {"name": "a", "data_type": "json"}, "l": {"name": "l", "data_type": "json"}});
    let schema = schema_with(json!({"name": "t", "columns": columns}));
    let run = Run::with(schema, r#"{"a": {"b": 1}, "l": [1, 2]}"#);
    assert_eq!(run.data("t"), json!([{"a": "{\"b\":1}", "l": "[1,2]"}]));
    assert_eq!(run.tables(), "t(a json, l json)");
}

fn nested_to(levels: usize, row: &str) -> String {
    let options = Options { max_table_nesting: levels, ..Options::new("1") };
    Run::new(empty_schema(), options).then(row).tables()
}

#[test]
fn a24_nesting_is_taken_apart_to_a_depth() {
    let row = r#"{"id":1,"n":[{"x":1,"m":[{"y":2,"k":{"z":1}}]}],"o":{"p":{"q":1}}}"#;
    assert_eq!(nested_to(0, row), "t(id bigint, n json, o json)");
    assert_eq!(nested_to(1, row), "t(id bigint, o__p json) t__n(x bigint, m json)");
    assert_eq!(
        nested_to(2, row),
        "t(id bigint, o__p__q bigint) t__n(x bigint) t__n__m(y bigint, k json)"
    );
    assert_eq!(
        nested_to(3, row),
        "t(id bigint, o__p__q bigint) t__n(x bigint) t__n__m(y bigint, k__z bigint)"
    );
    let hint = json!({"name": "t", "columns": {}, "x-normalizer": {"max_nesting": 0}});
    assert_eq!(Run::with(schema_with(hint), row).tables(), "t(id bigint, n json, o json)");
}

#[test]
fn a25_tables_for_each_level() {
    let row = r#"{"one":[{"two":[{"three":[{"four":[{"five":"value"}]}]}]}]}"#;
    let tables: Vec<usize> =
        (0..=6).map(|levels| nested_to(levels, row).split(") ").count()).collect();
    assert_eq!(tables, [1, 2, 3, 4, 5, 5, 5]);
}

#[test]
fn a26_names_are_normalised_part_by_part() {
    let row = r#"{"f-1":"x","f 2":[1],"f!3":{"f4":"a","f-5":"b","f*6":{"c":7,"c v":8,"c x":[1]}}}"#;
    assert_eq!(
        Run::of(row).tables(),
        "t(f_1 text, f_3__f4 text, f_3__f_5 text, f_3__fx6__c bigint, f_3__fx6__c_v bigint) \
         t__f_2(value bigint) t__f_3__fx6__c_x(value bigint)"
    );
}

#[test]
fn c01_c06_keys_get_names() {
    let row = r#"{"Event Value":1,"event-.!:*<>value":1,"1x":1,"BANANA_":1,"+-!$*@#=|:":1,"HTTPServerID":1,"ünï":1}"#;
    assert_eq!(
        Run::of(row).column_names("t")[..7],
        ["event_value", "event_x_value", "_1x", "bananax", "x_xa_lx", "http_server_id", "_nx"]
    );
    assert_eq!(
        Run::of(r#"{"example_custom_field__c":1}"#).tables(),
        "t(example_custom_field__c bigint)"
    );
}

#[test]
fn c02_c03_c05_other_conventions() {
    let row = r#"{"Id Name":1,"sub":{"Key":2},"L":[{"A":1}]}"#;
    let tables = |naming| {
        let options = Options { naming, ..Options::new("1") };
        let mut run = Run::new(empty_schema(), options);
        for chunk in split(row) {
            run.normalizer.json("My Table", &chunk, None).unwrap();
        }
        run.tables()
    };
    assert_eq!(
        tables(Naming::SqlCs),
        "My_Table(Id_Name bigint, sub__Key bigint, _DLT bigint)".replace(", _DLT bigint", "")
            + " My_Table__L(A bigint)"
    );
    assert_eq!(
        tables(Naming::SqlCi),
        "my_table(id_name bigint, sub__key bigint) my_table__l(a bigint)"
    );
    assert_eq!(
        tables(Naming::Direct),
        "My Table(Id Name bigint, sub▶Key bigint) My Table▶L(A bigint)"
    );
}

#[test]
fn a34_long_names_are_shortened() {
    let options = Options { max_identifier_length: 16, ..Options::new("1") };
    let row = r#"{"short>ident:1":1,"some long object":{"some long key":[{"another long key":1}],"x":2}}"#;
    let run = Run::new(empty_schema(), options).then(row);
    for table in run.normalizer.schema().tables.values() {
        assert!(table.name.len() <= 16, "{}", table.name);
        assert!(table.columns.keys().all(|name| name.len() <= 16));
    }
}

#[test]
fn d24_new_columns_stand_behind_those_of_the_loader() {
    let run =
        Run::of("{\"c1\":1,\"c2\":1,\"c3\":1}").then(r#"{"c1":1,"c4":1,"c3":1,"c5":{"x":1}}"#);
    assert_eq!(run.column_names("t"), ["c1", "c2", "c3", "_dlt_load_id", "_dlt_id", "c4", "c5__x"]);
    // The order does not depend on where chunks end.
    let run =
        Run::of("{\"c1\":1,\"c2\":1,\"c3\":1}\n{\"c1\":1,\"c4\":1,\"c3\":1,\"c5\":{\"x\":1}}");
    assert_eq!(run.column_names("t"), ["c1", "c2", "c3", "_dlt_load_id", "_dlt_id", "c4", "c5__x"]);
}

#[test]
fn d25_empty_rows_are_rows() {
    let run = Run::of("{}\n{}\n{}").then("{\"a\":1}\n{}\n{}").then("{\"a\":null}\n{}");
    assert_eq!(run.rows["t"].len(), 8);
    assert_eq!(run.rows["t"].iter().filter(|row| row["a"] == 1).count(), 1);
}

#[test]
fn an_object_that_is_sometimes_a_list_keeps_all_rows() {
    let run = Run::of("{\"o\":{\"l\":[1]}}\n{\"o\":[{\"l\":[2]},{\"l\":[3]}]}");
    assert_eq!(run.tables(), "t() t__o__l(value bigint) t__o()");
    assert_eq!(run.data("t__o__l"), json!([{"value": 1}, {"value": 2}, {"value": 3}]));
    let parents: Vec<&Json> =
        run.rows["t__o__l"].iter().map(|row| &row["_dlt_parent_id"]).collect();
    assert_eq!(
        parents,
        [
            &run.rows["t"][0]["_dlt_id"],
            &run.rows["t__o"][0]["_dlt_id"],
            &run.rows["t__o"][1]["_dlt_id"]
        ]
    );
}
