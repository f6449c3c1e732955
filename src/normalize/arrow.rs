//! Batches of Arrow into the columns of a table: names, types and order; no child tables, and ids only where the table
//! has them from rows of JSON.
//!
//! dlt leaves values of another type than the column's to the destination, which then fails or truncates. Here they are
//! cast where nothing is lost, and refused before anything is written where something would be. One thing is cut off, as
//! in dlt: what is finer than the destination's own precision of times, where the column does not give one.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{
    Array as _, ArrayRef, AsArray as _, Int64Array, RecordBatch, RecordBatchOptions, StringArray,
    StringBuilder, new_null_array,
};
use arrow::compute::{CastOptions, cast, cast_with_options};
use arrow::datatypes::{
    DataType as ArrowType, FieldRef, Int64Type, Schema as ArrowSchema, TimeUnit,
};
use arrow::json::EncoderOptions;
use arrow::json::writer::make_encoder;
use transload_core::{Column, DataType, Error, ErrorKind, Result, Table};

use super::root::{RootIds, RootPlan};
use super::{Snapshot, TableBatch, ids, undeclared};
use crate::arrow_types::{arrow_field, arrow_type};

/// A batch in the columns of its table.
pub(super) struct Conformed {
    /// The table as it is now, where the batch brought columns.
    pub(super) table: Option<Table>,
    pub(super) batch: RecordBatch,
}

/// Brings a batch to the columns of its table, and the table to those of the batch.
pub(super) fn conform(snapshot: &Snapshot, name: &str, batch: &RecordBatch) -> Result<Conformed> {
    let known = snapshot.schema.tables.get(name);
    let mut table = known.cloned().unwrap_or_else(|| undeclared(name));
    let mut changed = known.is_none();
    let mut arrays: HashMap<String, ArrayRef> = HashMap::new();
    let mut fields: HashMap<String, &str> = HashMap::new();
    let schema = batch.schema();
    for (field, array) in schema.fields().iter().zip(batch.columns()) {
        let column_name = snapshot.column_part(field.name());
        let refused = |error: Error| error.with("table", name).with("column", &column_name);
        if let Some(other) = fields.insert(column_name.clone(), field.name()) {
            return Err(refused(Error::new(ErrorKind::BadData, "two fields become one column"))
                .with("field", other)
                .with("other field", field.name())
                .with_hint("rename one of the fields"));
        }
        if field.data_type() == &ArrowType::Null {
            continue;
        }
        let declared = table.columns.get(&column_name);
        let column = match declared {
            Some(column) if column.data_type.is_some() => column.clone(),
            declared => {
                let column =
                    new_column(snapshot, &column_name, field, declared).map_err(&refused)?;
                changed = true;
                table.columns.shift_remove(&column_name);
                table.put(column.clone());
                column
            }
        };
        arrays.insert(
            column_name.clone(),
            convert(snapshot, array, field, &column).map_err(refused)?,
        );
    }
    let mut out_fields = Vec::new();
    let mut out_arrays = Vec::new();
    for column in table.complete_columns() {
        let field = arrow_field(column, &snapshot.options.defaults)?;
        let array = match arrays.remove(&column.name) {
            Some(array) => array,
            None => match system_values(snapshot, &table, column, batch.num_rows())? {
                Some(array) => array,
                None => new_null_array(field.data_type(), batch.num_rows()),
            },
        };
        if !column.nullable && array.null_count() > 0 {
            let row = (0..array.len()).find(|row| array.is_null(*row)).unwrap_or_default();
            return Err(Error::new(
                ErrorKind::BadData,
                "a row has no value for a column that is NOT NULL",
            )
            .with("table", name)
            .with("column", &column.name)
            .with("row of the batch", row)
            .with_hint("give the value, or make the column nullable in the schema"));
        }
        out_fields.push(field);
        out_arrays.push(array);
    }
    if out_fields.is_empty() && batch.num_rows() > 0 {
        let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        return Err(Error::new(ErrorKind::BadData, "the rows have no column with a type")
            .with("table", name)
            .with("rows", batch.num_rows())
            .with(
                "columns of type null",
                if names.is_empty() { "none".to_owned() } else { names.join(", ") },
            )
            .with_hint(
                "give one of the columns a type in the source, or declare it in the schema",
            ));
    }
    let batch = make_batch(name, ArrowSchema::new(out_fields), out_arrays, batch.num_rows())?;
    Ok(Conformed { table: changed.then_some(table), batch })
}

