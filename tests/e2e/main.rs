//! The stack as its users meet it, on a real Swarm. Run by `scripts/e2e.sh`, one test at a time;
//! each test waits until the stack is at rest and leaves it as it found it.

mod balancer;
mod by_hand;
mod dashboard;
mod data;
mod guide;
mod lookback;
mod metrics;
mod monitoring;
mod operate;
mod refusals;
mod resilience;
mod runbook;
mod safety;
mod scaling;
