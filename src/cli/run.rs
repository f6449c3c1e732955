//! `run` and `resume`.

use std::path::Path;

use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};
use transload_core::{Error, ErrorKind, ErrorReport, LoadId, Redactor, Result, WriteDisposition};

use super::args::{Progress, Replay, Resume, Run};
use super::choice::Choice;
use super::file::{IncrementalEntry, ResourceEntry};
use super::log::Log;
use super::progress::watcher;
use super::terminal::Terminal;
use super::{Document, Outcome, World, code, code_of, info, no_threads, show};
use crate::incremental::{CursorValue, Incremental};
use crate::package::{Package, PackageStatus, WorkingFolder};
use crate::{LoadInfo, LoadStatus, Pipeline, Receipt, Resource, RunError, Stop, plugins};

/// `transload run`.
pub(super) fn run(world: &World, mut args: Run, log: &Log) -> Outcome {
    let flags = std::mem::take(&mut args.pipeline);
    let choice = Choice::new(args.file.as_deref(), flags);
    let mut choice = match choice {
        Ok(choice) => choice,
        Err(error) => return failed(None, error.report()),
    };
    choice.import_schema_path = args.import_schema_path.take().or(choice.import_schema_path);
    choice.export_schema_path = args.export_schema_path.take().or(choice.export_schema_path);
    choice.schema_contract = args.schema_contract.or(choice.schema_contract);
    let result = resources(&choice, &args)
        .and_then(|resources| Ok((open(world, &choice, &args.watch.progress, log)?, resources)));
    match result {
        Ok((opened, resources)) => {
            drive(world, &opened, async |pipeline| pipeline.run(resources).await)
        }
        Err(error) => failed(choice.name, error.report()),
    }
}

/// `transload resume`.
pub(super) fn resume(world: &World, args: Resume, log: &Log) -> Outcome {
    let (file, load) = match file_and_load(&args.what) {
        Ok(both) => both,
        Err(error) => return failed(args.pipeline.pipeline_name, error.report()),
    };
    let mut choice = match Choice::new(file.map(Path::new), args.pipeline) {
        Ok(choice) => choice,
        Err(error) => return failed(None, error.report()),
    };
    match pending(world, &mut choice, load) {
        Ok(None) => {}
        Ok(Some(done)) => return outcome(&done, None),
        Err(error) => return failed(choice.name, error.report()),
    }
    match open(world, &choice, &args.watch.progress, log) {
        Ok(opened) => drive(world, &opened, async |pipeline| match load {
            Some(load) => pipeline.resume_load(&LoadId::new(load)).await,
            None => pipeline.resume().await,
        }),
        Err(error) => failed(choice.name, error.report()),
    }
}

/// `transload replay`.
pub(super) fn replay(world: &World, args: Replay, log: &Log) -> Outcome {
    let (file, load) = match file_and_load(&args.what) {
        Ok(both) => both,
        Err(error) => return failed(args.pipeline.pipeline_name, error.report()),
    };
    let load = load.map(LoadId::new);
    let opened = Choice::new(file.map(Path::new), args.pipeline)
        .and_then(|choice| open(world, &choice, &args.watch.progress, log));
    match opened {
        Ok(opened) => drive(world, &opened, async |pipeline| {
            pipeline.replay(args.from_dataset.as_deref(), load.as_ref()).await
        }),
        Err(error) => failed(None, error.report()),
    }
}

/// The file and the load among the arguments, which tell themselves apart.
fn file_and_load(what: &[String]) -> Result<(Option<&str>, Option<&str>)> {
    let (files, loads): (Vec<&str>, Vec<&str>) =
        what.iter().map(String::as_str).partition(|what| what.ends_with(".toml"));
    match (&files[..], &loads[..]) {
        ([] | [_], [] | [_]) => Ok((files.first().copied(), loads.first().copied())),
        _ => Err(Error::new(
            ErrorKind::Configuration,
            "one load of one pipeline can be named at a time",
        )
        .with("given", what.join(", "))
        .with_hint("without a load, all that are pending are meant")),
    }
}

