//! Follows the servers: looks their names up and probes every address, every second.
//!
//! Names only say where servers are. Which of them takes writes is what each says of itself, so that a
//! standby that was promoted is found under whatever name it has.
//!
//! A probe that found no free connection says nothing while others are answered: a busy service must
//! neither call its database lost nor throw away the connections that work.
//!
//! While a name stands for nothing (a primary that restarts) the old pool stays.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use shared::replication::Ends;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::{
    Database,
    fleet::{Fleet, Standby},
    names,
    server::{NoReport, PROBE_TIMEOUT, Report, Role, Server},
};
use crate::settings::DatabaseSettings;

const EVERY: Duration = Duration::from_secs(1);
/// Failed probes in a row after which the connections are given up: a frozen server that came back, or
/// connections that a firewall forgot, would otherwise hold the pool's places.
const GIVE_UP_AFTER: u32 = 3;
/// Longer than any lag that is put up with.
const KEPT: Duration = Duration::from_secs(30);

impl Database {
    /// Runs until `stop`. The next round is the retry of a failed one.
    pub async fn follow(&self, stop: CancellationToken) {
        let settings = &self.inner.settings;
        let names = settings.hosts.iter().map(|host| names::follow(host.clone(), settings.port)).collect();
        let mut follower = Follower { database: self, names, servers: Vec::new(), ends: Ends::kept_for(KEPT) };
        let mut tick = tokio::time::interval(EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = tick.tick() => {}
                () = stop.cancelled() => return,
            }
            follower.round().await;
        }
    }
}

/// What is kept from round to round.
struct Follower<'a> {
    database: &'a Database,
    names: Vec<names::Addresses>,
    servers: Vec<Known>,
    ends: Ends,
}

/// A server, and what its probes have told.
#[derive(Debug)]
struct Known {
    server: Arc<Server>,
    /// By its own word; `None` before its first answer.
    role: Option<Role>,
    /// See [`Ends::holds_all_before`]; only a standby has it.
    holds_all_before: Option<Instant>,
    failures: u32,
}

impl Follower<'_> {
    async fn round(&mut self) {
        let found = self.addresses().await;
        self.adopt(&found);
        let probes = join_all(self.servers.iter().map(|known| known.server.probe())).await;
        let settings = &self.database.inner.settings;
        for (known, probe) in self.servers.iter_mut().zip(&probes) {
            known.settle(probe, settings);
        }
        let primary = self.choose_primary();
        self.compare(&probes, primary.as_deref());
        self.tell(&probes, primary.as_deref());
        self.database.publish(self.fleet(primary));
    }

    /// All addresses of all names. One that was not answered yet stands for nothing, and is waited for a little.
    async fn addresses(&mut self) -> BTreeSet<SocketAddr> {
        let known = self.names.iter_mut().map(|addresses| async {
            let known = tokio::time::timeout(PROBE_TIMEOUT, addresses.wait_for(Option::is_some)).await;
            known.ok().and_then(|known| known.ok()?.clone()).unwrap_or_default()
        });
        join_all(known).await.into_iter().flatten().collect()
    }

    /// Takes in new addresses and lets go of those that are gone; the primary stays while it is away.
    fn adopt(&mut self, found: &BTreeSet<SocketAddr>) {
        let primary = self.database.fleet().primary.as_ref().map(|primary| primary.address);
        self.servers.retain(|Known { server, .. }| {
            let stays = found.contains(&server.address) || primary == Some(server.address);
            if !stays {
                tracing::info!(server = %server.address, "a database server left: {}", server.address);
                server.retire();
            }
            stays
        });
        for address in found {
            if !self.servers.iter().any(|known| known.server.address == *address) {
                let server = Arc::new(Server::new(&self.database.inner.settings, *address));
                self.servers.push(Known { server, role: None, holds_all_before: None, failures: 0 });
            }
        }
    }

    /// The primary of before while it answers as one, else another that does. When nobody does, the one
    /// of before stays: it is away, not deposed.
    fn choose_primary(&self) -> Option<Arc<Server>> {
        let before = self.database.fleet().primary.as_ref().map(|primary| primary.address);
        let of_before = |known: &&Known| Some(known.server.address) == before;
        let claims = |known: &&Known| known.role == Some(Role::Primary);
        let answering = || self.servers.iter().filter(claims).filter(|known| known.server.answers());
        let chosen = answering().find(of_before).or_else(|| answering().next());
        let chosen = chosen.or_else(|| self.servers.iter().filter(claims).find(of_before))?;
        if !of_before(&chosen) {
            tracing::info!(address = %chosen.server.address, "the primary is at {}", chosen.server.address);
        }
        Some(Arc::clone(&chosen.server))
    }

    /// Measures each standby against the primary.
    fn compare(&mut self, probes: &[Result<Report, NoReport>], primary: Option<&Server>) {
        let answers =
            self.servers.iter_mut().zip(probes).filter_map(|(known, probe)| Some((known, probe.as_ref().ok()?)));
        let (of_primary, others): (Vec<_>, Vec<_>) =
            answers.partition(|(known, _)| primary.is_some_and(|primary| primary.address == known.server.address));
        if let Some((_, Report { position: Some(position), asked, .. })) = of_primary.first() {
            self.ends.note(*asked, *position);
        }
        for (known, report) in others {
            let standby = report.role == Role::Standby;
            let position = report.position.filter(|_| standby);
            known.holds_all_before = position.and_then(|position| self.ends.holds_all_before(position));
        }
    }

    fn fleet(&self, primary: Option<Arc<Server>>) -> Fleet {
        let is_primary = |known: &Known| primary.as_ref().is_some_and(|p| p.address == known.server.address);
        let standbys = self.servers.iter().filter(|known| !is_primary(known)).filter_map(|known| {
            Some(Standby { server: Arc::clone(&known.server), holds_all_before: known.holds_all_before? })
        });
        Fleet { standbys: standbys.collect(), asked: self.ends.latest(), primary }
    }

    /// What health says of the database.
    fn tell(&self, probes: &[Result<Report, NoReport>], primary: Option<&Server>) {
        let health = &self.database.inner.health;
        let Some(primary) = primary else {
            return health.is_down("no server says that it is the primary");
        };
        let probe = self.servers.iter().zip(probes).find(|(known, _)| known.server.address == primary.address);
        match probe.map(|(_, probe)| probe) {
            Some(Ok(report)) => health.is_up(report.took),
            Some(Err(failure)) if !primary.answers() => health.is_down(&failure.cause),
            Some(Err(_)) | None => {}
        }
    }
}

impl Known {
    fn settle(&mut self, probe: &Result<Report, NoReport>, settings: &DatabaseSettings) {
        match probe {
            Ok(report) => {
                self.role = Some(report.role);
                self.failures = 0;
                self.server.set_answers(true);
            }
            // Others were answered meanwhile.
            Err(failure) if self.server.heard() >= failure.asked => self.server.set_answers(true),
            Err(_) => {
                self.failures += 1;
                self.server.set_answers(false);
                if self.failures.is_multiple_of(GIVE_UP_AFTER) {
                    self.server.renew(settings);
                }
            }
        }
    }
}
