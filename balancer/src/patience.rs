//! How long to wait for an answer before it counts as missing: TCP's retransmission timeout (RFC 6298).
//!
//! A replica that answers in 2 ms is missed after half a second. One that is at its processor limit answers late and
//! unevenly, so it is given as much more time: being busy is not being gone.

use std::time::Duration;

/// Above the pauses that the kernel makes for a container at its processor limit, a tenth of a second each.
const SHORTEST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(5);
/// For a task of which nothing is known yet.
const FIRST: Duration = Duration::from_secs(3);

/// What is known of the answers of one task.
#[derive(Debug, Clone, Copy, Default)]
pub struct Patience {
    smoothed: Option<(Duration, Duration)>,
}

impl Patience {
    /// An answer took so long.
    pub fn learn(&mut self, took: Duration) {
        self.smoothed = Some(match self.smoothed {
            None => (took, took / 2),
            Some((mean, deviation)) => ((mean * 7 + took) / 8, (deviation * 3 + mean.abs_diff(took)) / 4),
        });
    }

    /// The time after which an answer is missing: the mean and four deviations. With answers of 100 ms ± 150 ms
    /// that is 700 ms.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        self.smoothed.map_or(FIRST, |(mean, deviation)| (mean + deviation * 4).clamp(SHORTEST, LONGEST))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(answers_ms: impl IntoIterator<Item = u64>) -> u128 {
        let mut patience = Patience::default();
        answers_ms.into_iter().for_each(|ms| patience.learn(Duration::from_millis(ms)));
        patience.timeout().as_millis()
    }

    #[test]
    fn a_quick_task_is_missed_soon_and_a_new_one_late() {
        assert_eq!(after([2; 50]), 500);
        assert_eq!(after([]), 3000);
        assert_eq!(after([400]), 1200);
    }

    #[test]
    fn a_busy_task_is_given_more_time_the_more_unevenly_it_answers() {
        let even = after([300; 50]);
        let uneven = after((0..50).map(|n| if n % 2 == 0 { 100 } else { 700 }));
        assert!(even == 500 && (1200..3000).contains(&uneven), "{even} {uneven}");
        // One very late answer is remembered for a while.
        assert!(after(std::iter::repeat_n(5, 50).chain([2000])) > 2000);
        assert_eq!(after([60_000; 9]), 5000);
    }
}
