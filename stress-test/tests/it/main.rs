//! The program against a server that knows the same routes as the api: what it sends,
//! what it notices, and how it ends.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod engine;
mod server;
