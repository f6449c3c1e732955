//! One run of one system: a process, watched from outside, and what it says of itself.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::systems::{Kind, System};
use crate::failure::{Context, Failure, Outcome};
use crate::process;
use crate::workspace::Workspace;

/// What a run took.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Measured {
    /// Seconds of the whole process, its start included.
    pub(super) wall: f64,
    /// Seconds of all processors for the process and its children.
    pub(super) cpu: f64,
    /// Peak memory in bytes of the process and its children together.
    pub(super) memory: f64,
    /// Seconds of the work alone, by step: without the start of the process and what it imports.
    pub(super) steps: BTreeMap<String, f64>,
    /// Seconds of all processors of the work alone, where the process counts them.
    pub(super) work_cpu: Option<f64>,
    /// Rows by table.
    pub(super) rows: BTreeMap<String, u64>,
    /// The load of the machine before the run.
    pub(super) load: f64,
}

impl Measured {
    pub(super) fn work(&self) -> f64 {
        self.steps.values().sum()
    }

    pub(super) fn json(&self) -> Value {
        json!({
            "wall": self.wall, "cpu": self.cpu, "memory_bytes": self.memory, "steps": self.steps,
            "work_wall": self.work(), "work_cpu": self.work_cpu, "load": self.load,
        })
    }
}

pub(super) fn run(
    workspace: &Workspace,
    system: &System,
    command: &Command,
    scratch: &Path,
) -> Outcome<Measured> {
    let (usage, said) = watch(workspace, command, scratch)
        .map_err(|failure| Failure::new(format!("{}: {}", system.name, failure.report())))?;
    let (steps, work_cpu, rows) = match system.kind {
        Kind::Transload { .. } => of_receipt(&said)?,
        Kind::Dlt { .. } | Kind::DuckDb(_) => of_peer(&said)?,
    };
    let number = |name: &str| {
        usage[name].as_f64().ok_or_else(|| Failure::new(format!("nothing measured {name}")))
    };
    Ok(Measured {
        wall: number("wall")?,
        cpu: number("cpu")?,
        memory: number("tree_rss_bytes").or_else(|_| number("rss_bytes"))?,
        steps,
        work_cpu,
        rows,
        load: number("load")?,
    })
}

/// Runs a command below the script that measures it: what it used, and the JSON that it printed.
pub(super) fn watch(
    workspace: &Workspace,
    command: &Command,
    scratch: &Path,
) -> Outcome<(Value, Value)> {
    let (stdout, stderr) = (scratch.join("stdout"), scratch.join("stderr"));
    let mut watcher = Command::new("python3");
    watcher.arg(workspace.root().join("xtask/bench/measure.py"));
    watcher.arg("--stdout").arg(&stdout).arg("--stderr").arg(&stderr).arg("--");
    watcher.arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => watcher.env(name, value),
            None => watcher.env_remove(name),
        };
    }
    if let Some(folder) = command.get_current_dir() {
        watcher.current_dir(folder);
    }
    let unread = || "cannot read what the command was measured to use".to_owned();
    let usage: Value =
        serde_json::from_str(process::output(&mut watcher)?.trim()).context(unread)?;
    let read = |path: &Path| {
        fs::read_to_string(path).context(|| format!("cannot read {}", path.display()))
    };
    if usage["exit"] != 0 {
        let line = process::shown(command);
        return Err(Failure::new(format!("`{line}` failed\n{}", read(&stderr)?.trim())));
    }
    let said = serde_json::from_str(read(&stdout)?.trim())
        .context(|| "the command printed no JSON".to_owned())?;
    Ok((usage, said))
}

type Work = (BTreeMap<String, f64>, Option<f64>, BTreeMap<String, u64>);

/// The steps and the rows in the receipt that `transload run --output json` prints.
fn of_receipt(document: &Value) -> Outcome<Work> {
    let missing = || Failure::new(format!("no receipt in what transload printed: {document}"));
    let receipt = document["loads"].get(0).ok_or_else(missing)?;
    if receipt["status"] != "loaded" {
        return Err(missing());
    }
    let seconds = receipt["seconds"].as_object().ok_or_else(missing)?;
    let steps = seconds
        .iter()
        .filter_map(|(step, seconds)| Some((step.clone(), seconds.as_f64()?)))
        .collect();
    let tables = receipt["tables"].as_array().ok_or_else(missing)?;
    let rows = tables
        .iter()
        .filter_map(|table| Some((table["table"].as_str()?.to_owned(), table["rows"].as_u64()?)))
        .filter(|(table, _)| !table.starts_with('_'))
        .collect();
    Ok((steps, None, rows))
}

/// The same of a script in `xtask/bench`.
fn of_peer(document: &Value) -> Outcome<Work> {
    let unread = || "cannot read what the script printed".to_owned();
    let part = |name: &str| document[name].clone();
    let steps = serde_json::from_value(part("wall")).context(unread)?;
    let cpu: BTreeMap<String, f64> = serde_json::from_value(part("cpu")).context(unread)?;
    let rows = serde_json::from_value(part("rows")).context(unread)?;
    Ok((steps, Some(cpu.values().sum()), rows))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receipt_has_steps_and_rows() {
        let document = json!({"loads": [{
            "status": "loaded",
            "seconds": {"normalise": 1.5, "stage": 0.5},
            "tables": [{"table": "events", "rows": 3}, {"table": "_dlt_pipeline_state", "rows": 1}],
        }]});
        let (steps, cpu, rows) = of_receipt(&document).unwrap();
        assert_eq!((steps.values().sum::<f64>(), cpu), (2.0, None));
        assert_eq!(rows.into_iter().collect::<Vec<_>>(), [("events".to_owned(), 3)]);
        assert!(of_receipt(&json!({"loads": [{"status": "failed"}]})).is_err());
    }
}
