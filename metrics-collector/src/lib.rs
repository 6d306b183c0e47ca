//! The metrics agent (one per node) and the metrics collector (one per Swarm).
//!
//! Data flows one way: sources → parsing → one [`shared::snapshot::Snapshot`] per round →
//! pages. Nothing in this crate writes: the engine is only ever asked with GET.

/// What the agent and the collector are told at their start.
pub mod settings;

/// One bounded GET: time, size and status are checked before anyone parses.
pub mod fetch;

/// Unix time in milliseconds, and the engine's timestamps in it.
pub mod clock;

/// The engine's API, as far as it is read.
pub mod docker;

/// The agent: what the tasks of this node use.
pub mod agent;

/// Text and JSON of others into values. No I/O.
pub mod parse;

/// Where readings come from: one source, one file.
pub mod sources;

/// Requests of a service over a sliding window, from counters that may reset or vanish.
pub mod window;

/// What each source last said, and how long that may still be used.
pub mod slot;

/// Readings of all sources into one snapshot. Pure.
pub mod combine;

/// One round: every source at once, none waited for.
pub mod round;

/// What balancers adjust their limits to, followed apart from the rounds.
pub mod capacity;

/// `/metrics`, written from a snapshot.
pub mod page;

/// `/upstream`: the balancer's view of the api tasks.
pub mod upstream;

/// The collector's ports.
pub mod serve;
