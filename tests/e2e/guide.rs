//! The guide's commands and the public contract.

use std::{process::Command, time::Duration};

use anyhow::{Context, Result, ensure};
use reqwest::StatusCode;
use serde_json::{Value, json};
use tests::{
    Stack, eventually,
    stack::{Port, docker, logs, run},
};

#[tokio::test]
async fn every_endpoint_of_the_guide_answers() -> Result<()> {
    let stack = Stack::at_rest().await?;
    let health = stack.get_json(Port::Http, "/api/health").await?;
    ensure!(health["status"] == "ok" && health["version"].is_string(), "{health}");
    stack.get_text(Port::Autoscaler, "/health").await?;
    stack.get_text(Port::CollectorHealth, "/health").await?;
    stack.get_text(Port::Collector, "/health").await?;
    let text = stack.get_text(Port::Autoscaler, "/metrics").await?;
    ensure!(text.contains("# HELP autoscaler_replicas_current"), "{text:.500}");
    let text = stack.get_text(Port::Http, "/nginx/status").await?;
    ensure!(text.contains("Active connections"), "{text}");
    let upstream = stack.get_json(Port::Http, "/nginx/upstream").await?;
    ensure!(upstream.to_string().matches("\"healthy\"").count() == 2, "{upstream}");
    Ok(())
}

#[tokio::test]
async fn the_guides_metrics_are_there_with_believable_values() -> Result<()> {
    let stack = Stack::at_rest().await?;
    let token = stack.sign_in("metrics").await?;
    let text = eventually("all metrics have a value", Duration::from_secs(30), || async {
        let me = stack.http.get(stack.url(Port::Http, "/api/users/me")).bearer_auth(&token).send().await?;
        ensure!(me.status() == StatusCode::OK, "{}", me.status());
        let text = stack.get_text(Port::Collector, "/metrics").await?;
        for name in [
            "api_replicas_current",
            "api_cpu_usage_percent",
            "api_memory_usage_percent",
            "api_response_time_ms",
            "api_error_rate_percent",
            "api_requests_per_second",
            "postgres_connections_active",
            "postgres_connections_max",
            "postgres_replicas_current",
            "redis_memory_usage_bytes",
            "redis_memory_max_bytes",
            "redis_replicas_current",
        ] {
            value(&text, name)?;
        }
        Ok(text)
    })
    .await?;
    ensure!(value(&text, "api_replicas_current")? == 2.0);
    ensure!(value(&text, "postgres_connections_max")? == 100.0);
    ensure!((1.0..=100.0).contains(&value(&text, "api_memory_usage_percent")?), "{text}");
    ensure!(value(&text, "redis_memory_usage_bytes")? > 100_000.0);
    ensure!(value(&text, "api_error_rate_percent")? == 0.0);
    Ok(())
}

/// The value of a metric without labels.
fn value(text: &str, name: &str) -> Result<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    Ok(line.with_context(|| format!("{name} is missing"))?.parse()?)
}

#[tokio::test]
async fn a_user_registers_logs_in_and_keeps_items_through_nginx() -> Result<()> {
    let stack = Stack::at_rest().await?;
    let token = stack.sign_in("items").await?;
    let created = stack.create_item(&token, "key-1", "first").await?;
    ensure!(created.status() == StatusCode::CREATED, "{}", created.text().await?);
    ensure!(created.headers().contains_key("x-request-id"));
    let item: Value = created.json().await?;
    let replayed: Value = stack.create_item(&token, "key-1", "first").await?.json().await?;
    ensure!(replayed["id"] == item["id"], "a retried create made a second item: {item} {replayed}");
    let listed = stack.http.get(stack.url(Port::Http, "/api/items")).bearer_auth(&token).send().await?;
    let listed: Value = listed.json().await?;
    ensure!(listed["items"].as_array().map(Vec::len) == Some(1), "{listed}");
    let anonymous = stack.get(Port::Http, "/api/items").await?;
    ensure!(anonymous.status() == StatusCode::UNAUTHORIZED);
    let problem: Value = anonymous.json().await?;
    ensure!(problem["status"] == 401 && problem["title"].is_string(), "{problem}");
    Ok(())
}

