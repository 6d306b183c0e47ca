//! Text and JSON of others into values. No I/O, no clock.
//!
//! Whatever cannot be understood is an error or `None`, never a zero.

/// Counters out of `docker stats`.
pub mod stats;

/// Services, tasks and nodes out of Swarm's answers.
pub mod swarm;

/// How often replicas were started again.
pub mod restarts;

/// The Prometheus text format, strictly.
pub mod exposition;

/// A task's request counters out of an exposition.
pub mod requests;

/// Quantiles out of histogram buckets.
pub mod quantile;

/// What database servers say of themselves.
pub mod replication;

/// Redis' `INFO`.
pub mod info;

/// What a balancer has added up.
pub mod account;

/// nginx' `stub_status`.
pub mod stub_status;
