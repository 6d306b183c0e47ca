//! Retried creates are never doubled.

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    client::{Answer, User, send},
    stack::Stack,
};

async fn create(user: &User, key: &str, body: &Value) -> Answer {
    send(user.request(Method::POST, "/api/items").header("idempotency-key", key).json(body)).await
}

async fn count(user: &User) -> usize {
    user.get("/api/items?limit=100").await.expect(200).json()["items"].as_array().unwrap().len()
}

#[tokio::test]
async fn the_same_request_again_is_answered_as_before_and_makes_nothing() {
    let stack = Stack::new().await;
    let api = stack.ready(&[]).await;
    let user = api.user().await;
    let first = create(&user, "k", &json!({ "title": "one", "body": null })).await.expect(201);
    assert_eq!(first.header("idempotency-replayed"), "");
    user.put(first.header("location"), &json!({ "title": "changed since" })).await.expect(200);
    let again = create(&user, "k", &json!({ "title": "one" })).await.expect(201);
    assert_eq!(again.text, first.text, "the same to the byte");
    assert_eq!(again.header("location"), first.header("location"));
    assert_eq!(again.header("etag"), first.header("etag"));
    assert_eq!(again.header("idempotency-replayed"), "true");
    assert_eq!(count(&user).await, 1);
}

#[tokio::test]
async fn a_key_that_belongs_to_another_request_is_refused() {
    let stack = Stack::new().await;
    let api = stack.ready(&[]).await;
    let user = api.user().await;
    create(&user, "k", &json!({ "title": "one" })).await.expect(201);
    create(&user, "k", &json!({ "title": "two" })).await.problem(422);
    create(&user, "k", &json!({ "title": "one", "body": "" })).await.problem(422);
    assert_eq!(count(&user).await, 1);
    for key in ["", "a b", &"x".repeat(256)] {
        assert_eq!(create(&user, key, &json!({ "title": "one" })).await.wrong_fields(), ["Idempotency-Key"], "{key:?}");
    }
}

#[tokio::test]
async fn duplicates_at_once_on_two_instances_make_exactly_one() {
    let stack = Stack::new().await;
    let apis = [stack.ready(&[]).await, stack.ready(&[]).await];
    let user = apis[0].user().await;
    let users = apis.each_ref().map(|api| user.at(&api.base));
    for round in 0..5 {
        let (key, body) = (format!("key-{round}"), json!({ "title": round.to_string() }));
        let answers = join_all((0..8).map(|i| create(&users[i % 2], &key, &body))).await;
        assert!(answers.iter().all(|answer| answer.status == 201 && answer.text == answers[0].text), "{answers:?}");
        let replayed = answers.iter().filter(|answer| answer.header("idempotency-replayed") == "true").count();
        assert_eq!(replayed, 7, "{answers:?}");
    }
    assert_eq!(count(&user).await, 5);
}

#[tokio::test]
async fn two_users_with_the_same_key_do_not_meet() {
    let stack = Stack::new().await;
    let api = stack.ready(&[]).await;
    let (ann, ben) = (api.user().await, api.user().await);
    let one = create(&ann, "k", &json!({ "title": "ann's" })).await.expect(201);
    let two = create(&ben, "k", &json!({ "title": "ben's" })).await.expect(201);
    assert_eq!(two.json()["title"], "ben's");
    ben.get(one.header("location")).await.problem(404);
    assert_eq!((count(&ann).await, count(&ben).await), (1, 1));
}

#[tokio::test]
async fn a_refused_request_leaves_its_key_free_and_an_expired_key_is_new() {
    let stack = Stack::on_empty_database().await;
    let api = stack.ready(&[]).await;
    let user = api.user().await;
    assert_eq!(create(&user, "k", &json!({ "title": "" })).await.wrong_fields(), ["title"]);
    create(&user, "k", &json!({ "title": "one" })).await.expect(201);
    api.sql("update idempotency_keys set expires_at = now() - interval '1 s'").await;
    let answer = create(&user, "k", &json!({ "title": "two" })).await.expect(201);
    assert_eq!(answer.header("idempotency-replayed"), "");
    assert_eq!(count(&user).await, 2);
}
