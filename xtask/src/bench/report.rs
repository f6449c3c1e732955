//! Medians, spreads and ratios of measured rounds.

use serde_json::{Value, json};

use super::measure::Measured;
use super::systems::{Kind, System};
use crate::failure::{Failure, Outcome};

/// The least, the middle and the greatest of some numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Spread {
    least: f64,
    median: f64,
    greatest: f64,
}

impl Spread {
    pub(super) fn of(numbers: impl IntoIterator<Item = f64>) -> Self {
        let mut numbers: Vec<f64> = numbers.into_iter().collect();
        numbers.sort_by(f64::total_cmp);
        let (lower, upper) = (numbers[(numbers.len() - 1) / 2], numbers[numbers.len() / 2]);
        Self {
            least: numbers[0],
            median: f64::midpoint(lower, upper),
            greatest: numbers[numbers.len() - 1],
        }
    }

    fn json(self) -> Value {
        json!({"min": self.least, "median": self.median, "max": self.greatest})
    }
}

/// One system in all rounds, and how many times more it took than the first one.
#[derive(Debug)]
struct Line {
    name: String,
    wall: Spread,
    cpu: Spread,
    memory: Spread,
    work: Spread,
    /// Wall, CPU, memory and work, against the first system of the same round.
    ratios: [Spread; 4],
    runs: Vec<Measured>,
}

#[derive(Debug)]
pub(super) struct Report {
    rows: u64,
    bytes: u64,
    cores: usize,
    load: Spread,
    lines: Vec<Line>,
}

impl Report {
    pub(super) fn new(
        rows: u64,
        bytes: u64,
        systems: &[&System],
        rounds: &[Vec<Measured>],
    ) -> Outcome<Self> {
        if systems.is_empty() {
            return Err(Failure::new("no system has such a name")
                .with_hint("leave --only out to see the names"));
        }
        same_rows(systems, rounds)?;
        let lines = systems.iter().enumerate().map(|(index, system)| {
            let all = |part: fn(&Measured) -> f64| {
                Spread::of(rounds.iter().map(|round| part(&round[index])))
            };
            let ratio = |part: fn(&Measured) -> f64| {
                Spread::of(rounds.iter().map(|round| part(&round[index]) / part(&round[0])))
            };
            let parts: [fn(&Measured) -> f64; 4] =
                [|run| run.wall, |run| run.cpu, |run| run.memory, Measured::work];
            Line {
                name: system.name.clone(),
                wall: all(parts[0]),
                cpu: all(parts[1]),
                memory: all(parts[2]),
                work: all(parts[3]),
                ratios: parts.map(ratio),
                runs: rounds.iter().map(|round| round[index].clone()).collect(),
            }
        });
        Ok(Self {
            rows,
            bytes,
            cores: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            load: Spread::of(rounds.iter().flatten().map(|run| run.load)),
            lines: lines.collect(),
        })
    }

    /// Whether other work on the machine makes the seconds of the wall worthless.
    fn is_noisy(&self) -> bool {
        // One of our own processes is counted too.
        self.load.median > self.cores as f64
    }

    pub(super) fn json(&self) -> Value {
        let lines = self.lines.iter().map(|line| {
            json!({
                "system": line.name,
                "wall": line.wall.json(), "cpu": line.cpu.json(), "memory_bytes": line.memory.json(),
                "work_wall": line.work.json(),
                "ratios": {
                    "wall": line.ratios[0].json(), "cpu": line.ratios[1].json(),
                    "memory": line.ratios[2].json(), "work_wall": line.ratios[3].json(),
                },
                "runs": line.runs.iter().map(Measured::json).collect::<Vec<_>>(),
            })
        });
        json!({
            "rows": self.rows, "bytes": self.bytes, "cores": self.cores, "load": self.load.json(),
            "is_noisy": self.is_noisy(), "systems": lines.collect::<Vec<_>>(),
        })
    }

