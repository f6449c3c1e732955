//! The shared files of Amazon's tools, as a pure function of their texts.
//!
//! Source: AWS SDKs and Tools Reference Guide, "Shared config and credentials files", format.

use std::collections::BTreeMap;

/// The profile that is meant where none is named.
pub(crate) const DEFAULT: &str = "default";

/// What the files say, by profile.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Profiles(BTreeMap<String, BTreeMap<String, String>>);

impl Profiles {
    /// Reads both files. What stands in the one for credentials counts before the other.
    pub(crate) fn parse(config: &str, credentials: &str) -> Self {
        let mut profiles = Self::default();
        profiles.add(config, |title| match title {
            DEFAULT => Some(DEFAULT),
            title => title
                .strip_prefix("profile")
                .filter(|name| name.starts_with([' ', '\t']))
                .map(str::trim),
        });
        profiles.add(credentials, Some);
        profiles
    }

    fn add<'t>(&mut self, text: &'t str, name_of: impl Fn(&'t str) -> Option<&'t str>) {
        let mut current: Option<&mut BTreeMap<String, String>> = None;
        for line in text.lines() {
            let trimmed = line.trim();
            if trimmed.is_empty() || trimmed.starts_with(['#', ';']) {
                continue;
            }
            if let Some(title) = trimmed.strip_prefix('[') {
                let name = title.split(']').next().and_then(|title| name_of(title.trim()));
                current = name.map(|name| self.0.entry(name.to_owned()).or_default());
                continue;
            }
            // What is indented belongs to the setting above it.
            let is_nested = line.starts_with([' ', '\t']);
            if let (Some(profile), Some((key, value)), false) =
                (&mut current, trimmed.split_once('='), is_nested)
            {
                let end =
                    [" #", " ;", "\t#", "\t;"].iter().filter_map(|sign| value.find(sign)).min();
                let value = value[..end.unwrap_or(value.len())].trim();
                profile.insert(key.trim().to_ascii_lowercase(), value.to_owned());
            }
        }
    }

    /// Whether there is such a profile.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Whether a profile says who asks: it may set no more than a region.
    pub(crate) fn names_someone(&self, name: &str) -> bool {
        let keys = [
            "aws_access_key_id",
            "role_arn",
            "credential_process",
            "sso_session",
            "sso_start_url",
            "login_session",
        ];
        keys.iter().any(|key| self.value(name, key).is_some())
    }

    /// A value that is not empty.
    pub(crate) fn value(&self, name: &str, key: &str) -> Option<&str> {
        self.0.get(name)?.get(key).map(String::as_str).filter(|value| !value.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_files_are_read_as_one() {
        let config = "# mine\n[default]\nregion=eu-west-1 # near\naws_access_key_id = config\n\n[profile  two ]\nRegion = b;c\n\
                      s3 =\n  addressing_style = path\n  region = nested\n[sso-session two]\nregion = sso\n[profiles]\nregion = x\n";
        let credentials =
            "[default]\naws_access_key_id = credentials\n[three]\naws_secret_access_key = a#b=c\n";
        let profiles = Profiles::parse(config, credentials);
        for (profile, key, expected) in [
            ("default", "region", Some("eu-west-1")),
            ("default", "aws_access_key_id", Some("credentials")),
            ("two", "region", Some("b;c")),
            ("two", "s3", None),
            ("three", "aws_secret_access_key", Some("a#b=c")),
            ("profiles", "region", None),
        ] {
            assert_eq!(profiles.value(profile, key), expected, "{profile} {key}");
        }
        assert!(profiles.names_someone("default") && !profiles.names_someone("two"));
        assert!(!profiles.has("sso-session two") && profiles.has("three"));
    }
}
