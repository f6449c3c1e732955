//! Row ids: random ones, and those that are a function of the row.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use rand::Rng as _;
use shake::Shake128;
use shake::digest::{ExtendableOutput as _, Update as _, XofReader as _};

/// The length of an id in bytes, as dlt has it; as text it has 14 characters.
const ID_BYTES: usize = 10;

/// The first `N` bytes of the SHAKE-128 digest.
pub(crate) fn shake128<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut digest = [0; N];
    let mut hasher = Shake128::default();
    hasher.update(bytes);
    hasher.finalize_xof().read(&mut digest);
    digest
}

/// The id of a row of which nothing else is known.
pub(crate) fn random_id() -> String {
    let mut bytes = [0; ID_BYTES];
    rand::rng().fill_bytes(&mut bytes);
    STANDARD_NO_PAD.encode(bytes)
}

/// The id that is a function of this text: of the key, or of the whole row.
pub(super) fn hashed_id(text: &[u8]) -> String {
    STANDARD_NO_PAD.encode(shake128::<ID_BYTES>(text))
}

/// The id of the row at `index` of a list.
///
/// Source: dlt, `get_nested_row_hash`.
pub(super) fn child_id(parent_id: &str, table: &str, index: usize) -> String {
    let mut index_text = String::new();
    super::text::push_integer(&mut index_text, index as i128);
    let mut hasher = Shake128::default();
    for part in [parent_id, "_", table, "_", &index_text] {
        hasher.update(part.as_bytes());
    }
    let mut digest = [0; ID_BYTES];
    hasher.finalize_xof().read(&mut digest);
    STANDARD_NO_PAD.encode(digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_those_of_dlt() {
        assert_eq!(child_id("123456", "t__l", 0), "PANbp43SUuAY0Q");
        assert_eq!(child_id("abc", "zen__webpath", 1), "T2GFTc5Uu6NJKg");
        assert_eq!(hashed_id(br#"{"id":1}"#), "z5jIxXIbUnmbKw");
        assert_eq!(hashed_id(br#"{"id":2}"#), "M6/KlLzJ2FeV/w");
        assert_eq!(hashed_id(br#"{"id":1,"name":"x"}"#), "KM0fQcnBdqwM3w");
        assert_eq!(random_id().len(), 14);
        assert_ne!(random_id(), random_id());
    }
}
