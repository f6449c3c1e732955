//! The search: every state that can be reached, what is wrong with it, and whether a good end can still be reached.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasherDefault, Hasher};

use super::loader::{Event, Events};
use super::state::{At, State, bit};
use super::{Design, Scenario};

/// What must never happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Wrong {
    /// A row is there twice.
    Doubled,
    /// A load is published or recorded as done, and its rows are not there.
    Lost,
    /// Older rows have taken the place of newer ones.
    Reordered,
    /// Some tables have the rows of a load and others do not, or nothing proves that it is published.
    HalfVisible,
    /// Something was removed that a load needs that is not published.
    RemovedTooEarly,
    /// The storage has the manifest of a load and not all of its files.
    ManifestTooEarly,
    /// An answer was lost, nothing came late, and that alone made a publication fail.
    Refused,
    /// From here no load can be finished any more, even if nothing fails.
    DeadEnd,
}

/// What a search has found.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) states: usize,
    /// For each kind the shortest way there.
    pub(super) wrong: BTreeMap<Wrong, Vec<&'static str>>,
}

/// Searches all states. With `until` it ends where the first one is found that is wrong in this way.
pub(super) fn search(design: &Design, scenario: &Scenario, until: Option<Wrong>) -> Found {
    let begin = State::new(scenario.loads_of.map(|loads| scenario.all_loads() & !loads));
    let begin = Events { design, scenario, before: begin, found: Vec::new() }.begun();
    let mut states = vec![begin];
    let mut known: HashMap<State, u32, BuildHasherDefault<Mix>> = HashMap::default();
    known.insert(begin, 0);
    let mut came_from: Vec<(u32, &'static str)> = vec![(0, "")];
    let mut healthy: Vec<(u32, u32)> = Vec::new();
    let mut good: Vec<u32> = Vec::new();
    let mut wrong: BTreeMap<Wrong, u32> = BTreeMap::new();
    let mut events = Vec::new();
    let mut at = 0;
    while at < states.len() {
        let before = states[at];
        let index = at as u32;
        at += 1;
        let found = scenario.wrongs(&before);
        for kind in &found {
            wrong.entry(*kind).or_insert(index);
        }
        if until.is_some_and(|until| wrong.contains_key(&until)) {
            break;
        }
        // What follows from a wrong state shows nothing more, unless something else is looked for.
        if !found.is_empty() && until.is_none() {
            continue;
        }
        if scenario.is_good_end(&before) {
            good.push(index);
        }
        let mut next = Events { design, scenario, before, found: std::mem::take(&mut events) };
        next.find();
        events = next.found;
        for Event { name, after, is_healthy } in events.drain(..) {
            let after = after.normalised(design, scenario);
            let next = match known.entry(after) {
                Entry::Occupied(known) => *known.get(),
                Entry::Vacant(new) => {
                    let next = states.len() as u32;
                    new.insert(next);
                    states.push(after);
                    came_from.push((index, name));
                    next
                }
            };
            if is_healthy {
                healthy.push((next, index));
            }
        }
    }
    if until.is_none()
        && wrong.is_empty()
        && let Some(dead_end) = dead_end(states.len(), healthy, good)
    {
        wrong.insert(Wrong::DeadEnd, dead_end);
    }
    let way = |mut index: u32| {
        let mut way = Vec::new();
        while index != 0 {
            let (from, name) = came_from[index as usize];
            way.push(name);
            index = from;
        }
        way.reverse();
        way
    };
    let wrong = wrong.into_iter().map(|(kind, index)| (kind, way(index))).collect();
    Found { states: states.len(), wrong }
}

/// A hash that costs little, since a state has a hundred small fields and tests are not optimised.
#[derive(Default)]
struct Mix(u64);

impl Mix {
    fn mix(&mut self, word: u64) {
        self.0 = (self.0 ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
    }
}

impl Hasher for Mix {
    fn finish(&self) -> u64 {
        self.0.wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.mix(u64::from(*byte));
        }
    }

    fn write_u8(&mut self, byte: u8) {
        self.mix(u64::from(byte));
    }

    fn write_usize(&mut self, word: usize) {
        self.mix(word as u64);
    }

    fn write_isize(&mut self, word: isize) {
        self.mix(word as u64);
    }
}

/// The first state from which no good end is reached by healthy events alone, given backwards.
fn dead_end(states: usize, mut healthy: Vec<(u32, u32)>, mut reached: Vec<u32>) -> Option<u32> {
    healthy.sort_unstable();
    let mut ends = vec![false; states];
    reached.iter().for_each(|index| ends[*index as usize] = true);
    while let Some(index) = reached.pop() {
        let first = healthy.partition_point(|(to, _)| *to < index);
        for (_, from) in healthy[first..].iter().take_while(|(to, _)| *to == index) {
            if !std::mem::replace(&mut ends[*from as usize], true) {
                reached.push(*from);
            }
        }
    }
    ends.iter().position(|ends| !ends).map(|index| index as u32)
}

impl Scenario {
    /// Everything that is wrong with a state.
    fn wrongs(&self, state: &State) -> Vec<Wrong> {
        let mut wrongs = Vec::new();
        let tables = &state.tables[..self.tables];
        if tables.iter().flatten().any(|rows| *rows > 1) {
            wrongs.push(Wrong::Doubled);
        }
        let recorded = |i: usize| state.loaders[i].recorded & self.loads_of[i];
        let done = state.published | recorded(0) | recorded(1);
        for load in 0..self.ids.len() {
            let is_in = |loads: u8| loads & bit(load) != 0;
            let is_there = tables.iter().filter(|rows| rows[load] > 0).count();
            if is_there != 0 && is_there != tables.len() {
                wrongs.push(Wrong::HalfVisible);
            }
            if is_there != 0 && !is_in(state.commit_rows) && usize::from(state.last) != load + 1 {
                wrongs.push(Wrong::HalfVisible);
            }
            if is_in(done) && is_there == 0 {
                // A load that was made later may have taken its place, and one that was made earlier may not.
                let later = state.published >> (load + 1) != 0;
                let instead = tables.iter().any(|rows| rows.iter().any(|rows| *rows > 0));
                match self.replaces && instead {
                    true if later => {}
                    true => wrongs.push(Wrong::Reordered),
                    false => wrongs.push(Wrong::Lost),
                }
            }
            let has_files = state.objects[..self.tables].iter().all(|loads| is_in(*loads));
            if is_in(state.manifests) && !has_files && !is_in(state.published) {
                wrongs.push(Wrong::ManifestTooEarly);
            }
        }
        if state.removed_too_early {
            wrongs.push(Wrong::RemovedTooEarly);
        }
        if state.refused {
            wrongs.push(Wrong::Refused);
        }
        wrongs
    }

    /// Whether everything is done that can be done.
    fn is_good_end(&self, state: &State) -> bool {
        let has_ended = |at: At| at == At::Done || (at == At::Refused && self.order_matters);
        state.loaders.iter().all(|loader| has_ended(loader.at))
            && state.loaders.iter().any(|loader| loader.at == At::Done)
            && state.in_flight.iter().all(Option::is_none)
    }
}
