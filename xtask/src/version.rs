//! Versions and the conditions on them that security advisories state.

use std::cmp::Ordering;

/// A version of a crate; what stands after `+` never matters for an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Version {
    numbers: [u64; 3],
    pre_release: Option<String>,
}

impl Version {
    pub(crate) fn parse(text: &str) -> Option<Version> {
        let text = text.trim().split('+').next()?;
        let (numbers, pre_release) = match text.split_once('-') {
            Some((numbers, pre_release)) => (numbers, Some(pre_release.to_owned())),
            None => (text, None),
        };
        let mut parsed = [0; 3];
        let mut parts = numbers.split('.');
        for number in &mut parsed {
            match parts.next() {
                Some(part) => *number = part.parse().ok()?,
                None => break,
            }
        }
        parts.next().is_none().then_some(Version { numbers: parsed, pre_release })
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Version) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Version) -> Ordering {
        self.numbers.cmp(&other.numbers).then_with(|| {
            match (&self.pre_release, &other.pre_release) {
                (None, None) => Ordering::Equal,
                (None, Some(_)) => Ordering::Greater,
                (Some(_), None) => Ordering::Less,
                (Some(one), Some(two)) => one.cmp(two),
            }
        })
    }
}

/// Whether a version meets a condition like `>= 1.42.1, < 1.43.0`; `None` for one that is not
/// written that way.
pub(crate) fn meets(version: &Version, condition: &str) -> Option<bool> {
    let mut all = true;
    for part in condition.split(',') {
        let part = part.trim();
        // The longer sign first: `>` is the beginning of `>=`.
        let sign = [">=", "<=", ">", "<", "="].into_iter().find(|sign| part.starts_with(sign))?;
        let order = version.cmp(&Version::parse(&part[sign.len()..])?);
        all &= match sign {
            ">=" => order.is_ge(),
            "<=" => order.is_le(),
            ">" => order.is_gt(),
            "<" => order.is_lt(),
            _ => order.is_eq(),
        };
    }
    Some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meets_text(version: &str, condition: &str) -> Option<bool> {
        meets(&Version::parse(version).unwrap(), condition)
    }

    #[test]
    fn numbers_are_compared_as_numbers() {
        assert_eq!(meets_text("0.17.14", ">= 0.17.9"), Some(true));
        assert_eq!(meets_text("0.17.8", ">= 0.17.12"), Some(false));
        assert_eq!(meets_text("2.1.3+zstd.1.5.7", "= 2.1.3"), Some(true));
    }

    #[test]
    fn every_part_of_a_condition_counts() {
        assert_eq!(meets_text("1.42.3", ">= 1.42.1, < 1.43.0"), Some(true));
        assert_eq!(meets_text("1.43.0", ">= 1.42.1, < 1.43.0"), Some(false));
    }

    #[test]
    fn a_pre_release_comes_before_its_release() {
        assert_eq!(meets_text("1.0.0-alpha.1", ">= 1.0.0"), Some(false));
        assert_eq!(meets_text("1.0.0", "> 1.0.0-alpha.1"), Some(true));
    }

    #[test]
    fn an_unknown_form_is_not_guessed() {
        assert_eq!(meets_text("1.0.0", "^1"), None);
        assert_eq!(Version::parse("1.x"), None);
    }
}
