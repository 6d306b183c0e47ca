//! Whether a task answers at all. The engine probes, too, but seldom, for each probe starts a process; and a container that
//! is paused it does not probe.

use std::{
    net::Ipv4Addr,
    time::{Duration, Instant},
};

use reqwest::{Client, redirect};
use tokio::sync::watch;

use crate::patience::Patience;

/// The cheapest question that the api knows.
const PATH: &str = "/api/health/live";
/// From one question to the next.
const INTERVAL: Duration = Duration::from_millis(250);
/// A question that was not answered for so long is put again.
const LONGEST: Duration = Duration::from_secs(10);

/// Asks tasks.
#[derive(Debug, Clone)]
pub struct Prober {
    client: Client,
    port: u16,
}

impl Prober {
    /// Tasks listen on this port.
    pub fn new(port: u16) -> Result<Self, reqwest::Error> {
        let client = Client::builder()
            .no_proxy()
            .redirect(redirect::Policy::none())
            .timeout(LONGEST)
            .pool_max_idle_per_host(1)
            .build()?;
        Ok(Self { client, port })
    }

    /// Asks one task for ever and tells since when it is silent.
    pub async fn follow(self, address: Ipv4Addr, silent_since: watch::Sender<Option<Instant>>) {
        let is_silent = |since| silent_since.send_modify(|known| *known = known.or(Some(since)));
        let url = format!("http://{address}:{}{PATH}", self.port);
        let mut patience = Patience::default();
        loop {
            let asked = Instant::now();
            let answer = self.client.get(&url).send();
            tokio::pin!(answer);
            let answer = match tokio::time::timeout(patience.timeout(), &mut answer).await {
                Ok(answer) => answer,
                Err(_) => {
                    is_silent(asked);
                    // It may be late only, and comes back with its answer.
                    answer.await
                }
            };
            // Whatever it answers, it lives; whether it is well is told by what it answers to clients.
            match answer {
                Ok(_) => {
                    silent_since.send_replace(None);
                    patience.learn(asked.elapsed());
                }
                Err(_) => is_silent(asked),
            }
            tokio::time::sleep(INTERVAL.saturating_sub(asked.elapsed())).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;

    async fn becomes(since: &mut watch::Receiver<Option<Instant>>, silent: bool, within: Duration) {
        let change = since.wait_for(|since| since.is_some() == silent);
        assert!(tokio::time::timeout(within, change).await.is_ok(), "not {silent} within {within:?}");
    }

    /// A server that answers while it is told to.
    #[tokio::test]
    async fn a_task_that_stops_to_answer_is_silent_within_a_second_until_it_answers() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (answers, answering) = watch::channel(true);
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut answering = answering.clone();
                tokio::spawn(async move {
                    let mut bytes = [0; 1024];
                    while stream.read(&mut bytes).await.is_ok_and(|length| length > 0) {
                        answering.wait_for(|answering| *answering).await.unwrap();
                        stream.write_all(b"HTTP/1.1 503 busy\r\nContent-Length: 0\r\n\r\n").await.unwrap();
                    }
                });
            }
        });
        let (tell, mut silent) = watch::channel(Some(Instant::now()));
        let probe = tokio::spawn(Prober::new(port).unwrap().follow(Ipv4Addr::LOCALHOST, tell));
        becomes(&mut silent, false, Duration::from_secs(5)).await;
        answers.send_replace(false);
        becomes(&mut silent, true, Duration::from_secs(1)).await;
        answers.send_replace(true);
        becomes(&mut silent, false, Duration::from_millis(500)).await;
        probe.abort();
    }

    #[tokio::test]
    async fn a_task_that_refuses_is_silent_at_once() {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap().local_addr().unwrap().port();
        let (tell, mut silent) = watch::channel(None);
        let probe = tokio::spawn(Prober::new(port).unwrap().follow(Ipv4Addr::LOCALHOST, tell));
        becomes(&mut silent, true, Duration::from_millis(500)).await;
        probe.abort();
    }
}
