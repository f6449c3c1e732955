//! Structs, lists and maps as JSON text, and rows that are set aside as JSON objects.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray as _, LargeListArray, LargeListViewArray, ListArray, ListViewArray,
    RecordBatch, StringBuilder,
};
use arrow::compute::cast;
use arrow::datatypes::{
    DataType as ArrowType, Field, FieldRef, Float16Type, Float32Type, Float64Type,
};
use arrow::error::ArrowError;
use arrow::json::EncoderOptions;
use arrow::json::writer::make_encoder;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use transload_core::{Error, ErrorKind, Result};

use super::convert::{Converted, nul};
use super::types::{is_text, value_type};

/// Structs, lists and maps as JSON text, a row each.
pub(super) fn json_text(array: &ArrayRef, field: &FieldRef) -> Result<Converted> {
    refuse_twins(array.data_type())?;
    let refused = |error: ArrowError| {
        Error::new(ErrorKind::BadData, "a nested value cannot be written as JSON")
            .with("type", array.data_type())
            .with_source(error)
    };
    let (field, array) = encodable(array, field).map_err(refused)?;
    // NULLs within a value stay: a list of three has three elements.
    let options = EncoderOptions::default().with_explicit_nulls(true);
    let mut encoder = make_encoder(&field, array.as_ref(), &options).map_err(refused)?;
    let has_times = holds(array.data_type(), &ArrowType::is_temporal);
    let needs_look = holds(array.data_type(), &|inner| {
        inner.is_floating() || matches!(inner, ArrowType::Map(..))
    });
    let mut texts = StringBuilder::with_capacity(array.len(), array.len() * 16);
    let mut faults = Vec::new();
    let mut text = Vec::new();
    for row in 0..array.len() {
        if encoder.is_null(row) {
            texts.append_null();
            continue;
        }
        text.clear();
        encoder.encode(row, &mut text);
        let fault = if needs_look { flaw(array.as_ref(), row).map_err(refused)? } else { None };
        // The encoder writes what is wrong with a time into its place, and does not say so.
        let fault = fault.or_else(|| (has_times && lacks_time(&text)).then(no_time));
        let fault = fault.or_else(|| has_nul(&text).then(nul));
        faults.extend(fault.map(|error| (row, error)));
        texts.append_value(String::from_utf8_lossy(&text));
    }
    Ok(Converted { array: Arc::new(texts.finish()), faults, first_cut: None })
}

/// A row as one JSON object, with the names of the input: what is kept of a row that is set aside. Numbers that JSON does
/// not have, and times that have no text, are texts.
pub(super) fn row_text(batch: &RecordBatch, row: usize) -> Vec<u8> {
    let mut text = b"{".to_vec();
    for (field, array) in batch.schema_ref().fields().iter().zip(batch.columns()) {
        if text.len() > 1 {
            text.push(b',');
        }
        push_json_text(field.name(), &mut text);
        text.push(b':');
        push_value(field, &array.slice(row, 1), &mut text);
    }
    text.push(b'}');
    text
}

fn push_value(field: &FieldRef, value: &ArrayRef, out: &mut Vec<u8>) {
    if value.is_null(0) || value.data_type() == &ArrowType::Null {
        out.extend_from_slice(b"null");
        return;
    }
    let encoded = || -> Result<Vec<u8>, ArrowError> {
        let (field, value) = encodable(value, field)?;
        let options = EncoderOptions::default().with_explicit_nulls(true);
        let mut text = Vec::new();
        make_encoder(&field, value.as_ref(), &options)?.encode(0, &mut text);
        Ok(text)
    };
    match encoded() {
        Ok(text) if !lacks_time(&text) && (text != b"null") => out.extend_from_slice(&text),
        _ => {
            let options = FormatOptions::new().with_display_error(true);
            let shown = ArrayFormatter::try_new(value.as_ref(), &options)
                .map_or_else(|error| error.to_string(), |texts| texts.value(0).to_string());
            push_json_text(&shown, out);
        }
    }
}

fn push_json_text(text: &str, out: &mut Vec<u8>) {
    serde_json::to_writer(out, text).expect("a Vec takes all bytes, and a text is always JSON");
}

/// How Arrow's encoder writes a time that it cannot write.
const NO_TIME: &[u8] = b"\"ERROR: Cast error: Failed to convert ";

fn lacks_time(text: &[u8]) -> bool {
    text.windows(NO_TIME.len()).any(|part| part == NO_TIME)
}

fn no_time() -> Error {
    Error::new(ErrorKind::BadData, "a nested time lies outside of what can be written")
        .with("code", "E_TIMESTAMP")
        .with_hint("correct the value in the source")
}

/// Whether JSON has a NUL in one of its texts or keys.
pub(super) fn has_nul(json: &[u8]) -> bool {
    const ESCAPE: &[u8] = b"\\u0000";
    let mut from = 0;
    while let Some(found) = json[from..].windows(ESCAPE.len()).position(|part| part == ESCAPE) {
        let at = from + found;
        // Behind an odd number of backslashes this one is itself escaped.
        let before = json[..at].iter().rev().take_while(|byte| **byte == b'\\').count();
        if before % 2 == 0 {
            return true;
        }
        from = at + 1;
    }
    false
}

