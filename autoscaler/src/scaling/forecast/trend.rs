//! Level and damped trend (Holt), for samples at any distance: the weights follow from the
//! time between two samples, so that an interval of 5 s and one of 30 s learn equally fast.

/// A change of level is taken in by two thirds in this time.
const LEVEL_MS: f64 = 60_000.0;

/// A change of slope.
const SLOPE_MS: f64 = 180_000.0;

/// A slope is believed to last about so long: work does not rise for ever.
const DAMPING_MS: f64 = 600_000.0;

/// After a gap of so long the slope is forgotten.
const GAP_MS: u64 = 600_000;

/// What is known of the series.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Trend {
    level: f64,
    /// Per millisecond.
    slope: f64,
    last_ms: Option<u64>,
}

impl Trend {
    /// Takes in a sample; `false` when its time does not go forward.
    pub(super) fn learn(&mut self, value: f64, at_ms: u64) -> bool {
        match self.last_ms {
            Some(last) if at_ms <= last => return false,
            Some(last) if at_ms - last < GAP_MS => self.smooth(value, (at_ms - last) as f64),
            _ => (self.level, self.slope) = (value, 0.0),
        }
        self.last_ms = Some(at_ms);
        true
    }

    fn smooth(&mut self, value: f64, elapsed: f64) {
        let weight = |time: f64| 1.0 - (-elapsed / time).exp();
        let before = self.level;
        let predicted = before + self.slope * damped(elapsed);
        self.level = predicted + weight(LEVEL_MS) * (value - predicted);
        let kept = self.slope * (-elapsed / DAMPING_MS).exp();
        self.slope = kept + weight(SLOPE_MS) * ((self.level - before) / elapsed - kept);
    }

    /// The time of the newest sample.
    pub(super) fn last_ms(&self) -> Option<u64> {
        self.last_ms
    }

    /// The present without its noise.
    pub(super) fn level(&self) -> f64 {
        self.level
    }

    /// The value so many milliseconds ahead; at most twice the present, because a slope from a
    /// few samples says little about more.
    pub(super) fn ahead(&self, lead_ms: u64) -> f64 {
        (self.level + self.slope * damped(lead_ms as f64)).clamp(0.0, 2.0 * self.level.max(0.0))
    }
}

/// For how many milliseconds the slope counts: 75 s ahead are 70 s, an hour is 10 minutes.
fn damped(lead: f64) -> f64 {
    DAMPING_MS * (1.0 - (-lead / DAMPING_MS).exp())
}