/// The values of a column that rows of JSON brought into the table and batches of Arrow do not have: the load, and an id.
/// None for every other column.
fn system_values(
    snapshot: &Snapshot,
    table: &Table,
    column: &Column,
    rows: usize,
) -> Result<Option<ArrayRef>> {
    let names = &snapshot.names;
    if table.parent.is_some() || column.data_type != Some(DataType::Text) {
        return Ok(None);
    }
    if column.name == names.load_id {
        let load_id = snapshot.options.load_id.as_str();
        return Ok(Some(Arc::new(StringArray::from_iter_values(std::iter::repeat_n(
            load_id, rows,
        )))));
    }
    if column.name != names.row_id {
        return Ok(None);
    }
    match RootPlan::of(&snapshot.schema, &table.name, names)?.ids {
        RootIds::Random => {
            let ids = (0..rows).map(|_| ids::random_id());
            Ok(Some(Arc::new(StringArray::from_iter_values(ids))))
        }
        // Rows of JSON have ids that say which row they are; a random one would be another row to its nested rows.
        RootIds::KeyHash(_) | RootIds::RowHash => Err(Error::new(
            ErrorKind::BadData,
            "rows of Arrow or Parquet cannot get the ids that this merge strategy makes of the row",
        )
        .with("table", &table.name)
        .with("column", &column.name)
        .with_hint(
            "the table has rows that came as JSON: load these as JSON too, give them the column, \
             or load them into another table",
        )),
    }
}

/// The columns that a table has got since a batch was made, as NULLs. None where one of them must not be NULL.
pub(super) fn fill_up(snapshot: &Snapshot, batch: &TableBatch) -> Result<Option<RecordBatch>> {
    let Some(table) = snapshot.schema.tables.get(&batch.table) else { return Ok(None) };
    let (mut fields, mut arrays) = (Vec::new(), Vec::new());
    for column in table.complete_columns() {
        let field = arrow_field(column, &snapshot.options.defaults)?;
        let array = match batch.batch.column_by_name(&column.name) {
            Some(array) => Arc::clone(array),
            None if column.nullable => new_null_array(field.data_type(), batch.batch.num_rows()),
            None => return Ok(None),
        };
        fields.push(field);
        arrays.push(array);
    }
    make_batch(&batch.table, ArrowSchema::new(fields), arrays, batch.batch.num_rows()).map(Some)
}

fn make_batch(
    table: &str,
    schema: ArrowSchema,
    arrays: Vec<ArrayRef>,
    rows: usize,
) -> Result<RecordBatch> {
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(Arc::new(schema), arrays, &options).map_err(|error| {
        Error::new(ErrorKind::Bug, "the columns of a table do not make a batch")
            .with("table", table)
            .with_source(error)
    })
}

/// The column for a field that the table does not have, or has only as a hint.
fn new_column(
    snapshot: &Snapshot,
    name: &str,
    field: &FieldRef,
    declared: Option<&Column>,
) -> Result<Column> {
    let mut column =
        column_for(name, field.data_type(), snapshot.options.defaults.timestamp_precision)?;
    column.nullable = !snapshot.rules.is_not_null(name);
    Ok(match declared {
        Some(declared) => super::table::completed(declared.clone(), column),
        None => column,
    })
}

