//! Which trials are made: one at every failpoint by name, others as far as the numbers go, and some by chance.

use std::collections::BTreeSet;

use transload::core::settings::Settings;
use transload::plugins;

use crate::case::{Case, Route, Way};
use crate::child::{Command, Destination, Fault, Orders, Report};
use crate::lab::{End, Lab, ONE, Process, program};
use crate::proxy::{Mishap, Proxy};
use crate::random::Random;
use crate::trial::{Disk, Hosts, Other, Strike, Trial, s3_endpoint};
use crate::visiting::Oddity;
use crate::workers;

/// How much is tried.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Numbers {
    pub(crate) kills: u64,
    pub(crate) answers: u64,
    pub(crate) zombies: usize,
    pub(crate) races: u64,
}

/// A case with the failpoints that its load passes.
struct Explored {
    case: Case,
    /// As it is used.
    points: Vec<String>,
    /// In a destination that is visited, between the calls.
    between: Vec<String>,
    /// Requests to S3.
    requests: usize,
}

/// The trials, and the names of all failpoints that there are in them.
pub(crate) fn plan(
    lab: &Lab,
    numbers: Numbers,
    random: &mut Random,
    with_s3: bool,
) -> (Vec<Trial>, BTreeSet<String>) {
    let cases = cases(with_s3);
    let explored = workers::map(cases, |case| explore(lab, *case));
    let names = explored.iter().flat_map(|one| one.points.iter().cloned()).collect();
    let mut trials = kills(&explored, numbers.kills, random);
    trials.extend(answers(&explored, numbers.answers, random));
    trials.extend(zombies(&explored, numbers.zombies, random));
    trials.extend(races(&explored, numbers.races));
    trials.extend(full_disks(&explored));
    // Those that take long are not all at the end.
    random.shuffle(&mut trials);
    (trials, names)
}

/// Every way that the destination claims, on every road.
fn cases(with_s3: bool) -> Vec<Case> {
    let registry = plugins::registry();
    let (_, create) = registry.destination("duckdb").expect("it is linked");
    let destination = create(&Settings::from_pairs("duckdb", &[])).expect("needs no settings");
    let (claimed, others): (Vec<Way>, Vec<Way>) =
        Way::ALL.into_iter().partition(|way| way.is_claimed(destination.capabilities()));
    if !others.is_empty() {
        println!("not claimed by the destination and left out: {others:?}");
    }
    let mut routes = vec![Route::Direct, Route::Folder];
    routes.extend(with_s3.then_some(Route::S3));
    let mut cases = Vec::new();
    for route in routes {
        for way in &claimed {
            // The first load of a dataset differs little from way to way.
            let starts = if *way == Way::Append { &[false, true][..] } else { &[false] };
            cases.extend(starts.iter().map(|fresh| Case { route, way: *way, fresh: *fresh }));
        }
    }
    cases
}

fn explore(lab: &Lab, case: Case) -> Explored {
    let passed = |destination, fault, endpoint| {
        let bench = lab.bench(case);
        let orders = Orders { destination, fault, endpoint, ..bench.orders(ONE, Command::Load) };
        match Process::start(&mut program(), &orders).end() {
            End::Done(Report { error: None, passed, .. }) => passed,
            end => panic!("{case} without a fault: {end:?}"),
        }
    };
    let proxy = (case.route == Route::S3).then(|| Proxy::start(&s3_endpoint(), None));
    let endpoint = proxy.as_ref().map(Proxy::endpoint);
    let points = passed(Destination::DuckDb, None, endpoint);
    let visited = Destination::Visited(Oddity::Plain);
    // A stop that never comes: what is counted are the points at which it could.
    let between = passed(visited, Some((usize::MAX, Fault::Stop)), None);
    Explored { case, points, between, requests: proxy.map_or(0, |proxy| proxy.requests()) }
}

/// Takes so many, one of every kind first.
fn choose<T>(mut all: Vec<(String, T)>, number: usize, random: &mut Random) -> Vec<T> {
    random.shuffle(&mut all);
    let mut kinds = BTreeSet::new();
    let (first, rest): (Vec<_>, Vec<_>) =
        all.into_iter().partition(|(kind, _)| kinds.insert(kind.clone()));
    first.into_iter().chain(rest).take(number).map(|(_, trial)| trial).collect()
}

/// One in so many is left to chance.
const CHANCE: u64 = 5;

const DUCKDB: Destination = Destination::DuckDb;
const VISITED: Destination = Destination::Visited(Oddity::Plain);