/// Takes from the packages what neither the file nor the flags say, and checks that the load that is asked for is
/// among them or can be in the storage. Returns what there is to say where nothing is left to do.
fn pending(world: &World, choice: &mut Choice, load: Option<&str>) -> Result<Option<LoadInfo>> {
    let name = choice.name()?.to_owned();
    let folder = WorkingFolder::of(&world.pipelines_dir(choice.pipelines_dir.as_deref()), &name);
    let packages = folder.packages()?;
    let pending: Vec<&Package> =
        packages.iter().filter(|package| package.status == PackageStatus::Pending).collect();
    let named = packages.iter().find(|package| load == Some(package.load_id.as_str()));
    let named = named.filter(|package| package.status == PackageStatus::SetAside);
    if let Some(first) = pending.first().copied().or(named) {
        let receipt = info::receipt_of(first)?;
        if choice.destinations.is_empty() {
            // What a load was staged by belongs to where it goes: both are taken from it or none.
            choice.destinations = vec![receipt.destination.name];
            choice.staging =
                choice.staging.take().or_else(|| receipt.staging.map(|staging| staging.name));
        }
        choice.dataset_name.get_or_insert(receipt.dataset);
    }
    let done = |loads: Vec<Receipt>| Some(LoadInfo { pipeline: name.clone(), loads });
    let Some(load) = load else {
        // Whoever loaded from here and has nothing pending need not say where it went.
        let nothing = choice.destinations.is_empty() && !packages.is_empty();
        return Ok(done(Vec::new()).filter(|_| nothing));
    };
    let found = packages.iter().find(|package| package.load_id.as_str() == load);
    match found.map(|package| package.status) {
        // What is set aside is refused with what to do; what is not here may be in the storage.
        Some(PackageStatus::Pending | PackageStatus::SetAside) => Ok(None),
        None if choice.staging.is_some() => Ok(None),
        Some(PackageStatus::Loaded) => {
            let receipt = found.map(info::receipt_of).transpose()?;
            Ok(done(receipt.into_iter().collect()))
        }
        _ => {
            let names: Vec<&str> = pending.iter().map(|package| package.load_id.as_str()).collect();
            Err(Error::new(ErrorKind::Configuration, "there is no such load to resume")
                .with("load", load)
                .with("pipeline", &name)
                .with("pending", if names.is_empty() { "none".to_owned() } else { names.join(", ") })
                .with("folder", folder.path().display())
                .with_hint(
                    "`transload status` shows what is pending; `--pipelines-dir` names another folder; with `--staging` \
                     the load is looked for in the storage, too",
                ))
        }
    }
}

/// A pipeline that is ready to run, with what takes secrets out of its errors.
struct Opened {
    pipeline: Pipeline,
    redactor: Redactor,
}

fn open(world: &World, choice: &Choice, progress: &Option<Progress>, log: &Log) -> Result<Opened> {
    choice.name()?;
    let redactor = choice.redactor(world, &plugins::registry());
    log.hide(redactor.clone());
    let progress = progress.or(choice.file.progress).unwrap_or_default();
    let pipeline = choice
        .build(world, watcher(progress, &world.terminal))
        .map_err(|error| error.redacted(&redactor))?;
    Ok(Opened { pipeline, redactor })
}

/// Runs the work of a pipeline until it ends or is ended by signals.
fn drive<W>(world: &World, opened: &Opened, work: W) -> Outcome
where
    W: AsyncFnOnce(&Pipeline) -> Result<LoadInfo, RunError>,
{
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            let report = no_threads(error).report();
            return failed(Some(opened.pipeline.name().to_owned()), report);
        }
    };
    let result = runtime.block_on(async {
        heed_signals(&world.terminal, opened.pipeline.stop_handle());
        work(&opened.pipeline).await
    });
    // A thread may still wait for the standard input, which need not ever end.
    runtime.shutdown_background();
    match result {
        Ok(info) => outcome(&info, None),
        Err(failed) => {
            outcome(&failed.info, Some(failed.error.redacted(&opened.redactor).report()))
        }
    }
}

