//! Failures, as a client sees them.

use reqwest::Method;
use serde_json::json;

use crate::{
    client::{credentials, get, send},
    stack::Stack,
};

#[tokio::test]
async fn every_refusal_is_a_problem_document() {
    let stack = Stack::new().await;
    let api = stack.ready(&[("MAX_BODY_BYTES", "2048"), ("LOGIN_ATTEMPTS", "1")]).await;
    let user = api.user().await;
    let post = |body: &str, kind: &str| {
        send(user.request(Method::POST, "/api/items").header("content-type", kind).body(body.to_owned()))
    };
    post("{\"title\":", "application/json").await.problem(400);
    post("{\"title\":\"a\"}", "text/plain").await.problem(415);
    send(user.request(Method::POST, "/api/items").body("{}")).await.problem(415);
    assert_eq!(post("[]", "application/json").await.wrong_fields(), ["body"]);
    get(&api.base, "/api/items").await.problem(401);
    get(&api.base, "/nowhere").await.problem(404);
    get(&api.base, "/api/items/x/y").await.problem(404);
    let refused = user.request(Method::PATCH, "/api/items");
    let refused = send(refused).await;
    refused.problem(405);
    let mut allowed: Vec<_> = refused.header("allow").split(',').collect();
    allowed.sort_unstable();
    assert_eq!(allowed, ["GET", "HEAD", "POST"]);
    let login = credentials(&user.email, "wrong password");
    user.post("/api/auth/login", &login).await.problem(401);
    user.post("/api/auth/login", &login).await.problem(429);
}

#[tokio::test]
async fn a_body_beyond_the_limit_is_refused_whether_its_length_is_told_or_not() {
    let stack = Stack::new().await;
    let api = stack.ready(&[("MAX_BODY_BYTES", "2048")]).await;
    let user = api.user().await;
    let body = |title: usize| json!({ "title": "t", "body": "x".repeat(title) }).to_string();
    let post = |body: reqwest::Body| {
        send(user.request(Method::POST, "/api/items").header("content-type", "application/json").body(body))
    };
    post(body(1500).into()).await.expect(201);
    post(body(2048).into()).await.problem(413);
    post(body(4_000_000).into()).await.problem(413);
    let pieces: Vec<Result<String, std::io::Error>> = vec![Ok(body(1500)), Ok(body(1500))];
    post(reqwest::Body::wrap_stream(futures_util::stream::iter(pieces))).await.problem(413);
    user.get("/api/items").await.expect(200);
}

#[tokio::test]
async fn a_fault_of_ours_says_nothing_about_its_cause() {
    let stack = Stack::on_empty_database().await;
    let api = stack.ready(&[]).await;
    let user = api.user().await;
    api.sql("drop table items").await;
    let mut bodies = std::collections::BTreeSet::new();
    for answer in [user.get("/api/items").await, user.post("/api/items", &json!({ "title": "a" })).await] {
        let mut problem = answer.problem(500);
        problem.as_object_mut().unwrap().remove("request_id");
        bodies.insert(problem.to_string());
    }
    assert_eq!(bodies.len(), 1, "constant: {bodies:?}");
    assert!(!bodies.first().unwrap().contains("items"), "{bodies:?}");
    user.get("/api/users/me").await.expect(200);
}
