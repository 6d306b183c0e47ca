//! A webhook's other end: keeps the JSON bodies that are posted to it.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

use crate::stack::docker;

/// Listens until it is dropped.
#[derive(Debug)]
pub struct Receiver {
    port: u16,
    bodies: Arc<Mutex<Vec<Value>>>,
    task: JoinHandle<()>,
}

impl Receiver {
    /// On a free port of every address: containers come from the engine's bridge.
    pub async fn start() -> Result<Self> {
        let listener = TcpListener::bind("0.0.0.0:0").await?;
        let port = listener.local_addr()?.port();
        let bodies = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&bodies);
        let task = tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                if let Ok(body) = take(connection).await {
                    kept.lock().unwrap_or_else(PoisonError::into_inner).push(body);
                }
            }
        });
        Ok(Self { port, bodies, task })
    }

    /// Where a container of this node finds it.
    pub fn address_for_containers(&self) -> Result<String> {
        let gateway = docker(&["network", "inspect", "-f", "{{(index .IPAM.Config 0).Gateway}}", "docker_gwbridge"])?;
        Ok(format!("http://{gateway}:{}/alerts", self.port))
    }

    /// Everything so far.
    #[must_use]
    pub fn received(&self) -> Vec<Value> {
        self.bodies.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// One request, and the connection is over.
async fn take(mut connection: TcpStream) -> Result<Value> {
    let mut request = Vec::new();
    loop {
        let mut part = [0; 4096];
        let count = connection.read(&mut part).await?;
        request.extend_from_slice(part.get(..count).context("more than there is room for")?);
        let text = String::from_utf8_lossy(&request);
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            anyhow::ensure!(count > 0, "half a request");
            continue;
        };
        let length =
            head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length:")?.trim().parse().ok());
        if count == 0 || body.len() >= length.unwrap_or(0) {
            connection.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").await?;
            return serde_json::from_str(body).context("not JSON");
        }
    }
}
