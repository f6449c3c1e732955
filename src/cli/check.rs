//! `config check`: the configuration as it is resolved, each value with its place, secrets hidden.

use std::fmt::Write as _;
use std::path::PathBuf;

use serde::Serialize;
use serde_json::json;
use transload_core::settings::{SettingKey, Settings};
use transload_core::{Error, ErrorKind, ErrorReport, Redactor, Registry, Result};

use super::args::Check;
use super::choice::{Choice, Resolved};
use super::show;
use super::{Document, Outcome, World, code, code_of};
use crate::SourceSettings;
use crate::config::{Layers, Line, State, report, warnings};
use crate::pipeline::{DestinationSettings, LoadSettings, NormalizeSettings, SchemaSettings};
use crate::plugins;

/// One table of the configuration.
#[derive(Debug, Serialize)]
struct Section {
    /// `destination.redshift`, `load`.
    section: String,
    /// The plugin behind it.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    plugin: Option<&'static str>,
    settings: Vec<Line>,
}

/// What was found.
#[derive(Debug, Default, Serialize)]
struct Findings {
    pipeline: Option<String>,
    /// Files that were read; the first has priority.
    files: Vec<PathBuf>,
    /// Files that would have been read but do not exist.
    absent_files: Vec<PathBuf>,
    sections: Vec<Section>,
    warnings: Vec<String>,
}

/// `transload config check`.
pub(super) fn check(world: &World, args: Check) -> Outcome {
    let registry = plugins::registry();
    let choice = match Choice::new(args.file.as_deref(), args.pipeline) {
        Ok(choice) => choice,
        Err(error) => return Outcome::failed(error.report()),
    };
    let layers = match choice.layers(world) {
        Ok(layers) => layers,
        Err(error) => return Outcome::failed(error.report()),
    };
    let mut findings = Findings {
        pipeline: choice.name.clone(),
        files: layers.files().map(PathBuf::from).collect(),
        absent_files: layers.absent_files().map(PathBuf::from).collect(),
        ..Findings::default()
    };
    let redactor = choice.redactor(world, &registry);
    let problems = problems(&choice, &layers, &registry, &mut findings);
    let mut reports: Vec<ErrorReport> = Vec::new();
    for problem in problems {
        let report = problem.redacted(&redactor).report();
        // What serves as destination and as staging destination is wrong once.
        if !reports.contains(&report) {
            reports.push(report);
        }
    }
    let error = one_of(&reports);
    let text = redactor.scrub(&text(&findings, error.is_none())).into_owned();
    let document = Document { text, json: json(&findings, error.as_ref(), &reports, &redactor) };
    let code = error.as_ref().map_or(code::DONE, |error| code_of(error.kind));
    Outcome { document, error, code }
}