#[tokio::test]
async fn requests_are_spread_over_all_replicas() -> Result<()> {
    let stack = Stack::at_rest().await?;
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..40 {
        seen.insert(stack.get_json(Port::Http, "/api/health").await?["instance"].to_string());
    }
    ensure!(seen.len() == 2, "{seen:?}");
    Ok(())
}

#[tokio::test]
async fn the_guides_database_commands_work() -> Result<()> {
    let stack = Stack::at_rest().await?;
    let one = |name: &str| docker(&["ps", "-q", "-f", &format!("name={}", stack.service(name))]);
    let out = docker(&["exec", &one("postgres")?, "psql", "-U", "postgres", "-c", "SELECT 1"])?;
    ensure!(out.contains("(1 row)"), "{out}");
    let out = docker(&["exec", &one("redis")?, "redis-cli", "ping"])?;
    ensure!(out == "PONG", "{out}");
    Ok(())
}

#[tokio::test]
async fn the_logs_have_the_words_the_guide_greps_for() -> Result<()> {
    let stack = Stack::at_rest().await?;
    stack.sign_in("logs").await?;
    let script = "grep -m 1 request < <(timeout 30 docker service logs -f \"$1\" 2>&1)";
    run(Command::new("timeout").args(["30", "bash", "-c", script, "bash", &stack.service("api")]))?;
    let all = logs(&stack.service("api"))?;
    ensure!(all.contains("request") && all.contains("/api/auth/register"), "{all:.2000}");
    ensure!(!all.contains("correct horse battery"), "a password is in the log");
    Ok(())
}

#[tokio::test]
async fn no_operator_endpoint_changes_anything_without_the_token() -> Result<()> {
    let stack = Stack::at_rest().await?;
    for action in ["pause", "resume", "scale"] {
        let path = format!("/api/v1/services/{}/{action}", stack.service("api"));
        let answer = stack.http.post(stack.url(Port::Autoscaler, &path)).json(&json!({ "replicas": 5 })).send().await?;
        ensure!(answer.status().is_client_error(), "{action}: {}", answer.status());
    }
    ensure!(stack.wanted("api")? == 2);
    Ok(())
}

#[test]
fn the_status_lists_every_service_and_endpoint() -> Result<()> {
    let stack = Stack::deployed()?;
    let text = stack.deploy_again(&["--status"])?;
    for service in
        ["api", "autoscaler", "metrics-agent", "metrics-collector", "nginx", "postgres", "redis", "prometheus"]
    {
        ensure!(text.contains(&stack.service(service)), "{text}");
    }
    ensure!(text.matches(" 200  http://").count() == 9, "{text}");
    Ok(())
}

#[tokio::test]
async fn the_token_pauses_and_resumes_a_service() -> Result<()> {
    let stack = Stack::at_rest().await?;
    let container = stack.containers("autoscaler")?.pop().context("no autoscaler container")?;
    let token = docker(&["exec", &container, "cat", "/run/secrets/admin_token"])?;
    let post = |action: &str, body: Value| {
        let path = format!("/api/v1/services/{}/{action}", stack.service("api"));
        stack.http.post(stack.url(Port::Autoscaler, &path)).bearer_auth(&token).json(&body).send()
    };
    let paused = post("pause", json!({ "seconds": 60 })).await?;
    ensure!(paused.status().is_success(), "{}", paused.text().await?);
    eventually("the account says paused", Duration::from_secs(20), || async {
        let account = stack.account("api").await?;
        ensure!(account["why"].as_str().is_some_and(|why| why.contains("paused")), "{account}");
        Ok(())
    })
    .await?;
    let resumed = post("resume", json!({})).await?;
    ensure!(resumed.status().is_success(), "{}", resumed.text().await?);
    eventually("the account no longer says paused", Duration::from_secs(20), || async {
        let account = stack.account("api").await?;
        ensure!(account["why"].as_str().is_some_and(|why| !why.contains("paused")), "{account}");
        Ok(())
    })
    .await
}
