//! Items: made, read, replaced, removed, and nobody else's business.

use reqwest::Method;
use serde_json::json;

use crate::{client::send, stack::Stack};

#[tokio::test]
async fn an_item_is_made_read_replaced_and_removed() {
    let stack = Stack::new().await;
    let api = stack.ready(&[]).await;
    let user = api.user().await;
    let made =
        user.post("/api/items", &json!({ "title": "'; drop table items; --", "body": "日本語 🦀" })).await.expect(201);
    let item = made.json();
    let path = made.header("location").to_owned();
    assert_eq!(path, format!("/api/items/{}", item["id"].as_str().unwrap()));
    assert_eq!((made.header("etag"), item["version"].as_i64()), ("\"1\"", Some(1)));
    assert_eq!((item["title"].as_str(), item["body"].as_str()), (Some("'; drop table items; --"), Some("日本語 🦀")));
    let read = user.get(&path).await.expect(200);
    assert_eq!((read.json(), read.header("etag")), (item.clone(), "\"1\""));

    let replaced = user.put(&path, &json!({ "title": "new" })).await.expect(200);
    assert_eq!(replaced.header("etag"), "\"2\"");
    let now = replaced.json();
    assert_eq!((now["title"].as_str(), now.get("body"), now["version"].as_i64()), (Some("new"), None, Some(2)));
    assert_eq!(now["created_at"], item["created_at"]);
    assert_eq!(user.get(&path).await.expect(200).json(), now);
    assert_eq!(user.get("/api/items").await.expect(200).json(), json!({ "items": [now] }));

    assert_eq!(user.delete(&path).await.expect(204).text, "");
    user.get(&path).await.problem(404);
    user.put(&path, &json!({ "title": "back" })).await.problem(404);
    user.delete(&path).await.problem(404);
    assert_eq!(user.get("/api/items").await.expect(200).json(), json!({ "items": [] }));
}

#[tokio::test]
async fn to_everybody_else_an_item_does_not_exist() {
    let stack = Stack::new().await;
    let api = stack.ready(&[]).await;
    let (owner, other) = (api.user().await, api.user().await);
    let path = owner.item("mine").await;
    // The second round meets the item in the cache.
    for _ in 0..2 {
        other.get(&path).await.problem(404);
        other.put(&path, &json!({ "title": "yours" })).await.problem(404);
        other.delete(&path).await.problem(404);
        assert_eq!(owner.get(&path).await.expect(200).json()["title"], "mine");
    }
    assert_eq!(other.get("/api/items").await.expect(200).json(), json!({ "items": [] }));
    let nowhere = other.get("/api/items/0190b0a0-0000-7000-8000-000000000000").await.problem(404);
    assert_eq!(nowhere["detail"], other.get(&path).await.problem(404)["detail"], "no difference tells that it exists");
    owner.get("/api/items/not-an-id").await.problem(404);
}

#[tokio::test]
async fn a_change_on_an_old_version_is_refused() {
    let stack = Stack::new().await;
    let api = stack.ready(&[]).await;
    let user = api.user().await;
    let path = user.item("first").await;
    let change = |method: Method, tag: &str| {
        send(user.request(method, &path).header("if-match", tag).json(&json!({ "title": "next" })))
    };
    assert_eq!(change(Method::PUT, "\"1\"").await.expect(200).header("etag"), "\"2\"");
    change(Method::PUT, "\"1\"").await.problem(412);
    change(Method::PUT, "\"not-ours\"").await.problem(412);
    change(Method::DELETE, "\"1\"").await.problem(412);
    assert_eq!(user.get(&path).await.expect(200).json()["version"], 2);
    change(Method::PUT, "*").await.expect(200);
    change(Method::DELETE, "\"3\"").await.expect(204);
}

#[tokio::test]
async fn every_wrong_field_of_an_item_is_named() {
    let stack = Stack::new().await;
    let api = stack.ready(&[]).await;
    let user = api.user().await;
    let path = user.item("good").await;
    for (body, fields) in [
        (json!({ "title": " " }), vec!["title"]),
        (json!({ "title": "x".repeat(201) }), vec!["title"]),
        (json!({ "title": "a\0b", "body": "c\0d" }), vec!["title", "body"]),
        (json!({ "title": "", "body": "x".repeat(100_001) }), vec!["title", "body"]),
        (json!({ "body": "without a title" }), vec!["body"]),
    ] {
        assert_eq!(user.post("/api/items", &body).await.wrong_fields(), fields);
        assert_eq!(user.put(&path, &body).await.wrong_fields(), fields);
    }
    assert_eq!(user.get(&path).await.expect(200).json()["version"], 1);
}