/// Resolves everything and makes the destinations, and returns all that is wrong.
fn problems(
    choice: &Choice,
    layers: &Layers,
    registry: &Registry,
    findings: &mut Findings,
) -> Vec<Error> {
    let mut problems = Vec::new();
    let pipeline = choice.name.as_deref().unwrap_or_default();
    if choice.destinations.is_empty() {
        problems.push(Error::new(ErrorKind::Configuration, "no destination was chosen").with_hint(
            "name one: `--destination duckdb`, or `destination = \"duckdb\"` in a pipeline.toml",
        ));
    }
    for (is_staging, resolved) in choice.resolve(registry, layers) {
        match resolved {
            Err(error) => problems.push(error),
            Ok(resolved) => {
                let keys = resolved.plugin.settings;
                for warning in layers.ignored(pipeline, &resolved.name, keys) {
                    if !findings.warnings.contains(&warning) {
                        findings.warnings.push(warning);
                    }
                }
                problems.extend(look_at(&resolved, is_staging, registry, findings));
            }
        }
    }
    let destinations: Vec<[&str; 2]> =
        choice.destinations.iter().map(|name| ["destination", name.as_str()]).collect();
    let engine: [(&[&str], &'static [SettingKey]); 4] = [
        (&["load"], LoadSettings::KEYS),
        (&["normalize"], NormalizeSettings::KEYS),
        (&["schema"], SchemaSettings::KEYS),
        (&SourceSettings::SECTION, SourceSettings::KEYS),
    ];
    let shared = destinations.iter().map(|path| (&path[..], DestinationSettings::KEYS));
    for (path, keys) in shared.chain(engine) {
        match layers.resolve_section(pipeline, path, keys) {
            Ok(settings) => findings.put(path.join("."), None, &settings, keys),
            Err(error) => problems.push(error),
        }
    }
    for path in &destinations {
        problems.extend(layers.read_section::<DestinationSettings>(pipeline, path).err());
    }
    problems.extend(layers.read_section::<LoadSettings>(pipeline, &["load"]).err());
    problems.extend(layers.read_section::<NormalizeSettings>(pipeline, &["normalize"]).err());
    problems.extend(layers.read_section::<SchemaSettings>(pipeline, &["schema"]).err());
    let sources = layers.read_section::<SourceSettings>(pipeline, &SourceSettings::SECTION);
    problems.extend(sources.err());
    problems
}

/// Shows the settings of a destination, and names each that is missing. Where none is, it is made.
fn look_at(
    resolved: &Resolved,
    is_staging: bool,
    registry: &Registry,
    findings: &mut Findings,
) -> Vec<Error> {
    let Resolved { name, plugin, settings } = resolved;
    let section = format!("destination.{name}");
    if findings.sections.iter().any(|known| known.section == section) {
        // The same settings are those of both.
        return made(resolved, is_staging, registry).err().into_iter().collect();
    }
    findings.put(section, Some(plugin.name), settings, plugin.settings);
    findings.warnings.extend(warnings(settings, plugin.settings));
    let missing: Vec<Error> = report(settings, plugin.settings)
        .iter()
        .filter(|line| line.state == State::Missing)
        .map(|line| settings.missing(&line.key))
        .collect();
    if missing.is_empty() {
        made(resolved, is_staging, registry).err().into_iter().collect()
    } else {
        missing
    }
}

fn made(resolved: &Resolved, is_staging: bool, registry: &Registry) -> Result<()> {
    if is_staging {
        registry.staging(resolved.plugin.name)?.1(&resolved.settings).map(drop)
    } else {
        registry.destination(resolved.plugin.name)?.1(&resolved.settings).map(drop)
    }
}

impl Findings {
    fn put(
        &mut self,
        section: String,
        plugin: Option<&'static str>,
        settings: &Settings,
        keys: &[SettingKey],
    ) {
        let lines = report(settings, keys);
        match self.sections.iter_mut().find(|known| known.section == section) {
            Some(known) => known.settings.extend(lines),
            None => self.sections.push(Section { section, plugin, settings: lines }),
        }
    }
}

/// Several problems as one, each of them in full.
fn one_of(problems: &[ErrorReport]) -> Option<ErrorReport> {
    if let [] | [_] = problems {
        return problems.first().cloned();
    }
    let message = format!("{} things are wrong", problems.len());
    let mut report = Error::new(ErrorKind::Configuration, message).report();
    report.causes.extend(problems.iter().map(|problem| problem.to_string().replace("\n\n", "\n")));
    Some(report)
}

fn text(findings: &Findings, well: bool) -> String {
    let mut text = String::new();
    for section in &findings.sections {
        let plugin = section.plugin.map(|plugin| format!(" ({plugin})")).unwrap_or_default();
        let rows: Vec<Vec<String>> = section.settings.iter().map(cells).collect();
        let _ =
            writeln!(text, "[{}]{plugin}\n{}", section.section, show::columns(&rows, usize::MAX));
    }
    let paths = |paths: &[PathBuf]| match paths {
        [] => "none".to_owned(),
        paths => paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", "),
    };
    let _ = writeln!(text, "files read: {}", paths(&findings.files));
    let _ = writeln!(text, "files that do not exist: {}", paths(&findings.absent_files));
    for warning in &findings.warnings {
        let _ = writeln!(text, "warning: {warning}");
    }
    if well {
        text.push_str("the configuration is complete");
    }
    text.trim_end().to_owned()
}

fn cells(line: &Line) -> Vec<String> {
    let value = match line.state {
        State::Missing => "missing".to_owned(),
        State::Unset => "(none)".to_owned(),
        State::Set | State::Default => line.value_shown.clone().unwrap_or_default(),
    };
    let origin = line.origin.as_ref().map(ToString::to_string).unwrap_or_default();
    vec![line.key.clone(), value, origin]
}

fn json(
    findings: &Findings,
    error: Option<&ErrorReport>,
    errors: &[ErrorReport],
    redactor: &Redactor,
) -> serde_json::Value {
    let mut json = json!(findings);
    json["error"] = json!(error);
    json["errors"] = json!(errors);
    // What is shown is free of secrets as it is; a value that repeats one in an odd place is caught here.
    serde_json::from_str(&redactor.scrub(&json.to_string())).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_problems_are_shown_in_full() {
        let problem = |key: &str, line: u32| {
            Error::new(ErrorKind::Configuration, "there is no such setting")
                .with("key", key)
                .with("in", format!("config.toml:{line}"))
                .with_hint(format!("did you mean `{}`?", &key[..3]))
                .report()
        };
        let one = one_of(&[problem("urll", 3), problem("keyy", 7)]).unwrap();
        assert_eq!(
            one.to_string(),
            "2 things are wrong\n  \
               because: there is no such setting (key: urll, in: config.toml:3)\n           \
                        hint: did you mean `url`?\n  \
               because: there is no such setting (key: keyy, in: config.toml:7)\n           \
                        hint: did you mean `key`?"
        );
        assert_eq!(one_of(&[]), None);
        assert_eq!(one_of(&[problem("urll", 3)]), Some(problem("urll", 3)));
    }
}
