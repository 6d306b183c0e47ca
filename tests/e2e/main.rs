//! The stack as its users meet it, on a real Swarm. Run by `scripts/e2e.sh`, one test at a time;
//! each test waits until the stack is at rest and leaves it as it found it.

mod data;
mod guide;
mod lookback;
mod operate;
mod resilience;
mod scaling;
