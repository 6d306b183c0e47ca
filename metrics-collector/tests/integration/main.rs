//! The agent and the collector against real and against broken neighbours: a real engine,
//! a real Postgres and Redis, and servers that hang, lie or answer without end.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod bad_server;
mod containers;
mod fake_engine;
mod support;

mod agent;
mod pages;
mod postgres;
mod program;
mod redis;
mod rounds;
