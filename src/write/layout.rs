//! The columns of a file.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, new_null_array};
use arrow::datatypes::{DataType as ArrowType, Field, Schema};
use transload_core::{Column, DataType, Error, ErrorKind, Result};

use super::bounds::is_bounded;

/// What a file must know of a column; two files whose columns agree in it can be one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FileColumn {
    /// The name.
    pub(super) name: String,
    /// The type of its arrays.
    pub(super) arrow_type: ArrowType,
    /// Whether its texts are JSON.
    pub(super) json: bool,
    /// Whether it may be NULL.
    pub(super) nullable: bool,
    /// Whether the bounds of its values are taken.
    pub(super) bounded: bool,
}

impl FileColumn {
    /// Whether its values are texts, and not JSON.
    pub(super) fn is_text(&self) -> bool {
        self.arrow_type == ArrowType::Utf8 && !self.json
    }
}

/// The columns of a file, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Layout {
    /// The columns.
    pub(super) columns: Vec<FileColumn>,
}

impl Layout {
    /// The layout of a batch, checked against what the columns promise.
    pub(super) fn of(columns: &[Column], batch: &RecordBatch) -> Result<Self> {
        let schema = batch.schema_ref();
        let agrees = columns.len() == schema.fields().len()
            && columns
                .iter()
                .zip(schema.fields())
                .all(|(column, field)| column.name == *field.name());
        if !agrees {
            let names = |names: Vec<&str>| names.join(", ");
            return Err(Error::new(ErrorKind::Bug, "a batch has other columns than it should")
                .with("columns", names(columns.iter().map(|c| c.name.as_str()).collect()))
                .with(
                    "batch",
                    names(schema.fields().iter().map(|f| f.name().as_str()).collect()),
                ));
        }
        if columns.is_empty() && batch.num_rows() > 0 {
            return Err(Error::new(ErrorKind::BadData, "rows without columns cannot be written")
                .with("rows", batch.num_rows())
                .with_hint("give the rows a column that has a type"));
        }
        for (column, array) in columns.iter().zip(batch.columns()) {
            if !column.nullable && array.null_count() > 0 {
                return Err(Error::new(
                    ErrorKind::BadData,
                    "a column that is NOT NULL has no value",
                )
                .with("column", &column.name)
                .with("rows", array.null_count())
                .with_hint("make the column nullable, or see that the source always gives it"));
            }
        }
        let columns = columns.iter().zip(schema.fields()).map(|(column, field)| FileColumn {
            name: column.name.clone(),
            arrow_type: field.data_type().clone(),
            json: column.data_type == Some(DataType::Json),
            nullable: column.nullable,
            bounded: is_bounded(column),
        });
        Ok(Self { columns: columns.collect() })
    }

    /// Whether rows of `earlier` can be written as rows of this layout: nothing was taken away or made stricter, and
    /// what was added may be NULL.
    pub(super) fn extends(&self, earlier: &Self) -> bool {
        earlier.columns.iter().all(|column| self.position(&column.name).is_some())
            && self.columns.iter().all(|column| match earlier.position(&column.name) {
                None => column.nullable,
                Some(position) => {
                    let before = &earlier.columns[position];
                    before.arrow_type == column.arrow_type
                        && before.json == column.json
                        && (column.nullable || !before.nullable)
                }
            })
    }

    /// A batch of this layout or of one that it extends, in this layout.
    pub(super) fn adapt(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        let rows = batch.num_rows();
        let arrays = self.columns.iter().map(|column| match batch.column_by_name(&column.name) {
            Some(array) => ArrayRef::clone(array),
            None => new_null_array(&column.arrow_type, rows),
        });
        let fields: Vec<Field> = self
            .columns
            .iter()
            .map(|column| Field::new(&column.name, column.arrow_type.clone(), column.nullable))
            .collect();
        RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays.collect()).map_err(|error| {
            Error::new(ErrorKind::Bug, "a batch does not fit the columns of its file")
                .with_source(error)
        })
    }

    /// The names of the columns.
    pub(super) fn names(&self) -> Vec<String> {
        self.columns.iter().map(|column| column.name.clone()).collect()
    }

    fn position(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.name == name)
    }
}
