//! The engine's API over its Unix socket: raw JSON, bounded in time and size.

use std::{
    error::Error,
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use reqwest::{Client, Method, StatusCode};
use serde::Deserialize;

use super::{Node, Service, Swarm, SwarmError, edit, nodes, parse};
use crate::{bounded, client};

/// For one call. A busy engine takes up to about a second.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Ten thousand services of 10 kB are 100 MB.
const MOST_BYTES: usize = 256 << 20;

/// The engine of this node, which must be a manager.
#[derive(Debug, Clone)]
pub struct Engine {
    client: Client,
    socket: PathBuf,
    most_bytes: usize,
}

#[derive(Deserialize)]
struct Refusal {
    message: String,
}

impl Engine {
    /// Speaks to the engine behind `socket`. Opens nothing yet.
    pub fn new(socket: &Path) -> Result<Self, reqwest::Error> {
        Self::with_limits(socket, TIMEOUT, MOST_BYTES)
    }

    /// The same with other bounds on the time of a call and the size of its answer.
    pub fn with_limits(socket: &Path, timeout: Duration, most_bytes: usize) -> Result<Self, reqwest::Error> {
        let client = client::builder(timeout)?
            .unix_socket(socket)
            // A connection that is kept while the engine restarts fails the first call after it.
            .pool_max_idle_per_host(0)
            .build()?;
        Ok(Self { client, socket: socket.to_owned(), most_bytes })
    }

    async fn call(&self, method: Method, path: &str, body: Option<String>) -> Result<String, SwarmError> {
        // No version in the path: the engine then speaks its newest, and hides no field from us.
        let mut request = self.client.request(method, format!("http://docker{path}"));
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body);
        }
        let response = request.send().await.map_err(|error| self.unreachable(&error))?;
        let status = response.status();
        let text = bounded::text(response, self.most_bytes).await.map_err(|error| self.unreachable(&error))?;
        if status.is_success() { Ok(text) } else { Err(refusal(status, &text)) }
    }

    async fn update(&self, service: &Service, spec: String) -> Result<(), SwarmError> {
        let path = format!("/services/{}/update?version={}", service.id, service.version);
        self.call(Method::POST, &path, Some(spec)).await.map(drop)
    }

    fn unreachable(&self, error: &(dyn Error + 'static)) -> SwarmError {
        let socket = self.socket.display().to_string();
        if is_denied(error) {
            return SwarmError::Denied { socket };
        }
        SwarmError::Unreachable { socket, cause: bounded::innermost(error) }
    }
}

/// Whether the system refused to open the socket.
fn is_denied(error: &(dyn Error + 'static)) -> bool {
    let mut causes = std::iter::successors(Some(error), |error| (*error).source());
    causes.any(|cause| cause.downcast_ref::<io::Error>().is_some_and(|io| io.kind() == io::ErrorKind::PermissionDenied))
}

/// What a refusal means. The engine tells a conflict by words only, with status 500.
fn refusal(status: StatusCode, text: &str) -> SwarmError {
    let message = serde_json::from_str::<Refusal>(text).map_or_else(|_| text.trim().to_owned(), |r| r.message);
    if message.contains("update out of sequence") {
        return SwarmError::Conflict;
    }
    if status == StatusCode::NOT_FOUND {
        return SwarmError::NotFound;
    }
    let message = message.chars().take(300).collect();
    SwarmError::Refused { status: status.as_u16(), message }
}

impl Swarm for Engine {
    async fn services(&self) -> Result<Vec<Service>, SwarmError> {
        parse::services(&self.call(Method::GET, "/services", None).await?)
    }

    async fn nodes(&self) -> Result<Vec<Node>, SwarmError> {
        nodes::nodes(&self.call(Method::GET, "/nodes", None).await?)
    }

    async fn service(&self, id: &str) -> Result<Service, SwarmError> {
        parse::service(&self.call(Method::GET, &format!("/services/{id}"), None).await?)
    }

    async fn scale(&self, service: &Service, replicas: u64, state: &str) -> Result<(), SwarmError> {
        self.update(service, edit::rescale(service.spec(), replicas, state)?).await
    }

    async fn replace_tasks(&self, service: &Service) -> Result<(), SwarmError> {
        self.update(service, edit::force(service.spec())?).await
    }
}
