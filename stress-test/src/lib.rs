//! A load test that behaves like people: each virtual user registers, signs in, then reads
//! and writes its own items at a steady pace, and checks every answer's content.
//!
//! In reading order: what was asked for, how a user behaves, how answers are judged and
//! counted, what is seen beside it, and how it is reported.

/// The command line, wholly checked before anything is sent.
pub mod options;

/// Start-to-start intervals: the load a user offers does not depend on latency.
pub mod pace;

/// What a user does next.
pub mod mix;

/// Everything that can go wrong with one request, by kind.
pub mod failure;

/// The requests, and what each answer must hold.
pub mod api;

/// One virtual user: its account, its tokens, the items it wrote.
pub mod user;

/// Counts, latencies and failures of the run.
pub mod tally;

/// How many replicas the watched service has, asked of the collector.
pub mod replicas;

/// The engine that starts, drives and stops the users.
pub mod drive;

/// The line on standard error every few seconds.
pub mod progress;

/// What the run found: as a table, as JSON, as an exit code.
pub mod report;

/// One run from the first check to the report.
pub mod run;
