//! The API: accounts, sessions and items over HTTP, on Postgres, with Redis as a mere aid.
//!
//! In reading order: what an operator sets, how a process is put together, what is served,
//! and what it stands on. Nothing here may let a lost dependency end the process.

/// Every setting, read once and wholly checked.
pub mod settings;

/// Putting the parts together; what `main` and the tests both start.
pub mod app;

/// What all requests have in common: problems, ids, logs, limits, health, documentation.
pub mod http;

/// Accounts, passwords, tokens and sessions.
pub mod auth;

/// Items: the one resource of this service.
pub mod items;

/// Postgres: pools, migrations, and which errors mean "come back later".
pub mod db;

/// Redis: independent shards that may vanish at any time and never answer with a stale value.
pub mod cache;

/// Deleting what has expired, so that no table grows for ever.
pub mod housekeeping;
