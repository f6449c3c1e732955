//! Bounds: what is known of the values of a column before anybody reads the file again.
//!
//! They let a destination look at a part of a table instead of all of it: a merge need not search rows whose keys no
//! staged row can have.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

use crate::DataType;

/// The least and the greatest value of a column, and the few that there are where there are few.
///
/// They hold for every row: a value that is not NULL lies between `least` and `greatest`, and is one of `distinct` where
/// these are known. Values are texts in one form for each type, the same whatever the format of the file:
///
/// | type | form | order |
/// | --- | --- | --- |
/// | `bigint` | decimal digits: `-12`, `0`, `7` | by value |
/// | `decimal`, `wei` | digits without exponent and without zeros at the end of the fraction: `-0.5`, `12`, `3.25` | by value |
/// | `bool` | `false`, `true` | in this order |
/// | `date` | `2024-01-31` | by time |
/// | `timestamp` | `2024-01-31T12:00:00.000000+00:00` in UTC; without the offset where the column has no time zone | by time |
/// | `time` | `12:00:00.000000` | by time |
/// | `text` | as it is | by the bytes of its UTF-8 |
///
/// Times have as many decimals of the second as the files of the load: 0, 3, 6 or 9. Years have four digits, from 0001
/// to 9999. Columns of the types `double`, `binary` and `json` have no bounds, and neither has a column with a value
/// that has no such form: a year outside of these, or a text of more than 200 bytes as the least or the greatest.
///
/// They are values of the data, so a dialect has to quote them as it quotes any literal. The order of texts is that of
/// bytes: a destination that sorts by another collation must not compare with `least` and `greatest`, only with
/// `distinct`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bounds {
    /// The least value; none where all are NULL.
    pub least: Option<String>,
    /// The greatest value; none where all are NULL.
    pub greatest: Option<String>,
    /// How many are NULL.
    pub nulls: u64,
    /// The values themselves, in their order, without NULL: where there are at most [`Bounds::MOST_DISTINCT`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub distinct: Option<Vec<String>>,
}

impl Bounds {
    /// As many values are kept one by one.
    pub const MOST_DISTINCT: usize = 16;

    /// The longest text that is a bound, in bytes.
    pub const LONGEST: usize = 200;

    /// The bounds of so many NULLs.
    pub fn of_nulls(nulls: u64) -> Self {
        Self { nulls, distinct: Some(Vec::new()), ..Self::default() }
    }

    /// The bounds of the values of both. `None` where they cannot be compared: they are of a type that has none, or in
    /// forms that do not go together.
    #[must_use]
    pub fn joined(self, other: Self, data_type: DataType) -> Option<Self> {
        let pick = |one: Option<String>, other: Option<String>, wanted: Ordering| {
            Some(match (one, other) {
                (Some(one), Some(other)) => {
                    let is_wanted = compare(&one, &other, data_type)? == wanted;
                    Some(if is_wanted { one } else { other })
                }
                (one, other) => one.or(other),
            })
        };
        let least = pick(self.least, other.least, Ordering::Less)?;
        let greatest = pick(self.greatest, other.greatest, Ordering::Greater)?;
        let distinct = match (self.distinct, other.distinct) {
            (Some(mut one), Some(other)) => {
                one.extend(other);
                sort(&mut one, data_type)?;
                one.dedup();
                (one.len() <= Self::MOST_DISTINCT).then_some(one)
            }
            _ => None,
        };
        Some(Self { least, greatest, nulls: self.nulls + other.nulls, distinct })
    }
}

fn sort(values: &mut [String], data_type: DataType) -> Option<()> {
    let mut comparable = true;
    values.sort_by(|a, b| {
        compare(a, b, data_type).unwrap_or_else(|| {
            comparable = false;
            Ordering::Equal
        })
    });
    comparable.then_some(())
}

