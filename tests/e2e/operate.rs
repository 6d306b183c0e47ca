//! What an operator does with a stack that runs: rotate a secret, put a second stack beside it.

use std::{process::Command, time::Duration};

use anyhow::{Context, Result, ensure};
use reqwest::StatusCode;
use tests::{
    Stack, eventually,
    stack::{Port, docker, logs, root, run},
    steadily,
};

#[tokio::test]
async fn a_rotated_jwt_secret_ends_the_old_tokens_and_fails_no_request() -> Result<()> {
    let stack = Stack::at_rest().await?;
    let token = stack.sign_in("rotate").await?;
    let filter = format!("name={}", stack.service("jwt_secret"));
    let of_stack = || docker(&["secret", "ls", "--format", "{{.Name}}", "--filter", &filter]);
    let before = of_stack()?;

    let rotating = stack.clone();
    let deployed = tokio::task::spawn_blocking(move || rotating.deploy_again(&["--rotate", "jwt_secret"]));
    while !deployed.is_finished() {
        let health = stack.get(Port::Http, "/api/health").await?;
        ensure!(health.status() == StatusCode::OK, "while it rotates: {}", health.status());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    deployed.await??;

    let after = of_stack()?;
    ensure!(before == stack.service("jwt_secret") && after == format!("{before}_2"), "{before}, then {after}");
    let me = stack.http.get(stack.url(Port::Http, "/api/users/me")).bearer_auth(&token).send().await?;
    ensure!(me.status() == StatusCode::UNAUTHORIZED, "the old token still works: {}", me.status());
    stack.sign_in("rotated").await?;

    // Deployed again it stays with the new one, and a database password goes the same way.
    stack.deploy_again(&["--rotate", "DB_PASSWORD"])?;
    ensure!(of_stack()? == after, "{}", of_stack()?);
    eventually("accounts are written with the new password", Duration::from_secs(30), || stack.sign_in("again"))
        .await?;
    let mounted = docker(&["service", "inspect", "-f", "{{json .Spec.TaskTemplate}}", &stack.service("api")])?;
    ensure!(mounted.contains(&after), "{mounted}");
    Ok(())
}

/// A stack beside the first, deployed by hand, and its removal.
struct SecondStack {
    name: String,
    ports: [u16; 4],
}

impl SecondStack {
    /// By hand, as the README has it: secrets, then `docker stack deploy -c stack.yml`.
    fn make(first: &Stack) -> Result<Self> {
        let mut ports = [0; 4];
        for port in &mut ports {
            *port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        }
        let second = Self { name: format!("{}-b", first.name), ports };
        let (random, none) = ("head -c 32 /dev/urandom | base64", "echo none");
        for (secret, value) in [
            ("jwt_secret", random),
            ("db_password", random),
            ("db_monitor_password", random),
            ("db_replication_password", random),
            ("redis_password", random),
            ("admin_token", random),
            ("webhook_url", none),
        ] {
            let make = format!("{value} | docker secret create --label \"$1\" \"$2\" -");
            let label = format!("scalable-backend.stack={}", second.name);
            run(Command::new("sh").args(["-c", &make, "sh", &label, &format!("{}_{secret}", second.name)]))?;
        }
        Ok(second)
    }

    fn deploy(&self, settings: &[(&str, &str)]) -> Result<()> {
        let subnet = std::env::var("NETWORK_SUBNET")?.replace("10.88.", "10.89.");
        let mut deploy = self.command("docker");
        deploy.args(["stack", "deploy", "--resolve-image", "never", "-c", "stack.yml", &self.name]);
        deploy.envs(PORTS.iter().zip(self.ports.map(|port| port.to_string()))).envs(settings.iter().copied());
        let config = format!("{}_nginx.conf", self.name);
        run(deploy.env("NETWORK_SUBNET", subnet).env("NGINX_CONFIG", config)).map(drop)
    }

    fn url(&self, port: Port, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.ports[port as usize])
    }

    fn wanted(&self, service: &str) -> Result<u64> {
        let name = format!("{}_{service}", self.name);
        Ok(docker(&["service", "inspect", "-f", "{{.Spec.Mode.Replicated.Replicas}}", &name])?.parse()?)
    }

    /// Its services, volumes and secrets.
    fn left(&self) -> Result<[usize; 3]> {
        let count = |command: [&str; 2], label: &str| -> Result<usize> {
            let filter = format!("label={label}={}", self.name);
            Ok(docker(&[command[0], command[1], "-q", "--filter", &filter])?.lines().count())
        };
        Ok([
            count(["service", "ls"], "com.docker.stack.namespace")?,
            count(["volume", "ls"], "com.docker.stack.namespace")?,
            count(["secret", "ls"], "scalable-backend.stack")?,
        ])
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.current_dir(root()).env("STACK_NAME", &self.name);
        command
    }
}

