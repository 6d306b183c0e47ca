//! The commands beside the loop: each is a function from what it is given to what it prints.

/// `autoscaler decide`: the rules as a filter from JSON to JSON.
pub mod decide;

/// `autoscaler explain`: why a service is where it is.
pub mod explain;

/// `autoscaler status`: all services at one glance.
pub mod status;

/// `autoscaler check`: whether the labels in the Swarm are sound.
pub mod check;

/// `autoscaler replay`: policies side by side on the load that was recorded.
pub mod replay;

/// `autoscaler simulate`: policies side by side on a trace of load.
pub mod simulate;
