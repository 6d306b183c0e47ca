//! Sessions: refresh, reuse and log-out.

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::{
    client::{Answer, User, post},
    stack::Stack,
};

async fn refresh(user: &User, token: &str) -> Answer {
    post(&user.base, "/api/auth/refresh", &json!({ "refresh_token": token })).await
}

async fn logout(user: &User, token: &str) -> Answer {
    post(&user.base, "/api/auth/logout", &json!({ "refresh_token": token })).await
}

fn token(pair: &Value, name: &str) -> String {
    pair[name].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_refresh_gives_a_new_pair_that_works() {
    let stack = Stack::new().await;
    let api = stack.ready(&[]).await;
    let mut user = api.user().await;
    for _ in 0..3 {
        let answer = refresh(&user, &user.refresh).await.expect(200);
        assert_eq!(answer.header("cache-control"), "no-store");
        let pair = answer.json();
        assert_ne!(token(&pair, "refresh_token"), user.refresh);
        (user.access, user.refresh) = (token(&pair, "access_token"), token(&pair, "refresh_token"));
        user.get("/api/users/me").await.expect(200);
    }
}

#[tokio::test]
async fn a_token_shown_twice_ends_its_session_and_no_other() {
    let stack = Stack::new().await;
    let api = stack.ready(&[]).await;
    let user = api.user().await;
    let elsewhere = user.login().await;
    let next = token(&refresh(&user, &user.refresh).await.expect(200).json(), "refresh_token");
    refresh(&user, &user.refresh).await.problem(401);
    refresh(&user, &next).await.problem(401);
    refresh(&elsewhere, &elsewhere.refresh).await.expect(200);
}

#[tokio::test]
async fn a_token_shown_many_times_at_once_is_good_once() {
    let stack = Stack::new().await;
    let apis = [stack.ready(&[]).await, stack.ready(&[]).await];
    let user = apis[0].user().await;
    let users = apis.each_ref().map(|api| user.at(&api.base));
    let answers = join_all((0..8).map(|i| refresh(&users[i % 2], &user.refresh))).await;
    let good: Vec<_> = answers.iter().filter(|answer| answer.status == 200).collect();
    assert_eq!(good.len(), 1, "{answers:?}");
    refresh(&user, &token(&good[0].json(), "refresh_token")).await.problem(401);
}

#[tokio::test]
async fn after_the_log_out_no_token_of_the_session_is_good() {
    let stack = Stack::new().await;
    let api = stack.ready(&[]).await;
    let user = api.user().await;
    let next = token(&refresh(&user, &user.refresh).await.expect(200).json(), "refresh_token");
    assert_eq!(logout(&user, &next).await.expect(204).text, "");
    refresh(&user, &next).await.problem(401);
    logout(&user, &next).await.expect(204);
    logout(&user, "no token at all").await.expect(204);
}

#[tokio::test]
async fn an_expired_or_unknown_token_is_refused() {
    let stack = Stack::on_empty_database().await;
    let api = stack.ready(&[]).await;
    let user = api.user().await;
    assert_eq!(api.sql("update refresh_tokens set expires_at = now() - interval '1 s'").await, 1);
    for token in [&user.refresh, "", "x", &"A".repeat(43)] {
        refresh(&user, token).await.problem(401);
    }
    assert_eq!(api::housekeeping::sweep(&api.state.database).await.unwrap(), 1, "what has expired is deleted");
    refresh(&user, &user.refresh).await.problem(401);
}
