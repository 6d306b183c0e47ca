//! Too much at once is refused at once.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use futures_util::future::join_all;

use crate::{
    client::{PASSWORD, credentials, fresh_email, get, post},
    servers::eventually,
    stack::Stack,
};

#[tokio::test]
async fn beyond_its_room_a_request_is_turned_away_at_once_and_probes_are_not() {
    let stack = Stack::new().await;
    let api = stack.ready(&[("MAX_IN_FLIGHT", "3"), ("REDIS_HOST", "")]).await;
    let user = api.user().await;
    stack.postgres.freeze();
    let waiting: Vec<_> = (0..3)
        .map(|_| {
            let user = user.clone();
            tokio::spawn(async move { user.get("/api/items").await })
        })
        .collect();
    eventually("the room is taken", async || (api.state.room.available_permits() == 0).then_some(())).await;
    let started = Instant::now();
    let refused = join_all((0..20).map(|_| user.get("/api/items"))).await;
    refused.iter().for_each(|answer| drop(answer.problem(503)));
    get(&api.base, "/api/health").await.expect(200);
    get(&api.base, "/metrics").await.expect(200);
    assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());

    stack.postgres.open();
    for answer in waiting {
        answer.await.unwrap().expect(200);
    }
    user.get("/api/items").await.expect(200);
}

#[tokio::test]
async fn passwords_are_hashed_in_turn_and_nobody_waits_long() {
    let stack = Stack::new().await;
    let api = stack.ready(&[("HASH_CONCURRENCY", "1"), ("HASH_WAIT", "0.01")]).await;
    let bodies: Vec<_> = (0..12).map(|_| credentials(&fresh_email(), PASSWORD)).collect();
    let answers = join_all(bodies.iter().map(|body| post(&api.base, "/api/auth/register", body))).await;
    let made = answers.iter().filter(|answer| answer.status == 201).count();
    assert!((1..12).contains(&made), "{made} of 12 were hashed");
    for refused in answers.iter().filter(|answer| answer.status != 201) {
        refused.problem(503);
    }
}

#[tokio::test]
async fn a_request_that_takes_too_long_is_ended() {
    let stack = Stack::new().await;
    let api = stack.ready(&[("REQUEST_TIMEOUT", "0.3"), ("REDIS_HOST", "")]).await;
    // An account takes two hashes, which may take longer.
    let user = stack.ready(&[]).await.user().await.at(&api.base);
    stack.postgres.freeze();
    let started = Instant::now();
    user.get("/api/items").await.problem(504);
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    stack.postgres.open();
    eventually("it serves again", async || (user.get("/api/items").await.status == 200).then_some(())).await;
}

#[tokio::test]
async fn a_database_that_is_busy_with_us_is_not_called_lost() {
    let stack = Stack::new().await;
    let api = stack.ready(&[("DB_POOL_SIZE", "1")]).await;
    let database = &api.state.database;
    // With so many in line before it, no probe gets its turn in time.
    let work = (0..4).map(|_| async {
        let mut connections = BTreeSet::new();
        for _ in 0..5 {
            let query = async {
                let query = sqlx::query_scalar::<_, i32>("select pg_backend_pid() from pg_sleep(0.4)");
                Ok(query.fetch_one(&database.writer()?).await?)
            };
            connections.insert(database.bounded(query).await.unwrap());
            assert_eq!(get(&api.base, "/api/health").await.json()["status"], "ok");
        }
        connections
    });
    let connections: BTreeSet<_> = join_all(work).await.into_iter().flatten().collect();
    assert_eq!(connections.len(), 1, "a connection that works was thrown away");
}
