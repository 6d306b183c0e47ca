//! How wrong a model was of late.

use std::collections::VecDeque;

/// Errors count less with age: by two thirds after a day, so that a rush of the day before,
/// where models differ most, still has its say.
const MEMORY_MS: f64 = 86_400_000.0;

/// Errors whose distribution is looked at.
const MOST_ERRORS: usize = 120;

/// Share of the forecasts that are to be high enough.
const QUANTILE: f64 = 0.9;

/// A model's record.
#[derive(Debug, Clone, Default)]
pub(super) struct Score {
    weight: f64,
    error: f64,
    last_ms: u64,
    verdicts: u32,
    /// Truth less forecast, the newest last.
    shortfalls: VecDeque<f64>,
}

impl Score {
    /// Takes in a verdict; without a forecast there is none.
    pub(super) fn add(&mut self, forecast: Option<f64>, truth: f64, at_ms: u64) {
        let Some(forecast) = forecast else { return };
        let fading = (-(at_ms.saturating_sub(self.last_ms) as f64) / MEMORY_MS).exp();
        self.weight = self.weight * fading + 1.0;
        self.error = self.error * fading + (truth - forecast).abs();
        self.last_ms = at_ms;
        self.verdicts = self.verdicts.saturating_add(1);
        self.shortfalls.push_back(truth - forecast);
        if self.shortfalls.len() > MOST_ERRORS {
            self.shortfalls.pop_front();
        }
    }

    /// Verdicts so far.
    pub(super) fn verdicts(&self) -> u32 {
        self.verdicts
    }

    /// Mean size of the error of late.
    pub(super) fn error(&self) -> f64 {
        if self.weight > 0.0 { self.error / self.weight } else { f64::INFINITY }
    }

    /// By how much nine of ten forecasts fell short at most; never below zero.
    pub(super) fn shortfall(&self) -> f64 {
        let mut sorted: Vec<_> = self.shortfalls.iter().copied().collect();
        sorted.sort_by(f64::total_cmp);
        let rank = (QUANTILE * sorted.len() as f64).ceil() as usize;
        sorted.get(rank.saturating_sub(1)).copied().unwrap_or(0.0).max(0.0)
    }
}
