//! Prometheus, its alerts and the dashboards, on the stack that they watch.

use std::{collections::BTreeMap, process::Command, time::Duration};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tests::{
    Load, Prometheus, Stack,
    dashboards::{self, ALERTS_WITHOUT_DATA, PANELS_WITHOUT_DATA},
    eventually,
    prometheus::tool,
    receiver::Receiver,
    stack::{Port, docker, root, run},
};

#[test]
fn each_alert_fires_when_it_should_and_is_silent_when_it_should() -> Result<()> {
    let text = tool(&["test-rules"], "")?;
    ensure!(text.contains("SUCCESS") && !text.contains("FAILED"), "{text}");
    Ok(())
}

#[tokio::test]
async fn prometheus_finds_every_task_and_nothing_else() -> Result<()> {
    let stack = Stack::at_rest().await?;
    let services = BTreeMap::from([
        ("api", "api"),
        ("collector", "metrics-collector"),
        ("agent", "metrics-agent"),
        ("autoscaler", "autoscaler"),
        ("nginx", "nginx"),
        ("certificate", "nginx"),
    ]);
    eventually("every task is a target that answers", Duration::from_secs(40), || async {
        let mut found = BTreeMap::<String, usize>::new();
        for (job, _) in Prometheus(&stack).targets_up().await? {
            *found.entry(job).or_default() += 1;
        }
        for (job, service) in &services {
            let (running, targets) = (stack.containers(service)?.len(), found.remove(*job).unwrap_or(0));
            ensure!(running > 0 && running == targets, "{job}: {running} tasks, {targets} targets");
        }
        ensure!(found.is_empty(), "{found:?}");
        let front = Prometheus(&stack).query("probe_success{job=\"nginx\"} == 1").await?;
        ensure!(front.len() == 1, "the prober has no answer through nginx");
        Ok(())
    })
    .await
}

/// Over all instances: a task that is replaced has another address.
const FIRST_SAMPLE: &str = "min(min_over_time(timestamp(up{job=\"collector\"})[1h:]))";

#[tokio::test]
async fn the_monitoring_goes_comes_back_with_what_it_recorded_and_sends_an_alert_to_the_webhook() -> Result<()> {
    let stack = Stack::at_rest().await?;
    let recorded = eventually("something is recorded", Duration::from_secs(30), || async {
        let recorded = Prometheus(&stack).query(FIRST_SAMPLE).await?;
        Ok(recorded.first().context("nothing yet")?["value"][1].clone())
    })
    .await?;
    stack.deploy_again(&["--without-monitoring"])?;
    for service in ["prometheus", "alertmanager", "prober"] {
        eventually("the monitoring goes", Duration::from_secs(60), || async {
            ensure!(stack.containers(service)?.is_empty(), "{service} is still there");
            Ok(())
        })
        .await?;
    }
    stack.deploy_again(&[])?;
    ensure!(stack.containers("prometheus")?.is_empty(), "it came back by itself");

    let receiver = Receiver::start().await?;
    let address = receiver.address_for_containers()?;
    let mut deploy = Command::new("./deploy-autoscaling.sh");
    deploy.args(["--with-monitoring", "--rotate", "ALERT_WEBHOOK_URL"]).env("ALERT_WEBHOOK_URL", address);
    run(deploy.current_dir(root()))?;
    let again = Prometheus(&stack).query(FIRST_SAMPLE).await?;
    ensure!(again.first().is_some_and(|series| series["value"][1] == recorded), "{recorded} became {again:?}");

    // Before it has found Alertmanager, Prometheus drops an alert and sends it again after a minute.
    eventually("Prometheus finds Alertmanager", Duration::from_secs(60), || async {
        let found = stack.get_json(Port::Prometheus, "/api/v1/alertmanagers").await?;
        ensure!(found["data"]["activeAlertmanagers"].as_array().is_some_and(|all| !all.is_empty()), "{found}");
        Ok(())
    })
    .await?;
    let typo = Typo::make(&stack)?;
    let alert = eventually("the alert arrives", Duration::from_secs(120), || async {
        let alerts = receiver.received().into_iter().filter_map(|body| body["alerts"].as_array().cloned()).flatten();
        let about = |alert: &Value| alert["labels"]["service"] == typo.name.as_str();
        alerts.clone().find(about).with_context(|| format!("there are {:?}", alerts.collect::<Vec<_>>()))
    })
    .await?;
    ensure!(alert["status"] == "firing" && alert["labels"]["alertname"] == "AutoscalerConfigError", "{alert}");
    ensure!(alert["labels"]["severity"] == "warning" && alert["labels"]["stack"] == stack.name.as_str(), "{alert}");
    let text = |name: &str| alert["annotations"][name].as_str().unwrap_or_default().to_owned();
    ensure!(text("summary") == format!("{} has 1 wrong labels and is not scaled.", typo.name), "{alert}");
    ensure!(text("runbook_url") == "docs/runbook.md#autoscalerconfigerror", "{alert}");

    // With the service its alert goes.
    drop(typo);
    eventually("the alert ends", Duration::from_secs(30), || async {
        let firing = Prometheus(&stack).query("ALERTS{alertname=\"AutoscalerConfigError\"}").await?;
        ensure!(firing.is_empty(), "{firing:?}");
        Ok(())
    })
    .await?;
    stack.deploy_again(&["--rotate", "ALERT_WEBHOOK_URL"]).map(drop)
}

