//! What somebody sends who wants to do harm. Everything is refused in the form of all other refusals, costs
//! nothing, and leaves the service as it was.

use std::{fmt::Write as _, time::Duration};

use futures_util::StreamExt;
use reqwest::{Method, header::HeaderValue};
use serde_json::json;

use crate::{
    client::{Answer, PASSWORD, User, credentials, fresh_email, post, send},
    servers::eventually,
    stack::Stack,
};

async fn raw(user: &User, path: &str, body: impl Into<reqwest::Body>) -> Answer {
    send(user.request(Method::POST, path).header("content-type", "application/json").body(body)).await
}

#[tokio::test]
async fn json_that_is_deep_wide_or_no_text_is_refused_and_harms_nobody() {
    let stack = Stack::new().await;
    let api = stack.ready(&[]).await;
    let user = api.user().await;
    let deep = |inside: &str| format!(r#"{{"title":"a",{inside}:{}"#, "[".repeat(100_000));
    let bodies = ["[".repeat(200_000), "{\"a\":".repeat(40_000), deep("\"title\""), deep("\"other\"")].map(Into::into);
    let texts =
        [&b""[..], b"\0", b"nul", b"{\"title\":\"\xff\xfe\"}", b"{\"email\":\"\\ud800\"}"].map(Into::<Vec<u8>>::into);
    let bodies: Vec<Vec<u8>> = bodies.into_iter().chain(texts).collect();
    for path in ["/api/items", "/api/auth/register", "/api/auth/login", "/api/auth/refresh", "/api/auth/logout"] {
        for body in &bodies {
            let answer = raw(&user, path, body.clone()).await;
            answer.problem(if answer.status == 422 { 422 } else { 400 });
        }
    }
    for body in [r#"{"title":"a","title":"b"}"#, r#"{"title":1e99}"#, r#"{"title":"a","body":{}}"#] {
        assert_eq!(raw(&user, "/api/items", body).await.wrong_fields(), ["body"], "{body}");
    }
    // What nobody asked for is passed over, however much of it there is and however deep.
    let mut wide = String::from("{\"title\":\"kept\"");
    for number in 0..10_000 {
        write!(wide, ",\"field{number}\":{number}").unwrap();
    }
    write!(wide, ",\"deep\":{}{}}}", "[".repeat(20_000), "]".repeat(20_000)).unwrap();
    raw(&user, "/api/items", wide).await.expect(201);
    let page = user.get("/api/items").await.expect(200).json();
    assert!(page["items"].as_array().unwrap().iter().any(|item| item["title"] == "kept"), "{page}");
    assert_eq!(api.until_health("ok").await.status, 200);
}

#[tokio::test]
async fn statements_in_any_field_are_mere_text() {
    let stack = Stack::on_empty_database().await;
    let api = stack.ready(&[]).await;
    let user = api.user().await;
    for text in ["'; drop table items; --", "\" or \"\"=\"", "$1", "%s%n", "\\'); select pg_sleep(10); --", "\u{ffff}"]
    {
        let path = user.post("/api/items", &json!({ "title": text, "body": text })).await.expect(201);
        assert_eq!(user.get(path.header("location")).await.expect(200).json()["body"], text);
        let keyed = user.request(Method::POST, "/api/items").json(&json!({ "title": text }));
        let key = HeaderValue::from_bytes(text.replace(' ', "+").as_bytes()).unwrap();
        assert!(matches!(send(keyed.header("idempotency-key", key)).await.status, 201 | 422));
        post(&api.base, "/api/auth/login", &credentials(text, text)).await.problem(422);
        post(&api.base, "/api/auth/login", &credentials(&format!("'or'1'='1'{}", fresh_email()), PASSWORD))
            .await
            .problem(401);
        post(&api.base, "/api/auth/refresh", &json!({ "refresh_token": text })).await.problem(401);
    }
    let mut cursors = 0;
    let page = user.get("/api/items?limit=1").await.expect(200).json();
    let good = page["next_cursor"].as_str().unwrap().to_owned();
    for place in 0..good.len() {
        // A byte of it changed: another place in the list, or none; never a fault and never somebody else's.
        let mut bytes = good.clone().into_bytes();
        bytes[place] = if bytes[place] == b'A' { b'B' } else { b'A' };
        let answer = user.get(&format!("/api/items?cursor={}", String::from_utf8(bytes).unwrap())).await;
        assert!(matches!(answer.status, 200 | 400), "{answer:?}");
        cursors += usize::from(answer.status == 400);
    }
    assert!(cursors >= 1, "the form of a cursor is not looked at");
    let stranger = api.user().await;
    let seen = stranger.get(&format!("/api/items?cursor={good}")).await.expect(200).json();
    assert_eq!(seen, json!({ "items": [] }), "a cursor opens no other list");
}

#[tokio::test]
async fn addresses_that_look_alike_are_one_account_or_none() {
    let stack = Stack::new().await;
    let api = stack.ready(&[]).await;
    let number = uuid::Uuid::now_v7().simple();
    let (joined, apart) = (format!("j\u{f6}rg-{number}@example.com"), format!("jo\u{308}rg-{number}@example.com"));
    let made = post(&api.base, "/api/auth/register", &credentials(&apart, PASSWORD)).await.expect(201).json();
    assert_eq!(made["email"], joined);
    post(&api.base, "/api/auth/register", &credentials(&joined.to_uppercase(), PASSWORD)).await.problem(409);
    post(&api.base, "/api/auth/login", &credentials(&joined, PASSWORD)).await.expect(200);
    for unseen in ["\u{200b}", "\u{202e}", "\r\nBcc: x", "\0"] {
        let body = credentials(&format!("ann{unseen}{number}@example.com"), PASSWORD);
        assert_eq!(post(&api.base, "/api/auth/register", &body).await.wrong_fields(), ["email"], "{unseen:?}");
    }
}

#[tokio::test]
async fn a_body_that_drips_ends_with_its_time_and_gives_its_room_back() {
    let stack = Stack::new().await;
    let api = stack.ready(&[("REQUEST_TIMEOUT", "0.5"), ("MAX_IN_FLIGHT", "2")]).await;
    let user = stack.ready(&[]).await.user().await.at(&api.base);
    let drip = || {
        let pieces = futures_util::stream::iter(0..600).then(|_| async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            Ok::<_, std::io::Error>(" ")
        });
        raw(&user, "/api/items", reqwest::Body::wrap_stream(pieces))
    };
    let (one, two) = futures_util::future::join(drip(), drip()).await;
    one.problem(504);
    two.problem(504);
    eventually("the room is free", async || (api.state.room.available_permits() == 2).then_some(())).await;
    user.get("/api/items").await.expect(200);
}

#[tokio::test]
async fn headers_without_measure_are_refused_and_the_next_request_is_served() {
    let stack = Stack::new().await;
    let api = stack.ready(&[]).await;
    let user = api.user().await;
    let mut many = user.request(Method::GET, "/api/items");
    for number in 0..500 {
        many = many.header(format!("x-header-{number}"), "x");
    }
    assert!(many.send().await.is_err_and(|error| error.is_request()) || user.get("/api/items").await.status == 200);
    let long = reqwest::Client::new().get(format!("{}/api/items", api.base));
    let answer = send(long.bearer_auth("x".repeat(100_000))).await;
    assert!(matches!(answer.status, 401 | 431), "{answer:?}");
    user.get("/api/items").await.expect(200);
}
