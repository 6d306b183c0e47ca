//! Redis: independent shards that may vanish at any time and never answer with a stale value.
//!
//! Every address of the name is a shard; rendezvous hashing picks the one that a key belongs to. How a
//! value is kept from outliving a change is told in `protocol`. A shard that is slow or away is a miss;
//! nothing here fails a request.

/// Keeping up with the addresses, and attending to each shard.
mod follow;
/// What is said to a shard, and why no stale value survives it.
mod protocol;
/// Which shard a key belongs to.
mod ring;
/// One shard: its connection and whether it answers.
mod shard;

use std::{
    net::IpAddr,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_util::future::join_all;
use rand::RngExt;
use redis::Cmd;
use tokio::{sync::Notify, time::Instant};
use uuid::Uuid;

use crate::{http::health::Dependency, items::item::OwnedItem, settings::CacheSettings};
use protocol::Generation;
use shard::{Attendance, Shard};

/// Values live for the configured time less up to this share, so that what was filled together does
/// not expire together.
const JITTER: f64 = 1.0 / 3.0;
/// Longer than any value lives, and than any filler holds on to a row.
const FENCE_TTL: Duration = Duration::from_secs(90);
/// How old a row may be when it is filled in.
const FILL_WITHIN: Duration = Duration::from_secs(2);

/// All shards. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Cache {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    settings: CacheSettings,
    members: RwLock<Arc<Vec<Member>>>,
    health: Dependency,
    started: Instant,
    attendance: Attendance,
    /// Milliseconds after `started` of the latest fence or mark; 0 before the first.
    last_fence: AtomicU64,
    /// Wakes the follower when a shard has missed a fence or a mark.
    missed: Notify,
}

/// A shard, and since when the name stands for it.
#[derive(Debug, Clone)]
struct Member {
    shard: Arc<Shard>,
    joined: Instant,
    /// When the name stopped standing for it.
    left: Option<Instant>,
}

/// What the cache knows of an item.
#[derive(Debug)]
pub enum Lookup {
    /// It, in its latest version.
    Hit(OwnedItem),
    /// Nothing; the ticket lets the latest version be filled in.
    Miss(Ticket),
    /// Nothing, and nothing can be filled in.
    Off,
}

/// The right to fill in what was missing, for a short time.
#[derive(Debug)]
pub struct Ticket {
    shard: Arc<Shard>,
    generation: Generation,
    taken: Instant,
}

impl Cache {
    /// Knows how to connect; opens nothing.
    #[must_use]
    pub fn new(settings: CacheSettings) -> Self {
        let key = |name| format!("{}{name}", settings.key_prefix);
        let attendance = Attendance { attended: key("attended"), young: key("young"), young_for: settings.mark_ttl };
        let inner = Inner {
            attendance,
            settings,
            members: RwLock::default(),
            health: Dependency::new("redis"),
            started: Instant::now(),
            last_fence: AtomicU64::new(0),
            missed: Notify::new(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// How the shards are, by the latest round.
    #[must_use]
    pub fn health(&self) -> &Dependency {
        &self.inner.health
    }

    /// Looks an item up.
    pub async fn get(&self, id: Uuid) -> Lookup {
        let Some(shard) = self.owner(id.as_bytes()) else { return Lookup::Off };
        let taken = Instant::now();
        let Some((generation, value)) = shard.read(&self.inner.attendance.attended, &self.item_key(id)).await else {
            return Lookup::Off;
        };
        let item = value.and_then(|value| protocol::value_of(&value, &generation));
        shard.count(item.is_some());
        match item {
            Some(item) => Lookup::Hit(item),
            None => Lookup::Miss(Ticket { shard, generation, taken }),
        }
    }

    /// Fills in what was read from the primary after the ticket was taken.
    pub async fn fill(&self, ticket: Ticket, item: &OwnedItem) {
        if ticket.taken.elapsed() > FILL_WITHIN {
            return;
        }
        let Some(value) = protocol::value(item, &ticket.generation) else { return };
        let ttl = self.inner.settings.ttl.mul_f64(1.0 - rand::rng().random_range(0.0..JITTER));
        let keys = (self.inner.attendance.attended.clone(), self.item_key(item.item.id));
        ticket.shard.fill(keys, (item.item.version, value), &ticket.generation, ttl).await;
    }

    /// From now on no version of this item below `version` is read or filled in. To be called before the
    /// change commits; should it not commit, the item is only read from the primary for a while.
    pub async fn fence(&self, id: Uuid, version: i64) {
        let key = self.item_key(id);
        self.tell(&protocol::fence(&key, version, FENCE_TTL)).await;
    }

    /// From now on this user does not count as quiet. To be called before a write is sent.
    pub async fn mark_writer(&self, user: Uuid) {
        let key = self.writer_key(user);
        self.tell(&protocol::mark(&key, self.inner.settings.mark_ttl)).await;
    }

    /// Whether it is certain that this user has written nothing that a standby might not have.
    pub async fn is_quiet(&self, user: Uuid) -> bool {
        match self.owner(user.as_bytes()) {
            Some(shard) => shard.lacks(&self.inner.attendance, &self.writer_key(user)).await,
            None => false,
        }
    }

    /// The address of each shard, with its look-ups by this process: those that found something, and those
    /// that did not.
    #[must_use]
    pub fn lookups(&self) -> Vec<(IpAddr, (u64, u64))> {
        let members = self.members();
        let present = members.iter().filter(|member| member.left.is_none());
        present.map(|member| (member.shard.address().ip(), member.shard.lookups())).collect()
    }

    /// Tells every shard something that none may miss.
    async fn tell(&self, cmd: &Cmd) {
        let since = u64::try_from(self.inner.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.inner.last_fence.store(since.max(1), Ordering::Relaxed);
        let members = self.members();
        if join_all(members.iter().map(|member| member.shard.tell(cmd))).await.contains(&false) {
            self.inner.missed.notify_one();
        }
    }

    /// Seconds for which an account is shut; `None` when it is not known to be.
    pub async fn shut_for(&self, subject: &[u8; 32]) -> Option<u64> {
        self.owner(subject)?.remaining(&self.login_key(subject)).await
    }

    /// Remembers that an account is shut for some seconds.
    pub async fn shut(&self, subject: &[u8; 32], seconds: u64) {
        if let Some(shard) = self.owner(subject) {
            shard.remember(&self.login_key(subject), Duration::from_secs(seconds)).await;
        }
    }

    fn members(&self) -> Arc<Vec<Member>> {
        Arc::clone(&self.inner.members.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The shard a key belongs to, among those that may be read from.
    fn owner(&self, key: &[u8]) -> Option<Arc<Shard>> {
        let members = self.members();
        let now = Instant::now();
        let readable = members.iter().filter(|member| member.is_readable(now));
        ring::owner(key, readable.map(|member| (member.shard.address(), &member.shard))).map(Arc::clone)
    }

    fn item_key(&self, id: Uuid) -> String {
        format!("{}item:{}", self.inner.settings.key_prefix, id.simple())
    }

    fn writer_key(&self, user: Uuid) -> String {
        format!("{}writer:{}", self.inner.settings.key_prefix, user.simple())
    }

    fn login_key(&self, subject: &[u8; 32]) -> String {
        let digest = Uuid::from_slice(&subject[..16]).unwrap_or_default();
        format!("{}shut:{}", self.inner.settings.key_prefix, digest.simple())
    }
}
