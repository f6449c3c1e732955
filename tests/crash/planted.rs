//! Whether a fault would be found: a destination that publishes rows apart from their load is loaded into.

use crate::case::{Case, Route, Way};
use crate::child::{Command, Destination, Orders, Report};
use crate::lab::{End, Lab, ONE};
use crate::trial::{Disk, Strike, Trial};
use crate::truth::Verdict;
use crate::visiting::Oddity;

/// What was not found of what is planted.
pub(crate) fn unfound(lab: &Lab) -> Vec<String> {
    let split = Destination::Visited(Oddity::Split);
    let mut unfound = Vec::new();
    for way in [Way::Append, Way::TruncateAndInsert] {
        let case = Case { route: Route::Direct, way, fresh: false };
        let bench = lab.bench(case);
        let orders = Orders { destination: split, ..bench.orders(ONE, Command::Load) };
        let End::Done(Report { error: None, passed, .. }) = bench.run(&orders) else {
            unfound.push(format!("{case}: the planted fault shows without a kill"));
            continue;
        };
        let place = passed.iter().position(|name| name == "after publish the rows alone");
        let strikes =
            vec![Strike { at: place.map_or(usize::MAX, |place| place + 1), micros: None }];
        let disk = Disk::Same;
        let trial = Trial::Kills { case, disk, strikes, destination: split };
        let Verdict { doubled, half_visible, .. } = trial.run(lab).verdict;
        // Rows that are replaced a second time are there once; that they came before their load is seen all the same.
        let found = half_visible > 0 && (way != Way::Append || doubled > 0);
        println!(
            "a planted fault, {case}: rows doubled {doubled}, half-visible loads {half_visible}"
        );
        if !found {
            unfound.push(format!(
                "{case}: rows that were published apart from their load were not found"
            ));
        }
    }
    unfound
}
