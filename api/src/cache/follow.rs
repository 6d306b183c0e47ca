//! Keeps up with the shards' addresses and attends to each, every second.
//!
//! Docker's DNS claims a lifetime of ten minutes, so nothing may be kept longer than one round.

use std::{
    net::SocketAddr,
    sync::{Arc, PoisonError, atomic::Ordering},
    time::Duration,
};

use futures_util::future::join_all;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::{Cache, Member, Shard};

const EVERY: Duration = Duration::from_secs(1);
const LOOKUP_TIMEOUT: Duration = Duration::from_millis(800);
/// By then every process has seen a shard that joined or came back: it fences it, and has renewed it
/// after a fence that it missed.
pub(super) const READ_AFTER: Duration = Duration::from_millis(2500);
/// Until then some process may still read from a shard that left.
const FENCE_UNTIL: Duration = Duration::from_secs(5);
/// A change this long ago may have been made without a shard that joins now.
const RECENT: Duration = Duration::from_secs(10);

impl Member {
    /// Whether values may be read from it and filled into it.
    pub(super) fn is_readable(&self, now: Instant) -> bool {
        self.left.is_none() && now.duration_since(self.joined) >= READ_AFTER
    }
}

impl Cache {
    /// Runs until `stop`. The next round is the retry of a failed one.
    pub async fn follow(&self, stop: CancellationToken) {
        let mut tick = tokio::time::interval(EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = tick.tick() => self.resolve().await,
                () = self.inner.missed.notified() => {}
                () = stop.cancelled() => return,
            }
            self.attend().await;
        }
    }

    async fn resolve(&self) {
        let settings = &self.inner.settings;
        let lookup = tokio::net::lookup_host((settings.host.as_str(), settings.port));
        let found = match tokio::time::timeout(LOOKUP_TIMEOUT, lookup).await {
            Ok(Ok(addresses)) => addresses.collect(),
            // The name stands for nothing: an empty ring. A resolver that hangs changes nothing.
            Ok(Err(_)) => Vec::new(),
            Err(_) => return,
        };
        let now = Instant::now();
        let fenced_recently = match self.inner.last_fence.load(Ordering::Relaxed) {
            0 => false,
            at => now.duration_since(self.inner.started) < Duration::from_millis(at) + RECENT.max(settings.mark_ttl),
        };
        let members = next(&self.members(), &found, now, fenced_recently);
        *self.inner.members.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(members);
    }

    async fn attend(&self) {
        let started = Instant::now();
        let members = self.members();
        let present = members.iter().filter(|member| member.left.is_none());
        let password = self.inner.settings.password.as_ref();
        let results = join_all(present.map(|member| member.shard.attend(&self.inner.attendance, password))).await;
        match results.iter().find_map(|result| result.as_ref().err()) {
            None if results.is_empty() => self.inner.health.is_down("the name stands for no address"),
            None => self.inner.health.is_up(started.elapsed()),
            Some(error) => self.inner.health.is_down(&error.to_string()),
        }
    }
}

/// The members after a look-up. One that comes back is another: its connection and its age begin anew.
fn next(members: &[Member], found: &[SocketAddr], now: Instant, fenced_recently: bool) -> Vec<Member> {
    let still = members.iter().filter(|member| member.left.is_none());
    let stay = still.clone().filter(|member| found.contains(&member.shard.address())).cloned();
    let leave = still
        .clone()
        .filter(|member| !found.contains(&member.shard.address()))
        .map(|member| Member { left: Some(now), ..member.clone() });
    let left = members
        .iter()
        .filter(|member| member.left.is_some_and(|at| now.duration_since(at) < FENCE_UNTIL))
        .filter(|member| !found.contains(&member.shard.address()))
        .cloned();
    let known = |address: &SocketAddr| still.clone().any(|member| member.shard.address() == *address);
    let join = found.iter().filter(|address| !known(address)).map(|address| {
        tracing::info!(shard = %address, "a shard joined: {address}");
        // A change of ours may have passed it by: then what it holds must not count.
        Member { shard: Arc::new(Shard::new(*address, fenced_recently)), joined: now, left: None }
    });
    stay.chain(leave).chain(left).chain(join).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(last: u8) -> SocketAddr {
        SocketAddr::from(([10, 0, 0, last], 6379))
    }

    fn readable(members: &[Member], now: Instant) -> Vec<SocketAddr> {
        members.iter().filter(|m| m.is_readable(now)).map(|m| m.shard.address()).collect()
    }

    fn fenced(members: &[Member]) -> Vec<SocketAddr> {
        members.iter().map(|m| m.shard.address()).collect()
    }

    #[test]
    fn a_shard_that_joins_is_fenced_at_once_and_read_from_later() {
        let start = Instant::now();
        let members = next(&[], &[at(1)], start, false);
        assert_eq!((fenced(&members), readable(&members, start)), (vec![at(1)], vec![]));
        let later = start + READ_AFTER;
        let members = next(&members, &[at(1), at(2)], later, false);
        assert_eq!((fenced(&members), readable(&members, later)), (vec![at(1), at(2)], vec![at(1)]));
    }

    #[test]
    fn a_shard_that_leaves_is_not_read_from_and_fenced_for_a_while() {
        let start = Instant::now();
        let members = next(&[], &[at(1), at(2)], start, false);
        let later = start + READ_AFTER;
        let members = next(&members, &[at(2)], later, false);
        assert_eq!(readable(&members, later), [at(2)]);
        assert!(fenced(&members).contains(&at(1)));
        let members = next(&members, &[at(2)], later + FENCE_UNTIL, false);
        assert_eq!(fenced(&members), [at(2)]);
    }

    #[test]
    fn a_shard_that_comes_back_is_new() {
        let start = Instant::now();
        let members = next(&[], &[at(1)], start, false);
        let members = next(&members, &[], start + READ_AFTER, false);
        let back = start + READ_AFTER * 2;
        let members = next(&members, &[at(1)], back, false);
        assert_eq!((members.len(), readable(&members, back)), (1, vec![]));
    }
}