/// The order of two values of this type in the form of [`Bounds`].
fn compare(a: &str, b: &str, data_type: DataType) -> Option<Ordering> {
    match data_type {
        DataType::Bigint | DataType::Decimal | DataType::Wei => Some(compare_numbers(a, b)),
        DataType::Text | DataType::Bool => Some(a.cmp(b)),
        // Of one length they have the same digits at the same places.
        DataType::Date | DataType::Time | DataType::Timestamp => {
            (a.len() == b.len()).then(|| a.cmp(b))
        }
        DataType::Double | DataType::Binary | DataType::Json => None,
    }
}

fn compare_numbers(a: &str, b: &str) -> Ordering {
    fn size<'t>(a: (&'t str, &'t str), b: (&'t str, &'t str)) -> Ordering {
        a.0.len().cmp(&b.0.len()).then_with(|| a.cmp(&b))
    }
    match (a.strip_prefix('-'), b.strip_prefix('-')) {
        (None, None) => size(whole_and_fraction(a), whole_and_fraction(b)),
        (Some(a), Some(b)) => size(whole_and_fraction(b), whole_and_fraction(a)),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
    }
}

fn whole_and_fraction(digits: &str) -> (&str, &str) {
    digits.split_once('.').unwrap_or((digits, ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(least: &str, greatest: &str, distinct: &[&str]) -> Bounds {
        Bounds {
            least: Some(least.into()),
            greatest: Some(greatest.into()),
            nulls: 1,
            distinct: Some(distinct.iter().map(|value| (*value).to_owned()).collect()),
        }
    }

    #[test]
    fn numbers_are_joined_by_their_value() {
        let one = of("-9", "10", &["-9", "2", "10"]);
        let other = of("-10.5", "9.25", &["-10.5", "2", "9.25"]);
        let joined = one.joined(other, DataType::Decimal).unwrap();
        let expected =
            Bounds { nulls: 2, ..of("-10.5", "10", &["-10.5", "-9", "2", "9.25", "10"]) };
        assert_eq!(joined, expected);
        let ordered = ["-100", "-20", "-2.5", "-2.25", "0", "0.05", "0.1", "7", "11", "100"];
        for pair in ordered.windows(2) {
            assert_eq!(compare_numbers(pair[0], pair[1]), Ordering::Less, "{pair:?}");
            assert_eq!(compare_numbers(pair[1], pair[0]), Ordering::Greater, "{pair:?}");
        }
    }

    #[test]
    fn texts_are_joined_by_their_bytes() {
        let joined = of("B", "a", &["B", "a"]).joined(of("10", "9", &["10", "9"]), DataType::Text);
        assert_eq!(joined.unwrap(), Bounds { nulls: 2, ..of("10", "a", &["10", "9", "B", "a"]) });
    }

    #[test]
    fn nulls_alone_widen_nothing() {
        let joined = of("1", "2", &["1", "2"]).joined(Bounds::of_nulls(7), DataType::Bigint);
        assert_eq!(joined.unwrap(), Bounds { nulls: 8, ..of("1", "2", &["1", "2"]) });
    }

    #[test]
    fn many_values_are_no_longer_kept_one_by_one() {
        let texts: Vec<String> = (10..40).map(|n| n.to_string()).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let one = of("10", "24", &texts[..15]);
        let joined = one.clone().joined(of("25", "25", &texts[15..16]), DataType::Bigint).unwrap();
        assert_eq!(joined.distinct.unwrap().len(), Bounds::MOST_DISTINCT);
        let joined = one.joined(of("25", "26", &texts[15..17]), DataType::Bigint).unwrap();
        assert_eq!((joined.least.as_deref(), joined.distinct), (Some("10"), None));
    }

    #[test]
    fn forms_that_do_not_go_together_have_no_bounds() {
        let millis = of("12:00:00.000", "12:00:00.000", &[]);
        let micros = of("12:00:00.000000", "12:00:00.000000", &[]);
        assert_eq!(millis.clone().joined(micros, DataType::Time), None);
        assert_eq!(millis.clone().joined(millis, DataType::Double), None);
    }
}
