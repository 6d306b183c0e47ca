//! The API as its users see it: HTTP against a real server, on real Postgres and Redis.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod client;
mod cluster;
mod link;
mod program;
mod servers;
mod stack;

mod accounts;
mod alone;
mod cache;
mod docs;
mod health;
mod hostile;
mod idempotency;
mod items;
mod metrics;
mod migrations;
mod outage;
mod overload;
mod pages;
mod problems;
mod request_ids;
mod ring;
mod sessions;
mod shutdown;
mod standbys;
mod throttle;
mod tokens;
