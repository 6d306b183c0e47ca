//! How often somebody may try to log in.

use futures_util::future::join_all;

use crate::{
    client::{Answer, PASSWORD, credentials, fresh_email, post},
    servers::eventually,
    stack::{Api, Stack},
};

const THREE: (&str, &str) = ("LOGIN_ATTEMPTS", "3");

async fn login(api: &Api, email: &str, password: &str) -> Answer {
    post(&api.base, "/api/auth/login", &credentials(email, password)).await
}

async fn is_shut_after_three(api: &Api) {
    let user = api.user().await;
    for _ in 0..3 {
        login(api, &user.email, "wrong password").await.problem(401);
    }
    for password in ["wrong password", PASSWORD] {
        let refused = login(api, &user.email.to_uppercase(), password).await;
        refused.problem(429);
        assert!((290..=301).contains(&refused.retry_after()), "{refused:?}");
    }
    user.get("/api/users/me").await.expect(200);
    login(api, &fresh_email(), PASSWORD).await.problem(401);
}

#[tokio::test]
async fn after_too_many_attempts_even_the_right_password_waits() {
    let stack = Stack::new().await;
    is_shut_after_three(&stack.ready(&[THREE]).await).await;
}

#[tokio::test]
async fn attempts_are_counted_without_redis_as_well() {
    let stack = Stack::new().await;
    is_shut_after_three(&stack.ready(&[THREE, ("REDIS_HOST", "")]).await).await;
    let api = stack.ready(&[THREE]).await;
    stack.redis.cut();
    api.until_health("degraded").await;
    is_shut_after_three(&api).await;
}

#[tokio::test]
async fn many_attempts_at_once_on_two_instances_are_not_free() {
    let stack = Stack::new().await;
    let apis = [stack.ready(&[THREE]).await, stack.ready(&[THREE]).await];
    let email = fresh_email();
    let answers = join_all((0..12).map(|i| login(&apis[i % 2], &email, "wrong password"))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 401).count(), 3, "{answers:?}");
    assert_eq!(answers.iter().filter(|answer| answer.status == 429).count(), 9, "{answers:?}");
}

#[tokio::test]
async fn a_good_log_in_clears_the_count() {
    let stack = Stack::new().await;
    let api = stack.ready(&[THREE]).await;
    let user = api.user().await;
    for _ in 0..3 {
        login(&api, &user.email, "wrong password").await.problem(401);
        login(&api, &user.email, "wrong password").await.problem(401);
        login(&api, &user.email, PASSWORD).await.expect(200);
    }
}

#[tokio::test]
async fn the_window_ends() {
    let stack = Stack::new().await;
    let api = stack.ready(&[("LOGIN_ATTEMPTS", "1"), ("LOGIN_WINDOW", "2")]).await;
    let user = api.user().await;
    login(&api, &user.email, "wrong password").await.problem(401);
    login(&api, &user.email, PASSWORD).await.problem(429);
    eventually("the account is open again", async || {
        (login(&api, &user.email, PASSWORD).await.status == 200).then_some(())
    })
    .await;
}
