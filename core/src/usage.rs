//! What a load has used of a destination: the figures that its bill is made of.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// Figures by name, as the destination gives them: what they are called says their unit. A destination reports those that it
/// is told, and no price; those of several jobs add up.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Usage(BTreeMap<String, u64>);

impl Usage {
    /// Bytes that queries and statements have read.
    pub const BYTES_PROCESSED: &'static str = "bytes_processed";
    /// Bytes for which they are billed.
    pub const BYTES_BILLED: &'static str = "bytes_billed";
    /// Milliseconds of computing, over all that computed.
    pub const SLOT_MILLISECONDS: &'static str = "slot_milliseconds";
    /// Jobs that were run.
    pub const JOBS: &'static str = "jobs";

    /// Adds to a figure.
    pub fn add(&mut self, name: &str, number: u64) {
        let figure = self.0.entry(name.to_owned()).or_default();
        *figure = figure.saturating_add(number);
    }

    /// Adds what something else has used.
    pub fn add_all(&mut self, other: &Self) {
        other.0.iter().for_each(|(name, number)| self.add(name, *number));
    }

    /// A figure; `None` where the destination did not tell it.
    pub fn get(&self, name: &str) -> Option<u64> {
        self.0.get(name).copied()
    }

    /// Whether nothing was told.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (name, number)) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{name} {number}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_add_up_and_are_shown() {
        let mut usage = Usage::default();
        assert!(usage.is_empty());
        usage.add(Usage::JOBS, 1);
        let mut other = Usage::default();
        other.add(Usage::JOBS, 2);
        other.add(Usage::BYTES_BILLED, u64::MAX);
        usage.add_all(&other);
        usage.add(Usage::BYTES_BILLED, 1);
        assert_eq!(usage.to_string(), format!("bytes_billed {}, jobs 3", u64::MAX));
        assert_eq!((usage.get(Usage::JOBS), usage.get(Usage::BYTES_PROCESSED)), (Some(3), None));
        assert_eq!(
            serde_json::to_string(&other).unwrap(),
            r#"{"bytes_billed":18446744073709551615,"jobs":2}"#
        );
    }
}
