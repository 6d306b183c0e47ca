//! The autoscaler's history on its volume.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tests::{
    eventually,
    stack::{Port, Stack, docker},
};

/// When the first of the recorded points and decisions were, once both are there.
async fn oldest(stack: &Stack) -> Result<(u64, u64)> {
    let history = stack.get_json(Port::Autoscaler, "/api/v1/history?service=api&points=2000").await?;
    let decisions = stack.get_json(Port::Autoscaler, "/api/v1/decisions?service=api&limit=1000").await?;
    let first = |list: Option<&Value>| list.and_then(|entry| entry["at_ms"].as_u64());
    let point = first(history["points"].as_array().and_then(|points| points.first()));
    let decision = first(decisions["decisions"].as_array().and_then(|events| events.last()));
    point.zip(decision).context("nothing is recorded yet")
}

#[tokio::test]
async fn what_the_autoscaler_recorded_survives_its_death_and_another_user() -> Result<()> {
    let stack = Stack::at_rest().await?;
    let service = stack.service("autoscaler");
    let before = eventually("something is recorded", Duration::from_secs(60), || oldest(&stack)).await?;
    let user = docker(&["service", "inspect", "-f", "{{.Spec.TaskTemplate.ContainerSpec.User}}", &service])?;
    let container = stack.containers("autoscaler")?.pop().context("no autoscaler runs")?;
    docker(&["kill", &container])?;
    // Root without capabilities, as in a stack that was deployed without the script, and back.
    for user in [None, Some("0:0"), Some(user.as_str())] {
        if let Some(user) = user {
            docker(&["service", "update", "--quiet", "--user", user, &service])?;
        }
        eventually("the history is back and goes on", Duration::from_secs(60), || async {
            ensure!(oldest(&stack).await? == before, "{user:?}: {:?} is not {before:?}", oldest(&stack).await?);
            let metrics = stack.get_text(Port::Autoscaler, "/metrics").await?;
            ensure!(metrics.contains("autoscaler_history_kept 1"), "{user:?}: it is not kept");
            let health = stack.get_json(Port::Autoscaler, "/health").await?;
            ensure!(health["status"] == "ok", "{user:?}: {health}");
            Ok(())
        })
        .await?;
    }
    Ok(())
}