/// The first signal asks the run to end, the second one ends the process.
fn heed_signals(terminal: &Terminal, stop: Stop) {
    let signals = [SignalKind::interrupt(), SignalKind::terminate()].map(signal);
    let [Ok(mut interrupt), Ok(mut terminate)] = signals else {
        terminal.warning(
            "signals cannot be caught: one ends the process at once; what is sealed can be resumed",
        );
        return;
    };
    let terminal = terminal.clone();
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if stop.is_stopped() {
                terminal.say("stopped; what was sealed can be resumed");
                std::process::exit(i32::from(code::RESUMABLE));
            }
            // Said first: a run that is about to end would end without it.
            terminal.say("stopping after the current step; once more to stop at once");
            stop.stop();
        }
    });
}

/// What a run came to, with its exit code.
fn outcome(info: &LoadInfo, mut error: Option<ErrorReport>) -> Outcome {
    let status = info.loads.last().map(|receipt| receipt.status);
    if let Some(error) = error.as_mut().filter(|_| status == Some(LoadStatus::Pending)) {
        let resume = "the load is sealed: once the cause is gone, `transload resume` or the next run finishes it";
        error.hint.get_or_insert_with(|| resume.to_owned());
        let load = info.loads.last().and_then(|receipt| receipt.load_id.as_ref());
        if let (Some(hint), Some(load), true) = (&mut error.hint, load, stays(error.kind)) {
            let name = &info.pipeline;
            hint.push_str(&format!(
                "\n`transload package set-aside {load} --pipeline-name {name}` lets later runs go on without it"
            ));
        }
    }
    let is_whole = info.loads.iter().all(|receipt| receipt.set_aside.is_empty());
    let done = if is_whole { code::DONE } else { code::SET_ASIDE };
    let code = error.as_ref().map_or(done, |error| code_of_run(error.kind, status));
    let text =
        if error.is_some() && info.loads.is_empty() { String::new() } else { show::loads(info) };
    let json = json!({ "pipeline": info.pipeline, "loads": info.loads, "error": error });
    Outcome { document: Document { text, json }, error, code }
}

/// Whether a load that failed like this fails again, so that it blocks those after it.
pub(super) fn stays(kind: ErrorKind) -> bool {
    !matches!(
        kind,
        ErrorKind::Transient
            | ErrorKind::Interrupted
            | ErrorKind::OutcomeUnknown
            | ErrorKind::Fenced
    )
}

/// Whatever ended a load whose package is sealed: once its cause is gone, a resume finishes it.
fn code_of_run(kind: ErrorKind, last: Option<LoadStatus>) -> u8 {
    match last {
        Some(LoadStatus::Pending) => code::RESUMABLE,
        _ => code_of(kind),
    }
}

/// A run that failed before there was a pipeline.
fn failed(pipeline: Option<String>, error: ErrorReport) -> Outcome {
    let json = json!({ "pipeline": pipeline, "loads": Value::Array(Vec::new()), "error": error });
    Outcome {
        code: code_of(error.kind),
        document: Document { text: String::new(), json },
        error: Some(error),
    }
}

/// The resources of the file, or the one of the flags.
fn resources(choice: &Choice, args: &Run) -> Result<Vec<Resource>> {
    let by_flags = args.table.as_ref().map(|table| ResourceEntry {
        table: table.clone(),
        source: super::file::Texts(args.source.clone()),
        ..ResourceEntry::default()
    });
    let entries = match &by_flags {
        Some(entry) => std::slice::from_ref(entry),
        None => &choice.file.resources,
    };
    entries.iter().map(|entry| resource(entry, choice, args)).collect()
}

