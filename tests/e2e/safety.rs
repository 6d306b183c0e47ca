//! Who may do what inside of the stack, and where its secrets are not.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tests::{
    Stack,
    stack::{docker, logs},
};

/// Each secret, and a service whose containers have it.
const SECRETS: [(&str, &str); 6] = [
    ("jwt_secret", "api"),
    ("db_password", "postgres"),
    ("db_monitor_password", "postgres"),
    ("db_replication_password", "postgres"),
    ("redis_password", "redis"),
    ("admin_token", "autoscaler"),
];

fn ids(command: &[&str], stack: &Stack) -> Result<Vec<String>> {
    let filter = format!("label=com.docker.stack.namespace={}", stack.name);
    let all = docker(&[command, &["-q", "--filter", &filter]].concat())?;
    Ok(all.lines().map(str::to_owned).collect())
}

#[tokio::test]
async fn no_secret_is_in_a_log_a_specification_an_environment_or_a_process_list() -> Result<()> {
    let stack = Stack::at_rest().await?;
    let token = stack.sign_in("secrets").await?;
    let mut secrets = vec![("an access token", token), ("a password", "correct horse battery".to_owned())];
    for (name, service) in SECRETS {
        let container = stack.containers(service)?.pop().with_context(|| format!("no container of {service}"))?;
        let secret = docker(&["exec", &container, "cat", &format!("/run/secrets/{name}")])?;
        ensure!(secret.len() >= 32, "{name} is weak: {} characters", secret.len());
        ensure!(!secrets.iter().any(|(_, other)| *other == secret), "{name} is another one's, too");
        secrets.push((name, secret));
    }
    let mut places = Vec::new();
    for id in ids(&["service", "ls"], &stack)? {
        places.push((format!("the specification of {id}"), docker(&["service", "inspect", &id])?));
        let name = docker(&["service", "inspect", "-f", "{{.Spec.Name}}", &id])?;
        places.push((format!("the log of {name}"), logs(&name)?));
    }
    for id in ids(&["ps"], &stack)? {
        places.push((format!("the container {id}"), docker(&["inspect", &id])?));
        places.push((format!("the processes of {id}"), docker(&["top", &id, "-eo", "pid,args"])?));
        let environment = docker(&["exec", &id, "sh", "-c", "cat /proc/[0-9]*/environ 2>/dev/null | tr '\\0' '\\n'"])?;
        ensure!(environment.contains("PATH="), "{id} shows no environment: nothing is proved");
        places.push((format!("the environment of {id}"), environment));
    }
    ensure!(places.len() >= 30, "{} places", places.len());
    for (place, text) in &places {
        for (name, secret) in &secrets {
            ensure!(!text.contains(secret), "{name} is in {place}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn no_container_has_more_rights_than_it_needs() -> Result<()> {
    let stack = Stack::at_rest().await?;
    let containers = ids(&["ps"], &stack)?;
    ensure!(containers.len() >= 8, "{containers:?}");
    for id in containers {
        let found: Value = serde_json::from_str(&docker(&["inspect", &id])?)?;
        let (host, service) = (&found[0]["HostConfig"], &found[0]["Config"]["Labels"]["com.docker.swarm.service.name"]);
        let service = service.as_str().unwrap_or_default();
        ensure!(host["ReadonlyRootfs"] == true, "{service} may write to its image");
        ensure!(
            host["Privileged"] == false && host["CapAdd"].as_array().is_none_or(Vec::is_empty),
            "{service}: {host}"
        );
        let status = docker(&["exec", &id, "cat", "/proc/1/status"])?;
        let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim();
        ensure!(!field("Uid:").split_whitespace().any(|uid| uid == "0"), "{service} runs as root: {}", field("Uid:"));
        for set in ["CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"] {
            ensure!(field(set) == "0000000000000000", "{service} has capabilities: {set} {}", field(set));
        }
        let elevating = docker(&["exec", &id, "sh", "-c", "find / -xdev -type f -perm /6000 2>/dev/null || true"])?;
        ensure!(elevating.is_empty(), "{service} could become somebody else: {elevating}");
        let tools = "for tool in cc gcc c++ ld as make cargo rustc; do command -v $tool; done; true";
        let tools = docker(&["exec", &id, "sh", "-c", tools])?;
        ensure!(tools.is_empty(), "{service} holds a toolchain: {tools}");

        // The engine's socket: written to by the autoscaler alone.
        let mounts = found[0]["Mounts"].as_array().context("no mounts")?;
        let socket = mounts.iter().find(|mount| mount["Destination"] == "/var/run/docker.sock");
        let writes = socket.map(|mount| mount["RW"] == true);
        let expected = match service.strip_prefix(&format!("{}_", stack.name)) {
            Some("autoscaler") => Some(true),
            Some("metrics-collector" | "metrics-agent") => Some(false),
            _ => None,
        };
        ensure!(writes == expected, "{service}: the engine's socket, writable: {writes:?}");
    }
    Ok(())
}
