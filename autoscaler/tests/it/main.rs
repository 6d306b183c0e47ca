//! The loop and the status server against a fake engine and a fake collector.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod commands;
mod contract;
mod dashboard;
mod engine;
mod failures;
mod history;
mod killed;
mod lookback;
mod manners;
mod orders;
mod program;
mod readme;
mod replay;
mod rounds;
mod snapshots;
mod status;
mod troubles;
mod webhooks;