/// The column that holds values of an Arrow type.
fn column_for(name: &str, arrow_type: &ArrowType, timestamp_precision: u32) -> Result<Column> {
    let sub_second = |unit: &TimeUnit| match unit {
        TimeUnit::Second => 0,
        TimeUnit::Millisecond => 3,
        TimeUnit::Microsecond => 6,
        TimeUnit::Nanosecond => 9,
    };
    // As in dlt, the destination's default is not written down, and what is finer than it is cut off.
    let with_sub_second = |column: Column, unit: &TimeUnit| match sub_second(unit) {
        precision if precision >= timestamp_precision => column,
        precision => column.with_precision(precision),
    };
    let simple = |data_type| Column::new(name, data_type);
    Ok(match arrow_type {
        ArrowType::Utf8 | ArrowType::LargeUtf8 | ArrowType::Utf8View => simple(DataType::Text),
        ArrowType::Float16 | ArrowType::Float32 | ArrowType::Float64 => simple(DataType::Double),
        ArrowType::Boolean => simple(DataType::Bool),
        ArrowType::Int8 => simple(DataType::Bigint).with_precision(8),
        ArrowType::Int16 => simple(DataType::Bigint).with_precision(16),
        ArrowType::Int32 => simple(DataType::Bigint).with_precision(32),
        // An unsigned integer needs one bit more than its width: the next wider type.
        ArrowType::UInt8 => simple(DataType::Bigint).with_precision(16),
        ArrowType::UInt16 => simple(DataType::Bigint).with_precision(32),
        ArrowType::Int64 | ArrowType::UInt32 | ArrowType::UInt64 => simple(DataType::Bigint),
        // A naive time is UTC, also in dlt.
        ArrowType::Timestamp(unit, _) => with_sub_second(simple(DataType::Timestamp), unit),
        ArrowType::Date32 | ArrowType::Date64 => simple(DataType::Date),
        ArrowType::Time32(unit) | ArrowType::Time64(unit) => {
            with_sub_second(simple(DataType::Time), unit)
        }
        ArrowType::Decimal32(precision, scale)
        | ArrowType::Decimal64(precision, scale)
        | ArrowType::Decimal128(precision, scale)
        | ArrowType::Decimal256(precision, scale) => {
            // A negative scale means zeros before the point, which take digits here.
            let zeros = u32::from(scale.min(&0).unsigned_abs());
            let mut column =
                simple(DataType::Decimal).with_precision(u32::from(*precision) + zeros);
            column.scale = Some(u32::try_from(*scale).unwrap_or(0));
            column
        }
        ArrowType::FixedSizeBinary(width) => {
            simple(DataType::Binary).with_precision(u32::try_from(*width).unwrap_or(0))
        }
        ArrowType::Binary | ArrowType::LargeBinary | ArrowType::BinaryView => {
            simple(DataType::Binary)
        }
        ArrowType::Dictionary(_, values) => return column_for(name, values, timestamp_precision),
        ArrowType::RunEndEncoded(_, values) => {
            return column_for(name, values.data_type(), timestamp_precision);
        }
        ArrowType::Struct(_)
        | ArrowType::List(_)
        | ArrowType::LargeList(_)
        | ArrowType::FixedSizeList(..)
        | ArrowType::ListView(_)
        | ArrowType::LargeListView(_)
        | ArrowType::Map(..) => simple(DataType::Json),
        other => {
            return Err(Error::new(
                ErrorKind::Unsupported,
                "no column holds values of this Arrow type",
            )
            .with("type", other));
        }
    })
}

