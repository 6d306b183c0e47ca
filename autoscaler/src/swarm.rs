//! The Swarm as the autoscaler sees it: a list of services, and one way to change one.
//! Nothing is ever written but a replica count and our own label, or the counter that makes Swarm replace all tasks.

use std::{collections::BTreeMap, future::Future};

use crate::scaling::{Mode, Rollout};

mod edit;
mod nodes;
mod parse;
mod socket;

pub use edit::EditError;
pub use nodes::{Node, Placement, Platform, Resources};
pub use socket::Engine;

/// One service, as it was read.
#[derive(Debug, Clone)]
pub struct Service {
    /// Swarm's id.
    pub id: String,
    /// Name, with the stack's prefix.
    pub name: String,
    /// What an update must name; it changes with every write by anyone.
    pub version: u64,
    /// Labels of the service.
    pub labels: BTreeMap<String, String>,
    /// How Swarm runs it.
    pub mode: Mode,
    /// Replicas asked for; 0 for other modes.
    pub replicas: u64,
    /// Whether an update is under way.
    pub rollout: Rollout,
    /// When it was last written, by anyone; `None` when the engine did not say.
    pub updated_at_ms: Option<u64>,
    /// What it was before the last write.
    pub previous: Option<Previous>,
    /// Where its tasks may run, and what each of them reserves.
    pub placement: Placement,
    spec: String,
}

/// A service from JSON as the engine writes it, for tests of other modules.
#[cfg(test)]
pub(crate) fn from_json(service: &serde_json::Value) -> Service {
    parse::service(&service.to_string()).unwrap()
}

/// Nodes from JSON as the engine writes it, for tests of other modules.
#[cfg(test)]
pub(crate) fn nodes_from_json(nodes: &serde_json::Value) -> Vec<Node> {
    nodes::nodes(&nodes.to_string()).unwrap()
}

/// The part of the former specification that tells a redeploy from a human.
#[derive(Debug, Clone)]
pub struct Previous {
    /// Labels then.
    pub labels: BTreeMap<String, String>,
    /// Replicas then.
    pub replicas: u64,
}

/// Why the Swarm could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum SwarmError {
    /// Somebody else wrote first: read again, decide again.
    #[error("the service was changed in between")]
    Conflict,
    /// The service is gone.
    #[error("no such service")]
    NotFound,
    /// The engine cannot be reached, or not in time.
    #[error("the engine's socket {socket} does not answer: {cause}")]
    Unreachable {
        /// Path of the socket.
        socket: String,
        /// The innermost cause, for instance that the permission is denied.
        cause: String,
    },
    /// The engine's socket may not be opened.
    #[error("no permission for the engine's socket {socket}: the user that runs this must be in its group")]
    Denied {
        /// Path of the socket.
        socket: String,
    },
    /// Not tried, because the engine let an earlier call wait in vain.
    #[error("the engine did not answer an earlier write of this round")]
    GivenUp,
    /// The engine refused.
    #[error("the engine answered {status}: {message}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// The engine's words.
        message: String,
    },
    /// The engine answered something that is no list of services.
    #[error("the engine's answer is not understood: {0}")]
    Garbage(String),
    /// The specification lacks what is to be changed.
    #[error(transparent)]
    Edit(#[from] EditError),
}

/// Reading and writing services.
pub trait Swarm: Send + Sync + 'static {
    /// All services.
    fn services(&self) -> impl Future<Output = Result<Vec<Service>, SwarmError>> + Send;

    /// All nodes.
    fn nodes(&self) -> impl Future<Output = Result<Vec<Node>, SwarmError>> + Send;

    /// One service, as it is now.
    fn service(&self, id: &str) -> impl Future<Output = Result<Service, SwarmError>> + Send;

    /// Writes a replica count and our own note, if nobody wrote since `service` was read.
    fn scale(
        &self,
        service: &Service,
        replicas: u64,
        state: &str,
    ) -> impl Future<Output = Result<(), SwarmError>> + Send;

    /// Has every task of a service replaced, as its own update policy says, if nobody wrote since it was read.
    fn replace_tasks(&self, service: &Service) -> impl Future<Output = Result<(), SwarmError>> + Send;
}
