//! The cache: never a stale value, and never missed.

use std::sync::atomic::{AtomicI64, Ordering};

use api::cache::Lookup;
use futures_util::future::join;
use serde_json::json;

use crate::{
    client::User,
    link::Link,
    servers::{Container, eventually},
    stack::{Api, Stack},
};

const LAST: i64 = 200;

async fn version(user: &User, path: &str) -> i64 {
    user.get(path).await.expect(200).json()["version"].as_i64().unwrap()
}

async fn change(user: &User, path: &str) -> i64 {
    user.put(path, &json!({ "title": "changed" })).await.expect(200).json()["version"].as_i64().unwrap()
}

/// Waits until an instance fills the cache with this item and reads it there.
async fn until_cached(api: &Api, user: &User, path: &str) {
    let id: uuid::Uuid = path.rsplit('/').next().unwrap().parse().unwrap();
    let cache = api.state.cache.as_ref().unwrap();
    eventually("the item is cached", async || {
        user.at(&api.base).get(path).await.expect(200);
        matches!(cache.get(id).await, Lookup::Hit(_)).then_some(())
    })
    .await;
}

#[tokio::test]
async fn what_is_cached_is_read_while_postgres_is_gone_by_its_owner_alone() {
    let stack = Stack::new().await;
    let api = stack.ready(&[]).await;
    let (user, other) = (api.user().await, api.user().await);
    let path = user.item("cached").await;
    until_cached(&api, &user, &path).await;
    stack.postgres.cut();
    assert_eq!(user.get(&path).await.expect(200).json()["title"], "cached");
    other.get(&path).await.problem(404);
}

#[tokio::test]
async fn after_a_change_nobody_reads_an_older_version() {
    let stack = Stack::new().await;
    let (one, two) = (stack.ready(&[]).await, stack.ready(&[]).await);
    let writer = one.user().await;
    let reader = writer.at(&two.base);
    let path = writer.item("versions").await;
    until_cached(&two, &reader, &path).await;
    let acknowledged = AtomicI64::new(1);
    let write = async {
        while acknowledged.load(Ordering::Acquire) < LAST {
            acknowledged.store(change(&writer, &path).await, Ordering::Release);
        }
    };
    let watch = async |user: &User| {
        while acknowledged.load(Ordering::Acquire) < LAST {
            let least = acknowledged.load(Ordering::Acquire);
            let seen = version(user, &path).await;
            assert!(seen >= least, "version {seen} was read after {least} was acknowledged");
        }
    };
    join(write, join(watch(&reader), watch(&writer))).await;
    writer.delete(&path).await.expect(204);
    for user in [&reader, &writer] {
        user.get(&path).await.problem(404);
    }
}

#[tokio::test]
async fn a_change_that_redis_missed_is_never_hidden_by_what_it_still_holds() {
    let stack = Stack::new().await;
    let (one, two) = (stack.ready(&[]).await, stack.ready(&[]).await);
    let user = one.user().await;
    let path = user.item("missed").await;
    // Which of them reaches Redis first depends on when it went: so each is the writer, more than once.
    for (writing, reading) in [(&one, &two), (&two, &one), (&one, &two), (&two, &one)] {
        let (writer, reader) = (user.at(&writing.base), user.at(&reading.base));
        until_cached(reading, &user, &path).await;
        stack.redis.cut();
        join(one.until_health("degraded"), two.until_health("degraded")).await;
        let least = change(&writer, &path).await;
        stack.redis.open();
        // While both find back to the cache, every read is watched.
        let recovered = join(until_cached(&one, &user, &path), until_cached(&two, &user, &path));
        tokio::pin!(recovered);
        loop {
            tokio::select! {
                _ = &mut recovered => break,
                seen = version(&reader, &path) => {
                    assert!(seen >= least, "version {seen} was read after {least} was acknowledged");
                }
            }
        }
    }
}

#[tokio::test]
async fn items_are_served_without_redis_and_cached_again_when_it_is_back() {
    let stack = Stack::new().await;
    let api = stack.ready(&[]).await;
    let user = api.user().await;
    let path = user.item("one").await;
    until_cached(&api, &user, &path).await;
    for lose in [Link::cut, Link::freeze] {
        lose(&stack.redis);
        let changed = change(&user, &path).await;
        assert_eq!(version(&user, &path).await, changed);
        api.until_health("degraded").await;
        let other = user.item("two").await;
        user.delete(&other).await.expect(204);
        user.get(&other).await.problem(404);
        stack.redis.open();
        api.until_health("ok").await;
        until_cached(&api, &user, &path).await;
        assert_eq!(version(&user, &path).await, changed);
    }
}

#[tokio::test]
async fn a_redis_that_starts_anew_is_used_again() {
    let redis = Container::redis();
    let mut stack = Stack::new().await;
    stack.redis = Link::to(redis.address).await;
    let api = stack.ready(&[]).await;
    let user = api.user().await;
    let path = user.item("one").await;
    until_cached(&api, &user, &path).await;
    redis.kill();
    let changed = change(&user, &path).await;
    assert_eq!(version(&user, &path).await, changed);
    api.until_health("degraded").await;
    redis.start();
    api.until_health("ok").await;
    until_cached(&api, &user, &path).await;
    assert_eq!(version(&user, &path).await, changed);
}
