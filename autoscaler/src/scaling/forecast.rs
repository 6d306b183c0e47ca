//! A forecast of work: of what comes in, which our own actions do not change (cores in use,
//! requests per second, connections), never of a share, which they do.
//!
//! Several models run side by side. Each says after every sample what the work will be one
//! lead time ahead, and is judged when that time has come, against two that know nothing:
//! "same as now" and "same as yesterday", at the same moments. The best one counts, and is trusted only while it
//! beats both. Own code of a few hundred lines, because smoothing over samples that come
//! when they come, and a verdict on each forecast, is what the usual crates leave out.

use std::collections::VecDeque;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

mod score;
mod season;
mod trend;

use score::Score;
use season::{DAY_MS, Difference, Seasons, Shape, WEEK_MS};
use trend::Trend;

use super::observed::MOST;

/// A forecast is made at most so often, which bounds how many are waiting for their verdict.
const SPACING_MS: u64 = 5_000;

/// Further ahead nothing is foretold.
const LONGEST_LEAD_MS: u64 = 600_000;

/// A clock that was set back by more than this would be waited for in vain.
const SET_BACK_MS: u64 = 600_000;

/// What is expected one lead time ahead.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Forecast {
    /// When it was made.
    pub at_ms: u64,
    /// How far ahead it looks.
    pub lead_ms: u64,
    /// The model that was of most use of late.
    pub model: Model,
    /// Expected work: cores, requests per second, connections.
    pub expected: f64,
    /// By how much nine of ten forecasts fell short at most.
    pub margin: f64,
    /// Share of the error of "same as now" and "same as yesterday" that the model saves; 1 is
    /// perfect, 0 and less is worthless. `None` before there are enough verdicts.
    pub skill: Option<f64>,
}

impl Forecast {
    /// Whether it may raise a count.
    #[must_use]
    pub fn is_trusted(&self) -> bool {
        self.skill.is_some_and(|skill| skill > 0.0)
    }
}

/// A way to look ahead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Model {
    /// Level and damped trend, from the first minutes on.
    Trend,
    /// The present, changed as at the same time on other days.
    Day,
    /// The present, changed as at the same time in other weeks.
    Week,
    /// What there was at the same time on other days, and by how much today is different.
    UsualDay,
    /// What there was at the same time in other weeks, likewise.
    UsualWeek,
}

const MODELS: [Model; 5] = [Model::Trend, Model::Day, Model::Week, Model::UsualDay, Model::UsualWeek];

const PERIODS_MS: [u64; 2] = [DAY_MS, WEEK_MS];

/// What is learnt of one kind of work. Bounded: two weeks of five-minute means, and a few
/// hundred numbers beside them.
#[derive(Debug, Clone, Default)]
pub struct Forecaster {
    trend: Trend,
    seasons: Seasons,
    /// From the usual day, and from the usual week.
    differences: [Difference; PERIODS_MS.len()],
    pending: VecDeque<Pending>,
    models: [Score; MODELS.len()],
}

/// A forecast that waits for the truth.
#[derive(Debug, Clone, Copy)]
struct Pending {
    made_ms: u64,
    due_ms: u64,
    models: [Option<f64>; MODELS.len()],
    now: f64,
    yesterday: Option<f64>,
}

impl Forecaster {
    /// Learns that the work was `work` at `at_ms`, and looks `lead_ms` ahead. `None` for
    /// numbers that cannot be true and for times that do not go forward.
    pub fn learn(&mut self, work: f64, at_ms: u64, lead_ms: u64) -> Option<Forecast> {
        let lead_ms = lead_ms.min(LONGEST_LEAD_MS);
        if !(0.0..=MOST).contains(&work) {
            return None;
        }
        if self.trend.last_ms().is_some_and(|last| last.saturating_sub(at_ms) > SET_BACK_MS) {
            *self = Self::default();
        }
        if !self.trend.learn(work, at_ms) {
            return None;
        }
        self.seasons.learn(work, at_ms);
        for (difference, period_ms) in self.differences.iter_mut().zip(PERIODS_MS) {
            let usual = self.seasons.profile(period_ms, Shape::Steps, at_ms, at_ms);
            difference.learn(usual.map(|(usual, _)| work - usual), at_ms);
        }
        self.judge(work, at_ms);
        let due_ms = at_ms.saturating_add(lead_ms);
        let models = MODELS.map(|model| self.ahead(model, at_ms, due_ms));
        if self.pending.back().is_none_or(|last| at_ms.saturating_sub(last.made_ms) >= SPACING_MS) {
            let yesterday = self.seasons.at(due_ms.saturating_sub(DAY_MS));
            self.pending.push_back(Pending { made_ms: at_ms, due_ms, models, now: work, yesterday });
        }
        Some(self.best(&models, at_ms, lead_ms, work))
    }

    fn ahead(&self, model: Model, at_ms: u64, due_ms: u64) -> Option<f64> {
        let changed = |period_ms| {
            let (then, ahead) = self.seasons.profile(period_ms, Shape::Smooth, at_ms, due_ms)?;
            Some(self.trend.level() + ahead - then)
        };
        let usual = |period_ms, difference: &Difference| {
            let (_, ahead) = self.seasons.profile(period_ms, Shape::Steps, at_ms, due_ms)?;
            Some(ahead + difference.mean?)
        };
        let [of_day, of_week] = &self.differences;
        let value = match model {
            Model::Trend => self.trend.ahead(due_ms.saturating_sub(at_ms)),
            Model::Day => changed(DAY_MS)?,
            Model::Week => changed(WEEK_MS)?,
            Model::UsualDay => usual(DAY_MS, of_day)?,
            Model::UsualWeek => usual(WEEK_MS, of_week)?,
        };
        Some(value.max(0.0))
    }

    /// Gives every forecast that is due its verdict.
    fn judge(&mut self, truth: f64, at_ms: u64) {
        while let Some(pending) = self.pending.pop_front_if(|pending| pending.due_ms <= at_ms) {
            // After a gap the truth of that moment is not known.
            if at_ms - pending.due_ms > pending.due_ms.saturating_sub(pending.made_ms).max(60_000) {
                continue;
            }
            for (score, forecast) in self.models.iter_mut().zip(pending.models) {
                score.add(forecast, (pending.now, pending.yesterday), truth, at_ms);
            }
        }
    }

    /// The model that saves most of the error of knowing nothing.
    fn best(&self, ahead: &[Option<f64>; MODELS.len()], at_ms: u64, lead_ms: u64, work: f64) -> Forecast {
        let judged = MODELS.into_iter().zip(ahead).zip(&self.models);
        let judged = judged.filter_map(|((model, value), score)| Some((model, (*value)?, score, score.skill()?)));
        match judged.max_by(|a, b| a.3.total_cmp(&b.3)) {
            Some((model, expected, score, skill)) => {
                Forecast { at_ms, lead_ms, model, expected, margin: score.shortfall(), skill: Some(skill) }
            }
            None => {
                let expected = ahead[0].unwrap_or(work);
                Forecast { at_ms, lead_ms, model: Model::Trend, expected, margin: 0.0, skill: None }
            }
        }
    }
}