fn resource(entry: &ResourceEntry, choice: &Choice, args: &Run) -> Result<Resource> {
    let name = entry.name.as_ref().unwrap_or(&entry.table);
    let keys = |flags: &[String], entry: &[String]| {
        let keys = if flags.is_empty() { entry } else { flags };
        keys.iter().map(|key| key.trim().to_owned()).collect::<Vec<_>>()
    };
    let mut resource = Resource::files(name, &entry.source.0)
        .table_name(&entry.table)
        .primary_key(keys(&args.primary_key, &entry.primary_key.0))
        .merge_key(keys(&args.merge_key, &entry.merge_key.0))
        .columns(entry.columns());
    if let Some(format) = args.source_format.or(entry.format) {
        resource = resource.source_format(format);
    }
    if let Some(csv) = &entry.csv {
        resource = resource.csv(csv.clone());
    }
    if let Some(path) = &entry.path {
        resource = resource.source_path(path);
    }
    resource = entry.give_hints(resource);
    let of_file = entry.write_disposition.clone();
    let own_strategy = entry.merge_strategy.or(of_file.as_ref().and_then(|file| file.strategy));
    let merges = |asked: WriteDisposition| asked == WriteDisposition::Merge;
    let own_strategy = own_strategy.filter(|_| args.write_disposition.is_none_or(merges));
    if let Some(disposition) =
        args.write_disposition.or(of_file.as_ref().map(|file| file.disposition))
    {
        resource = resource.write_disposition(disposition);
    }
    if let Some(strategy) = args.merge_strategy.or(own_strategy) {
        resource = resource.merge_strategy(strategy);
    }
    // A flag that says otherwise takes the place of all that the file says of the merge.
    if args.write_disposition.is_none() && args.merge_strategy.is_none() {
        resource = resource.merge_options(of_file.map(|file| file.options).unwrap_or_default());
    }
    if let Some(strategy) = entry.replace_strategy {
        resource = resource.replace_strategy(strategy);
    }
    // What is asked of the whole run goes for its tables too, as in dlt: else an older contract of theirs would count.
    if let Some(contract) =
        args.schema_contract.or(entry.schema_contract).or(choice.schema_contract)
    {
        resource = resource.schema_contract(contract);
    }
    if let Some(levels) = entry.max_table_nesting {
        resource = resource.max_table_nesting(levels);
    }
    if let Some(format) = args.loader_file_format.or(choice.file.loader_file_format) {
        resource = resource.loader_file_format(format);
    }
    let by_flag = args.incremental.as_ref().map(|path| {
        let incremental = Incremental::new(path);
        match &args.initial_value {
            Some(text) => incremental.initial_value(cursor_value(text)),
            None => incremental,
        }
    });
    let by_entry = || entry.incremental.as_ref().map(IncrementalEntry::incremental);
    if let Some(incremental) = by_flag.or_else(by_entry) {
        resource = resource.incremental(incremental);
    }
    if args.new_files_only || entry.incremental_files {
        resource = resource.only_new_files();
    }
    Ok(resource)
}

/// A number or a truth value of JSON, a text in its quotes; anything else is the text that it is.
fn cursor_value(text: &str) -> CursorValue {
    match serde_json::from_str(text) {
        Ok(Value::Bool(value)) => value.into(),
        Ok(Value::String(text)) => text.into(),
        Ok(Value::Number(number)) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
            (Some(value), _, _) => value.into(),
            (_, Some(value), _) => value.into(),
            (_, _, Some(value)) => value.into(),
            _ => text.into(),
        },
        _ => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_resumed_has_a_code_of_its_own() {
        use ErrorKind::{BadData, Configuration, Interrupted, Terminal as Final, Transient};
        let pending = Some(LoadStatus::Pending);
        assert_eq!(code_of_run(Transient, pending), 3);
        assert_eq!(code_of_run(Final, pending), 3);
        assert_eq!(code_of_run(Transient, Some(LoadStatus::Failed)), 1);
        assert_eq!(code_of_run(Interrupted, None), 3);
        assert_eq!(code_of_run(BadData, Some(LoadStatus::Failed)), 1);
        assert_eq!(code_of_run(Configuration, None), 2);
    }

    #[test]
    fn an_initial_value_is_a_number_where_it_is_one() {
        for (text, value) in [
            ("5", CursorValue::from(5_i64)),
            ("-1.5", CursorValue::from(-1.5)),
            ("18446744073709551615", CursorValue::from(u64::MAX)),
            ("true", CursorValue::from(true)),
            ("\"5\"", CursorValue::from("5")),
            ("2024-01-01", CursorValue::from("2024-01-01")),
            ("null", CursorValue::from("null")),
            ("", CursorValue::from("")),
        ] {
            assert_eq!(cursor_value(text), value, "{text}");
        }
    }
}
