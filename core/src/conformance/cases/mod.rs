//! The cases: what every destination and every staging destination owes.

mod append;
mod clear;
mod copy;
mod describe;
mod errors;
mod identifiers;
mod merge;
mod merge_nested;
mod publication;
mod recovery;
mod replace;
mod scd2;
mod schema;
mod staging;
mod staging_faults;
mod staging_manifests;
mod staging_world;
mod types;
mod values;

use super::case::{Case, Claim, Variant, merge_word, replace_word};
use super::world::World;
use crate::{
    Column, DataType, FileFormat, MergeStrategy, ReplaceStrategy, Table, WriteDisposition,
};

pub(super) use staging_world::StagingWorld;

/// Every case for destinations, in the order in which they are run.
pub(super) fn destination() -> Vec<Case<World>> {
    let mut cases = Vec::new();
    cases.extend(describe::cases());
    cases.extend(schema::cases());
    cases.extend(identifiers::cases());
    cases.extend(append::cases());
    for format in FileFormat::ALL {
        cases.extend(values::cases().into_iter().chain(types::cases()).map(|case| {
            variant(case, format.as_str(), Claim::Format(format), Variant::Format(format))
        }));
    }
    cases.extend(types::without_files());
    cases.extend(publication::cases());
    cases.extend(recovery::cases());
    for strategy in [
        ReplaceStrategy::TruncateAndInsert,
        ReplaceStrategy::InsertFromStaging,
        ReplaceStrategy::StagingOptimized,
    ] {
        cases.extend(replace::cases().into_iter().map(|case| {
            variant(
                case,
                replace_word(strategy),
                Claim::Replaces(strategy),
                Variant::Replace(strategy),
            )
        }));
    }
    for (strategy, of_this) in [
        (MergeStrategy::DeleteInsert, merge::delete_insert()),
        (MergeStrategy::Upsert, merge::upsert()),
        (MergeStrategy::InsertOnly, merge::insert_only()),
        (MergeStrategy::Scd2, scd2::cases()),
    ] {
        cases.extend(of_this.into_iter().map(|case| {
            variant(case, merge_word(strategy), Claim::Merges(strategy), Variant::Merge(strategy))
        }));
    }
    cases.extend(clear::cases());
    cases.extend(errors::cases());
    cases.extend(copy::cases());
    cases
}

/// Every case for staging destinations.
pub(super) fn staging() -> Vec<Case<StagingWorld>> {
    let mut cases = staging::cases();
    cases.extend(staging_manifests::cases());
    cases.extend(staging_faults::cases());
    cases
}

/// The case in one of its ways: its name says so, and its claims.
fn variant(mut case: Case<World>, word: &str, claim: Claim, variant: Variant) -> Case<World> {
    let (subject, sentence) = case.name.split_once("::").unwrap_or(("", &case.name));
    case.name = format!("{subject}::{word}::{sentence}");
    case.claims.push(claim);
    case.variant = variant;
    case
}

/// A root table with these columns, which may all be NULL.
fn table(name: &str, columns: &[(&str, DataType)]) -> Table {
    let mut table = Table::root(name, WriteDisposition::Append);
    for (column, data_type) in columns {
        table.put(Column::new(*column, *data_type));
    }
    table
}

/// The table that most cases load: `players` of `id` and `name`.
fn players() -> Table {
    table("players", &[("id", DataType::Bigint), ("name", DataType::Text)])
}

/// A table nested in [`players`].
fn games() -> Table {
    let mut games = Table::nested("players__games", "players");
    games.put(Column::new("value", DataType::Text));
    games.put(Column::new("_dlt_parent_id", DataType::Text).with_hint("parent_key"));
    games
}
