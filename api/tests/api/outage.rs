//! Postgres goes and comes back.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::{
    client::{User, get},
    link::Link,
    servers::{Container, eventually},
    stack::{Api, Stack},
};

/// As it is where nobody says otherwise.
const IMPATIENT: (&str, &str) = ("DB_ACQUIRE_TIMEOUT", "0.8");
/// The longest that a client waits for the answer that it must wait.
const BOUND: Duration = Duration::from_secs(6);

async fn writes_are_refused_in_time(user: &User) {
    let started = Instant::now();
    user.post("/api/items", &json!({ "title": "lost" })).await.problem(503);
    assert!(started.elapsed() < BOUND, "{:?}", started.elapsed());
}

async fn writes_again(user: &User) {
    let write = async || user.post("/api/items", &json!({ "title": "back" })).await;
    eventually("writes succeed", async || (write().await.status == 201).then_some(())).await;
}

async fn is_degraded(api: &Api) {
    let health = api.until_health("degraded").await.expect(200).json();
    assert_eq!(health["dependencies"]["postgres"]["state"], "down");
    get(&api.base, "/api/health/live").await.expect(200);
}

#[tokio::test]
async fn while_postgres_is_gone_writes_are_refused_in_time_and_then_succeed_without_a_restart() {
    let stack = Stack::new().await;
    let api = stack.ready(&[IMPATIENT]).await;
    let user = api.user().await;
    stack.postgres.cut();
    writes_are_refused_in_time(&user).await;
    is_degraded(&api).await;
    writes_are_refused_in_time(&user).await;
    stack.postgres.open();
    writes_again(&user).await;
    api.until_health("ok").await;
}

#[tokio::test]
async fn a_frozen_postgres_holds_nobody_for_long() {
    let stack = Stack::new().await;
    let api = stack.ready(&[IMPATIENT, ("DB_STATEMENT_TIMEOUT", "1")]).await;
    let user = api.user().await;
    stack.postgres.freeze();
    writes_are_refused_in_time(&user).await;
    is_degraded(&api).await;
    writes_are_refused_in_time(&user).await;
    stack.postgres.open();
    writes_again(&user).await;
    api.until_health("ok").await;
}

#[tokio::test]
async fn connections_that_broke_meanwhile_fail_no_read() {
    let stack = Stack::new().await;
    let api = stack.ready(&[("REDIS_HOST", "")]).await;
    let user = api.user().await;
    let path = user.item("there").await;
    for _ in 0..10 {
        stack.postgres.cut();
        stack.postgres.open();
        user.get(&path).await.expect(200);
    }
}

#[tokio::test]
async fn a_crash_of_postgres_loses_no_acknowledged_write() {
    let container = Container::postgres();
    container.wait_until_ready();
    let mut stack = Stack::new().await;
    stack.postgres = Link::to(container.address).await;
    let api = stack.ready(&[]).await;
    let user = api.user().await;
    let writer = tokio::spawn({
        let user = user.clone();
        async move {
            let mut acknowledged = Vec::new();
            loop {
                let answer = user.post("/api/items", &json!({ "title": "kept" })).await;
                if answer.status != 201 {
                    answer.problem(503);
                    return acknowledged;
                }
                acknowledged.push(answer.header("location").to_owned());
            }
        }
    });
    eventually("some writes are there", async || {
        let page = user.get("/api/items").await.expect(200).json();
        (page["items"].as_array().unwrap().len() > 10).then_some(())
    })
    .await;
    container.kill();
    let acknowledged = writer.await.unwrap();
    is_degraded(&api).await;
    container.start();
    writes_again(&user).await;
    for path in &acknowledged {
        user.get(path).await.expect(200);
    }
}