/// The values in the type of the column, every one of them.
fn convert(
    snapshot: &Snapshot,
    array: &ArrayRef,
    field: &FieldRef,
    column: &Column,
) -> Result<ArrayRef> {
    let target = arrow_type(column, &snapshot.options.defaults)?;
    let source = array.data_type();
    if source == &target && column.data_type != Some(DataType::Json) {
        check_times_of_day(array)?;
        return Ok(Arc::clone(array));
    }
    let is_nested =
        column_for("", source, 6).is_ok_and(|column| column.data_type == Some(DataType::Json));
    if is_nested {
        if column.data_type == Some(DataType::Json) {
            return json_text(array, field);
        }
        return Err(conflict(source, column));
    }
    let plain = match source {
        ArrowType::Dictionary(_, values) => values.as_ref(),
        ArrowType::RunEndEncoded(_, values) => values.data_type(),
        source => source,
    };
    if !keeps_meaning(plain, column) {
        return Err(conflict(source, column));
    }
    let strictly = |array: &ArrayRef, to: &ArrowType| {
        let options = CastOptions { safe: false, ..CastOptions::default() };
        cast_with_options(array, to, &options).map_err(|error| {
            Error::new(ErrorKind::BadData, "a value does not fit the type of its column")
                .with("type", source)
                .with("column type", describe(column))
                .with_source(error)
        })
    };
    let decoded = if plain == source { Arc::clone(array) } else { strictly(array, plain)? };
    check_times_of_day(&decoded)?;
    // By way of the numbers: a cast between zones would need a database of zones, and shift naive times; and not every
    // cast of times looks whether the result fits.
    if let (Some(from), Some(to)) = (tick(plain), tick(&target)) {
        let is_narrow =
            |times: &ArrowType| matches!(times, ArrowType::Date32 | ArrowType::Time32(_));
        let counts =
            if is_narrow(plain) { strictly(&decoded, &ArrowType::Int32)? } else { decoded };
        let counts = strictly(&counts, &ArrowType::Int64)?;
        let counts =
            recount(counts.as_primitive(), from, to, may_cut(column)).map_err(|error| {
                error
                    .with("type", source)
                    .with("unit", unit_name(from))
                    .with("column type", describe(column))
                    .with("column unit", unit_name(to))
            })?;
        let counts: ArrayRef = Arc::new(counts);
        let counts =
            if is_narrow(&target) { strictly(&counts, &ArrowType::Int32)? } else { counts };
        return strictly(&counts, &target);
    }
    let converted = strictly(&decoded, &target)?;
    // A cast rounds and cuts off without a word; what comes back different had lost something.
    if may_lose(plain, &target) && !same(&decoded, &strictly(&converted, plain)?) {
        return Err(Error::new(
            ErrorKind::BadData,
            "a value would lose digits in the type of its column",
        )
        .with("type", source)
        .with("column type", describe(column)));
    }
    Ok(converted)
}

const SECOND: i64 = 1_000_000_000;
const DAY: i64 = 86_400 * SECOND;

/// Arrow checks no time that it is given; one of another day has no way to be written.
fn check_times_of_day(array: &ArrayRef) -> Result<()> {
    let counts = match array.data_type() {
        ArrowType::Time32(_) => cast(array, &ArrowType::Int32),
        ArrowType::Time64(_) => Ok(Arc::clone(array)),
        _ => return Ok(()),
    };
    let counts = counts
        .and_then(|counts| cast(&counts, &ArrowType::Int64))
        .map_err(|error| Error::new(ErrorKind::Bug, "a time is no number").with_source(error))?;
    let counts: &Int64Array = counts.as_primitive();
    let a_day = tick(array.data_type()).map_or(DAY, |tick| DAY / tick);
    let fits = |count: i64| (0..a_day).contains(&count);
    if counts.iter().flatten().all(fits) {
        return Ok(());
    }
    Err(Error::new(ErrorKind::BadData, "a time of day lies outside of a day")
        .with("type", array.data_type())
        .with("row of the batch", first_bad(counts, fits))
        .with_hint("correct the value in the source"))
}

/// The nanoseconds that one step of a date or a time stands for.
fn tick(arrow_type: &ArrowType) -> Option<i64> {
    match arrow_type {
        ArrowType::Timestamp(unit, _) | ArrowType::Time32(unit) | ArrowType::Time64(unit) => {
            Some(match unit {
                TimeUnit::Second => SECOND,
                TimeUnit::Millisecond => 1_000_000,
                TimeUnit::Microsecond => 1_000,
                TimeUnit::Nanosecond => 1,
            })
        }
        ArrowType::Date32 => Some(DAY),
        ArrowType::Date64 => Some(1_000_000),
        _ => None,
    }
}

