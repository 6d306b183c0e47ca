//! Means of five minutes over two weeks, and what they say of the same time in other periods.

use std::collections::VecDeque;

/// One day.
pub(super) const DAY_MS: u64 = 86_400_000;

/// One week.
pub(super) const WEEK_MS: u64 = 7 * DAY_MS;

/// Width of a mean.
const SLOT_MS: u64 = 300_000;

/// Slots of a day, by which the memory for them grows.
const DAY_SLOTS: usize = (DAY_MS / SLOT_MS) as usize;

/// Two weeks and a day, so that two full weeks can be compared.
const MOST_SLOTS: usize = 15 * DAY_SLOTS;

/// Correlation with the period before from which on a period is believed.
const CONFIRMED: f64 = 0.5;

/// Share of slots that must be known on both sides of a comparison.
const DENSITY: f64 = 0.8;

/// How means are read as a curve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// From the middle of one to the middle of the next: for how work changes.
    Smooth,
    /// Each holds until the next: for how much there is. From middle to middle a rush would come
    /// in over five minutes, of which a shorter lead time sees but a part.
    Steps,
}

/// That today is different is taken in by two thirds in this time. Much slower than noise, or
/// "same as yesterday" would always be nearer to the truth.
const DIFFERENCE_MS: f64 = 1_800_000.0;

/// By how much the work is more than usual of late, as a mean that forgets.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Difference {
    /// `None` while nothing is usual.
    pub(super) mean: Option<f64>,
    last_ms: u64,
}

impl Difference {
    pub(super) fn learn(&mut self, difference: Option<f64>, at_ms: u64) {
        let weight = 1.0 - (-(at_ms.saturating_sub(self.last_ms) as f64) / DIFFERENCE_MS).exp();
        self.mean = difference.map(|new| self.mean.map_or(new, |mean| mean + weight * (new - mean)));
        self.last_ms = at_ms;
    }
}

/// The past.
#[derive(Debug, Clone, Default)]
pub(super) struct Seasons {
    /// Number of the first slot since 1970.
    first: u64,
    /// Seven digits are enough for a mean; there is one of these for each service and metric.
    slots: VecDeque<Option<f32>>,
    sum: f64,
    count: u32,
    /// Whether the day and the week show in the data; looked at once per slot.
    daily: bool,
    weekly: bool,
}

impl Seasons {
    /// Takes in a sample. Times go forward.
    pub(super) fn learn(&mut self, value: f64, at_ms: u64) {
        let slot = at_ms / SLOT_MS;
        if self.slots.is_empty() || slot.saturating_sub(self.first) as usize > 2 * MOST_SLOTS {
            *self = Self { first: slot, ..Self::default() };
            self.slots.push_back(None);
        }
        while self.first + (self.slots.len() as u64) <= slot {
            self.close();
        }
        self.sum += value;
        self.count += 1;
        if let Some(last) = self.slots.back_mut() {
            *last = Some((self.sum / f64::from(self.count)) as f32);
        }
    }

    /// Begins the next slot.
    fn close(&mut self) {
        (self.sum, self.count) = (0.0, 0);
        if self.slots.len() == self.slots.capacity() {
            self.slots.reserve_exact(DAY_SLOTS);
        }
        self.slots.push_back(None);
        if self.slots.len() > MOST_SLOTS {
            self.slots.pop_front();
            self.first += 1;
        }
        self.daily = self.correlation(DAY_MS).is_some_and(|r| r > CONFIRMED);
        self.weekly = self.correlation(WEEK_MS).is_some_and(|r| r > CONFIRMED);
    }

    /// The mean of the slot at that time.
    pub(super) fn at(&self, at_ms: u64) -> Option<f64> {
        let index = (at_ms / SLOT_MS).checked_sub(self.first)?;
        self.slot(usize::try_from(index).ok()?)
    }

    fn slot(&self, index: usize) -> Option<f64> {
        self.slots.get(index).copied().flatten().map(f64::from)
    }

    /// Between the middles of two slots.
    fn between(&self, at_ms: u64) -> Option<f64> {
        let early = at_ms.checked_sub(SLOT_MS / 2)?;
        let part = (early % SLOT_MS) as f64 / SLOT_MS as f64;
        let (before, after) = (self.at(early)?, self.at(early.saturating_add(SLOT_MS))?);
        Some(before + part * (after - before))
    }

    /// What other periods show for `at_ms` and for `due_ms`, as means over them; `None` unless
    /// two periods are known and resemble each other.
    pub(super) fn profile(&self, period_ms: u64, shape: Shape, at_ms: u64, due_ms: u64) -> Option<(f64, f64)> {
        let confirmed = if period_ms == DAY_MS { self.daily } else { self.weekly };
        if !confirmed {
            return None;
        }
        let (mut then, mut ahead, mut known) = (0.0, 0.0, 0.0);
        for back in (1..).map(|n| n * period_ms).take_while(|back| *back <= 14 * DAY_MS) {
            let read = |time| if shape == Shape::Smooth { self.between(time) } else { self.at(time) };
            let before = |time: u64| time.checked_sub(back).and_then(read);
            if let Some((a, b)) = before(at_ms).zip(before(due_ms)) {
                (then, ahead, known) = (then + a, ahead + b, known + 1.0);
            }
        }
        (known > 0.0).then(|| (then / known, ahead / known))
    }

    /// Of the newest period with the one before it; `None` without two that are well filled.
    fn correlation(&self, period_ms: u64) -> Option<f64> {
        let period = usize::try_from(period_ms / SLOT_MS).ok()?;
        // The open slot is left out.
        let whole = self.slots.len().checked_sub(1)?;
        let start = whole.checked_sub(2 * period)?;
        let pairs = (start..start + period).filter_map(|i| self.slot(i).zip(self.slot(i + period)));
        let pairs: Vec<_> = pairs.collect();
        let n = pairs.len() as f64;
        if n < DENSITY * period as f64 {
            return None;
        }
        let mean = |pick: fn(&(f64, f64)) -> f64| pairs.iter().map(pick).sum::<f64>() / n;
        let (mean_a, mean_b) = (mean(|p| p.0), mean(|p| p.1));
        let (mut ab, mut aa, mut bb) = (0.0, 0.0, 0.0);
        for (a, b) in &pairs {
            ab += (a - mean_a) * (b - mean_b);
            aa += (a - mean_a).powi(2);
            bb += (b - mean_b).powi(2);
        }
        let spread = (aa * bb).sqrt();
        (spread > 0.0).then(|| ab / spread)
    }
}
