//! The scaling rules, through their one door: `decide`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod cases;
mod cooldown;
mod explain;
mod fences;
mod forecast;
mod gates;
mod metrics;
mod missing;
mod pace;
mod properties;
mod scene;
mod simulate;
