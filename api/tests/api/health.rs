//! Health: what balancers and operators are told.

use crate::{client::get, stack::Stack};

#[tokio::test]
async fn a_start_without_postgres_waits_and_needs_no_restart() {
    let stack = Stack::new().await;
    stack.postgres.cut();
    let api = stack.start(&[]);
    let health = get(&api.base, "/api/health").await;
    assert_eq!((health.status, health.json()["status"].as_str()), (503, Some("starting")), "{health:?}");
    assert!(health.retry_after() >= 1);
    get(&api.base, "/api/items").await.problem(503);
    get(&api.base, "/api/health/live").await.expect(200);

    stack.postgres.open();
    api.until_health("ok").await.expect(200);
    get(&api.base, "/api/items").await.problem(401);
}

#[tokio::test]
async fn health_tells_who_answers_and_how_everybody_is() {
    let stack = Stack::new().await;
    let api = stack.ready(&[]).await;
    let answer = get(&api.base, "/api/health").await.expect(200);
    assert_eq!(answer.header("cache-control"), "no-store");
    let health = answer.json();
    assert_eq!(health["version"], env!("CARGO_PKG_VERSION"));
    assert!(!health["instance"].as_str().unwrap().is_empty());
    assert!(health["uptime_seconds"].as_u64().unwrap() < 60);
    let dependencies = health["dependencies"].as_object().unwrap();
    assert_eq!(dependencies.keys().collect::<Vec<_>>(), ["postgres", "redis"]);
    for (name, dependency) in dependencies {
        assert_eq!(dependency["state"], "up", "{name}");
        assert!((0.0..5000.0).contains(&dependency["latency_ms"].as_f64().unwrap()), "{name}: {dependency}");
    }
}

#[tokio::test]
async fn a_lost_redis_degrades_and_comes_back() {
    let stack = Stack::new().await;
    let api = stack.ready(&[]).await;
    stack.redis.cut();
    let health = api.until_health("degraded").await.expect(200).json();
    assert_eq!(health["dependencies"]["redis"]["state"], "down");
    assert_eq!(health["dependencies"]["redis"].get("latency_ms"), None, "nothing was measured");
    assert_eq!(health["dependencies"]["postgres"]["state"], "up");
    stack.redis.open();
    api.until_health("ok").await;
}

#[tokio::test]
async fn a_cache_that_is_not_configured_is_not_missed() {
    let stack = Stack::new().await;
    let api = stack.ready(&[("REDIS_HOST", "")]).await;
    let health = api.until_health("ok").await.json();
    assert_eq!(health["dependencies"].get("redis"), None);
}
