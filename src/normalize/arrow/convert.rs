//! The values of a field in the type of their column.

use std::sync::Arc;

use arrow::array::{Array as _, ArrayRef, AsArray as _, StringArray};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{
    DataType as ArrowType, Decimal128Type, Decimal256Type, DecimalType as _, FieldRef,
};
use serde::de::IgnoredAny;
use transload_core::{Column, DataType, Error, ErrorKind, Result};

use super::types::{describe, is_decimal, is_nested, keeps_meaning, may_lose, value_type};
use super::{nested, times};
use crate::arrow_types::{Defaults, arrow_type};

/// The values of a field in the type of their column.
pub(super) struct Converted {
    pub(super) array: ArrayRef,
    /// The rows whose value the column does not take, and why. What the array has there means nothing.
    pub(super) faults: Vec<(usize, Error)>,
    /// The first row whose time was cut to the precision of the destination.
    pub(super) first_cut: Option<usize>,
}

impl Converted {
    fn whole(array: ArrayRef) -> Self {
        Self { array, faults: Vec::new(), first_cut: None }
    }
}

/// Converts the values of a field. A value that does not fit is a fault of its row, a type that does not an error.
pub(super) fn convert(
    array: &ArrayRef,
    field: &FieldRef,
    column: &Column,
    defaults: &Defaults,
) -> Result<Converted> {
    let target = arrow_type(column, defaults)?;
    let source = array.data_type();
    let is_json = column.data_type == Some(DataType::Json);
    if is_nested(source) {
        return if is_json {
            nested::json_text(array, field)
        } else {
            Err(conflict(source, column))
        };
    }
    let plain = value_type(source);
    if plain != &target && !keeps_meaning(plain, column) {
        return Err(conflict(source, column));
    }
    let decoded = if plain == source { Arc::clone(array) } else { cast_safely(array, plain)? };
    if times::tick(plain).is_some() && times::tick(&target).is_some() {
        return times::converted(&decoded, &target, column);
    }
    let mut converted = if plain == &target {
        Converted::whole(decoded)
    } else {
        numbers(&decoded, &target, source, column)?
    };
    match column.data_type {
        Some(DataType::Text) => {
            converted.faults.extend(texts_with_nul(converted.array.as_string()));
        }
        Some(DataType::Json) => converted.faults.extend(not_json(converted.array.as_string())),
        Some(DataType::Decimal | DataType::Wei) if plain == &target => {
            converted.faults = too_many_digits(&converted.array, source, column);
        }
        _ => {}
    }
    Ok(converted)
}

/// What does not fit is NULL.
fn cast_safely(array: &ArrayRef, to: &ArrowType) -> Result<ArrayRef> {
    let options = CastOptions { safe: true, ..CastOptions::default() };
    cast_with_options(array, to, &options).map_err(|error| {
        Error::new(ErrorKind::BadData, "the values cannot be cast to the type of their column")
            .with("type", array.data_type())
            .with("column type", to)
            .with_source(error)
    })
}

/// Numbers and texts by a cast that loses nothing.
fn numbers(
    array: &ArrayRef,
    target: &ArrowType,
    source: &ArrowType,
    column: &Column,
) -> Result<Converted> {
    let plain = array.data_type();
    let converted = cast_safely(array, target)?;
    let refused = |message| {
        let code = match is_decimal(plain) || is_decimal(target) {
            true => "E_DECIMAL_RANGE",
            false => "E_NUMBER_RANGE",
        };
        Error::new(ErrorKind::BadData, message)
            .with("code", code)
            .with("type", source)
            .with("column type", describe(column))
            .with_hint("correct the value in the source, or load the field under another name")
    };
    let mut faults: Vec<(usize, Error)> = lost(array, &converted)
        .map(|row| (row, refused("a value does not fit the type of its column")))
        .collect();
    // A cast rounds and cuts off without a word; what comes back different had lost something.
    if may_lose(plain, target) {
        let back = cast_safely(&converted, plain)?;
        let differs = |row: usize| {
            converted.is_valid(row) && array.slice(row, 1).to_data() != back.slice(row, 1).to_data()
        };
        if array.to_data() != back.to_data() {
            let rows = (0..array.len()).filter(|row| differs(*row));
            faults.extend(
                rows.map(|row| {
                    (row, refused("a value would lose digits in the type of its column"))
                }),
            );
        }
    }
    Ok(Converted { faults, ..Converted::whole(converted) })
}

/// The rows that have a value before and none after.
fn lost<'a>(before: &'a ArrayRef, after: &'a ArrayRef) -> impl Iterator<Item = usize> + 'a {
    let rows = if before.null_count() == after.null_count() { 0 } else { before.len() };
    (0..rows).filter(|row| before.is_valid(*row) && after.is_null(*row))
}

/// A decimal array may hold more digits than its type says: nothing checks what a file has.
fn too_many_digits(array: &ArrayRef, source: &ArrowType, column: &Column) -> Vec<(usize, Error)> {
    let fits: Box<dyn Fn(usize) -> bool + '_> = match array.data_type() {
        ArrowType::Decimal128(digits, _) => {
            let array = array.as_primitive::<Decimal128Type>();
            Box::new(|row| Decimal128Type::is_valid_decimal_precision(array.value(row), *digits))
        }
        ArrowType::Decimal256(digits, _) => {
            let array = array.as_primitive::<Decimal256Type>();
            Box::new(|row| Decimal256Type::is_valid_decimal_precision(array.value(row), *digits))
        }
        _ => return Vec::new(),
    };
    let refused = |row| {
        let error = Error::new(ErrorKind::BadData, "a value does not fit the type of its column")
            .with("code", "E_DECIMAL_RANGE")
            .with("type", source)
            .with("column type", describe(column))
            .with_hint("correct the value in the source");
        (row, error)
    };
    (0..array.len()).filter(|row| array.is_valid(*row) && !fits(*row)).map(refused).collect()
}

fn texts_with_nul(texts: &StringArray) -> Vec<(usize, Error)> {
    // One look over all of them: hardly any text has one.
    if !texts.value_data().contains(&0) {
        return Vec::new();
    }
    let has_nul = |row: &usize| texts.is_valid(*row) && texts.value(*row).as_bytes().contains(&0);
    (0..texts.len()).filter(has_nul).map(|row| (row, nul())).collect()
}

/// The error for a NUL in a text, which is the same for every destination, though some could hold it.
pub(super) fn nul() -> Error {
    Error::new(ErrorKind::BadData, "a text has a NUL character")
        .with("code", "E_NUL")
        .with_hint("take the character out in the source; most warehouses have no place for it")
}

/// Texts for a JSON column that are not JSON, or that have a NUL in them.
fn not_json(texts: &StringArray) -> Vec<(usize, Error)> {
    let look = |row: usize| {
        let text = texts.value(row);
        match serde_json::from_str::<IgnoredAny>(text) {
            Ok(_) => nested::has_nul(text.as_bytes()).then(nul),
            Err(error) => Some(
                Error::new(ErrorKind::BadData, "a JSON column got something else")
                    .with("code", "E_JSON_SYNTAX")
                    .with_hint("mend the text in the source, or load the field under another name")
                    .with_source(error),
            ),
        }
    };
    let rows = (0..texts.len()).filter(|row| texts.is_valid(*row));
    rows.filter_map(|row| Some((row, look(row)?))).collect()
}

pub(super) fn conflict(source: &ArrowType, column: &Column) -> Error {
    Error::new(ErrorKind::BadData, "the column has another type than the data")
        .with("type", source)
        .with("column type", describe(column))
        .with_hint("cast the field before it is loaded, or load it under another name")
}
