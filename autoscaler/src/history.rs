//! What is kept over restarts: what forecasts learn from, and what an operator wants to look
//! back at. Scaling does not need it: what a decision must remember travels in the service's
//! label. So everything here may fail, and is told, but never waited for.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::scaling::Policy;

/// One service at one moment.
pub mod point;

/// The file.
pub mod store;

/// The handle by which the file is written and read.
pub mod keeper;

mod desk;

/// From the board to the keeper.
pub mod follow;

pub use keeper::{Keeper, QueryError};
pub use point::Point;
pub use store::{Reader, Store, StoreError};

/// Where the history is, and how much of it is kept.
#[derive(Debug, Clone)]
pub struct Place {
    /// The directory.
    pub directory: PathBuf,
    /// Bounds.
    pub limits: Limits,
}

/// How much is kept.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Points of one service are at least this far apart.
    pub spacing_ms: u64,
    /// Younger than this they are kept as they are, older ones as means of five minutes.
    pub fine_ms: u64,
    /// Nothing is kept for longer.
    pub age_ms: u64,
    /// What is kept takes so many bytes at most; the oldest goes first.
    pub bytes: u64,
}

/// One day.
pub const DAY_MS: u64 = 86_400_000;

impl Default for Limits {
    fn default() -> Self {
        // Three weeks hold two whole ones at any time, which a weekly pattern needs to show.
        Self { spacing_ms: 5_000, fine_ms: DAY_MS, age_ms: 21 * DAY_MS, bytes: 256 << 20 }
    }
}

/// What is known of a service beside its points.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Profile {
    /// How it is scaled now.
    pub policy: Policy,
    /// How long its new replicas took to start of late; `None` when that was not measured.
    pub start_up_ms: Option<u64>,
}

/// A part of one service's history.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Recording {
    /// Name of the service.
    pub service: String,
    /// Its beginning.
    pub from_ms: u64,
    /// Its end, which is not part of it.
    pub to_ms: u64,
    /// The moments of so long are together in one point.
    pub step_ms: u64,
    /// The service; `None` when nothing but points is known of it.
    #[serde(flatten)]
    pub profile: Option<Profile>,
    /// The points by time; where nothing was recorded there is none.
    pub points: Vec<Point>,
}
