//! At most one notice of a kind about a service in an interval. What comes in between is held
//! back; when the interval is over, the newest of it goes out with the number of the others,
//! so that the last word is always heard.

use std::collections::BTreeMap;

use super::{Kind, Notice};

/// A notice that may go out.
#[derive(Debug, Clone, PartialEq)]
pub struct Released {
    /// The notice.
    pub notice: Notice,
    /// How many of its kind were held back before it and will not be sent.
    pub suppressed: u64,
}

/// The limiter.
#[derive(Debug)]
pub struct Limiter {
    interval_ms: u64,
    spoken: BTreeMap<(Option<String>, Kind), Spoken>,
}

/// The last time that somebody spoke of a thing, and what was held back since.
#[derive(Debug)]
struct Spoken {
    at_ms: u64,
    held: Option<Released>,
}

impl Spoken {
    fn is_over(&self, interval_ms: u64, now_ms: u64) -> bool {
        // A clock that was set back must not silence anybody.
        now_ms < self.at_ms || now_ms - self.at_ms >= interval_ms
    }
}

impl Limiter {
    /// A limiter with this interval.
    #[must_use]
    pub fn new(interval_ms: u64) -> Self {
        Self { interval_ms, spoken: BTreeMap::new() }
    }

    /// Takes a notice; gives it back when it may go out at once.
    pub fn offer(&mut self, notice: Notice, now_ms: u64) -> Option<Released> {
        let released = Released { notice, suppressed: 0 };
        let key = (released.notice.service.clone(), released.notice.kind);
        match self.spoken.get_mut(&key) {
            Some(spoken) if !spoken.is_over(self.interval_ms, now_ms) => {
                let suppressed = spoken.held.take().map_or(0, |held| held.suppressed + 1);
                spoken.held = Some(Released { suppressed, ..released });
                None
            }
            _ => {
                self.spoken.insert(key, Spoken { at_ms: now_ms, held: None });
                Some(released)
            }
        }
    }

    /// What was held back until now, the oldest first.
    pub fn due(&mut self, now_ms: u64) -> Vec<Released> {
        let mut released = Vec::new();
        let interval_ms = self.interval_ms;
        self.spoken.retain(|_, spoken| {
            if !spoken.is_over(interval_ms, now_ms) {
                return true;
            }
            spoken.at_ms = now_ms;
            let held = spoken.held.take();
            released.extend(held.clone());
            // Whoever had nothing more to say is forgotten.
            held.is_some()
        });
        released.sort_by_key(|released| released.notice.at_ms);
        released
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notice(kind: Kind, at_ms: u64) -> Notice {
        Notice { kind, service: Some("web".into()), at_ms, text: String::new(), step: None }
    }

    #[test]
    fn the_first_goes_out_the_newest_of_the_others_when_the_interval_is_over() {
        let mut limiter = Limiter::new(300);
        assert!(limiter.offer(notice(Kind::Scaled, 0), 0).is_some());
        for at_ms in [1, 2, 3] {
            assert_eq!(limiter.offer(notice(Kind::Scaled, at_ms), at_ms), None);
        }
        assert!(limiter.offer(notice(Kind::AtMaximum, 3), 3).is_some(), "another kind has its own turn");
        assert_eq!(limiter.due(299), []);
        assert_eq!(limiter.due(300), [Released { notice: notice(Kind::Scaled, 3), suppressed: 2 }]);
        // That was a notice as well.
        assert_eq!(limiter.offer(notice(Kind::Scaled, 400), 400), None);
        assert_eq!(limiter.due(600).len(), 1);
        assert_eq!((limiter.due(10_000).len(), limiter.spoken.len()), (0, 0));
    }

    #[test]
    fn an_interval_of_zero_holds_nothing_back_and_neither_does_a_clock_set_back() {
        let mut limiter = Limiter::new(0);
        assert!((0..9).all(|_| limiter.offer(notice(Kind::Blind, 5), 5).is_some()));
        let mut limiter = Limiter::new(300);
        assert!(limiter.offer(notice(Kind::Blind, 9_000), 9_000).is_some());
        assert!(limiter.offer(notice(Kind::Blind, 5), 5).is_some());
    }
}
