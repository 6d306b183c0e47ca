//! The autoscaler: reads the Swarm and the collector's snapshot, decides, and writes replica
//! counts. In reading order: what it is told, what it sees, how it decides, how it acts.

/// Settings from the environment.
pub mod settings;

/// Policies from the labels of a service.
pub mod labels;

/// Time windows that raise the bounds.
pub mod schedule;

/// The Swarm: services read, replica counts written.
pub mod swarm;

/// The collector's snapshot.
pub mod collector;

/// How many replicas the nodes can hold.
pub mod placement;

/// All of it put together for the rules.
pub mod observe;

/// What a service's replica count should be, and why: pure arithmetic.
pub mod scaling;

/// What is remembered of a service, and how a redeploy shows.
pub mod memory;

/// Our own note in a label of the service.
pub mod state;

/// Tasks that somebody has paused, which Swarm does not replace.
pub mod paused;

/// Which services are ours.
pub mod owner;

/// One round: read, decide, act.
pub mod round;

/// Pause, resume, scale: what an operator asks for.
pub mod operate;

/// What the status server shows.
pub mod board;

/// Whether the autoscaler is well, and what ails it.
pub mod health;

/// What is kept over restarts, to forecast with and to look back at.
pub mod history;

/// Notices to a webhook.
pub mod notify;

/// What the page and `autoscaler status` show.
pub mod dashboard;

/// The status server.
pub mod http;

/// The autoscaler's own metrics.
pub mod figures;

/// Loop and server together.
pub mod run;

/// A trace of load replayed through the rules.
pub mod simulate;

/// The commands beside the loop.
pub mod cli;

mod bounded;
mod client;
mod clock;

#[cfg(test)]
mod spoiled;