/// What is wrong with a nested value, if anything.
fn flaw(array: &dyn Array, row: usize) -> Result<Option<Error>, ArrowError> {
    if array.is_null(row) {
        return Ok(None);
    }
    let first_of = |values: &dyn Array, rows: std::ops::Range<usize>| {
        for row in rows {
            if let Some(error) = flaw(values, row)? {
                return Ok(Some(error));
            }
        }
        Ok(None)
    };
    macro_rules! list {
        ($kind:ty) => {{
            let values = array.as_any().downcast_ref::<$kind>().map(|list| list.value(row));
            values.map_or(Ok(None), |values| first_of(values.as_ref(), 0..values.len()))
        }};
    }
    let finite = |value: f64| (!value.is_finite()).then(|| not_finite(value));
    match array.data_type() {
        ArrowType::Float16 => Ok(finite(array.as_primitive::<Float16Type>().value(row).into())),
        ArrowType::Float32 => Ok(finite(array.as_primitive::<Float32Type>().value(row).into())),
        ArrowType::Float64 => Ok(finite(array.as_primitive::<Float64Type>().value(row))),
        ArrowType::Struct(_) => {
            for child in array.as_struct().columns() {
                if let Some(error) = flaw(child.as_ref(), row)? {
                    return Ok(Some(error));
                }
            }
            Ok(None)
        }
        ArrowType::List(_) => list!(ListArray),
        ArrowType::LargeList(_) => list!(LargeListArray),
        ArrowType::ListView(_) => list!(ListViewArray),
        ArrowType::LargeListView(_) => list!(LargeListViewArray),
        ArrowType::FixedSizeList(..) => {
            let values = array.as_fixed_size_list().value(row);
            first_of(values.as_ref(), 0..values.len())
        }
        ArrowType::Map(..) => {
            let entries = array.as_map().value(row);
            let options = FormatOptions::default();
            let keys = ArrayFormatter::try_new(entries.column(0).as_ref(), &options)?;
            let mut seen = HashSet::with_capacity(entries.len());
            for entry in 0..entries.len() {
                let key = keys.value(entry).to_string();
                if let Some(key) = seen.replace(key) {
                    return Ok(Some(twice(&key)));
                }
            }
            first_of(entries.column(1).as_ref(), 0..entries.len())
        }
        _ => Ok(None),
    }
}

fn twice(key: &str) -> Error {
    Error::new(ErrorKind::BadData, "a map has a key twice")
        .with("code", "E_JSON_DUP_KEY")
        .with("key", key)
        .with_hint("give each key once: JSON keeps one of them")
}

fn not_finite(value: f64) -> Error {
    Error::new(ErrorKind::BadData, "a nested number is not finite, and JSON has no such number")
        .with("code", "E_NUMBER_RANGE")
        .with("value", value)
        .with_hint("leave the number out in the source, or load it as a column of its own")
}

/// A struct that has a field twice has no JSON object.
fn refuse_twins(data_type: &ArrowType) -> Result<()> {
    let children = children(data_type);
    let mut seen = HashSet::new();
    for field in &children {
        if !seen.insert(field.name()) {
            return Err(Error::new(ErrorKind::BadData, "a struct has a field twice")
                .with("code", "E_NAME_COLLISION")
                .with("field", field.name())
                .with_hint("rename one of the fields in the source"));
        }
        refuse_twins(field.data_type())?;
    }
    Ok(())
}

/// Whether the type, or one that it is made of, is of a kind.
fn holds(data_type: &ArrowType, is: &dyn Fn(&ArrowType) -> bool) -> bool {
    is(data_type) || children(data_type).iter().any(|field| holds(field.data_type(), is))
}

/// The types of which a type is made.
fn children(data_type: &ArrowType) -> Vec<FieldRef> {
    match value_type(data_type) {
        ArrowType::Struct(fields) => fields.iter().cloned().collect(),
        ArrowType::List(field)
        | ArrowType::LargeList(field)
        | ArrowType::ListView(field)
        | ArrowType::LargeListView(field)
        | ArrowType::FixedSizeList(field, _)
        | ArrowType::Map(field, _) => vec![Arc::clone(field)],
        _ => Vec::new(),
    }
}

/// A value in a type that the encoder takes.
fn encodable(array: &ArrayRef, field: &FieldRef) -> Result<(FieldRef, ArrayRef), ArrowError> {
    let plain = encodable_type(array.data_type());
    let field: FieldRef = Arc::new(field.as_ref().clone().with_data_type(plain.clone()));
    let array = if &plain == array.data_type() { Arc::clone(array) } else { cast(array, &plain)? };
    Ok((field, array))
}

/// The type with all times in UTC, since the encoder knows no zone by its name, with keys that are texts, and without
/// packing.
fn encodable_type(data_type: &ArrowType) -> ArrowType {
    let inner = |field: &FieldRef| -> FieldRef {
        Arc::new(field.as_ref().clone().with_data_type(encodable_type(field.data_type())))
    };
    match value_type(data_type) {
        ArrowType::Timestamp(unit, Some(_)) => ArrowType::Timestamp(*unit, Some("+00:00".into())),
        ArrowType::Struct(fields) => ArrowType::Struct(fields.iter().map(inner).collect()),
        ArrowType::List(field) | ArrowType::ListView(field) => ArrowType::List(inner(field)),
        ArrowType::LargeList(field) | ArrowType::LargeListView(field) => {
            ArrowType::LargeList(inner(field))
        }
        ArrowType::FixedSizeList(field, size) => ArrowType::FixedSizeList(inner(field), *size),
        ArrowType::Map(entries, sorted) => {
            let entries_type = match encodable_type(entries.data_type()) {
                ArrowType::Struct(fields) => match fields.as_ref() {
                    [key, value] if !is_text(key.data_type()) => {
                        let key = Field::clone(key).with_data_type(ArrowType::Utf8);
                        ArrowType::Struct(vec![Arc::new(key), Arc::clone(value)].into())
                    }
                    _ => ArrowType::Struct(fields),
                },
                other => other,
            };
            ArrowType::Map(Arc::new(Field::clone(entries).with_data_type(entries_type)), *sorted)
        }
        other => other.clone(),
    }
}
