//! Against the engine of this machine: what a fake cannot prove is that the write loses no
//! field of a specification and replaces no task.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod docker;
mod specs;

use std::process::Command;

use autoscaler::swarm::{Engine, Swarm, SwarmError};
use docker::{Docker, Leftovers, SOCKET};
use serde_json::{Value, json};
use specs::Things;

fn ours() -> Value {
    json!({"scalable-backend.test": "autoscaler"})
}

/// A network, a secret and a config for the specifications of one test.
async fn things(docker: &Docker, leftovers: &mut Leftovers, test: &str) -> Things {
    let name = format!("as-{test}-{}", std::process::id());
    let network = json!({"Name": name, "Driver": "overlay", "Attachable": true, "Labels": ours()});
    let network = docker.create("networks", &network).await;
    leftovers.add("network", &network);
    let secret = docker.create("secrets", &json!({"Name": name, "Data": "c2VjcmV0", "Labels": ours()})).await;
    leftovers.add("secret", &secret);
    let config = docker.create("configs", &json!({"Name": name, "Data": "Y29uZmln", "Labels": ours()})).await;
    leftovers.add("config", &config);
    Things { name, network, secret, config }
}

/// Makes a service, and sees to it that the engine took every field of its specification:
/// one that it left out would prove nothing.
async fn make(docker: &Docker, leftovers: &mut Leftovers, asked: &Value) -> String {
    let id = docker.create("services", asked).await;
    leftovers.add("service", &id);
    let taken = serde_json::from_str(&docker.spec(&id).await).unwrap();
    assert_eq!(docker::keys_missing(asked, &taken), Vec::<String>::new());
    id
}

/// Scales from 2 to 3 and on to 4, and compares the text of the specification each time.
async fn scale_and_compare(docker: &Docker, id: &str) {
    let engine = Engine::new(SOCKET.as_ref()).unwrap();
    let last_label = r#""scalable-backend.test":"autoscaler""#;
    let first = docker.spec(id).await;
    assert_eq!((first.matches(r#""Replicas":2"#).count(), first.matches(last_label).count()), (1, 1), "{first}");
    let expected = |replicas: u64, state: &str| {
        let label = format!(r#"{last_label},"swarm.autoscaler.state":"{state}""#);
        first.replace(r#""Replicas":2"#, &format!(r#""Replicas":{replicas}"#)).replace(last_label, &label)
    };
    for (replicas, state) in [(3, "from=2 to=3 at=1"), (4, "from=3 to=4 at=2")] {
        let service = engine.service(id).await.unwrap();
        engine.scale(&service, replicas, state).await.unwrap();
        assert_eq!(docker.spec(id).await, expected(replicas, state));
    }
}

#[tokio::test]
async fn scaling_keeps_every_byte_and_every_task() {
    let (docker, mut leftovers) = (Docker::new(), Leftovers::default());
    let things = things(&docker, &mut leftovers, "running").await;
    let id = make(&docker, &mut leftovers, &specs::running(&things)).await;
    let tasks = docker.running(&id, 2).await;
    let engine = Engine::new(SOCKET.as_ref()).unwrap();
    let old = engine.service(&id).await.unwrap();

    scale_and_compare(&docker, &id).await;
    let now = docker.running(&id, 4).await;
    assert!(tasks.iter().all(|task| now.contains(task)), "{tasks:?} are not all in {now:?}");

    let late = engine.scale(&old, 1, "late").await;
    assert!(matches!(late, Err(SwarmError::Conflict)), "{late:?}");
    let listed = engine.services().await.unwrap();
    let again = listed.iter().find(|service| service.id == id).unwrap();
    assert_eq!((again.replicas, again.previous.as_ref().unwrap().replicas), (4, 3));
}

#[tokio::test]
async fn scaling_keeps_what_this_machine_cannot_run_too() {
    let (docker, mut leftovers) = (Docker::new(), Leftovers::default());
    let things = things(&docker, &mut leftovers, "waiting").await;
    let id = make(&docker, &mut leftovers, &specs::waiting(&things)).await;
    scale_and_compare(&docker, &id).await;
}

#[tokio::test]
async fn the_nodes_are_read() {
    let nodes = Engine::new(SOCKET.as_ref()).unwrap().nodes().await.unwrap();
    let here = nodes.iter().find(|node| node.role == "manager" && node.takes_tasks).unwrap();
    assert!(here.total.nano_cpus > 0 && here.total.bytes > 0 && here.os == "linux", "{here:?}");
}

#[tokio::test]
async fn check_reads_the_labels_of_the_live_swarm() {
    let (docker, mut leftovers) = (Docker::new(), Leftovers::default());
    for (label, sound) in [("swarm.autoscaler.maximum", true), ("swarm.autoscaler.maximun", false)] {
        let name = format!("as-check-{sound}-{}", std::process::id());
        let labels = json!({"scalable-backend.test": "autoscaler", "swarm.autoscaler": "true",
                            "swarm.autoscaler.dry-run": "true", label: "7"});
        let service = json!({"Name": name, "Labels": labels, "Mode": {"Replicated": {"Replicas": 0}},
                             "TaskTemplate": {"ContainerSpec": {"Image": "debian:trixie-slim"}}});
        leftovers.add("service", &docker.create("services", &service).await);
        let output = Command::new(env!("CARGO_BIN_EXE_autoscaler")).arg("check").output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let line = match sound {
            true => format!("ok    {name}: 2 to 7, linear, on cpu, memory, dry run"),
            false => format!("ERROR {name}: swarm.autoscaler.maximun: no such label"),
        };
        assert!(text.lines().any(|found| found == line), "{text}");
        assert!(sound || output.status.code() == Some(1), "{text}");
    }
}
