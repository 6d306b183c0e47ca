//! What one source last said, and how long that may still be used.

use std::time::Duration;

use shared::snapshot::SourceStatus;

use crate::sources::Timed;

/// The memory of one source.
#[derive(Debug)]
pub struct Slot<T> {
    name: &'static str,
    last_success_ms: Option<u64>,
    value: Option<(u64, T)>,
}

impl<T> Slot<T> {
    /// A source of which nothing is known.
    #[must_use]
    pub fn new(name: &'static str) -> Self {
        Self { name, last_success_ms: None, value: None }
    }

    /// Takes in a round's outcome. A reading replaces the one before, even when it lacks
    /// something; no reading leaves the one before, to age.
    pub fn settle(&mut self, outcome: Timed<T>, now_ms: u64) -> SourceStatus {
        let Timed { gathered, took } = outcome;
        let ok = gathered.value.is_some() && gathered.problems.is_empty();
        if ok {
            self.last_success_ms = Some(now_ms);
        }
        if let Some(value) = gathered.value {
            self.value = Some((now_ms, value));
        }
        SourceStatus {
            name: self.name.to_owned(),
            ok,
            duration_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            last_success_ms: self.last_success_ms,
            error: summary(&gathered.problems),
        }
    }

    /// The last reading, unless it is older than `max_age`.
    #[must_use]
    pub fn current(&self, now_ms: u64, max_age: Duration) -> Option<&T> {
        let (at_ms, value) = self.value.as_ref()?;
        (u128::from(now_ms.saturating_sub(*at_ms)) <= max_age.as_millis()).then_some(value)
    }
}

/// The first problems; hundreds of tasks may all have the same one.
fn summary(problems: &[String]) -> Option<String> {
    let shown = problems.iter().take(3).map(String::as_str).collect::<Vec<_>>().join("; ");
    match problems.len() {
        0 => None,
        1..=3 => Some(shown),
        all => Some(format!("{shown}; and {} more", all - 3)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::Gathered;

    fn timed(gathered: Gathered<u8>) -> Timed<u8> {
        Timed { gathered, took: Duration::from_millis(7) }
    }

    #[test]
    fn the_last_reading_is_kept_for_a_while_and_then_absent() {
        let mut slot = Slot::new("swarm");
        let max_age = Duration::from_secs(15);
        assert!(slot.settle(timed(Gathered::whole(1)), 1_000).ok);
        let failed = slot.settle(timed(Gathered::nothing("no answer")), 6_000);
        assert_eq!((failed.ok, failed.last_success_ms), (false, Some(1_000)));
        assert_eq!(failed.error.as_deref(), Some("no answer"));
        assert_eq!(slot.current(16_000, max_age), Some(&1));
        assert_eq!(slot.current(16_001, max_age), None);
    }

    #[test]
    fn a_reading_that_lacks_something_is_used_but_no_success() {
        let mut slot = Slot::new("http");
        let lacking = Gathered { value: Some(2), problems: vec!["a task is silent".into(); 5] };
        let status = slot.settle(timed(lacking), 1_000);
        assert_eq!((status.ok, status.last_success_ms), (false, None));
        assert!(status.error.unwrap().ends_with("and 2 more"));
        assert_eq!(slot.current(1_000, Duration::ZERO), Some(&2));
    }
}
