//! Twice a second: how many replicas there are, who is well, and what was answered.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use tokio::{net::UdpSocket, time::MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use crate::{
    account::Account,
    limit::{Collector, Limiter},
    log::Log,
    names, page,
    page::InForce,
    probe::Prober,
    settings::Settings,
    tasks::Tasks,
};

const INTERVAL: Duration = Duration::from_millis(500);
/// Where nginx' configuration expects its name server.
const NAMES: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 1053);
/// The engine's own, in every container of a network.
const ENGINE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::new(127, 0, 0, 11)), 53);
/// Where the api listens.
const API_PORT: u16 = 3000;

/// Runs until it is stopped. The first page is there once nginx may be started.
pub async fn run(settings: Settings, stop: CancellationToken) -> Result<()> {
    let socket = UdpSocket::bind(NAMES).await.with_context(|| format!("cannot listen on {NAMES}"))?;
    let tasks = Arc::new(Tasks::new(Prober::new(API_PORT)?));
    let names = names::serve(socket, ENGINE, Arc::clone(&tasks));
    tokio::select! {
        outcome = names => outcome.context("the name server broke off"),
        outcome = follow(&settings, &tasks) => outcome,
        () = stop.cancelled() => Ok(()),
    }
}

async fn follow(settings: &Settings, tasks: &Tasks) -> Result<()> {
    let collector = Collector::new()?;
    let mut limiter = Limiter::new(settings);
    let mut log = Log::new(settings.run_dir.join("account"));
    let (mut account, mut confirmed) = (Account::default(), None);
    let mut tick = tokio::time::interval(INTERVAL);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let out = tasks.left_out();
        let capacity = limiter.apply(out.len() as u32).context("the limit cannot be written")?;
        let now = Instant::now();
        log.read(|line| account.add(line, now)).context("the log cannot be read")?;
        tasks.answered(account.take_recent(now));
        let in_force = InForce { capacity, age: confirmed.map(|at| now.duration_since(at)) };
        let next = settings.run_dir.join("metrics.next");
        fs::write(&next, page::render(settings, &account, in_force, &out))
            .and_then(|()| fs::rename(&next, settings.run_dir.join("metrics")))
            .context("the page cannot be written")?;
        tick.tick().await;
        match collector.capacity().await {
            Ok(capacity) => {
                confirmed = Some(Instant::now());
                limiter.tell(capacity).context("the capacity cannot be noted")?;
            }
            Err(error) => tracing::debug!(%error, "the collector is away: the limit stays"),
        }
    }
}
