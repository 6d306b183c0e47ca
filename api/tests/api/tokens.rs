//! Access tokens that must not open anything.

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use crate::{
    client::{Answer, User, send},
    stack::{JWT_SECRET, Stack},
};

fn claims(user: &User) -> Value {
    let now = jsonwebtoken::get_current_timestamp();
    json!({ "sub": user.id, "iss": "scalable-backend", "aud": "scalable-backend-api", "iat": now, "exp": now + 600 })
}

fn signed(algorithm: Algorithm, key: &str, claims: &Value) -> String {
    jsonwebtoken::encode(&Header::new(algorithm), claims, &EncodingKey::from_secret(key.as_bytes())).unwrap()
}

async fn me(user: &User, authorization: &str) -> Answer {
    let request = reqwest::Client::new().get(format!("{}/api/users/me", user.base));
    send(request.header("authorization", authorization)).await
}

#[tokio::test]
async fn only_tokens_of_ours_that_are_still_good_are_taken() {
    let stack = Stack::new().await;
    let api = stack.ready(&[]).await;
    let user = api.user().await;
    let good = claims(&user);
    let token = signed(Algorithm::HS256, JWT_SECRET, &good);
    me(&user, &format!("Bearer {token}")).await.expect(200);
    me(&user, &format!("bearer {token}")).await.expect(200);

    let mut bad = vec![
        ("another key", signed(Algorithm::HS256, "ffffffffffffffffffffffffffffffff", &good)),
        ("another algorithm", signed(Algorithm::HS512, JWT_SECRET, &good)),
        ("no signature", token.rsplit_once('.').unwrap().0.to_owned() + "."),
        // {"alg":"none","typ":"JWT"}
        ("no algorithm", format!("eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{}.", token.split('.').nth(1).unwrap())),
        ("no token", String::new()),
        ("a refresh token", user.refresh.clone()),
    ];
    let now = jsonwebtoken::get_current_timestamp();
    for (claim, value) in [
        ("exp", json!(now - 60)),
        ("exp", Value::Null),
        ("iss", json!("somebody-else")),
        ("aud", json!("something-else")),
        ("sub", json!("not-an-id")),
        ("nbf", json!(now + 600)),
    ] {
        let mut claims = good.clone();
        claims[claim] = value;
        bad.push((claim, signed(Algorithm::HS256, JWT_SECRET, &claims)));
    }
    for (what, token) in bad {
        let answer = me(&user, &format!("Bearer {token}")).await;
        assert_eq!(answer.status, 401, "{what}");
        answer.problem(401);
        assert_eq!(answer.header("www-authenticate"), "Bearer", "{what}");
    }
    for authorization in [token.clone(), format!("Basic {token}"), "Bearer".to_owned()] {
        me(&user, &authorization).await.problem(401);
    }
}

#[tokio::test]
async fn a_good_token_of_an_account_that_is_gone_is_refused() {
    let stack = Stack::new().await;
    let api = stack.ready(&[]).await;
    let mut user = api.user().await;
    user.access = api.state.tokens.issue(uuid::Uuid::now_v7()).unwrap();
    user.get("/api/users/me").await.problem(401);
    user.post("/api/items", &json!({ "title": "nobody's" })).await.problem(401);
    let keyed = user.request(reqwest::Method::POST, "/api/items").header("idempotency-key", "k");
    send(keyed.json(&json!({ "title": "nobody's" }))).await.problem(401);
}
