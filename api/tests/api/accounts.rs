//! Accounts and log-ins.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::json;

use crate::{
    client::{PASSWORD, credentials, fresh_email, post},
    stack::Stack,
};

#[tokio::test]
async fn an_account_is_made_and_its_password_never_shown() {
    let stack = Stack::new().await;
    let api = stack.ready(&[]).await;
    let email = fresh_email();
    let body = credentials(&email.to_uppercase(), PASSWORD);
    let made = post(&api.base, "/api/auth/register", &body).await.expect(201);
    let user = made.json();
    assert_eq!(user.as_object().unwrap().keys().collect::<Vec<_>>(), ["id", "email", "created_at"]);
    assert_eq!(user["email"], email, "one mailbox, one spelling");

    let body = credentials(&email, PASSWORD);
    let login = post(&api.base, "/api/auth/login", &body).await.expect(200);
    assert_eq!(login.header("cache-control"), "no-store");
    let pair = login.json();
    assert_eq!((pair["token_type"].as_str(), pair["expires_in"].as_u64()), (Some("Bearer"), Some(900)));
    let client = reqwest::Client::new();
    let me = client.get(format!("{}/api/users/me", api.base)).bearer_auth(pair["access_token"].as_str().unwrap());
    assert_eq!(crate::client::send(me).await.expect(200).json(), user);
}

#[tokio::test]
async fn one_address_gets_one_account_however_many_ask_at_once() {
    let stack = Stack::new().await;
    let api = stack.ready(&[]).await;
    let email = fresh_email();
    let bodies = [&email, &email.to_uppercase(), &email, &email].map(|email| credentials(email, PASSWORD));
    let answers = join_all(bodies.iter().map(|body| post(&api.base, "/api/auth/register", body))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 1, "{answers:?}");
    for refused in answers.iter().filter(|answer| answer.status != 201) {
        refused.problem(409);
    }
    post(&api.base, "/api/auth/register", &bodies[1]).await.problem(409);
}

#[tokio::test]
async fn every_wrong_field_is_named() {
    let stack = Stack::new().await;
    let api = stack.ready(&[]).await;
    let long = "x".repeat(129);
    for (body, fields) in [
        (credentials("no-address", PASSWORD), vec!["email"]),
        (credentials(&fresh_email(), "short"), vec!["password"]),
        (credentials("a@b", &long), vec!["email", "password"]),
        (json!({ "email": fresh_email() }), vec!["body"]),
        (json!({ "email": 1, "password": PASSWORD }), vec!["body"]),
    ] {
        let answer = post(&api.base, "/api/auth/register", &body).await;
        assert_eq!(answer.wrong_fields(), fields, "{body}");
        assert!(!answer.text.contains(&long), "what was sent is not sent back");
    }
}

#[tokio::test]
async fn an_unknown_address_and_a_wrong_password_are_answered_alike_and_in_like_time() {
    let stack = Stack::new().await;
    let api = stack.ready(&[("LOGIN_ATTEMPTS", "100")]).await;
    let user = api.user().await;
    let mut quickest = [Duration::MAX; 2];
    let mut problems = [json!(null), json!(null)];
    for _ in 0..4 {
        for (i, email) in [&user.email, &fresh_email()].into_iter().enumerate() {
            let started = Instant::now();
            let answer = post(&api.base, "/api/auth/login", &credentials(email, "wrong password")).await;
            quickest[i] = quickest[i].min(started.elapsed());
            problems[i] = answer.problem(401);
            problems[i].as_object_mut().unwrap().remove("request_id");
        }
    }
    assert_eq!(problems[0], problems[1]);
    // Without its decoy hash the unknown address would be ten times as quick.
    assert!(quickest[1] * 2 > quickest[0] && quickest[0] * 2 > quickest[1], "{quickest:?}");
}
