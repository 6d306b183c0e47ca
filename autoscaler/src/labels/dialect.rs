//! Labels that were written for other autoscalers, in our own words. A service that is brought
//! along keeps the limits it had there, those that were never written included.

use std::collections::BTreeMap;

use super::{PREFIX, ROLE, STATE};

/// Labels by which somebody else steers the replica count.
const STEERED: [&str; 2] = ["sablier.enable", "swarm.cronjob.enable"];

/// Another autoscaler's labels: the switch, and for each further label its default there.
struct Dialect {
    switch: &'static str,
    words: &'static [Word],
    /// What is always so there, in our words.
    implied: &'static [(&'static str, &'static str)],
}

struct Word {
    theirs: &'static str,
    ours: &'static [&'static str],
    default: Option<&'static str>,
    translate: fn(&str) -> Option<String>,
}

const fn word(theirs: &'static str, ours: &'static [&'static str], default: &'static str) -> Word {
    Word { theirs, ours, default: Some(default), translate: same }
}

const DIALECTS: [Dialect; 2] = [
    Dialect {
        switch: "swarm.autoscaler.enable",
        words: &[
            word("swarm.autoscaler.min_replicas", &[".minimum"], "1"),
            word("swarm.autoscaler.max_replicas", &[".maximum"], "5"),
            word("swarm.autoscaler.cpu.threshold", &[".cpu.up"], "80"),
            word("swarm.autoscaler.ram.threshold", &[".memory.up"], "80"),
            Word {
                theirs: "swarm.autoscaler.cooldown",
                ours: &[".cooldown.up", ".cooldown.down"],
                default: Some("5"),
                translate: minutes,
            },
        ],
        implied: &[],
    },
    Dialect {
        switch: "swarm.autoscale",
        words: &[
            word("swarm.autoscale.min", &[".minimum"], "2"),
            word("swarm.autoscale.max", &[".maximum"], "15"),
            word("swarm.autoscale.percentage-max", &[".cpu.up"], "85"),
            word("swarm.autoscale.percentage-min", &[".cpu.down"], "25"),
            Word {
                theirs: "swarm.autoscale.disable-manual-replicas",
                ours: &[".hold"],
                default: None,
                translate: no_hold,
            },
        ],
        implied: &[(".metrics", "cpu")],
    },
];

fn same(text: &str) -> Option<String> {
    Some(text.to_owned())
}

/// A bare number is minutes; `30s`, `5m` and `1h` say what they are.
fn minutes(text: &str) -> Option<String> {
    let (number, seconds) = match text.chars().last()? {
        's' => (text.strip_suffix('s')?, 1.0),
        'm' => (text.strip_suffix('m')?, 60.0),
        'h' => (text.strip_suffix('h')?, 3600.0),
        _ => (text, 60.0),
    };
    let seconds = number.trim().parse::<f64>().ok()? * seconds;
    (seconds.is_finite() && seconds >= 0.0).then(|| seconds.to_string())
}

fn no_hold(text: &str) -> Option<String> {
    match text {
        "true" => Some("0".to_owned()),
        "false" => Some("600".to_owned()),
        _ => None,
    }
}

/// Labels in our words, and what the words were before.
#[derive(Debug, Default)]
pub(super) struct Translated {
    pub(super) labels: BTreeMap<String, String>,
    pub(super) problems: Vec<String>,
    names: Vec<(String, &'static str)>,
}

impl Translated {
    /// A problem in the words of the one who wrote the label.
    pub(super) fn in_their_words(&self, problem: &str) -> String {
        self.names.iter().fold(problem.to_owned(), |text, (ours, theirs)| text.replace(ours, theirs))
    }
}

/// Reads the labels of a service, whichever dialect they are in.
pub(super) fn read(labels: &BTreeMap<String, String>) -> Translated {
    let spoken = |dialect: &&Dialect| labels.keys().any(|key| dialect.knows(key));
    let foreign: Vec<_> = DIALECTS.iter().filter(spoken).collect();
    let native = labels.keys().find(|key| is_native(key));
    let mut out = match (foreign.as_slice(), native) {
        ([], _) => Translated { labels: labels.clone(), ..Translated::default() },
        ([dialect], None) => dialect.translate(labels),
        (several, native) => {
            let switches = several.iter().map(|dialect| dialect.switch);
            let all: Vec<_> = native.map(String::as_str).into_iter().chain(switches.clone()).collect();
            let problem =
                format!("labels of several autoscalers on one service ({}): keep those of one", all.join(", "));
            // Only where everybody was told to keep away, nobody is kept from anything.
            let mut given = switches.chain([PREFIX]).filter_map(|switch| labels.get(switch)).peekable();
            let off = given.peek().is_some() && given.all(|value| matches!(value.trim(), "false" | "0"));
            let labels = BTreeMap::from([(PREFIX.to_owned(), (!off).to_string())]);
            return Translated { labels, problems: vec![problem], names: Vec::new() };
        }
    };
    for steered in STEERED {
        if let Some(value) = labels.get(steered).filter(|value| is_true(value)) {
            out.problems.push(format!("{steered}={value}: its replica count is steered by somebody else"));
        }
    }
    out
}

/// All ways in which the others may have been told yes.
fn is_true(value: &str) -> bool {
    matches!(value.trim(), "1" | "t" | "T" | "true" | "TRUE" | "True")
}

/// Whether a label is one of ours and of nobody else.
fn is_native(key: &str) -> bool {
    key.starts_with(PREFIX) && key != STATE && key != ROLE && !DIALECTS.iter().any(|dialect| dialect.knows(key))
}

impl Dialect {
    fn knows(&self, key: &str) -> bool {
        // Nothing of ours begins with the second switch and a dot, so that a slip in there is found.
        let below = key.strip_prefix(self.switch).is_some_and(|rest| rest.starts_with('.'));
        key == self.switch || below || self.words.iter().any(|word| word.theirs == key)
    }

    fn translate(&self, labels: &BTreeMap<String, String>) -> Translated {
        let mut out = Translated::default();
        let mut put = |ours: &str, theirs: &'static str, value: String| {
            let key = format!("{PREFIX}{ours}");
            out.labels.insert(key.clone(), value);
            out.names.push((key, theirs));
        };
        for (ours, value) in self.implied {
            put(ours, self.switch, (*value).to_owned());
        }
        let mut problems = Vec::new();
        for word in self.words {
            let Some(text) = labels.get(word.theirs).map(|value| value.trim()).or(word.default) else { continue };
            match (word.translate)(text) {
                Some(value) => word.ours.iter().for_each(|ours| put(ours, word.theirs, value.clone())),
                None => problems.push(format!("{}={text}: not understood", word.theirs)),
            }
        }
        let unknown = labels.keys().filter(|key| self.knows(key) && *key != self.switch);
        let unknown = unknown.filter(|key| !self.words.iter().any(|word| word.theirs == *key));
        problems.extend(unknown.map(|key| format!("{key}: no such label")));
        let switch = labels.get(self.switch).map_or("false", |value| value.trim());
        out.labels.insert(PREFIX.to_owned(), switch.to_owned());
        // Last, because the switch is the beginning of every other label.
        out.names.push((format!("{PREFIX}={switch}"), self.switch));
        out.labels.extend([STATE, ROLE].into_iter().filter_map(|own| Some((own.to_owned(), labels.get(own)?.clone()))));
        out.problems = problems;
        out
    }
}
