//! The real engine of this machine, which must be a manager of a Swarm: the write loses no
//! field of a specification and replaces no task.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod docker;

use autoscaler::swarm::{Engine, Swarm, SwarmError};
use docker::{Docker, Leftovers, SOCKET};
use serde_json::{Value, json};

/// A specification with every field that the engine of this machine takes.
fn everything(name: &str, network: &str, secret: (&str, &str), config: (&str, &str)) -> Value {
    let file = |name: &str| json!({"Name": name, "UID": "7", "GID": "8", "Mode": 256});
    let policy = |order: &str| {
        json!({"Parallelism": 3, "Delay": 1_500_000_000_u64, "FailureAction": "pause", "Monitor": 7_000_000_001_u64,
               "MaxFailureRatio": 0.123, "Order": order})
    };
    let mut rollback = policy("start-first");
    rollback["FailureAction"] = json!("continue");
    json!({
        "Name": name,
        "Labels": {"scalable-backend.test": "autoscaler", "odd": "<&> \u{2028} \"quoted\""},
        "TaskTemplate": {
            "ContainerSpec": {
                "Image": "debian:trixie-slim", "Labels": {"a": "b"}, "Command": ["sleep"], "Args": ["infinity"],
                "Hostname": "h-{{.Task.Slot}}", "Env": ["A=1", "B="], "Dir": "/tmp", "User": "65532:65532",
                "Groups": ["12"], "Privileges": {"SELinuxContext": {"Disable": true}}, "TTY": true, "OpenStdin": true,
                "ReadOnly": true, "Init": true, "StopSignal": "SIGKILL", "StopGracePeriod": 1_000_000_000_u64,
                "Mounts": [{"Type": "tmpfs", "Target": "/t", "TmpfsOptions": {"SizeBytes": 1_048_576, "Mode": 448}},
                           {"Type": "bind", "Source": "/etc/hostname", "Target": "/b", "ReadOnly": true,
                            "BindOptions": {"Propagation": "rprivate"}}],
                "Healthcheck": {"Test": ["CMD-SHELL", "true"], "Interval": 1_000_000_000_u64,
                                "Timeout": 5_000_000_000_u64, "Retries": 4, "StartPeriod": 9_000_000_000_u64},
                "Hosts": ["10.9.8.7 elsewhere"],
                "DNSConfig": {"Nameservers": ["9.9.9.9"], "Search": ["example.org"], "Options": ["timeout:3"]},
                "Secrets": [{"File": file("s"), "SecretID": secret.0, "SecretName": secret.1}],
                "Configs": [{"File": file("/c"), "ConfigID": config.0, "ConfigName": config.1}],
                "Isolation": "default", "Sysctls": {"net.ipv4.ip_unprivileged_port_start": "0"},
                "CapabilityAdd": ["CAP_NET_BIND_SERVICE"], "CapabilityDrop": ["CAP_MKNOD"],
                "Ulimits": [{"Name": "nofile", "Hard": 2048, "Soft": 1024}],
            },
            "Resources": {"Limits": {"NanoCPUs": 100_000_000, "MemoryBytes": 67_108_864, "Pids": 50},
                          "Reservations": {"NanoCPUs": 1_000_000, "MemoryBytes": 6_291_456}},
            "RestartPolicy": {"Condition": "on-failure", "Delay": 3_000_000_000_u64, "MaxAttempts": 5,
                              "Window": 4_000_000_000_u64},
            "Placement": {"Constraints": ["node.role==manager"], "MaxReplicas": 9,
                          "Preferences": [{"Spread": {"SpreadDescriptor": "node.labels.zone"}}]},
            "Networks": [{"Target": network, "Aliases": ["alias"]}],
            "LogDriver": {"Name": "json-file", "Options": {"max-size": "1m"}},
            "ForceUpdate": 2,
        },
        "Mode": {"Replicated": {"Replicas": 2}},
        "UpdateConfig": policy("stop-first"),
        "RollbackConfig": rollback,
        "EndpointSpec": {"Mode": "dnsrr", "Ports": [{"Name": "p", "Protocol": "tcp", "TargetPort": 80, "PublishMode": "host"}]},
    })
}

#[tokio::test]
async fn scaling_keeps_every_field_and_every_task() {
    let docker = Docker::new();
    let mut leftovers = Leftovers::default();
    let name = format!("as-test-{}", std::process::id());
    let ours = json!({"scalable-backend.test": "autoscaler"});
    let network = json!({"Name": name, "Driver": "overlay", "Attachable": true, "Labels": ours});
    let network = docker.create("networks", &network).await;
    leftovers.add("network", &network);
    let secret = docker.create("secrets", &json!({"Name": name, "Data": "c2VjcmV0", "Labels": ours})).await;
    leftovers.add("secret", &secret);
    let config = docker.create("configs", &json!({"Name": name, "Data": "Y29uZmln", "Labels": ours})).await;
    leftovers.add("config", &config);
    let asked = everything(&name, &network, (&secret, &name), (&config, &name));
    let id = docker.create("services", &asked).await;
    leftovers.add("service", &id);

    let before = docker.spec(&id).await;
    // Otherwise a field that was left out of this test would prove nothing.
    assert_eq!(docker::keys_missing(&asked, &before), Vec::<String>::new());
    let tasks = docker.running(&id, 2).await;

    let engine = Engine::new(SOCKET.as_ref()).unwrap();
    let service = engine.service(&id).await.unwrap();
    engine.scale(&service, 3, "from=2 to=3 at=1").await.unwrap();

    let mut expected = before;
    expected["Mode"]["Replicated"]["Replicas"] = json!(3);
    expected["Labels"]["swarm.autoscaler.state"] = json!("from=2 to=3 at=1");
    assert_eq!(docker.spec(&id).await, expected);
    let now = docker.running(&id, 3).await;
    assert!(tasks.iter().all(|task| now.contains(task)), "{tasks:?} are not all in {now:?}");

    let late = engine.scale(&service, 1, "late").await;
    assert!(matches!(late, Err(SwarmError::Conflict)), "{late:?}");
    let listed = engine.services().await.unwrap();
    let again = listed.iter().find(|service| service.id == id).unwrap();
    assert_eq!((again.replicas, again.previous.as_ref().unwrap().replicas), (3, 2));
}

#[tokio::test]
async fn the_nodes_are_read() {
    let nodes = Engine::new(SOCKET.as_ref()).unwrap().nodes().await.unwrap();
    let here = nodes.iter().find(|node| node.role == "manager" && node.takes_tasks).unwrap();
    assert!(here.total.nano_cpus > 0 && here.total.bytes > 0 && here.os == "linux", "{here:?}");
}
