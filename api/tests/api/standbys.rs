//! Reads on standbys: spread, fresh enough, and never lost with a server.

use std::time::{Duration, Instant};

use api::db::Role;
use serde_json::json;

use crate::{
    client::User,
    cluster::{CLUSTER, Cluster, Links},
    program::Program,
    servers::eventually,
    stack::Api,
};

/// Short, so that a user who wrote is soon quiet again.
const QUICK: [(&str, &str); 2] = [("DB_REPLICA_MAX_LAG", "1"), ("DB_STATEMENT_TIMEOUT", "1")];

impl Links {
    fn environment<'a>(&'a self, more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
        let mut environment = vec![("DB_REPLICA_HOST", self.names.as_str())];
        environment.extend(QUICK);
        environment.extend(more);
        environment
    }

    async fn ready(&self, more: &[(&str, &str)]) -> Api {
        self.stack.ready(&self.environment(more)).await
    }
}

/// Reads that this instance had answered by the primary and by each standby.
fn reads(api: &Api) -> (u64, Vec<u64>) {
    let shares = api.state.database.shares();
    let of = |role| shares.iter().filter(move |share| share.role == role).map(|share| share.reads);
    (of(Role::Primary).sum(), of(Role::Standby).collect())
}

/// Waits until lists of this user are read from a standby.
async fn until_quiet(api: &Api, user: &User) {
    eventually("the user is quiet", async || {
        let before: u64 = reads(api).1.iter().sum();
        user.get("/api/items").await.expect(200);
        (reads(api).1.iter().sum::<u64>() > before).then_some(())
    })
    .await;
}

async fn titles(user: &User) -> Vec<String> {
    let page = user.get("/api/items").await.expect(200).json();
    page["items"].as_array().unwrap().iter().map(|item| item["title"].as_str().unwrap().to_owned()).collect()
}

async fn writes_again(user: &User) {
    let write = async || user.post("/api/items", &json!({ "title": "back" })).await;
    eventually("writes succeed", async || (write().await.status == 201).then_some(())).await;
}

#[tokio::test]
async fn reads_are_shared_out_among_the_standbys_and_spare_the_primary() {
    let links = CLUSTER.linked().await;
    let api = links.ready(&[("DB_REPLICA_MAX_LAG", "3")]).await;
    let user = api.user().await;
    until_quiet(&api, &user).await;
    let (primary, before) = reads(&api);
    for _ in 0..30 {
        user.get("/api/items").await.expect(200);
        user.get("/api/users/me").await.expect(200);
    }
    let (primary_after, after) = reads(&api);
    let shares: Vec<_> = after.iter().zip(&before).map(|(after, before)| after - before).collect();
    assert_eq!(shares.len(), 2, "{shares:?}");
    // On a starved machine a standby may seem silent and be passed over for a second.
    assert!(shares.iter().all(|share| *share >= 15), "{shares:?}");
    assert!(primary_after - primary <= 20, "{}", primary_after - primary);
}

#[tokio::test]
async fn whoever_has_just_written_reads_it_on_every_instance() {
    let cluster = Cluster::of(1);
    let links = cluster.linked().await;
    // Long enough that a standby which has nothing new is read from to the end of this test.
    let patient = [("DB_REPLICA_MAX_LAG", "10")];
    let (one, two) = (links.ready(&patient).await, links.ready(&patient).await);
    let writer = one.user().await;
    let (reader, other) = (writer.at(&two.base), two.user().await);
    until_quiet(&two, &reader).await;
    cluster.standbys[0].sql("select pg_wal_replay_pause()");
    let mut path = String::new();
    for number in 0..10 {
        path = writer.item(&format!("number {number}")).await;
        assert_eq!(titles(&reader).await[0], format!("number {number}"));
    }
    reader.put(&path, &json!({ "title": "changed" })).await.expect(200);
    assert_eq!(titles(&writer).await[0], "changed");
    writer.delete(&path).await.expect(204);
    assert_eq!(titles(&reader).await[0], "number 8");
    let before: u64 = reads(&two).1.iter().sum();
    other.get("/api/users/me").await.expect(200);
    assert_eq!(reads(&two).1.iter().sum::<u64>(), before + 1, "the standby was out of use: nothing was proved");
}

#[tokio::test]
async fn without_redis_nobody_is_known_to_be_quiet_and_lists_come_from_the_primary() {
    let links = CLUSTER.linked().await;
    let api = links.ready(&[]).await;
    let user = api.user().await;
    until_quiet(&api, &user).await;
    links.stack.redis.cut();
    api.until_health("degraded").await;
    let (primary, _) = reads(&api);
    for _ in 0..5 {
        user.get("/api/items").await.expect(200);
    }
    assert_eq!(reads(&api).0, primary + 5);
    // Nor at once when it is back: a mark that it missed would be missing there.
    links.stack.redis.open();
    writes_again(&user).await;
    assert_eq!(titles(&user).await, ["back"]);
    until_quiet(&api, &user).await;
}

