//! What must hold when a part is gone.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use reqwest::StatusCode;
use serde_json::Value;
use tests::{
    Load, Stack, eventually,
    stack::{Port, docker},
    steadily,
};

#[tokio::test]
async fn a_killed_task_costs_no_get_and_is_replaced() -> Result<()> {
    let stack = Stack::at_rest().await?;
    let victim = stack.containers("api")?.pop().context("no api container")?;
    let watch = steadily("GETs succeed", Duration::from_secs(12), || async {
        let health = stack.get(Port::Http, "/api/health").await?;
        ensure!(health.status() == StatusCode::OK, "{}", health.status());
        Ok(())
    });
    let kill = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        docker(&["kill", &victim])
    };
    let (watched, killed) = tokio::join!(watch, kill);
    killed?;
    watched?;
    stack.comes_to("api", 2, Duration::from_secs(60)).await?;
    ensure!(!stack.containers("api")?.contains(&victim));
    Ok(())
}

#[tokio::test]
async fn a_rolling_update_fails_no_request() -> Result<()> {
    let stack = Stack::at_rest().await?;
    let load = Load::start(&stack, 10, 40, &[])?;
    docker(&["service", "update", "--force", "--detach", &stack.service("api")])?;
    eventually("the update is complete", Duration::from_secs(90), || async {
        let state = docker(&["service", "inspect", "-f", "{{.UpdateStatus.State}}", &stack.service("api")])?;
        ensure!(state == "completed", "{state}");
        Ok(())
    })
    .await?;
    load.finish_without_failures(Duration::from_secs(90)).await.map(drop)
}

#[tokio::test]
async fn without_redis_the_api_serves_and_says_degraded() -> Result<()> {
    let stack = Stack::at_rest().await?;
    let token = stack.sign_in("no-redis").await?;
    docker(&["service", "scale", "--detach", &format!("{}=0", stack.service("redis"))])?;
    let degraded = eventually("health says degraded", Duration::from_secs(30), || async {
        let health = stack.get_json(Port::Http, "/api/health").await?;
        ensure!(health["status"] == "degraded", "{health}");
        Ok(())
    })
    .await;
    let created = stack.create_item(&token, "without-redis", "kept").await;
    docker(&["service", "scale", "--detach", &format!("{}=1", stack.service("redis"))])?;
    degraded?;
    let created = created?;
    ensure!(created.status() == StatusCode::CREATED, "{}", created.text().await?);
    stack.comes_to("redis", 1, Duration::from_secs(60)).await
}

#[tokio::test]
async fn a_killed_primary_costs_bounded_503s_and_no_acknowledged_write() -> Result<()> {
    let stack = Stack::at_rest().await?;
    let token = stack.sign_in("primary").await?;
    let container = stack.containers("postgres")?.pop().context("no postgres container")?;
    let mut acknowledged = Vec::new();
    let mut refused = 0;
    for number in 0..60 {
        if number == 10 {
            docker(&["kill", &container])?;
        }
        let (key, title) = (format!("item-{number}"), format!("item {number}"));
        let (mut answer, start) = (stack.create_item(&token, &key, &title).await?, std::time::Instant::now());
        // The client that a 503 asks for: the same key again, until it is taken.
        while answer.status() == StatusCode::SERVICE_UNAVAILABLE {
            refused += 1;
            ensure!(answer.headers().contains_key("retry-after"), "503 without Retry-After");
            ensure!(start.elapsed() < Duration::from_secs(60), "no writes for a minute");
            tokio::time::sleep(Duration::from_millis(250)).await;
            answer = stack.create_item(&token, &key, &title).await?;
        }
        ensure!(answer.status() == StatusCode::CREATED, "{}: {}", answer.status(), answer.text().await?);
        acknowledged.push(title);
    }
    ensure!(refused > 0, "the kill was not noticed: the test proves nothing");
    let url = stack.url(Port::Http, "/api/items?limit=100");
    let listed: Value = stack.http.get(url).bearer_auth(&token).send().await?.json().await?;
    let mut titles: Vec<_> =
        listed["items"].as_array().context("no items")?.iter().filter_map(|item| item["title"].as_str()).collect();
    titles.sort_unstable();
    acknowledged.sort_unstable();
    ensure!(titles == acknowledged, "lost or doubled: {titles:?}");
    stack.comes_to("postgres", 1, Duration::from_secs(60)).await
}

#[tokio::test]
async fn a_second_primary_never_starts_on_the_volume() -> Result<()> {
    let stack = Stack::at_rest().await?;
    let token = stack.sign_in("guard").await?;
    docker(&["service", "scale", "--detach", &format!("{}=3", stack.service("postgres"))])?;
    let guarded = steadily("one server only", Duration::from_secs(8), || async {
        ensure!(stack.containers("postgres")?.len() <= 1, "{:?}", stack.containers("postgres")?);
        Ok(())
    })
    .await;
    docker(&["service", "scale", "--detach", &format!("{}=1", stack.service("postgres"))])?;
    guarded?;
    stack.comes_to("postgres", 1, Duration::from_secs(60)).await?;
    eventually("writes go on", Duration::from_secs(30), || async {
        let created = stack.create_item(&token, "after", "after").await?;
        ensure!(created.status() == StatusCode::CREATED, "{}", created.status());
        Ok(())
    })
    .await
}
