//! `test`: what CI runs, step by step, stopping at the first failure.

pub(crate) mod server_tests;
mod steps;

use std::time::{Duration, Instant};

use crate::failure::{Failure, Outcome};
use crate::metadata::Graph;
use crate::stack::{self, Environment, Server, Stack};
use crate::workspace::Workspace;
use steps::{STEPS, Step};

/// What the steps of one run share.
struct Session<'a> {
    workspace: &'a Workspace,
    graph: Option<Graph>,
    stack: Option<Stack>,
}

impl Session<'_> {
    fn graph(&mut self) -> Outcome<&Graph> {
        let graph = match self.graph.take() {
            Some(graph) => graph,
            None => Graph::load(self.workspace)?,
        };
        Ok(self.graph.insert(graph))
    }

    /// Starts the stack if no step has: each step can be repeated alone.
    fn environment(&mut self) -> Outcome<&Environment> {
        let stack = match self.stack.take() {
            Some(stack) => stack,
            None => stack::borrow(self.workspace, Server::ALL)?,
        };
        Ok(self.stack.insert(stack).environment())
    }
}

pub(crate) fn test_task(workspace: &Workspace, arguments: &[String]) -> Outcome {
    let chosen = choose(arguments)?;
    let mut session = Session { workspace, graph: None, stack: None };
    let result = run_all(&chosen, &mut session);
    // Before the last word, which must stay the last.
    drop(session);
    let durations = result?;
    let width = STEPS.iter().map(|step| step.name.len()).max().unwrap_or(0);
    println!();
    for (step, duration) in chosen.iter().zip(&durations) {
        println!("  {:<width$}  {:>7.1} s", step.name, duration.as_secs_f64());
    }
    println!("\nsteps: {} passed, 0 failed", chosen.len());
    Ok(())
}

/// The names of the steps, for the help text.
pub(crate) fn step_names() -> String {
    STEPS.iter().map(|step| step.name).collect::<Vec<_>>().join(" ")
}

/// The steps that were asked for, in the order of the list whatever the order of the words.
fn choose(names: &[String]) -> Outcome<Vec<&'static Step>> {
    if let Some(unknown) = names.iter().find(|name| !STEPS.iter().any(|step| step.name == **name)) {
        return Err(Failure::new(format!("no such step: {unknown}"))
            .with_hint(format!("there are: {}", step_names())));
    }
    let wanted = |step: &&Step| names.is_empty() || names.iter().any(|name| name == step.name);
    Ok(STEPS.iter().filter(wanted).collect())
}

fn run_all(steps: &[&Step], session: &mut Session<'_>) -> Outcome<Vec<Duration>> {
    let mut durations = Vec::new();
    for (index, step) in steps.iter().enumerate() {
        eprintln!("\n==> {} ({} of {}): {}", step.name, index + 1, steps.len(), step.about);
        let began = Instant::now();
        if let Err(failure) = (step.run)(session) {
            eprintln!("{}\n", failure.report());
            return Err(Failure::new(format!(
                "step `{0}` failed; to repeat it alone: cargo xtask test {0}",
                step.name
            )));
        }
        let duration = began.elapsed();
        eprintln!("==> {} passed in {:.1} s", step.name, duration.as_secs_f64());
        durations.push(duration);
    }
    Ok(durations)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(words: &[&str]) -> Vec<&'static str> {
        let words: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
        choose(&words).unwrap().iter().map(|step| step.name).collect()
    }

    #[test]
    fn no_names_mean_all_steps() {
        assert_eq!(names(&[]).len(), STEPS.len());
    }

    #[test]
    fn named_steps_keep_the_order_of_the_list() {
        assert_eq!(names(&["tidy", "fmt"]), ["fmt", "tidy"]);
        assert!(choose(&["nonsense".to_owned()]).is_err());
    }
}