fn unit_name(tick: i64) -> &'static str {
    match tick {
        DAY => "day",
        SECOND => "second",
        1_000_000 => "millisecond",
        1_000 => "microsecond",
        _ => "nanosecond",
    }
}

/// Whether what is finer than the column is cut off: the column has the destination's own precision.
fn may_cut(column: &Column) -> bool {
    column.precision.is_none() && column.data_type != Some(DataType::Date)
}

/// Counts of one tick as counts of another one.
fn recount(counts: &Int64Array, from: i64, to: i64, may_cut: bool) -> Result<Int64Array> {
    if from == to {
        return Ok(counts.clone());
    }
    if from > to {
        let factor = from / to;
        return match counts
            .try_unary::<_, Int64Type, ()>(|count| count.checked_mul(factor).ok_or(()))
        {
            Ok(counts) => Ok(counts),
            Err(()) => {
                let fits = |count: i64| count.checked_mul(factor).is_some();
                Err(Error::new(
                    ErrorKind::BadData,
                    "a time lies outside of what its column can say",
                )
                .with("row of the batch", first_bad(counts, fits))
                .with_hint("correct the value in the source, or load the field under another name"))
            }
        };
    }
    let factor = to / from;
    let fits = |count: i64| count % factor == 0;
    if !may_cut && !counts.iter().flatten().all(fits) {
        return Err(Error::new(ErrorKind::BadData, "a time is finer than its column and would be cut off")
            .with("row of the batch", first_bad(counts, fits))
            .with_hint(
                "cast the field to the unit of the column in the source, or load it under another name; \
                 a column takes finer times only if it has that precision from its first load",
            ));
    }
    Ok(counts.unary(|count| count / factor))
}

fn first_bad(counts: &Int64Array, fits: impl Fn(i64) -> bool) -> usize {
    counts.iter().position(|count| count.is_some_and(|count| !fits(count))).unwrap_or_default()
}

fn same(left: &ArrayRef, right: &ArrayRef) -> bool {
    left.to_data() == right.to_data()
}

/// Whether values of this Arrow type mean in the column what they meant before.
fn keeps_meaning(plain: &ArrowType, column: &Column) -> bool {
    let Some(data_type) = column.data_type else { return false };
    let is_integer = plain.is_integer();
    let is_decimal = matches!(
        plain,
        ArrowType::Decimal32(..)
            | ArrowType::Decimal64(..)
            | ArrowType::Decimal128(..)
            | ArrowType::Decimal256(..)
    );
    let is_text = matches!(plain, ArrowType::Utf8 | ArrowType::LargeUtf8 | ArrowType::Utf8View);
    match data_type {
        // Numbers, dates and truth values have one way to be written.
        DataType::Text => is_text || is_integer || is_decimal || plain == &ArrowType::Boolean,
        DataType::Json => is_text,
        DataType::Bigint => is_integer || is_decimal,
        DataType::Double => plain.is_floating() || is_integer,
        DataType::Decimal | DataType::Wei => is_integer || is_decimal,
        DataType::Bool => plain == &ArrowType::Boolean,
        DataType::Binary => matches!(
            plain,
            ArrowType::Binary
                | ArrowType::LargeBinary
                | ArrowType::BinaryView
                | ArrowType::FixedSizeBinary(_)
        ),
        DataType::Date => matches!(plain, ArrowType::Date32 | ArrowType::Date64),
        DataType::Time => matches!(plain, ArrowType::Time32(_) | ArrowType::Time64(_)),
        DataType::Timestamp => {
            matches!(plain, ArrowType::Timestamp(..) | ArrowType::Date32 | ArrowType::Date64)
        }
    }
}

/// Whether a cast between these types can change a value without failing.
fn may_lose(from: &ArrowType, to: &ArrowType) -> bool {
    let is_decimal = |data_type: &ArrowType| {
        matches!(
            data_type,
            ArrowType::Decimal32(..)
                | ArrowType::Decimal64(..)
                | ArrowType::Decimal128(..)
                | ArrowType::Decimal256(..)
        )
    };
    (is_decimal(from) && (is_decimal(to) || to.is_integer()))
        || (from.is_integer() && to.is_floating())
}

