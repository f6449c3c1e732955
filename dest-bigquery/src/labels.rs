//! Labels: what shows in the console and in the bills whose a job or a table is.
//!
//! Google Cloud documentation, "Introduction to labels", requirements for labels.

use std::collections::BTreeMap;
use std::future::Future;

use transload_core::Load;

/// Characters of the longest name or value.
const CHARACTERS: usize = 63;

/// Labels that may be configured: a resource has 64, and some are ours.
const MOST: usize = 60;

/// What the names of our own begin with.
const OWN: &str = "transload_";

pub(crate) type Labels = BTreeMap<String, String>;

tokio::task_local! {
    /// Those of the load for which statements are run.
    static OF_LOAD: Labels;
}

/// Whether labels can be had.
pub(crate) fn check(labels: &Labels) -> bool {
    let fits = |text: &str| text.chars().count() <= CHARACTERS && text.chars().all(is_allowed);
    let begins_well = |name: &str| name.chars().next().is_some_and(is_letter);
    labels.len() <= MOST
        && labels.iter().all(|(name, value)| {
            fits(name) && fits(value) && begins_well(name) && !name.starts_with(OWN)
        })
}

fn is_letter(c: char) -> bool {
    // International letters have mostly no case.
    c.is_alphabetic() && !c.is_uppercase()
}

fn is_allowed(c: char) -> bool {
    is_letter(c) || c.is_numeric() || matches!(c, '_' | '-')
}

/// A text as the value of a label: what it cannot hold becomes an underscore, and its end is cut off.
fn value_of(text: &str) -> String {
    let lower = text.chars().flat_map(char::to_lowercase);
    lower.map(|c| if is_allowed(c) { c } else { '_' }).take(CHARACTERS).collect()
}

/// The labels of what belongs to a load.
pub(crate) fn of_load(load: &Load, configured: &Labels) -> Labels {
    let mut labels = configured.clone();
    for (name, text) in [
        ("load_id", load.load_id.as_str()),
        ("pipeline", &load.pipeline),
        ("digest", load.digest.short()),
    ] {
        labels.insert(format!("{OWN}{name}"), value_of(text));
    }
    labels
}

/// Runs this for a load: its statements carry its labels.
pub(crate) async fn during<T>(labels: Labels, work: impl Future<Output = T>) -> T {
    OF_LOAD.scope(labels, work).await
}

/// The labels of a statement that is run now: those of its load, or the configured ones where it has none.
pub(crate) fn of_statement(configured: &Labels) -> Labels {
    OF_LOAD.try_with(Clone::clone).unwrap_or_else(|_| configured.clone())
}

#[cfg(test)]
mod tests {
    use transload_core::{Dataset, Epoch, LoadId, Sha256Hex};

    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn labels_are_taken_or_refused_as_they_are() {
        for pairs in [&[("team", "chess")][..], &[("größe", "")], &[("a-1_b", "7")], &[]] {
            assert!(check(&labels(pairs)), "{pairs:?}");
        }
        let long = "x".repeat(64);
        for (name, value) in
            [("Team", "x"), ("1a", "x"), ("", "x"), ("a b", "x"), ("a", "B"), ("a", "x.y")]
                .into_iter()
                .chain([("transload_x", "x"), (&*long, "x"), ("a", &*long)])
        {
            assert!(!check(&labels(&[(name, value)])), "{name}: {value}");
        }
        let many: Labels = (0..=MOST).map(|n| (format!("a{n}"), String::new())).collect();
        assert!(!check(&many));
    }

    #[tokio::test]
    async fn a_load_is_named_in_the_words_of_labels() {
        let load = Load {
            load_id: LoadId::new("1795369539.5023775"),
            pipeline: format!("Größe of Chess {}", "x".repeat(80)),
            dataset: Dataset::new("d"),
            digest: Sha256Hex::of(b""),
            epoch: Epoch(1),
        };
        let configured = labels(&[("team", "chess")]);
        let made = of_load(&load, &configured);
        assert_eq!(made["transload_load_id"], "1795369539_5023775");
        assert_eq!(made["transload_pipeline"], format!("größe_of_chess_{}", "x".repeat(48)));
        assert_eq!(made["team"], "chess");
        assert_eq!(of_statement(&configured), configured);
        during(made.clone(), async { assert_eq!(of_statement(&configured), made) }).await;
    }
}
