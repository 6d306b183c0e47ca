//! Up under load, down after it, within bounds and cooldown, without a failed request.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tests::{
    Load, Stack, Traffic, eventually,
    stack::{Port, docker, logs},
    steadily,
};

const MAXIMUM: u64 = 5;
/// Not faster than replicas can follow: a user costs two password hashes to sign in, then ten requests a second.
const RAMP: &[&str] = &["--ramp", "45"];

#[tokio::test]
async fn load_scales_up_a_redeploy_keeps_the_count_and_rest_scales_down_without_a_failed_request() -> Result<()> {
    let stack = Stack::at_rest().await?;
    let load = Load::start(&stack, 72, 105, RAMP)?;
    eventually("the api is scaled up to its maximum", Duration::from_secs(95), || async {
        let wanted = stack.wanted("api")?;
        ensure!(wanted == MAXIMUM, "wants {wanted}");
        Ok(())
    })
    .await?;
    stack.comes_to("api", MAXIMUM, Duration::from_secs(30)).await?;

    let redeploy = stack.clone();
    let deployed = tokio::task::spawn_blocking(move || redeploy.deploy_again(&[]));
    while !deployed.is_finished() {
        ensure!(stack.wanted("api")? >= MAXIMUM - 1, "the redeploy put the count back to {}", stack.wanted("api")?);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    deployed.await??;

    let report = load.finish_without_failures(Duration::from_secs(120)).await?;
    ensure!(report["requests"].as_u64() > Some(1_000), "too little load to prove anything: {report}");
    stack.comes_to("api", 2, Duration::from_secs(150)).await?;

    let logs = logs(&stack.service("autoscaler"))?;
    ensure!(logs.contains(&format!("scaled {} from 2 to 3", stack.service("api"))), "no line with scaled");
    check_steps(&stack).await
}

/// Every action stayed within the bounds; no scale-down came sooner than the cooldown after any action.
async fn check_steps(stack: &Stack) -> Result<()> {
    let cooldown_ms = 1_000 * std::env::var("COOLDOWN_PERIOD")?.parse::<u64>()?;
    let answer = stack.get_json(Port::Autoscaler, "/api/v1/decisions?limit=500").await?;
    let decisions = answer["decisions"].as_array().context("no decisions")?;
    let mut actions: Vec<(u64, u64, u64)> = decisions
        .iter()
        .filter(|decision| decision["service"] == stack.service("api") && decision["applied"] == true)
        .filter_map(|d| Some((d["at_ms"].as_u64()?, d["from"].as_u64()?, d["to"].as_u64()?)))
        .collect();
    actions.sort_unstable();
    ensure!(actions.len() >= 6, "expected three steps up and three down: {actions:?}");
    for step in actions.windows(2) {
        let ((before, ..), (at, from, to)) = (step[0], step[1]);
        ensure!((2..=MAXIMUM).contains(&to), "out of bounds: {from} -> {to}");
        ensure!(to.abs_diff(from) == 1, "linear takes one replica at a time: {from} -> {to}");
        ensure!(to > from || at - before >= cooldown_ms, "scaled down {} ms after an action", at - before);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_collector_is_gone_nothing_is_scaled_down_and_the_reason_is_told() -> Result<()> {
    let stack = Stack::at_rest().await?;
    let traffic = Traffic::start(&stack, 4).await?;
    // Two more than are needed: what would go at once if no data were taken for no load.
    stack.scale("api", 4)?;
    stack.comes_to("api", 4, Duration::from_secs(60)).await?;
    stack.scale("metrics-collector", 0)?;
    let blind = stays_while_blind(&stack).await;
    stack.scale("metrics-collector", 1)?;
    blind?;
    stack.comes_to("metrics-collector", 1, Duration::from_secs(60)).await?;
    // With data again, the very same idleness is a reason.
    stack.comes_to("api", 2, Duration::from_secs(120)).await?;
    traffic.finish_without_failures().await.map(drop)
}

async fn stays_while_blind(stack: &Stack) -> Result<()> {
    eventually("the autoscaler notices", Duration::from_secs(40), || async {
        let health = stack.get_json(Port::Autoscaler, "/health").await?;
        ensure!(health["status"] == "degraded", "{health}");
        Ok(())
    })
    .await?;
    // From now on the count is no human's, and nothing but the lack of data holds it.
    stack.order("api", "resume", &json!({})).await?;
    eventually("it says why it holds", Duration::from_secs(10), || async {
        let account = stack.account("api").await?.to_string();
        ensure!(account.contains("stale") || account.contains("no snapshot"), "{account}");
        Ok(())
    })
    .await?;
    let cooldown = Duration::from_secs(std::env::var("COOLDOWN_PERIOD")?.parse()?);
    steadily("idle, blind, and past the cooldown the count stays", cooldown * 2, || async {
        ensure!(stack.wanted("api")? == 4, "wants {}", stack.wanted("api")?);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_restart_of_the_autoscaler_changes_no_count() -> Result<()> {
    let stack = Stack::at_rest().await?;
    let container = stack.containers("autoscaler")?.pop().context("no autoscaler container")?;
    docker(&["kill", &container])?;
    let wanted_stays = steadily("the count stays", Duration::from_secs(5), || async {
        ensure!(stack.wanted("api")? == 2);
        Ok(())
    });
    wanted_stays.await?;
    eventually("the autoscaler is back", Duration::from_secs(60), || stack.get_text(Port::Autoscaler, "/health"))
        .await?;
    ensure!(stack.wanted("api")? == 2);
    Ok(())
}

#[tokio::test]
async fn the_account_of_a_service_says_why_in_one_sentence() -> Result<()> {
    let stack = Stack::at_rest().await?;
    let account: Value = eventually("a decision was made", Duration::from_secs(20), || stack.account("api")).await?;
    let why = account["why"].as_str().with_context(|| format!("no sentence: {account}"))?;
    ensure!(why.contains('2') && why.len() < 400, "{why}");
    Ok(())
}
