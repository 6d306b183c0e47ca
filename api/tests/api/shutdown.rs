//! The program as a container runs it: its probe, its log, its start and its end.

use std::{collections::BTreeMap, process::Stdio};

use serde_json::{Value, json};

use crate::{
    client::{PASSWORD, User, get},
    program::{Program, command},
    servers::{DB_PASSWORD, eventually},
    stack::{JWT_SECRET, Stack},
};

#[tokio::test]
async fn the_probe_passes_when_the_schema_is_there_and_a_lost_postgres_does_not_fail_it() {
    let stack = Stack::new().await;
    stack.postgres.cut();
    let program = Program::start(&stack, &[]);
    eventually("it listens", async || reqwest::get(format!("{}/api/health/live", program.base)).await.ok()).await;
    assert!(!program.is_healthy().await, "it cannot serve yet");
    stack.postgres.open();
    program.until_ready().await;
    assert!(program.is_healthy().await);
    stack.postgres.cut();
    eventually("it is degraded", async || {
        (get(&program.base, "/api/health").await.json()["status"] == "degraded").then_some(())
    })
    .await;
    assert!(program.is_healthy().await, "a restart would not help");
}

#[tokio::test]
async fn a_request_in_flight_is_finished_and_everybody_is_told_to_go() {
    let stack = Stack::new().await;
    let mut program = Program::start(&stack, &[("DRAIN_SECONDS", "2")]);
    program.until_ready().await;
    let user = User::register(&program.base).await;
    stack.postgres.freeze();
    let waiting = tokio::spawn({
        let user = user.clone();
        async move { user.post("/api/items", &json!({ "title": "in flight" })).await }
    });
    eventually("the request is in flight", async || {
        program.metrics().await.contains("http_requests_in_flight 1\n").then_some(())
    })
    .await;
    program.terminate().await;
    let health = eventually("it drains", async || {
        let health = get(&program.base, "/api/health").await;
        (health.json()["status"] == "draining").then_some(health)
    })
    .await;
    assert_eq!((health.status, health.header("connection")), (503, "close"));
    assert!(health.retry_after() >= 1);
    stack.postgres.open();

    let late = user.get("/api/users/me").await.expect(200);
    assert_eq!(late.header("connection"), "close", "still served, and told to come back elsewhere");
    let answer = waiting.await.unwrap().expect(201);
    assert_eq!(answer.header("connection"), "close");
    assert!(program.child.wait().await.unwrap().success());
    assert!(reqwest::get(&program.base).await.is_err());
}

async fn line_with(program: &Program, id: &str) -> Value {
    let find = async || program.log().lines().find(|line| line.contains(id)).map(str::to_owned);
    serde_json::from_str(&eventually("the line is written", find).await).unwrap()
}

#[tokio::test]
async fn every_write_leaves_a_line_with_its_id_and_no_secret_is_ever_logged() {
    let stack = Stack::new().await;
    let program = Program::start(&stack, &[("LOG_LEVEL", "debug"), ("LOG_FORMAT", "json")]);
    program.until_ready().await;
    let user = User::register(&program.base).await;
    let answer = user.post("/api/items", &json!({ "title": "private-title" })).await.expect(201);
    let id = answer.header("x-request-id").to_owned();
    let line = line_with(&program, &id).await;
    assert!(line["message"].as_str().unwrap().contains("request"), "{line}");
    assert_eq!((line["method"].as_str(), line["route"].as_str()), (Some("POST"), Some("/api/items")), "{line}");
    assert_eq!((line["status"].as_u64(), line["level"].as_str()), (Some(201), Some("INFO")), "{line}");
    assert!(line["duration_ms"].as_f64().is_some_and(|ms| ms > 0.0), "{line}");

    stack.postgres.cut();
    let refused = user.post("/api/items", &json!({ "title": "private-title" })).await;
    let id = refused.problem(503)["request_id"].as_str().unwrap().to_owned();
    let line = line_with(&program, &id).await;
    assert_eq!(line["level"], "WARN", "{line}");
    assert!(line["cause"].as_str().is_some_and(|cause| cause.contains("database")), "{line}");

    let log = program.log();
    for secret in [PASSWORD, &user.email, &user.access, &user.refresh, JWT_SECRET, DB_PASSWORD, "private-title"] {
        assert!(!log.contains(secret), "{secret} is in the log");
    }
}

#[tokio::test]
async fn a_stop_while_it_still_waits_for_postgres_ends_it() {
    let stack = Stack::new().await;
    stack.postgres.cut();
    let mut program = Program::start(&stack, &[]);
    eventually("it listens", async || reqwest::get(format!("{}/api/health/live", program.base)).await.ok()).await;
    program.terminate().await;
    let ended = tokio::time::timeout(std::time::Duration::from_secs(5), program.child.wait()).await;
    assert!(ended.unwrap().unwrap().success());
}

#[tokio::test]
async fn without_its_secrets_it_refuses_to_start_and_says_why() {
    let environment = BTreeMap::from([("PORT".to_owned(), "none".to_owned())]);
    let output = command(&environment, &[]).stdout(Stdio::piped()).stderr(Stdio::piped()).output().await.unwrap();
    assert!(!output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    for word in ["PORT=none", "JWT_SECRET is not set", "DB_PASSWORD is not set"] {
        assert!(text.contains(word), "{text}");
    }
}