fn kills(explored: &[Explored], number: u64, random: &mut Random) -> Vec<Trial> {
    let mut all = Vec::new();
    for Explored { case, points, .. } in explored {
        let case = *case;
        for (place, name) in points.iter().enumerate() {
            let strikes = vec![Strike { at: place + 1, micros: None }];
            for disk in disks(case) {
                let strikes = strikes.clone();
                let trial = Trial::Kills { case, disk, strikes, destination: DUCKDB };
                all.push((name.clone(), trial));
            }
        }
    }
    let single = (number - number / CHANCE).min(all.len() as u64);
    let mut trials = choose(all, single as usize, random);
    // By chance: several in a row, at some time after a point, or between the calls.
    let mut left = number - single;
    while left > 0 {
        let Explored { case, points, between, .. } = random.pick(explored);
        let (destination, points) = match random.below(4) {
            0 => (VISITED, between.len() * 2),
            _ => (DUCKDB, points.len()),
        };
        let count = (1 + random.below(3) as u64).min(left);
        let strike = |random: &mut Random| Strike {
            at: 1 + random.below(points),
            micros: (random.below(2) == 0).then(|| random.below(3000) as u64),
        };
        let strikes = (0..count).map(|_| strike(random)).collect();
        let disk = *random.pick(&disks(*case));
        trials.push(Trial::Kills { case: *case, disk, strikes, destination });
        left -= count;
    }
    trials
}

/// Where a killed load can be finished.
fn disks(case: Case) -> Vec<Disk> {
    match case.route {
        Route::Direct => vec![Disk::Same],
        Route::Folder | Route::S3 => vec![Disk::Same, Disk::EmptyRunAgain, Disk::EmptyResume],
    }
}

/// Connection reset, no space left, input/output error.
const CODES: [i32; 3] = [104, 28, 5];

fn answers(explored: &[Explored], number: u64, random: &mut Random) -> Vec<Trial> {
    let mut all = Vec::new();
    for Explored { case, points, between, requests } in explored {
        let case = *case;
        for (place, name) in points.iter().enumerate() {
            let code = CODES[place % CODES.len()];
            let trial = Trial::Answer { case, destination: DUCKDB, at: place + 1, code };
            all.push((name.clone(), trial));
        }
        let calls = between.iter().filter(|name| name.starts_with("before the call")).count();
        for call in 1..=calls {
            let oddity = Oddity::Twice(call);
            all.push((format!("{oddity:?}"), Trial::Call { case, oddity }));
        }
        for calls in 1..=6 {
            let oddity = Oddity::Late(calls);
            all.push((format!("{oddity:?}"), Trial::Call { case, oddity }));
        }
        for at in 1..=*requests {
            for mishap in Mishap::ALL {
                let trial = Trial::Request { case, at, mishap };
                all.push((format!("{mishap:?} {at}"), trial));
            }
        }
    }
    let single = (number - number / CHANCE).min(all.len() as u64);
    let mut trials = choose(all, single as usize, random);
    // By chance: at any point of a visited destination, with any error.
    for _ in single..number {
        let Explored { case, points, .. } = random.pick(explored);
        let at = 1 + random.below(points.len() * 2);
        let (case, code) = (*case, *random.pick(&CODES));
        trials.push(Trial::Answer { case, destination: VISITED, at, code });
    }
    trials
}

fn zombies(explored: &[Explored], number: usize, random: &mut Random) -> Vec<Trial> {
    let mut all = Vec::new();
    for Explored { case, between, .. } in explored {
        let case = *case;
        for (place, name) in between.iter().enumerate() {
            for by in [Other::SameLoad, Other::OtherLoad] {
                let trial = Trial::Zombie { case, at: place + 1, by };
                all.push((format!("{name} {by:?}"), trial));
            }
        }
    }
    choose(all, number, random)
}

fn races(explored: &[Explored], number: u64) -> Vec<Trial> {
    let cases = explored.iter().map(|one| one.case).filter(|case| case.route != Route::S3);
    let meetings = cases.flat_map(|case| [Hosts::One, Hosts::Two].map(|hosts| (case, hosts)));
    let meetings: Vec<_> = meetings.collect();
    let rounds = (0..number).zip(meetings.iter().cycle());
    rounds.map(|(round, (case, hosts))| Trial::Race { case: *case, hosts: *hosts, round }).collect()
}

fn full_disks(explored: &[Explored]) -> Vec<Trial> {
    let mut trials = Vec::new();
    let cases = explored.iter().map(|one| one.case);
    for case in cases.filter(|case| case.route != Route::S3 && !case.fresh) {
        // The files of the package are small, that of the database is not.
        let blocks = match case.way {
            Way::Append => &[0, 1, 2, 4, 8, 16, 24, 32, 256, 600, 1200, 2400][..],
            _ => &[8, 1200],
        };
        trials.extend(blocks.iter().map(|blocks| Trial::FullDisk { case, blocks: *blocks }));
    }
    trials
}