#[tokio::test]
async fn a_standby_that_is_gone_or_frozen_fails_no_read_and_only_one_waits_for_it() {
    let links = CLUSTER.linked().await;
    let program = Program::start(&links.stack, &links.environment(&[("LOG_LEVEL", "debug")]));
    program.until_ready().await;
    let user = User::register(&program.base).await;
    let served = async |last: u8| {
        let series = format!("db_reads_total{{server=\"127.0.0.{last}\",role=\"standby\"}} ");
        let text = program.metrics().await;
        text.lines().find_map(|line| line.strip_prefix(&series)?.parse::<u64>().ok()).unwrap_or_default()
    };
    let in_use = async |last: u8| {
        let before = served(last).await;
        eventually("the standby is read from", async || {
            user.get("/api/users/me").await.expect(200);
            (served(last).await > before).then_some(())
        })
        .await;
    };
    in_use(2).await;
    in_use(3).await;
    for lose in [crate::link::Link::freeze, crate::link::Link::cut] {
        let waited = || program.log().matches("a standby did not answer a read").count();
        let before = waited();
        lose(&links.standbys[0]);
        let started = Instant::now();
        while started.elapsed() < Duration::from_secs(4) {
            let asked = Instant::now();
            user.get("/api/users/me").await.expect(200);
            assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
        }
        let lines = program.log();
        let lines: Vec<_> = lines.lines().filter(|line| line.contains("a standby did not answer a read")).collect();
        let of_lost = lines[before..].iter().filter(|line| line.contains("127.0.0.2")).count();
        assert!(of_lost <= 1, "{of_lost} reads waited for it");
        links.standbys[0].open();
        in_use(2).await;
    }
}

#[tokio::test]
async fn without_any_standby_the_primary_takes_the_reads() {
    let links = CLUSTER.linked().await;
    let api = links.ready(&[]).await;
    let user = api.user().await;
    until_quiet(&api, &user).await;
    links.standbys.iter().for_each(crate::link::Link::cut);
    let (primary, _) = reads(&api);
    for _ in 0..20 {
        user.get("/api/items").await.expect(200);
    }
    assert!(reads(&api).0 >= primary + 18, "{:?}", reads(&api));
    links.standbys.iter().for_each(crate::link::Link::open);
    until_quiet(&api, &user).await;
}

#[tokio::test]
async fn while_the_primary_is_gone_reads_go_on_and_writes_are_refused_in_time() {
    let links = CLUSTER.linked().await;
    let api = links.ready(&[("DB_ACQUIRE_TIMEOUT", "0.8")]).await;
    let user = api.user().await;
    let path = user.item("kept").await;
    until_quiet(&api, &user).await;
    for lose in [crate::link::Link::cut, crate::link::Link::freeze] {
        lose(&links.stack.postgres);
        let started = Instant::now();
        // Longer than a standby may lag: it grows no older while nothing is written.
        while started.elapsed() < Duration::from_secs(3) {
            assert_eq!(titles(&user).await.last().unwrap(), "kept");
            user.get(&path).await.expect(200);
            user.get("/api/users/me").await.expect(200);
        }
        let asked = Instant::now();
        user.post("/api/items", &json!({ "title": "lost" })).await.problem(503);
        assert!(asked.elapsed() < Duration::from_secs(4), "{:?}", asked.elapsed());
        links.stack.postgres.open();
        writes_again(&user).await;
        api.until_health("ok").await;
    }
}

#[tokio::test]
async fn a_standby_that_lags_gets_no_reads_and_one_that_is_promoted_gets_the_writes() {
    let cluster = Cluster::of(1);
    let links = cluster.linked().await;
    let api = links.ready(&[]).await;
    let user = api.user().await;
    until_quiet(&api, &user).await;

    cluster.standbys[0].sql("select pg_wal_replay_pause()");
    user.item("late").await;
    eventually("it lags by more than is allowed", async || {
        let before: u64 = reads(&api).1.iter().sum();
        for _ in 0..5 {
            user.get("/api/users/me").await.expect(200);
        }
        (reads(&api).1.iter().sum::<u64>() == before).then_some(())
    })
    .await;
    // By now nobody remembers that this user wrote.
    let quiet = Instant::now() + Duration::from_secs(5);
    while Instant::now() < quiet {
        assert_eq!(titles(&user).await, ["late"]);
    }
    cluster.standbys[0].sql("select pg_wal_replay_resume()");
    until_quiet(&api, &user).await;

    cluster.primary.kill();
    api.until_health("degraded").await;
    assert_eq!(titles(&user).await, ["late"]);
    assert_eq!(cluster.standbys[0].sql("select pg_promote()"), "t");
    writes_again(&user).await;
    api.until_health("ok").await;
    assert_eq!(titles(&user).await, ["back", "late"]);
    let shares = api.state.database.shares();
    let primary = shares.iter().find(|share| share.role == Role::Primary).unwrap();
    assert_eq!(primary.server.to_string(), "127.0.0.2");
}
