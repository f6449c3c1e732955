//! Options of COPY that a user may add: a list of those that lose nothing.

use transload_core::FileFormat;

/// Options for every COPY, as they were checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct CopyOptions {
    options: Vec<(&'static Allowed, String)>,
}

/// An option that may be added.
#[derive(Debug, PartialEq, Eq)]
struct Allowed {
    name: &'static str,
    /// The words that may follow it; a word in capitals stands as it is, `n` is a number, `'c'` a character in quotes.
    values: &'static [&'static str],
    /// Whether COPY takes it with a columnar format.
    columnar: bool,
}

/// What may be added. The names are those of "Data conversion parameters" and "Data load operations", Amazon Redshift
/// Database Developer Guide; those for columnar formats are listed in "COPY from columnar data formats".
const ALLOWED: &[Allowed] = &[
    Allowed { name: "STATUPDATE", values: &["ON", "OFF", ""], columnar: true },
    Allowed { name: "ACCEPTINVCHARS", values: &["", "'c'", "AS 'c'"], columnar: true },
    Allowed { name: "COMPUPDATE", values: &["ON", "OFF", "PRESET", ""], columnar: false },
    Allowed { name: "COMPROWS", values: &["n"], columnar: false },
    Allowed { name: "ROUNDEC", values: &[""], columnar: false },
    Allowed { name: "TRUNCATECOLUMNS", values: &[""], columnar: false },
];

/// What is refused, and why: with these, what COPY counts as loaded is not what was written.
const REFUSED: &[(&str, &str)] = &[
    ("MAXERROR", "rows that cannot be loaded would go missing"),
    ("IGNOREALLERRORS", "rows that cannot be loaded would go missing"),
    ("NOLOAD", "nothing would be loaded"),
    ("ACCEPTANYDATE", "dates that cannot be read would become NULL"),
    ("EMPTYASNULL", "set `csv_empty_as_null` instead"),
    ("REGION", "set `staging_region` instead"),
    ("IAM_ROLE", "set `staging_iam_role` instead"),
    ("CREDENTIALS", "credentials are those of the staging destination"),
];

impl CopyOptions {
    /// Checks options.
    ///
    /// # Errors
    /// Why one of them is not taken. It may hold a secret in the wrong place, so no value is shown.
    pub(crate) fn read(texts: &[String]) -> Result<Self, String> {
        let mut options = Vec::new();
        for text in texts {
            let mut words = text.trim().splitn(2, char::is_whitespace);
            let name = words.next().unwrap_or_default().to_ascii_uppercase();
            let value = words.next().unwrap_or_default().trim();
            if let Some((name, reason)) = REFUSED.iter().find(|(refused, _)| *refused == name) {
                return Err(format!("{name} is not taken: {reason}"));
            }
            let Some(allowed) = ALLOWED.iter().find(|allowed| allowed.name == name) else {
                let names: Vec<&str> = ALLOWED.iter().map(|allowed| allowed.name).collect();
                return Err(format!("it may hold {}", names.join(", ")));
            };
            let Some(value) = allowed.values.iter().find_map(|pattern| matching(pattern, value))
            else {
                return Err(format!("{} has another value than it takes", allowed.name));
            };
            let option = match value.is_empty() {
                true => allowed.name.to_owned(),
                false => format!("{} {value}", allowed.name),
            };
            options.push((allowed, option));
        }
        Ok(Self { options })
    }

    /// Whether COPY takes all of them with this format.
    pub(crate) fn fit(&self, format: FileFormat) -> bool {
        format != FileFormat::Parquet || self.options.iter().all(|(allowed, _)| allowed.columnar)
    }

    /// As they stand in the statement.
    pub(crate) fn texts(&self) -> impl Iterator<Item = &str> {
        self.options.iter().map(|(_, text)| text.as_str())
    }
}

/// The value as it is written, where it matches the pattern.
fn matching(pattern: &str, value: &str) -> Option<String> {
    let character = |text: &str| {
        let inner = text.strip_prefix('\'')?.strip_suffix('\'')?;
        // The replacement is one character of ASCII, see ACCEPTINVCHARS.
        let is_one = inner.len() == 1 && inner.chars().all(|c| c.is_ascii_graphic());
        (is_one && !matches!(inner, "'" | "\\")).then(|| text.to_owned())
    };
    match pattern {
        "n" => value.parse::<u32>().ok().map(|number| number.to_string()),
        "'c'" => character(value),
        "AS 'c'" => {
            let (word, rest) = value.split_once(char::is_whitespace)?;
            let rest = character(rest.trim())?;
            word.eq_ignore_ascii_case("AS").then(|| format!("AS {rest}"))
        }
        word => word.eq_ignore_ascii_case(value).then(|| word.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(texts: &[&str]) -> Result<CopyOptions, String> {
        CopyOptions::read(&texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn known_options_are_written_anew() {
        let options =
            read(&["statupdate off", "ACCEPTINVCHARS as '?'", "comprows  1000", "ROUNDEC"]);
        let options = options.unwrap();
        let texts: Vec<&str> = options.texts().collect();
        assert_eq!(texts, ["STATUPDATE OFF", "ACCEPTINVCHARS AS '?'", "COMPROWS 1000", "ROUNDEC"]);
        assert!(!options.fit(FileFormat::Parquet) && options.fit(FileFormat::Jsonl));
        assert!(read(&["STATUPDATE ON"]).unwrap().fit(FileFormat::Parquet));
    }

    #[test]
    fn what_could_lose_rows_or_is_unknown_is_refused_without_its_value() {
        for (option, reason) in [
            ("maxerror 10", "go missing"),
            ("NOLOAD", "nothing would be loaded"),
            ("CREDENTIALS 'canary'", "staging destination"),
            ("canary", "it may hold"),
            ("", "it may hold"),
            ("STATUPDATE canary", "another value"),
            ("STATUPDATE ON; canary", "another value"),
            ("ACCEPTINVCHARS ''' canary", "another value"),
            ("ACCEPTINVCHARS AS", "another value"),
            ("COMPROWS -1", "another value"),
        ] {
            let refused = read(&[option]).unwrap_err();
            assert!(refused.contains(reason) && !refused.contains("canary"), "{option}: {refused}");
        }
    }
}
