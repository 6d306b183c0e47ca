//! What two or more of our programs must agree on, and nothing else.
//!
//! In reading order: the contract between collector and autoscaler, what lag is, how settings
//! and secrets are read, how a program logs and counts, how it serves, stops and is probed.

/// The typed contract between the collector and everyone who reads it.
pub mod snapshot;

/// How far a standby is behind its primary.
pub mod replication;

/// Settings and secrets: read once, checked wholly, every problem named.
pub mod env;

/// Structured logs on standard output.
pub mod telemetry;

/// The Prometheus recorder behind a program's own `/metrics`.
pub mod prom;

/// The accept loop: bounded, drained, with a deadline.
pub mod serve;

/// SIGTERM and Ctrl-C as one cancellation token.
pub mod shutdown;

/// The `healthcheck` subcommand of every image.
pub mod probe;
