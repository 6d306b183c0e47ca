//! What the guide has an operator do by hand: scale and update images, both under load without a failure, and give nginx
//! another configuration.

use std::{collections::BTreeSet, process::Command, time::Duration};

use anyhow::{Result, anyhow, ensure};
use serde_json::json;
use tests::{
    Load, Stack, eventually,
    stack::{Port, docker, root, run},
    steadily,
};

/// The replicas that answer a few requests in a row.
async fn answering(stack: &Stack) -> Result<BTreeSet<String>> {
    let mut seen = BTreeSet::new();
    for _ in 0..40 {
        seen.insert(stack.get_json(Port::Http, "/api/health").await?["instance"].to_string());
    }
    Ok(seen)
}

async fn all_answer(stack: &Stack, count: usize) -> Result<()> {
    eventually(&format!("{count} replicas answer"), Duration::from_secs(15), || async {
        let seen = answering(stack).await?;
        ensure!(seen.len() == count, "{seen:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_count_set_by_hand_is_balanced_over_at_once_and_left_alone() -> Result<()> {
    let stack = Stack::at_rest().await?;
    let load = Load::start(&stack, 8, 40, &["--ramp", "5"])?;
    stack.scale("api", 4)?;
    stack.comes_to("api", 4, Duration::from_secs(30)).await?;
    all_answer(&stack, 4).await?;
    // Idle, and longer than any cooldown of this stack: the autoscaler would take two away.
    let patience = Duration::from_secs(std::env::var("COOLDOWN_PERIOD")?.parse()?) + Duration::from_secs(4);
    steadily("the count stays", patience, || async {
        ensure!(stack.wanted("api")? == 4, "wants {}", stack.wanted("api")?);
        Ok(())
    })
    .await?;
    let account = stack.account("api").await?;
    ensure!(account["why"].as_str().is_some_and(|why| why.contains("by hand")), "{account}");
    stack.scale("api", 2)?;
    stack.comes_to("api", 2, Duration::from_secs(30)).await?;
    all_answer(&stack, 2).await?;
    load.finish_without_failures(Duration::from_secs(60)).await?;
    stack.order("api", "resume", &json!({})).await
}

/// A tag that goes at the end, also after a failure.
struct Tag(String);

impl Tag {
    /// The image of a service under another name.
    fn of(stack: &Stack, service: &str, repository: &str) -> Result<Self> {
        let image = docker(&[
            "service",
            "inspect",
            "-f",
            "{{.Spec.TaskTemplate.ContainerSpec.Image}}",
            &stack.service(service),
        ])?;
        let tag = format!("{repository}:v2.0-{}", stack.name);
        docker(&["tag", &image, &tag])?;
        Ok(Self(tag))
    }
}

impl Drop for Tag {
    fn drop(&mut self) {
        let _ = docker(&["image", "rm", "-f", &self.0]);
    }
}

#[ignore = "takes two minutes: scripts/soak.sh updates"]
#[tokio::test]
async fn the_guides_image_updates_fail_no_request() -> Result<()> {
    let stack = Stack::at_rest().await?;
    let images = [("api", "scalable_backend_api"), ("autoscaler", "autoscaler")];
    let tags = images.map(|(service, repository)| Tag::of(&stack, service, repository));
    let load = Load::start(&stack, 8, 50, &["--ramp", "5"])?;
    for ((service, _), tag) in images.iter().zip(&tags) {
        let (tag, name) = (tag.as_ref().map_err(|error| anyhow!("{error:#}"))?, stack.service(service));
        docker(&["service", "update", "--detach", "--image", &tag.0, &name])?;
        eventually("the update is complete", Duration::from_secs(90), || async {
            let state = docker(&["service", "inspect", "-f", "{{.UpdateStatus.State}}", &name])?;
            ensure!(state == "completed", "{service}: {state}");
            let images =
                docker(&["service", "ps", "--filter", "desired-state=running", "--format", "{{.Image}}", &name])?;
            ensure!(images.lines().all(|image| image == tag.0), "{service}: {images}");
            Ok(())
        })
        .await?;
    }
    // What the deploy script deployed comes back before its stand-ins lose their names.
    let deploy = stack.clone();
    tokio::task::spawn_blocking(move || deploy.deploy_again(&[])).await??;
    load.finish_without_failures(Duration::from_secs(90)).await.map(drop)
}

/// A Docker config, until it is dropped.
struct Config(&'static str);

impl Config {
    fn made(name: &'static str, text: &str) -> Result<Self> {
        let _ = docker(&["config", "rm", name]);
        let mut create = Command::new("bash");
        create.args(["-c", "printf '%s' \"$2\" | docker config create \"$1\" -", "bash", name, text]);
        run(&mut create)?;
        Ok(Self(name))
    }
}

impl Drop for Config {
    fn drop(&mut self) {
        if let Err(error) = docker(&["config", "rm", self.0]) {
            eprintln!("{} is not removed: {error:#}", self.0);
        }
    }
}

#[tokio::test]
async fn the_guides_new_configuration_for_nginx_is_used() -> Result<()> {
    let stack = Stack::at_rest().await?;
    let file = std::fs::read_to_string(root().join("nginx/nginx.conf"))?;
    let changed = file.replace("location = / {", "location = /version-2 { return 200 yes; }\n        location = / {");
    let config = Config::made("nginx.conf.v2", &changed)?;
    let (old, name) = (std::env::var("NGINX_CONFIG")?, stack.service("nginx"));
    docker(&["service", "update", "--detach", "--config-rm", &old, "--config-add", config.0, &name])?;
    let used = eventually("the new configuration is in force", Duration::from_secs(60), || async {
        let text = stack.get_text(Port::Http, "/version-2").await?;
        ensure!(text == "yes", "{text}");
        let state = docker(&["service", "inspect", "-f", "{{.UpdateStatus.State}}", &name])?;
        ensure!(state == "completed", "{state}");
        Ok(())
    })
    .await;
    stack.deploy_again(&[])?;
    used?;
    eventually("the deploy script's own is back", Duration::from_secs(10), || async {
        ensure!(stack.get(Port::Http, "/version-2").await?.status() == 404);
        Ok(())
    })
    .await
}
