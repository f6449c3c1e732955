//! What a narrowed token may do: the boundary that it was made with, in the one form in which it is understood here.
//!
//! Source: Google Cloud IAM, "Downscope with Credential Access Boundaries".

use serde_json::Value;

use crate::refusal::Refusal;

/// Rules, of which one must hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Boundary(Vec<Rule>);

/// Reads and lists what lies below a prefix of a bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Rule {
    bucket: String,
    prefix: String,
}

const RESOURCE: &str = "//storage.googleapis.com/projects/_/buckets/";

impl Boundary {
    /// Reads the options of an exchange.
    pub(crate) fn read(options: &str) -> Result<Self, Refusal> {
        let refused = || Refusal::invalid("the boundary");
        let options: Value = serde_json::from_str(options).map_err(|_| refused())?;
        let rules = options["accessBoundary"]["accessBoundaryRules"].as_array();
        let rules = rules.filter(|rules| (1..=10).contains(&rules.len())).ok_or_else(refused)?;
        let rules: Option<Vec<Rule>> = rules.iter().map(rule).collect();
        rules.map(Self).ok_or_else(refused)
    }

    /// Whether a request for an object, or for a list of those that begin so, may be made.
    pub(crate) fn allows(&self, bucket: &str, key: &str, listed: &str) -> bool {
        let name = if key.is_empty() { listed } else { key };
        self.0.iter().any(|rule| rule.bucket == bucket && name.starts_with(&rule.prefix))
    }
}

fn rule(rule: &Value) -> Option<Rule> {
    let bucket = rule["availableResource"].as_str()?.strip_prefix(RESOURCE)?.to_owned();
    let permissions = rule["availablePermissions"].as_array()?;
    let is_viewer = |one: &Value| one.as_str() == Some("inRole:roles/storage.objectViewer");
    let expression = rule["availabilityCondition"]["expression"].as_str()?;
    let expression = expression.strip_prefix("resource.name.startsWith(")?;
    let (objects, rest) = literal(expression)?;
    let rest = rest.strip_prefix(
        ") || api.getAttribute('storage.googleapis.com/objectListPrefix', '').startsWith(",
    )?;
    let (prefix, rest) = literal(rest)?;
    let is_whole =
        rest == ")" && objects == format!("projects/_/buckets/{bucket}/objects/{prefix}");
    (is_whole && permissions.iter().all(is_viewer)).then_some(Rule { bucket, prefix })
}

/// A literal in quotes, and what stands behind it.
fn literal(text: &str) -> Option<(String, &str)> {
    let mut signs = text.strip_prefix('\'')?.chars();
    let mut literal = String::new();
    loop {
        match signs.next()? {
            '\'' => return Some((literal, signs.as_str())),
            '\\' => match signs.next()? {
                'u' => {
                    let digits: String = signs.by_ref().take(4).collect();
                    literal.push(char::from_u32(u32::from_str_radix(&digits, 16).ok()?)?);
                }
                sign => literal.push(sign),
            },
            sign => literal.push(sign),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn options(prefix: &str) -> String {
        let expression = format!(
            "resource.name.startsWith('projects/_/buckets/lake/objects/{prefix}') || \
             api.getAttribute('storage.googleapis.com/objectListPrefix', '').startsWith('{prefix}')"
        );
        serde_json::json!({"accessBoundary": {"accessBoundaryRules": [{
            "availableResource": "//storage.googleapis.com/projects/_/buckets/lake",
            "availablePermissions": ["inRole:roles/storage.objectViewer"],
            "availabilityCondition": {"expression": expression},
        }]}})
        .to_string()
    }

    #[test]
    fn a_boundary_opens_what_lies_below_it() {
        let boundary = Boundary::read(&options(r"it\'s/\u000a")).unwrap();
        assert!(boundary.allows("lake", "it's/\n1", ""));
        assert!(boundary.allows("lake", "", "it's/\n"));
        for (bucket, key, listed) in [
            ("other", "it's/\n1", ""),
            ("lake", "it's/1", ""),
            ("lake", "", ""),
            ("lake", "", "it"),
        ] {
            assert!(!boundary.allows(bucket, key, listed), "{bucket} {key} {listed}");
        }
    }

    #[test]
    fn what_is_not_understood_opens_nothing() {
        for options in [
            "{}".to_owned(),
            options("a").replace("objectViewer", "objectAdmin"),
            options("a').startsWith(''), true || (resource.name.startsWith('"),
            options("a").replace("objects/a", "objects/"),
        ] {
            assert!(Boundary::read(&options).is_err(), "{options}");
        }
    }
}
