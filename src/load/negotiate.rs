//! Which format the files take, and how the destination is let at them: one pure function over what both sides can do.

use serde::Serialize;
use transload_core::{
    AccessKind, Capabilities, DataType, Error, ErrorKind, FileFormat, MergeStrategy,
    ReplaceStrategy, Result, StagingCapabilities, StorageKind, WriteDisposition,
};

/// One side of a negotiation: its name, and what it can do.
pub(crate) type Side<'a, C> = (&'a str, &'a C);

/// How the files get into the destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Route {
    /// Their format.
    pub(crate) format: FileFormat,
    /// How.
    pub(crate) way: Way,
}

/// See [`Route`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Way {
    /// The destination loads local files.
    Direct,
    /// The destination copies from the staging storage.
    Staged(AccessKind),
    /// The destination copies local files only, so the engine fetches the staged ones and checks them on the way.
    Fetched,
}

/// Agrees on a format that is asked for, or on the first of the destination's that will do.
///
/// # Errors
/// [`ErrorKind::Unsupported`] where nothing will do; it shows both sides.
pub(crate) fn negotiate(
    destination: Side<'_, Capabilities>,
    staging: Option<Side<'_, StagingCapabilities>>,
    wanted: Option<FileFormat>,
    types: &[DataType],
) -> Result<Route> {
    let (name, capabilities) = destination;
    let (way, formats) = match staging {
        None => (Way::Direct, capabilities.loads.clone()),
        Some((_, staging)) => {
            way_through(capabilities, staging).unwrap_or((Way::Fetched, Vec::new()))
        }
    };
    let carried = |format: &FileFormat| {
        let made = *format != FileFormat::InsertValues || capabilities.literals.is_some();
        made && !types
            .iter()
            .any(|data_type| capabilities.not_carried.contains(&(*format, *data_type)))
    };
    let possible: Vec<FileFormat> = formats.iter().copied().filter(carried).collect();
    let chosen = match wanted {
        Some(wanted) => possible.iter().copied().find(|format| *format == wanted),
        None => possible.first().copied(),
    };
    if let Some(format) = chosen {
        return Ok(Route { format, way });
    }
    let mut error =
        Error::new(ErrorKind::Unsupported, "there is no way for the files into the destination")
            .with("destination", name)
            .with("it loads", names(&capabilities.loads))
            .with("it copies", sources(capabilities));
    if let Some((staging_name, staging)) = staging {
        error = error
            .with("staging", staging_name)
            .with("storage", staging.storage)
            .with("it stages", names(&staging.formats))
            .with("it gives", names_of_access(&staging.access));
    }
    if let Some(wanted) = wanted {
        error = error.with("asked for", wanted);
    }
    Err(error.with_hint(match (staging, wanted) {
        _ if !possible.is_empty() => format!("leave the format out, or take one of: {}", names(&possible)),
        (None, _) if capabilities.loads.is_empty() && !capabilities.copies.is_empty() => {
            "this destination needs a staging destination: add `--staging filesystem`".to_owned()
        }
        (Some(_), _) if capabilities.copies.is_empty() => {
            "this destination takes no staging destination: leave `--staging` out".to_owned()
        }
        (Some(_), _) => "point the staging destination's `bucket_url` to a storage that the destination copies from, or \
                         leave `--staging` out"
            .to_owned(),
        _ => "choose another destination".to_owned(),
    }))
}

