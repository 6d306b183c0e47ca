//! Our own note in a label of the service: what we did last, and what an operator asked for.
//! It travels with the service, so that a restart on any node knows the cooldown, who set the
//! count, and for how long to keep away.

use std::{collections::BTreeMap, fmt};

use crate::{
    labels::STATE,
    scaling::{Manual, Step},
};

/// What the note says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct State {
    /// The last change that we made.
    pub step: Option<Step>,
    /// Until when an operator wants the service to be left alone.
    pub paused_until_ms: Option<u64>,
    /// A count that an operator set through us.
    pub manual: Option<Manual>,
}

/// The note that says nothing; its absence would say that the service was redeployed.
const NOTHING: &str = "none";

impl State {
    /// The note in a service's labels; `None` when there is none or it is not ours to understand.
    #[must_use]
    pub fn read(labels: &BTreeMap<String, String>) -> Option<Self> {
        let text = labels.get(STATE)?;
        let fields: BTreeMap<_, _> = text.split(' ').filter_map(|field| field.split_once('=')).collect();
        let field = |name: &str| fields.get(name)?.parse().ok();
        let step = || Some(Step { from: field("from")?, to: field("to")?, at_ms: field("at")? });
        let manual = || Some(Manual { replicas: field("manual")?, at_ms: field("manual-at")? });
        let state = Self { step: step(), paused_until_ms: field("paused-until"), manual: manual() };
        (state != Self::default() || text == NOTHING).then_some(state)
    }
}

/// The text of the label: fields as `name=value`, one space between them.
impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let step = self.step.map(|step| format!("from={} to={} at={}", step.from, step.to, step.at_ms));
        let paused = self.paused_until_ms.map(|until| format!("paused-until={until}"));
        let manual = self.manual.map(|manual| format!("manual={} manual-at={}", manual.replicas, manual.at_ms));
        let fields: Vec<_> = [step, paused, manual].into_iter().flatten().collect();
        if fields.is_empty() {
            return f.write_str(NOTHING);
        }
        f.write_str(&fields.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use proptest::{option, prelude::*};

    use super::*;

    fn read(text: &str) -> Option<State> {
        State::read(&BTreeMap::from([(STATE.to_owned(), text.to_owned())]))
    }

    #[test]
    fn a_note_that_is_not_understood_is_none() {
        let step = Some(Step { from: 2, to: 3, at_ms: 17 });
        assert_eq!(read("from=2 to=3 at=17 later=field"), Some(State { step, ..State::default() }));
        for text in ["", "from=2 to=3", "from=2 to=-3 at=1", "{}"] {
            assert_eq!(read(text), None, "{text}");
        }
        assert_eq!(State::read(&BTreeMap::new()), None);
    }

    proptest! {
        #[test]
        fn what_is_written_is_what_is_read(
            step in option::of(any::<(u64, u64, u64)>()), paused_until_ms in option::of(any::<u64>()),
            manual in option::of(any::<(u64, u64)>())
        ) {
            let state = State {
                step: step.map(|(from, to, at_ms)| Step { from, to, at_ms }),
                paused_until_ms,
                manual: manual.map(|(replicas, at_ms)| Manual { replicas, at_ms }),
            };
            prop_assert_eq!(read(&state.to_string()), Some(state));
        }
    }
}
