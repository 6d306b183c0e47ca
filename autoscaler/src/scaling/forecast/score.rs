//! How a model did of late, beside two that know nothing.

use std::collections::VecDeque;

/// Errors count less with age: by two thirds after a day, so that a rush of the day before,
/// where models differ most, still has its say.
const MEMORY_MS: f64 = 86_400_000.0;

/// Errors whose distribution is looked at.
const MOST_ERRORS: usize = 120;

/// Share of the forecasts that are to be high enough.
const QUANTILE: f64 = 0.9;

/// Verdicts before a model may be believed: about as many minutes with the usual intervals.
const ENOUGH_VERDICTS: u32 = 10;

/// A model's record.
#[derive(Debug, Clone, Default)]
pub(super) struct Score {
    same_as_now: Duel,
    same_as_yesterday: Duel,
    /// Truth less forecast, the newest last.
    shortfalls: VecDeque<f64>,
}

/// The errors of the model and of one that knows nothing, at the moments at which both had
/// something to say: errors of a quiet night and of a busy day cannot be compared.
#[derive(Debug, Clone, Copy, Default)]
struct Duel {
    ours: f64,
    theirs: f64,
    last_ms: u64,
    verdicts: u32,
}

impl Duel {
    fn add(&mut self, ours: f64, theirs: f64, at_ms: u64) {
        let fading = (-(at_ms.saturating_sub(self.last_ms) as f64) / MEMORY_MS).exp();
        (self.ours, self.theirs) = (self.ours * fading + ours, self.theirs * fading + theirs);
        self.last_ms = at_ms;
        self.verdicts = self.verdicts.saturating_add(1);
    }

    /// Share of their error that the model saves; `None` before there are enough verdicts.
    fn saved(&self) -> Option<f64> {
        // Where knowing nothing makes no error, nothing can be gained.
        let saved = if self.theirs > 0.0 { 1.0 - self.ours / self.theirs } else { 0.0 };
        (self.verdicts >= ENOUGH_VERDICTS).then_some(saved)
    }
}

impl Score {
    /// Takes in a verdict on a forecast and on "same as now" and "same as yesterday"; without a
    /// forecast there is none.
    pub(super) fn add(&mut self, forecast: Option<f64>, (now, yesterday): (f64, Option<f64>), truth: f64, at_ms: u64) {
        let Some(forecast) = forecast else { return };
        let error = |forecast: f64| (truth - forecast).abs();
        self.same_as_now.add(error(forecast), error(now), at_ms);
        if let Some(yesterday) = yesterday {
            self.same_as_yesterday.add(error(forecast), error(yesterday), at_ms);
        }
        self.shortfalls.push_back(truth - forecast);
        if self.shortfalls.len() > MOST_ERRORS {
            self.shortfalls.pop_front();
        }
    }

    /// Share of the error of the better of the two that the model saves; `None` before there are
    /// enough verdicts.
    pub(super) fn skill(&self) -> Option<f64> {
        let now = self.same_as_now.saved()?;
        Some(self.same_as_yesterday.saved().map_or(now, |yesterday| yesterday.min(now)))
    }

    /// By how much nine of ten forecasts fell short at most; never below zero.
    pub(super) fn shortfall(&self) -> f64 {
        let mut sorted: Vec<_> = self.shortfalls.iter().copied().collect();
        sorted.sort_by(f64::total_cmp);
        let rank = (QUANTILE * sorted.len() as f64).ceil() as usize;
        sorted.get(rank.saturating_sub(1)).copied().unwrap_or(0.0).max(0.0)
    }
}