/// Agrees on a format with which every destination can do: the one that is asked for, or the first of the first
/// destination's that the others take as well.
///
/// # Errors
/// As [`negotiate`].
pub(crate) fn agree(
    destinations: &[Side<'_, Capabilities>],
    staging: Option<Side<'_, StagingCapabilities>>,
    wanted: Option<FileFormat>,
    types: &[DataType],
) -> Result<FileFormat> {
    let Some((first, further)) = destinations.split_first() else {
        return Err(Error::new(ErrorKind::Bug, "there is no destination to agree with"));
    };
    let usual = negotiate(*first, staging, wanted, types)?.format;
    let refusal = |format| {
        let asked = further.iter().map(|side| negotiate(*side, staging, Some(format), types));
        asked.filter_map(Result::err).next()
    };
    let Some(refused) = refusal(usual) else { return Ok(usual) };
    if wanted.is_some() {
        return Err(refused);
    }
    let copied = first.1.copies.iter().flat_map(|source| &source.formats);
    let agreed = copied.copied().find(|format| {
        negotiate(*first, staging, Some(*format), types).is_ok() && refusal(*format).is_none()
    });
    agreed.ok_or(refused)
}

/// How a destination can be let at a storage, and the formats that both sides have, in the destination's order.
fn way_through(
    capabilities: &Capabilities,
    staging: &StagingCapabilities,
) -> Option<(Way, Vec<FileFormat>)> {
    let both = |formats: &[FileFormat]| {
        formats.iter().copied().filter(|f| staging.formats.contains(f)).collect()
    };
    let given = |access: &&AccessKind| access.is_brought_along() || staging.access.contains(access);
    for source in capabilities.copies.iter().filter(|source| source.storage == staging.storage) {
        if let Some(access) = source.access.iter().find(given) {
            return Some((Way::Staged(*access), both(&source.formats)));
        }
    }
    let local = capabilities.copies.iter().find(|source| {
        source.storage == StorageKind::Local && source.access.contains(&AccessKind::LocalPaths)
    })?;
    Some((Way::Fetched, both(&local.formats)))
}

/// Checks that a destination can do with a table what is asked, and completes what is left open.
///
/// # Errors
/// [`ErrorKind::Unsupported`] where it cannot.
pub(crate) fn check_disposition(
    destination: Side<'_, Capabilities>,
    table: &str,
    disposition: WriteDisposition,
    merge: Option<MergeStrategy>,
    replace: Option<ReplaceStrategy>,
) -> Result<Option<transload_core::Disposition>> {
    use transload_core::Disposition;

    let (name, capabilities) = destination;
    if disposition == WriteDisposition::Skip {
        return Ok(None);
    }
    let refused = |what: String, can: String| {
        Error::new(ErrorKind::Unsupported, format!("the destination cannot `{what}`"))
            .with("destination", name)
            .with("table", table)
            .with("it can", can)
    };
    if capabilities.write_dispositions.is_empty() {
        return Err(Error::new(ErrorKind::Unsupported, "loading into this destination is not written yet")
            .with("destination", name)
            .with_hint(
                "this build reads and checks its configuration, no more; `transload destinations` lists the others",
            ));
    }
    if !capabilities.write_dispositions.contains(&disposition) {
        let can = capabilities
            .write_dispositions
            .iter()
            .map(|d| d.as_str())
            .collect::<Vec<_>>()
            .join(", ");
        return Err(refused(disposition.as_str().to_owned(), can).with_hint(
            "choose a write disposition that it has, or another destination (`transload destinations` lists them)",
        ));
    }
    /// The word of a strategy, as it is written in configuration.
    fn word(strategy: impl Serialize) -> String {
        serde_json::to_value(strategy)
            .ok()
            .and_then(|value| value.as_str().map(str::to_owned))
            .unwrap_or_default()
    }
    fn pick<S: Copy + PartialEq>(asked: Option<S>, has: &[S]) -> Option<S> {
        match asked {
            Some(asked) => has.iter().copied().find(|strategy| *strategy == asked),
            None => has.first().copied(),
        }
    }
    fn words<S: Serialize>(strategies: &[S]) -> String {
        strategies.iter().map(word).collect::<Vec<_>>().join(", ")
    }
    match disposition {
        WriteDisposition::Replace => pick(replace, &capabilities.replace_strategies)
            .map(|strategy| Some(Disposition::Replace(strategy)))
            .ok_or_else(|| {
                refused(
                    replace.map_or("replace".into(), word),
                    words(&capabilities.replace_strategies),
                )
            }),
        WriteDisposition::Merge => pick(merge, &capabilities.merge_strategies)
            .map(|strategy| Some(Disposition::Merge(strategy)))
            .ok_or_else(|| {
                refused(merge.map_or("merge".into(), word), words(&capabilities.merge_strategies))
            }),
        _ => Ok(Some(Disposition::Append)),
    }
}

fn names(formats: &[FileFormat]) -> String {
    if formats.is_empty() {
        return "nothing".to_owned();
    }
    formats.iter().map(|format| format.as_str()).collect::<Vec<_>>().join(", ")
}

fn names_of_access(access: &[AccessKind]) -> String {
    access.iter().map(|access| access.as_str()).collect::<Vec<_>>().join(", ")
}

fn sources(capabilities: &Capabilities) -> String {
    if capabilities.copies.is_empty() {
        return "nothing".to_owned();
    }
    let one = |source: &transload_core::CopySource| {
        format!(
            "{} from {} by {}",
            names(&source.formats),
            source.storage,
            names_of_access(&source.access)
        )
    };
    capabilities.copies.iter().map(one).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use transload_core::{CopySource, Disposition};

    fn warehouse() -> Capabilities {
        Capabilities {
            loads: vec![FileFormat::InsertValues],
            copies: vec![CopySource {
                storage: StorageKind::S3,
                formats: vec![FileFormat::Parquet, FileFormat::Jsonl],
                access: vec![AccessKind::Role, AccessKind::Credentials],
            }],
            not_carried: vec![(FileFormat::Parquet, DataType::Time)],
            write_dispositions: vec![WriteDisposition::Append, WriteDisposition::Replace],
            replace_strategies: vec![ReplaceStrategy::InsertFromStaging],
            ..Capabilities::default()
        }
    }

    fn embedded() -> Capabilities {
        Capabilities {
            loads: vec![FileFormat::Parquet],
            copies: vec![CopySource {
                storage: StorageKind::Local,
                formats: vec![FileFormat::Parquet, FileFormat::Csv],
                access: vec![AccessKind::LocalPaths],
            }],
            ..Capabilities::default()
        }
    }

    fn store(storage: StorageKind, access: AccessKind) -> StagingCapabilities {
        StagingCapabilities {
            storage,
            formats: FileFormat::ALL.to_vec(),
            access: vec![access],
            max_parallel_uploads: None,
        }
    }

    #[test]
    fn the_destinations_first_format_is_taken() {
        let store = store(StorageKind::S3, AccessKind::Credentials);
        let route = negotiate(("w", &warehouse()), Some(("fs", &store)), None, &[]).unwrap();
        assert_eq!(
            route,
            Route { format: FileFormat::Parquet, way: Way::Staged(AccessKind::Role) }
        );
    }

    #[test]
    fn without_a_role_of_its_own_a_destination_takes_what_the_storage_gives() {
        let mut warehouse = warehouse();
        warehouse.copies[0].access = vec![AccessKind::SignedUrls, AccessKind::Credentials];
        let store = store(StorageKind::S3, AccessKind::Credentials);
        let route = negotiate(("w", &warehouse), Some(("fs", &store)), None, &[]).unwrap();
        assert_eq!(route.way, Way::Staged(AccessKind::Credentials));
    }

    #[test]
    fn a_type_that_a_format_does_not_carry_leads_to_the_next() {
        let store = store(StorageKind::S3, AccessKind::Role);
        let route =
            negotiate(("w", &warehouse()), Some(("fs", &store)), None, &[DataType::Time]).unwrap();
        assert_eq!(route.format, FileFormat::Jsonl);
    }

    #[test]
    fn what_only_reads_local_files_has_staged_ones_fetched() {
        let remote = store(StorageKind::S3, AccessKind::Credentials);
        let route =
            negotiate(("d", &embedded()), Some(("fs", &remote)), Some(FileFormat::Csv), &[])
                .unwrap();
        assert_eq!(route, Route { format: FileFormat::Csv, way: Way::Fetched });
        let local = store(StorageKind::Local, AccessKind::LocalPaths);
        let route = negotiate(("d", &embedded()), Some(("fs", &local)), None, &[]).unwrap();
        assert_eq!(route.way, Way::Staged(AccessKind::LocalPaths));
    }

    #[test]
    fn a_refusal_shows_both_sides() {
        let local = store(StorageKind::Local, AccessKind::LocalPaths);
        let error =
            negotiate(("redshift", &warehouse()), Some(("fs", &local)), None, &[]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert_eq!(error.context("it copies"), Some("parquet, jsonl from s3 by role, credentials"));
        assert_eq!(error.context("storage"), Some("local"));
        assert!(error.hint().unwrap().contains("bucket_url"));
    }

    #[test]
    fn insert_values_need_literals() {
        let error = negotiate(("w", &warehouse()), None, None, &[]).unwrap_err();
        assert_eq!(error.context("it loads"), Some("insert_values"));
    }

    #[test]
    fn a_wanted_format_that_will_not_do_lists_those_that_will() {
        let error = negotiate(("d", &embedded()), None, Some(FileFormat::Jsonl), &[]).unwrap_err();
        assert_eq!(error.hint(), Some("leave the format out, or take one of: parquet"));
    }

    #[test]
    fn a_disposition_is_completed_or_refused() {
        let warehouse = warehouse();
        let check = |disposition, replace| {
            check_disposition(("w", &warehouse), "t", disposition, None, replace)
        };
        assert_eq!(check(WriteDisposition::Append, None).unwrap(), Some(Disposition::Append));
        assert_eq!(
            check(WriteDisposition::Replace, None).unwrap(),
            Some(Disposition::Replace(ReplaceStrategy::InsertFromStaging))
        );
        assert_eq!(check(WriteDisposition::Skip, None).unwrap(), None);
        let error = check(WriteDisposition::Merge, None).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the destination cannot `merge` (destination: w, table: t, it can: append, replace)"
        );
        let error =
            check(WriteDisposition::Replace, Some(ReplaceStrategy::TruncateAndInsert)).unwrap_err();
        assert_eq!(error.context("it can"), Some("insert-from-staging"));
    }
}
