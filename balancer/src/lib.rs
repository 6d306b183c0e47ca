//! The companion of nginx: what a balancer must know and nginx cannot find out by itself.
//!
//! It runs beside nginx in the same container, and none of it is on the way of a request. When it is gone nginx
//! goes on with what it was told last.

/// What the container's settings say.
pub mod settings;

/// The name server that nginx asks: the engine's own, without the tasks that are left out.
pub mod names;

/// How long to wait for an answer, out of how long answers took.
pub mod patience;
/// Whether a task answers at all, asked several times a second.
pub mod probe;

/// Which tasks get no requests, and why.
pub mod left_out;
/// Tasks that fail while the others do not.
pub mod outlier;
/// The tasks that there are, and who of them is well.
pub mod tasks;

/// The limit: the capacity that is there, and the files by which nginx knows it.
pub mod limit;

/// What nginx logged for each request, added up.
pub mod account;
/// The log as a file in memory that only grows at its end.
pub mod log;

/// The balancer's own `/nginx/metrics`.
pub mod page;

/// Twice a second.
pub mod run;
