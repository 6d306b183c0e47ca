//! The stack under test: its name and ports, its services, its endpoints.

use std::{process::Command, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use reqwest::{Response, StatusCode};
use serde_json::{Value, json};

use crate::eventually;

/// A deployed stack.
#[derive(Debug, Clone)]
pub struct Stack {
    /// The Swarm stack's name.
    pub name: String,
    ports: [u16; 5],
    /// A client with a timeout above the api's own.
    pub http: reqwest::Client,
}

/// The published ports.
#[derive(Debug, Clone, Copy)]
pub enum Port {
    Http = 0,
    Autoscaler = 1,
    Collector = 2,
    CollectorHealth = 3,
    Prometheus = 4,
}

impl Stack {
    /// The stack that `scripts/e2e.sh` deployed, by the variables that it deployed it with.
    pub fn deployed() -> Result<Self> {
        let var = |name: &str| std::env::var(name).with_context(|| format!("{name} is not set: run scripts/e2e.sh"));
        let port = |name: &str| -> Result<u16> { Ok(var(name)?.parse()?) };
        let ports = [
            port("HTTP_PORT")?,
            port("AUTOSCALER_PORT")?,
            port("COLLECTOR_PORT")?,
            port("COLLECTOR_HEALTH_PORT")?,
            port("PROMETHEUS_PORT")?,
        ];
        let http = reqwest::Client::builder().timeout(Duration::from_secs(20)).build()?;
        Ok(Self { name: var("STACK_NAME")?, ports, http })
    }

    /// A deployed stack at rest: every service healthy, the api at its minimum.
    pub async fn at_rest() -> Result<Self> {
        let stack = Self::deployed()?;
        if stack.wanted("api")? > 2 {
            // An earlier test has shown what it wanted to; the way down is tested elsewhere.
            stack.settle().await?;
        }
        eventually("the stack comes to rest", Duration::from_secs(150), || async {
            ensure!(stack.outstanding()?.is_empty(), "not healthy: {:?}", stack.outstanding()?);
            ensure!(stack.wanted("api")? == 2, "api wants {} replicas", stack.wanted("api")?);
            let health = stack.get_json(Port::Http, "/api/health").await?;
            ensure!(health["status"] == "ok", "health: {health}");
            Ok(())
        })
        .await?;
        Ok(stack)
    }

    /// Back to two api replicas, which the autoscaler may scale again.
    pub async fn settle(&self) -> Result<()> {
        self.scale("api", 2)?;
        self.comes_to("api", 2, Duration::from_secs(90)).await?;
        eventually("the autoscaler takes orders", Duration::from_secs(60), || async {
            self.order("api", "resume", &json!({})).await
        })
        .await
    }

    /// A service's full name.
    #[must_use]
    pub fn service(&self, short: &str) -> String {
        format!("{}_{short}", self.name)
    }

    #[must_use]
    pub fn url(&self, port: Port, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.ports[port as usize])
    }

    pub async fn get(&self, port: Port, path: &str) -> Result<Response> {
        let url = self.url(port, path);
        self.http.get(&url).send().await.with_context(|| format!("GET {url}"))
    }

    /// The body of a 200.
    pub async fn get_text(&self, port: Port, path: &str) -> Result<String> {
        let response = self.get(port, path).await?;
        let status = response.status();
        let text = response.text().await?;
        ensure!(status == StatusCode::OK, "GET {path}: {status}: {text}");
        Ok(text)
    }

    pub async fn get_json(&self, port: Port, path: &str) -> Result<Value> {
        let text = self.get_text(port, path).await?;
        serde_json::from_str(&text).with_context(|| format!("GET {path} is not JSON: {text:.200}"))
    }

    /// Replicas that the service's specification asks for.
    pub fn wanted(&self, short: &str) -> Result<u64> {
        let text = docker(&["service", "inspect", "-f", "{{.Spec.Mode.Replicated.Replicas}}", &self.service(short)])?;
        Ok(text.parse()?)
    }

    /// Ids of the service's containers on this node that run.
    pub fn containers(&self, short: &str) -> Result<Vec<String>> {
        let filter = format!("label=com.docker.swarm.service.name={}", self.service(short));
        Ok(docker(&["ps", "-q", "--filter", &filter])?.lines().map(str::to_owned).collect())
    }

    /// Services whose running tasks are fewer or more than wanted.
    pub fn outstanding(&self) -> Result<Vec<String>> {
        let filter = format!("label=com.docker.stack.namespace={}", self.name);
        let text = docker(&["service", "ls", "--filter", &filter, "--format", "{{.Name}} {{.Replicas}}"])?;
        let unfinished = text.lines().filter(|line| {
            let counts = line.split(' ').nth(1).and_then(|counts| counts.split_once('/'));
            counts.is_none_or(|(running, wanted)| running != wanted)
        });
        Ok(unfinished.map(str::to_owned).collect())
    }

    /// Waits until the service's specification asks for `count` and that many run.
    pub async fn comes_to(&self, short: &str, count: u64, bound: Duration) -> Result<()> {
        eventually(&format!("{short} comes to {count} replicas"), bound, || async {
            let (wanted, outstanding) = (self.wanted(short)?, self.outstanding()?);
            ensure!(wanted == count, "wants {wanted}");
            ensure!(!outstanding.iter().any(|line| line.starts_with(&self.service(short))), "{outstanding:?}");
            Ok(())
        })
        .await
    }

    /// The autoscaler's account of a service.
    pub async fn account(&self, short: &str) -> Result<Value> {
        self.get_json(Port::Autoscaler, &format!("/api/v1/services/{}", self.service(short))).await
    }

    /// Registers a fresh user, logs in, returns the access token.
    pub async fn sign_in(&self, name: &str) -> Result<String> {
        self.login(&self.register(name).await?).await
    }

    /// Registers a fresh user; returns its mail address.
    pub async fn register(&self, name: &str) -> Result<String> {
        let nonce = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_nanos();
        let email = format!("{name}-{nonce}@example.org");
        let registered = self.post_credentials("/api/auth/register", &email).await?;
        ensure!(registered.status() == StatusCode::CREATED, "register: {}", registered.text().await?);
        Ok(email)
    }

    /// Logs a registered user in; returns the access token.
    pub async fn login(&self, email: &str) -> Result<String> {
        let login = self.post_credentials("/api/auth/login", email).await?;
        ensure!(login.status() == StatusCode::OK, "login: {}", login.text().await?);
        let tokens: Value = login.json().await?;
        Ok(tokens["access_token"].as_str().context("no access_token")?.to_owned())
    }

    async fn post_credentials(&self, path: &str, email: &str) -> Result<Response> {
        let user = json!({ "email": email, "password": "correct horse battery" });
        Ok(self.http.post(self.url(Port::Http, path)).json(&user).send().await?)
    }

    /// The token that the deploy script made.
    pub fn admin_token(&self) -> Result<String> {
        let container = self.containers("autoscaler")?.pop().context("no autoscaler container")?;
        docker(&["exec", &container, "cat", "/run/secrets/admin_token"])
    }

    /// Sends an operator's order about a service to the autoscaler, with the token.
    pub async fn order(&self, short: &str, action: &str, body: &Value) -> Result<()> {
        let token = self.admin_token()?;
        let url = self.url(Port::Autoscaler, &format!("/api/v1/services/{}/{action}", self.service(short)));
        let answer = self.http.post(url).bearer_auth(&token).json(body).send().await?;
        ensure!(answer.status().is_success(), "{action} {short}: {}", answer.text().await?);
        Ok(())
    }

    /// Scales a service by hand.
    pub fn scale(&self, short: &str, count: u64) -> Result<()> {
        docker(&["service", "scale", "--detach", &format!("{}={count}", self.service(short))]).map(drop)
    }

    /// The caller's items, a page of the list or one of them.
    pub async fn get_as(&self, token: &str, path: &str) -> Result<Response> {
        Ok(self.http.get(self.url(Port::Http, path)).bearer_auth(token).send().await?)
    }

    /// Creates an item with an idempotency key.
    pub async fn create_item(&self, token: &str, key: &str, title: &str) -> Result<Response> {
        let request = self.http.post(self.url(Port::Http, "/api/items")).bearer_auth(token);
        Ok(request.header("Idempotency-Key", key).json(&json!({ "title": title })).send().await?)
    }

    /// Runs the deploy script with the stack's own settings.
    pub fn deploy_again(&self, options: &[&str]) -> Result<String> {
        run(Command::new("./deploy-autoscaling.sh").args(options).current_dir(root()))
    }
}

