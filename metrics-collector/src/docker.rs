//! The engine's API over its Unix socket, as far as it is read.
//!
//! Only GET, and only the fields that are used (see `docker::model`): the generated client models
//! drop a task's network attachments. Paths carry no version, so the engine answers in its own.

/// The engine's answers, reduced to what is used.
pub mod model;

use std::{path::Path, time::Duration};

use crate::fetch::{FetchError, Fetcher};

/// Enough for thousands of tasks, far below what would hurt.
const MAX_BYTES: usize = 32 << 20;

/// The label by which Swarm marks a container with its task.
pub const TASK_LABEL: &str = "com.docker.swarm.task.id";

/// One engine.
#[derive(Debug, Clone)]
pub struct Engine {
    fetcher: Fetcher,
}

impl Engine {
    /// The engine behind a socket; it need not be there yet.
    pub fn new(socket: &Path, timeout: Duration) -> Result<Self, FetchError> {
        Ok(Self { fetcher: Fetcher::unix(socket, timeout, MAX_BYTES)? })
    }

    /// Running containers of this engine that belong to Swarm tasks.
    pub async fn task_containers(&self) -> Result<Vec<model::Container>, FetchError> {
        // The filter is JSON, percent-encoded: {"label":["com.docker.swarm.task.id"]}
        let url = format!("http://docker/containers/json?filters=%7B%22label%22%3A%5B%22{TASK_LABEL}%22%5D%7D");
        self.fetcher.json(&url).await
    }

    /// Limits of one container.
    pub async fn inspect(&self, container: &str) -> Result<model::Inspect, FetchError> {
        self.fetcher.json(&format!("http://docker/containers/{container}/json")).await
    }

    /// Counters of one container, without the second that the engine would wait for a delta.
    pub async fn stats(&self, container: &str) -> Result<model::Stats, FetchError> {
        let url = format!("http://docker/containers/{container}/stats?stream=false&one-shot=true");
        self.fetcher.json(&url).await
    }

    /// All services of the Swarm.
    pub async fn services(&self) -> Result<Vec<model::Service>, FetchError> {
        self.fetcher.json("http://docker/services").await
    }

    /// All tasks that Swarm remembers, ended ones too.
    pub async fn tasks(&self) -> Result<Vec<model::Task>, FetchError> {
        self.fetcher.json("http://docker/tasks").await
    }

    /// Tasks of these services, by id, that Swarm wants to run. A service that is gone is an error.
    pub async fn wanted_tasks(&self, services: impl Iterator<Item = &str>) -> Result<Vec<model::Task>, FetchError> {
        // The filter is JSON, percent-encoded: {"desired-state":["running"],"service":["id",…]}
        let ids = services.map(|id| format!("%22{id}%22")).collect::<Vec<_>>().join("%2C");
        let url = format!(
            "http://docker/tasks?filters=%7B%22desired-state%22%3A%5B%22running%22%5D%2C%22service%22%3A%5B{ids}%5D%7D"
        );
        self.fetcher.json(&url).await
    }

    /// All nodes of the Swarm.
    pub async fn nodes(&self) -> Result<Vec<model::Node>, FetchError> {
        self.fetcher.json("http://docker/nodes").await
    }
}