    pub(super) fn text(&self) -> String {
        let megabytes = self.bytes as f64 / 1e6;
        let width = self.lines.iter().map(|line| line.name.chars().count()).max().unwrap_or(0);
        let mut text = format!(
            "{} rows, {megabytes:.1} MB of JSON lines, {} cores, load {:.1} to {:.1}\n\n\
             {:width$}    wall s (least…most)     work s      CPU s    memory MB   MB per s\n",
            self.rows, self.cores, self.load.least, self.load.greatest, ""
        );
        for line in &self.lines {
            text.push_str(&format!(
                "{:width$}  {:8.2} ({:.2}…{:.2})  {:9.2}  {:9.2}  {:11.0}  {:9.1}\n",
                line.name,
                line.wall.median,
                line.wall.least,
                line.wall.greatest,
                line.work.median,
                line.cpu.median,
                line.memory.median / 1e6,
                megabytes / line.wall.median,
            ));
        }
        text.push_str(&format!(
            "\nTimes as much as `{}`, in the same round: median (least…most)\n\n\
             {:width$}  wall                  work                  CPU                   memory\n",
            self.lines[0].name, ""
        ));
        for line in &self.lines[1..] {
            let [wall, cpu, memory, work] = line.ratios.map(|ratio| {
                format!("{:.2} ({:.2}…{:.2})", ratio.median, ratio.least, ratio.greatest)
            });
            text.push_str(&format!(
                "{:width$}  {wall:20}  {work:20}  {cpu:20}  {memory}\n",
                line.name
            ));
        }
        text.push_str(
            "\nwall and CPU are of whole processes, with their start; work is without the start of Python and its \
             imports.\n",
        );
        if self.is_noisy() {
            text.push_str(
                "warning: other work was on the machine: the seconds of the wall say little, those of the \
                 processors more.\n",
            );
        }
        text
    }
}

/// Whoever makes tables must make the same ones with the same numbers of rows.
fn same_rows(systems: &[&System], rounds: &[Vec<Measured>]) -> Outcome {
    let makes_tables =
        |system: &System| !matches!(system.kind, Kind::DuckDb("copy") | Kind::DuckDb("nested"));
    for round in rounds {
        let mut all = systems.iter().zip(round).filter(|(system, _)| makes_tables(system));
        let Some((first, expected)) = all.next() else { continue };
        for (system, run) in all {
            if run.rows != expected.rows {
                return Err(Failure::new(format!(
                    "{} made other rows than {}:\n{:?}\n{:?}",
                    system.name, first.name, run.rows, expected.rows
                )));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::systems::{Part, systems};

    fn run(wall: f64, rows: u64) -> Measured {
        Measured {
            wall,
            cpu: wall,
            memory: wall * 1e6,
            steps: [("work".to_owned(), wall)].into(),
            work_cpu: None,
            rows: [("events".to_owned(), rows)].into(),
            load: 1.0,
        }
    }

    #[test]
    fn the_median_of_an_even_number_is_between_two() {
        let spread = Spread::of([4.0, 1.0, 2.0, 3.0]);
        assert_eq!(spread, Spread { least: 1.0, median: 2.5, greatest: 4.0 });
    }

    #[test]
    fn ratios_are_taken_within_a_round() {
        let systems = systems(Part::Normalise, None);
        let systems: Vec<&System> = systems.iter().take(2).collect();
        let rounds = [vec![run(1.0, 1), run(2.0, 1)], vec![run(10.0, 1), run(30.0, 1)]];
        let report = Report::new(1, 1000, &systems, &rounds).unwrap();
        assert_eq!(report.lines[1].ratios[0], Spread { least: 2.0, median: 2.5, greatest: 3.0 });
        assert_eq!(report.json()["systems"][1]["ratios"]["wall"]["max"], 3.0);
        assert!(report.text().contains("2.50 (2.00…3.00)"), "{}", report.text());
    }

    #[test]
    fn other_rows_are_no_comparison() {
        let systems = systems(Part::Load, None);
        let systems: Vec<&System> = systems.iter().take(2).collect();
        assert!(Report::new(1, 1000, &systems, &[vec![run(1.0, 1), run(2.0, 2)]]).is_err());
    }
}