/// A service without a replica and with a mistyped label, until it is dropped.
struct Typo {
    name: String,
}

impl Typo {
    fn make(stack: &Stack) -> Result<Self> {
        let typo = Self { name: stack.service("typo") };
        let image = docker(&[
            "service",
            "inspect",
            "-f",
            "{{.Spec.TaskTemplate.ContainerSpec.Image}}",
            &stack.service("redis"),
        ])?;
        docker(
            &[
                &["service", "create", "--detach", "--no-resolve-image", "--replicas=0", "--name", &typo.name][..],
                &["--label", &format!("com.docker.stack.namespace={}", stack.name)],
                &["--label", "swarm.autoscaler=true", "--label", "swarm.autoscaler.maximun=9", &image],
            ]
            .concat(),
        )?;
        Ok(typo)
    }
}

impl Drop for Typo {
    fn drop(&mut self) {
        if let Err(error) = docker(&["service", "rm", &self.name]) {
            eprintln!("{} is not removed: {error:#}", self.name);
        }
    }
}

#[tokio::test]
async fn every_query_of_the_dashboards_and_every_metric_of_the_alerts_has_data_under_load() -> Result<()> {
    let stack = Stack::at_rest().await?;
    // What is only there with a standby, and after a backup.
    let folder = std::env::temp_dir().join(format!("{}-backup", stack.name));
    stack.scale("postgres-replica", 1)?;
    let found = data_under_load(&stack, &folder).await;
    stack.scale("postgres-replica", 0)?;
    let _ = std::fs::remove_dir_all(&folder);
    stack.order("postgres-replica", "resume", &serde_json::json!({})).await?;
    found
}

async fn data_under_load(stack: &Stack, folder: &std::path::Path) -> Result<()> {
    run(Command::new("scripts/backup.sh").arg(folder).current_dir(root()))?;
    let load = Load::start(stack, 10, 20, &[])?;
    let mut queries = dashboards::queries()?;
    for (alert, rule) in Prometheus(stack).alerts_known().await? {
        let expression = rule["query"].as_str().with_context(|| format!("{alert} has no query"))?;
        ensure!(rule["health"] == "ok", "{alert}: {rule}");
        let metrics = dashboards::metrics_of(expression);
        ensure!(!metrics.is_empty(), "{alert}: no metric in {expression}");
        if ALERTS_WITHOUT_DATA.iter().any(|(excused, _)| alert == *excused) {
            continue;
        }
        queries.extend(metrics.into_iter().map(|metric| (format!("alert {alert}"), metric)));
    }
    ensure!(queries.len() > 60, "too few queries: {}", queries.len());
    eventually("every query has data", Duration::from_secs(60), || async {
        let mut empty = Vec::new();
        for (place, query) in &queries {
            let found = Prometheus(stack).query(query).await.with_context(|| place.clone())?;
            let numbers = found.iter().filter(|series| series["value"][1] != "NaN").count();
            if numbers == 0 && !PANELS_WITHOUT_DATA.iter().any(|(panel, _)| place == panel) {
                empty.push(format!("{place}: {query}"));
            }
        }
        ensure!(empty.is_empty(), "no data: {empty:#?}");
        Ok(())
    })
    .await?;
    load.finish_without_failures(Duration::from_secs(60)).await.map(drop)
}
