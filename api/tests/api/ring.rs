//! Shards that come and go under writes: real ones, found by name, in the network of two instances.

use std::{
    sync::atomic::{AtomicBool, AtomicI64, Ordering},
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use serde_json::json;

use crate::{
    client::{PASSWORD, User, credentials, fresh_email, get, post},
    servers::{Container, Network, eventually},
    stack::JWT_SECRET,
};

const ITEMS: usize = 30;
/// After each change of the ring: the time in which instances disagree about it, and as much again.
const WATCHED: Duration = Duration::from_secs(5);

/// Two instances and two shards on a network. One shard is there, the other comes and goes.
struct Ring {
    apis: [Container; 2],
    second: Container,
    _first: Container,
    _postgres: Container,
    network: Network,
}

/// An item and the version that its owner knows to be there.
struct Watched {
    path: String,
    acknowledged: AtomicI64,
}

impl Ring {
    async fn of_one() -> Self {
        let network = Network::new();
        let place = ["--network", &network.name, "--network-alias", "postgres", "-v", "/var/lib/postgresql/data"];
        let postgres = Container::database(&place);
        let (first, second) = (Container::redis(), Container::redis());
        network.join(&first, "redis");
        let prefix = format!("{}:", uuid::Uuid::now_v7().simple());
        let settings = [
            ("DB_PASSWORD_FILE", "/run/secrets/db_password"),
            ("REDIS_HOST", "redis"),
            ("REDIS_PASSWORD_FILE", "/run/secrets/redis_password"),
            ("REDIS_KEY_PREFIX", &prefix),
            ("JWT_SECRET", JWT_SECRET),
            ("LOGIN_ATTEMPTS", "3"),
            ("HASH_WAIT", "10"),
        ];
        let apis = [(); 2].map(|()| Container::api(&network, &settings));
        let ring = Self { apis, second, _first: first, _postgres: postgres, network };
        for base in ring.bases() {
            eventually("the instance is ready", async || {
                let answer = reqwest::get(format!("{base}/api/health")).await.ok()?;
                answer.text().await.ok()?.contains(r#""status":"ok""#).then_some(())
            })
            .await;
        }
        ring
    }

    fn bases(&self) -> [String; 2] {
        self.apis.each_ref().map(|api| format!("http://{}", api.address))
    }

    /// How many shards have found something for the first instance.
    async fn shards_with_hits(&self) -> usize {
        let text = get(&self.bases()[0], "/metrics").await.expect(200).text;
        let hits = text.lines().filter(|line| line.starts_with("cache_lookups_total{") && line.contains("\"hit\""));
        hits.filter(|line| !line.ends_with(" 0")).count()
    }
}

/// Changes items one after the other until the end.
async fn write(user: &User, items: &[Watched], over: &AtomicBool) {
    for item in items.iter().cycle() {
        if over.load(Ordering::Acquire) {
            return;
        }
        let changed = user.put(&item.path, &json!({ "title": "changed" })).await.expect(200).json();
        item.acknowledged.fetch_max(changed["version"].as_i64().unwrap(), Ordering::AcqRel);
    }
}

/// Reads items one after the other until the end; none may be older than what was acknowledged before.
async fn watch(user: &User, items: &[Watched], over: &AtomicBool) {
    for item in items.iter().cycle() {
        if over.load(Ordering::Acquire) {
            return;
        }
        let least = item.acknowledged.load(Ordering::Acquire);
        let asked = Instant::now();
        let seen = user.get(&item.path).await.expect(200).json()["version"].as_i64().unwrap();
        assert!(seen >= least, "version {seen} was read after {least} was acknowledged");
        assert!(asked.elapsed() < Duration::from_secs(3), "{:?}", asked.elapsed());
    }
}

async fn login(base: &str, email: &str) -> u16 {
    post(base, "/api/auth/login", &credentials(email, PASSWORD)).await.status
}

async fn refresh(base: &str, token: &str) -> u16 {
    post(base, "/api/auth/refresh", &json!({ "refresh_token": token })).await.status
}

#[tokio::test]
async fn while_the_ring_changes_nothing_stale_is_read_and_nothing_that_is_shut_opens() {
    let ring = Ring::of_one().await;
    let [one, two] = ring.bases();
    let owner = User::register(&one).await;
    let mut items = Vec::new();
    for number in 0..ITEMS {
        let path = owner.item(&format!("item {number}")).await;
        items.push(Watched { path, acknowledged: AtomicI64::new(1) });
    }
    let shut = fresh_email();
    for _ in 0..3 {
        assert_eq!(login(&one, &shut).await, 401);
    }
    let ended = User::register(&two).await;
    post(&one, "/api/auth/logout", &json!({ "refresh_token": ended.refresh })).await.expect(204);
    let nothing_opens = async |stage: &str| {
        for base in [&one, &two] {
            assert_eq!(login(base, &shut).await, 429, "{stage}");
            assert_eq!(refresh(base, &ended.refresh).await, 401, "{stage}");
        }
    };

    let over = AtomicBool::new(false);
    let users = [owner.clone(), owner.at(&two)];
    let work = async {
        let writers = users.iter().map(|user| write(user, &items, &over));
        let readers = users.iter().flat_map(|user| [watch(user, &items, &over), watch(user, &items, &over)]);
        tokio::join!(join_all(writers), join_all(readers));
    };
    let changes = async {
        for round in ["first", "second"] {
            nothing_opens(&format!("one shard, {round} time")).await;
            ring.network.join(&ring.second, "redis");
            tokio::time::sleep(WATCHED).await;
            eventually("both shards are used", async || (ring.shards_with_hits().await == 2).then_some(())).await;
            nothing_opens(&format!("two shards, {round} time")).await;
            // The second time it goes half: it is found, and says nothing.
            if round == "second" {
                ring.second.act("pause");
                tokio::time::sleep(WATCHED).await;
                nothing_opens("one of two is frozen").await;
                ring.second.act("unpause");
                tokio::time::sleep(WATCHED).await;
            }
            ring.network.leave(&ring.second);
            tokio::time::sleep(WATCHED).await;
        }
        over.store(true, Ordering::Release);
    };
    tokio::join!(work, changes);
    assert!(items.iter().all(|item| item.acknowledged.load(Ordering::Acquire) > 5), "too few writes to prove anything");
}
