//! From a service's labels to its policy. Strict on purpose: a mistyped label must not
//! quietly mean something else, so an unknown key or value makes the whole service an error.

use std::collections::BTreeMap;

use reader::Reader;

use crate::{
    scaling::Policy,
    schedule::{self, Schedule},
    settings::Defaults,
};

mod dialect;
mod reader;

/// Prefix of every label, and the switch itself.
pub const PREFIX: &str = "swarm.autoscaler";

/// Where the autoscaler keeps its own note of the last step.
pub const STATE: &str = "swarm.autoscaler.state";

/// Marks the autoscaler's own service.
pub const ROLE: &str = "swarm.autoscaler.role";

/// What the labels of a service say.
#[derive(Debug, Clone, PartialEq)]
pub enum Labelled {
    /// Not to be scaled.
    No,
    /// To be scaled like this.
    Yes(Box<Directions>),
    /// To be scaled, but the labels are wrong: every problem, one sentence each.
    Wrong(Vec<String>),
}

/// How a service is to be treated.
#[derive(Debug, Clone, PartialEq)]
pub struct Directions {
    /// For the rules.
    pub policy: Policy,
    /// Decide and show, but do not act.
    pub dry_run: bool,
    /// Windows that raise the bounds.
    pub schedules: Vec<Schedule>,
    /// Those of them that do so now.
    pub active: Vec<String>,
}

impl Directions {
    /// With the bounds of this moment.
    #[must_use]
    pub fn at(mut self, now_ms: u64) -> Self {
        (self.policy.bounds, self.active) = schedule::raise(self.policy.bounds, &self.schedules, now_ms);
        self
    }
}

/// Reads all labels of a service, also those that were written for other autoscalers.
#[must_use]
pub fn parse(labels: &BTreeMap<String, String>, base: &Defaults) -> Labelled {
    let mut translated = dialect::read(labels);
    let mut problems = std::mem::take(&mut translated.problems);
    match native(&translated.labels, base) {
        Labelled::No => Labelled::No,
        Labelled::Yes(directions) if problems.is_empty() => Labelled::Yes(directions),
        Labelled::Yes(_) => Labelled::Wrong(problems),
        Labelled::Wrong(more) => {
            problems.extend(more.iter().map(|problem| translated.in_their_words(problem)));
            Labelled::Wrong(problems)
        }
    }
}

fn native(labels: &BTreeMap<String, String>, base: &Defaults) -> Labelled {
    let mut reader = Reader::new(labels);
    let on = match labels.get(PREFIX).map(|value| value.trim()) {
        Some("true" | "1") => true,
        Some("false" | "0") => return Labelled::No,
        Some(other) => {
            reader.problems.push(format!("{PREFIX}={other}: allowed is true or false"));
            true
        }
        None => false,
    };
    let directions = reader.directions(base);
    reader.reject_unknown();
    match (on, directions) {
        // Without the switch, too: a slip there must not go unnoticed.
        (_, _) if !reader.problems.is_empty() => Labelled::Wrong(reader.problems),
        (true, Some(directions)) => Labelled::Yes(Box::new(directions)),
        (true, None) => Labelled::Wrong(reader.problems),
        (false, _) => Labelled::No,
    }
}

#[cfg(test)]
mod tests;
