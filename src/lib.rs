//! Loads data into warehouses through staging, exactly once.
//!
//! Nested JSON, Parquet or Arrow goes in; tables of a warehouse come out (today DuckDB, or files); in between a *staging
//! destination*, a bucket or a folder, brings the files close to the engine, which copies them and publishes the whole
//! load in one atomic step. The words, the configuration and the layout of datasets are those of dlt.
//!
//! Begin with [`pipeline`], hand rows over as a [`Resource`], and read the [`LoadInfo`] that a run returns. The crate
//! reads no environment and prints nothing; only its command line does.
//!
//! The promise, on every destination: after any crash or lost answer, at any point, followed by a resume, each row of a
//! load is in the dataset exactly once, or the load is not visible at all.

#![cfg_attr(test, allow(clippy::unwrap_used))]

// Naming a plugin crate is what links it: a dependency that is listed but never named registers nothing, silently.
#[cfg(feature = "bigquery")]
use transload_dest_bigquery as _;
#[cfg(feature = "duckdb")]
use transload_dest_duckdb as _;
#[cfg(feature = "redshift")]
use transload_dest_redshift as _;
#[cfg(feature = "snowflake")]
use transload_dest_snowflake as _;
#[cfg(feature = "filesystem")]
use transload_staging_filesystem as _;

mod arrow_types;
pub mod cli;
mod clock;
pub mod config;
mod contract;
mod extract;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
mod guard;
mod hints;
mod incremental;
mod load;
mod normalize;
mod package;
mod parquet_ranges;
mod pipeline;
pub mod plugins;
mod resource;
mod schema_files;
mod set_aside;
mod source;
mod state;
mod stop;
mod write;

pub use contract::{ContractMode, SchemaContract};
pub use hints::{ColumnHints, DefaultHints, JsonTable, MergeOptions, Reference, TableHints};
pub use incremental::{
    CursorValue, Incremental, LastValueFunc, OnCursorValueMissing, RangeBound, RowOrder,
};
pub use load::{
    Endpoint, Event, FileReceipt, LoadInfo, LoadStatus, Observer, Receipt, RunError, Step,
    TableReceipt,
};
pub use package::{Package, PackageStatus, WorkingFolder};
pub use pipeline::{
    Age, BucketRule, DestinationSettings, LoadSettings, NormalizeSettings, ParquetCompression,
    ParquetSettings, Pipeline, PipelineBuilder, SchemaSettings, StagedFiles, StagedLoad,
    StagedLoadState, StagingTable, StagingTableState, Timeout, Workers, WriterSettings, pipeline,
};
pub use resource::{IntoResources, Resource, RowStream, Rows};
pub use schema_files::SchemaFormat;
pub use set_aside::SetAsideRows;
pub use source::csv::{CsvOptions, Quote};
pub use source::options::SourceFormat;
pub use source::remote::SourceSettings;
pub use stop::Stop;
pub use transload_core::{
    Column, DataType, Dataset, Error, ErrorKind, FileFormat, LoadId, MergeStrategy, Registry,
    ReplaceStrategy, Result, WriteDisposition,
};
pub use transload_object_stores::StoreCredentials;

/// Arrow, as this crate uses it.
pub use arrow;
/// The contract that plugins are written against.
pub use transload_core as core;
