//! What names a load: the load itself, its dataset, its epoch, and the names that derive from them.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// The id of a load, and the value of `_dlt_load_id` in its rows.
///
/// It is a Unix time in seconds with decimals, as dlt's, so that the order of the texts is the order of the loads.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LoadId(String);

impl LoadId {
    /// The id with this text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What stands for the load in the names of its staging tables: the beginning of the hash of its id.
    pub fn tag(&self) -> String {
        Sha256Hex::of(self.0.as_bytes()).as_str()[..TAG_LENGTH].to_owned()
    }
}

/// Characters of a [`LoadId::tag`].
const TAG_LENGTH: usize = 10;

impl fmt::Display for LoadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The value of a pipeline's fence while a loader holds it. Every start and every commit changes it to a new value.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Epoch(pub u64);

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// SHA-256 in lower-case hexadecimal.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Sha256Hex(String);

impl Sha256Hex {
    /// The digest of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self::from_digest(&Sha256::digest(bytes))
    }

    /// A digest that was computed piece by piece.
    pub fn from_digest(digest: &[u8]) -> Self {
        Self(digest.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// The 64 characters.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first 16 characters: what goes into names.
    pub fn short(&self) -> &str {
        self.0.get(..16).unwrap_or(&self.0)
    }
}

impl fmt::Display for Sha256Hex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where the rows end: a schema of the warehouse (or a folder), and the one beside it in which they are prepared.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Dataset {
    /// The name of the dataset.
    pub name: String,
    /// The name of the staging dataset, `<dataset>_staging` unless configured otherwise.
    pub staging: String,
}

impl Dataset {
    /// A dataset with the usual staging dataset.
    pub fn new(name: impl Into<String>) -> Self {
        let name = name.into();
        let staging = format!("{name}_staging");
        Self { name, staging }
    }
}

/// One load, as every job and every statement of it needs to know it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Load {
    /// Its id.
    pub load_id: LoadId,
    /// The pipeline.
    pub pipeline: String,
    /// The dataset.
    pub dataset: Dataset,
    /// The digest of the sealed manifest: what makes this load this load.
    pub digest: Sha256Hex,
    /// The value of the fence that this loader holds.
    pub epoch: Epoch,
}

impl Load {
    /// The name of the staging table of `table`: private to this load and this epoch, at most `max_length` characters.
    pub fn staging_table(&self, table: &str, max_length: usize) -> String {
        let suffix = format!("__{}_e{}", self.load_id.tag(), self.epoch);
        let room = max_length.saturating_sub(suffix.len());
        if table.chars().count() <= room {
            return format!("{table}{suffix}");
        }
        // Two long names may share their beginning, so what is cut off is replaced by its hash.
        let hash = Sha256Hex::of(table.as_bytes());
        let tag = &hash.as_str()[..8];
        let kept: String = table.chars().take(room.saturating_sub(tag.len())).collect();
        format!("{kept}{tag}{suffix}")
    }
}

/// The [`tag`](LoadId::tag) of the load and the epoch in the name of a staging table; `None` where
/// [`Load::staging_table`] did not make the name. Engines that fold names may have changed its case.
pub fn staging_table_owner(name: &str) -> Option<(String, Epoch)> {
    let name = name.to_ascii_lowercase();
    let (name, epoch) = name.rsplit_once("_e")?;
    let (_, tag) = name.rsplit_once("__")?;
    let is_tag = tag.len() == TAG_LENGTH && tag.bytes().all(|byte| byte.is_ascii_hexdigit());
    let is_number = !epoch.is_empty() && epoch.bytes().all(|byte| byte.is_ascii_digit());
    match is_tag && is_number {
        true => Some((tag.to_owned(), Epoch(epoch.parse().ok()?))),
        false => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(epoch: u64) -> Load {
        Load {
            load_id: LoadId::new("1795369539.5023775"),
            pipeline: "p".into(),
            dataset: Dataset::new("d"),
            digest: Sha256Hex::of(b""),
            epoch: Epoch(epoch),
        }
    }

    #[test]
    fn staging_tables_are_private_to_load_and_epoch() {
        assert_ne!(load(1).staging_table("players", 63), load(2).staging_table("players", 63));
        let mut other = load(1);
        other.load_id = LoadId::new("1795369539.5023776");
        assert_ne!(load(1).staging_table("players", 63), other.staging_table("players", 63));
    }

    #[test]
    fn long_names_are_cut_and_stay_apart() {
        let long = "a".repeat(70);
        let one = load(1).staging_table(&format!("{long}1"), 63);
        let two = load(1).staging_table(&format!("{long}2"), 63);
        assert_ne!(one, two);
        assert_eq!(one.chars().count(), 63);
        assert_eq!(two.chars().count(), 63);
    }

    #[test]
    fn the_name_of_a_staging_table_tells_load_and_epoch() {
        let load = load(12);
        for table in ["players", "players__e1", &"a".repeat(70)] {
            for name in
                [load.staging_table(table, 63), load.staging_table(table, 63).to_uppercase()]
            {
                assert_eq!(staging_table_owner(&name), Some((load.load_id.tag(), Epoch(12))));
            }
        }
        for name in ["players", "players_e1", "t__0123456789_e", "t__012345678_e1", "_e1", ""] {
            assert_eq!(staging_table_owner(name), None, "{name}");
        }
    }

    #[test]
    fn the_staging_dataset_stands_beside_the_dataset() {
        assert_eq!(Dataset::new("chess").staging, "chess_staging");
    }
}
