//! `bench memory`: how much memory JSON lines of any length need on their way to Parquet.

use serde_json::{Value, json};

use super::systems::{self, Part};
use super::{Options, events, measure, program};
use crate::failure::{Context, Failure, Outcome};
use crate::folder;
use crate::workspace::Workspace;

/// About what an event has, with its line end.
const BYTES_PER_ROW: f64 = 1129.0;

pub(super) fn memory(workspace: &Workspace, options: &Options) -> Outcome {
    let program = program(workspace, options)?;
    let scratch = workspace.cache()?.join("bench").join(format!("work-{}", std::process::id()));
    folder::remove(&scratch)?;
    folder::create(&scratch)?;
    // Not among the data that is kept: it is large, and needed once.
    let input = scratch.join("events.jsonl");
    let outcome = measured(workspace, options, &program, &input, &scratch);
    folder::remove(&scratch)?;
    let found = outcome?;
    if options.is_json {
        println!("{found:#}");
    } else {
        let number = |name: &str| found[name].as_f64().unwrap_or_default();
        println!(
            "{:.2} GB of JSON lines to staged Parquet: {:.1} s, {:.1} s of CPU, at most {:.0} MB of memory",
            number("bytes") / 1e9,
            number("wall"),
            number("cpu"),
            number("memory_bytes") / 1e6
        );
    }
    Ok(())
}

fn measured(
    workspace: &Workspace,
    options: &Options,
    program: &std::path::Path,
    input: &std::path::Path,
    scratch: &std::path::Path,
) -> Outcome<Value> {
    let rows = (options.gigabytes * 1e9 / BYTES_PER_ROW).ceil() as u64;
    eprintln!("bench: writing {rows} events, {} GB", options.gigabytes);
    events::write(input, rows)?;
    let bytes = std::fs::metadata(input).context(|| "cannot look at the data".to_owned())?.len();
    eprintln!("bench: loading them");
    let command =
        systems::transload(program, Part::Normalise, false, options.workers, input, scratch);
    let (usage, said) = measure::watch(workspace, &command, scratch)?;
    let loaded = said["loads"][0]["tables"].as_array().into_iter().flatten();
    let loaded = loaded.filter(|table| table["table"] == "events").find_map(|t| t["rows"].as_u64());
    if loaded != Some(rows) {
        return Err(Failure::new(format!("{rows} rows went in, and {loaded:?} came out")));
    }
    Ok(json!({
        "rows": rows, "bytes": bytes, "wall": usage["wall"], "cpu": usage["cpu"],
        "memory_bytes": usage["rss_bytes"], "load": usage["load"],
    }))
}