fn conflict(source: &ArrowType, column: &Column) -> Error {
    Error::new(ErrorKind::BadData, "the column has another type than the data")
        .with("type", source)
        .with("column type", describe(column))
        .with_hint("cast the field before it is loaded, or load it under another name")
}

fn describe(column: &Column) -> String {
    let name = column.data_type.map_or("none", DataType::as_str);
    match (column.precision, column.scale) {
        (Some(precision), Some(scale)) => format!("{name}({precision},{scale})"),
        (Some(precision), None) => format!("{name}({precision})"),
        _ => name.to_owned(),
    }
}

/// Structs, lists and maps as JSON text, a row each.
fn json_text(array: &ArrayRef, field: &FieldRef) -> Result<ArrayRef> {
    let refused = |error| {
        Error::new(ErrorKind::BadData, "a nested value cannot be written as JSON")
            .with("type", array.data_type())
            .with_source(error)
    };
    // NULLs within a value stay: a list of three has three elements.
    let options = EncoderOptions::default().with_explicit_nulls(true);
    let plain = without_zones(array.data_type());
    let array = if &plain == array.data_type() {
        Arc::clone(array)
    } else {
        cast(array, &plain).map_err(refused)?
    };
    let field = Arc::new(field.as_ref().clone().with_data_type(plain));
    let mut encoder = make_encoder(&field, array.as_ref(), &options).map_err(refused)?;
    let has_times = holds_times(array.data_type());
    let mut texts = StringBuilder::with_capacity(array.len(), array.len() * 16);
    let mut text = Vec::new();
    for row in 0..array.len() {
        if encoder.is_null(row) {
            texts.append_null();
            continue;
        }
        text.clear();
        encoder.encode(row, &mut text);
        // The encoder writes what is wrong with a time into its place, and does not say so.
        if has_times && text.windows(NO_TIME.len()).any(|part| part == NO_TIME) {
            return Err(Error::new(
                ErrorKind::BadData,
                "a nested time lies outside of what can be written",
            )
            .with("type", array.data_type())
            .with("row of the batch", row)
            .with_hint("correct the value in the source"));
        }
        texts.append_value(String::from_utf8_lossy(&text));
    }
    Ok(Arc::new(texts.finish()))
}

/// How Arrow's encoder writes a time that it cannot write.
const NO_TIME: &[u8] = b"\"ERROR: Cast error: Failed to convert ";

fn holds_times(data_type: &ArrowType) -> bool {
    match data_type {
        ArrowType::Struct(fields) => fields.iter().any(|field| holds_times(field.data_type())),
        ArrowType::List(field)
        | ArrowType::LargeList(field)
        | ArrowType::ListView(field)
        | ArrowType::LargeListView(field)
        | ArrowType::FixedSizeList(field, _)
        | ArrowType::Map(field, _)
        | ArrowType::RunEndEncoded(_, field) => holds_times(field.data_type()),
        ArrowType::Dictionary(_, values) => holds_times(values),
        other => other.is_temporal(),
    }
}

/// The type with all times in UTC: the encoder knows no zone by its name.
fn without_zones(data_type: &ArrowType) -> ArrowType {
    let inner = |field: &FieldRef| -> FieldRef {
        Arc::new(field.as_ref().clone().with_data_type(without_zones(field.data_type())))
    };
    match data_type {
        ArrowType::Timestamp(unit, Some(_)) => ArrowType::Timestamp(*unit, Some("+00:00".into())),
        ArrowType::Struct(fields) => ArrowType::Struct(fields.iter().map(inner).collect()),
        ArrowType::List(field) => ArrowType::List(inner(field)),
        ArrowType::LargeList(field) => ArrowType::LargeList(inner(field)),
        ArrowType::FixedSizeList(field, size) => ArrowType::FixedSizeList(inner(field), *size),
        ArrowType::Map(field, sorted) => ArrowType::Map(inner(field), *sorted),
        other => other.clone(),
    }
}