impl Drop for SecondStack {
    fn drop(&mut self) {
        if let Err(error) = run(self.command("./deploy-autoscaling.sh").args(["--down", "--volumes"])) {
            eprintln!("the second stack is not removed: {error:#}");
        }
    }
}

const PORTS: [&str; 4] = ["HTTP_PORT", "AUTOSCALER_PORT", "COLLECTOR_PORT", "COLLECTOR_HEALTH_PORT"];

#[tokio::test]
async fn a_second_stack_deployed_by_hand_stands_beside_the_first() -> Result<()> {
    let stack = Stack::at_rest().await?;
    let second = SecondStack::make(&stack)?;
    second.deploy(&[("MIN_REPLICAS", "3")])?;
    let health = second.url(Port::Http, "/api/health");
    eventually("the second stack serves", Duration::from_secs(120), || async {
        let answer = stack.http.get(&health).send().await?;
        ensure!(answer.status() == StatusCode::OK, "{}", answer.text().await?);
        Ok(())
    })
    .await?;
    // Each autoscaler looks after its own stack.
    let services = second.url(Port::Autoscaler, "/api/v1/services");
    let listed = eventually("the second autoscaler lists its services", Duration::from_secs(60), || async {
        let text = stack.http.get(&services).send().await?.text().await?;
        ensure!(text.contains(&format!("{}_api", second.name)), "{text}");
        Ok(text)
    })
    .await?;
    ensure!(!listed.contains(&format!("\"{}\"", stack.service("api"))), "{listed}");
    steadily("the first goes on", Duration::from_secs(2), || async {
        stack.get_text(Port::Http, "/api/health").await.map(drop)
    })
    .await
    .context("beside a second stack")?;

    // The file knows of 2 replicas, and then of no reason for more than 1.
    let scaled = |count| {
        let second = &second;
        eventually("the autoscaler has its count", Duration::from_secs(40), move || async move {
            ensure!(second.wanted("api")? == count, "wants {}", second.wanted("api")?);
            Ok(())
        })
    };
    scaled(3).await?;
    second.deploy(&[("MIN_REPLICAS", "1"), ("COOLDOWN_PERIOD", "60")])?;
    let (autoscaler, step) = (format!("{}_autoscaler", second.name), format!("scaled {}_api from 2 to 3", second.name));
    eventually("the count of before is back", Duration::from_secs(60), || async {
        let steps = logs(&autoscaler)?.matches(&step).count();
        ensure!(steps >= 2 && second.wanted("api")? == 3, "{steps} steps, wants {}", second.wanted("api")?);
        Ok(())
    })
    .await
    .context("after a plain docker stack deploy")?;

    taken_down_it_leaves_what_was_not_given_up(&second)
}

fn taken_down_it_leaves_what_was_not_given_up(second: &SecondStack) -> Result<()> {
    let [services, volumes, secrets] = second.left()?;
    ensure!(services >= 8 && volumes >= 2 && secrets == 7, "{:?}", second.left()?);
    let text = run(second.command("./deploy-autoscaling.sh").arg("--down"))?;
    ensure!(text.contains("volumes and secrets are kept (delete them with --down --volumes)"), "{text}");
    ensure!(second.left()? == [0, volumes, secrets], "{:?}", second.left()?);
    // At a terminal it asks, and takes nothing but the stack's name for a yes.
    for (answer, left) in [("yes", [0, volumes, secrets]), (second.name.as_str(), [0, 0, 0])] {
        let mut asked = second.command("sh");
        let script = "printf '%s\\n' \"$1\" | script -qec './deploy-autoscaling.sh --down' /dev/null";
        let text = run(asked.args(["-c", script, "sh", answer]))?;
        ensure!(text.contains("Type the stack's name to confirm"), "{text}");
        ensure!(second.left()? == left, "answered {answer}: {:?}", second.left()?);
    }
    Ok(())
}