/// The repository's root.
#[must_use]
pub fn root() -> std::path::PathBuf {
    // As it is when the test runs: a build may have been made from another checkout.
    let here = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    std::path::Path::new(&here).join("..")
}

/// Runs `docker` and returns what it printed, trimmed. A command that does not end is a failure.
pub fn docker(args: &[&str]) -> Result<String> {
    run(Command::new("timeout").args(["180", "docker"]).args(args))
}

/// What all tasks of a service have logged, both streams. `docker service logs` shows the same, and does
/// not always come to an end by itself when several tasks have logged much.
pub fn logs(service: &str) -> Result<String> {
    let mut text = String::new();
    let filter = format!("label=com.docker.swarm.service.name={service}");
    for id in docker(&["ps", "-aq", "--filter", &filter])?.lines() {
        let output = Command::new("timeout").args(["60", "docker", "logs", id]).output()?;
        text.push_str(&String::from_utf8_lossy(&output.stdout));
        text.push_str(&String::from_utf8_lossy(&output.stderr));
    }
    Ok(text)
}

/// Runs a command to its end; a failure carries what it printed.
pub fn run(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("cannot start {command:?}"))?;
    let out = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if !output.status.success() {
        bail!("{command:?}: {}\n{out}\n{}", output.status, String::from_utf8_lossy(&output.stderr));
    }
    Ok(out)
}
