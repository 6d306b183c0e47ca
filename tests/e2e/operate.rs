//! What an operator does with a stack that runs: rotate a secret, put a second stack beside it.

use std::{process::Command, time::Duration};

use anyhow::{Context, Result, ensure};
use reqwest::StatusCode;
use tests::{
    Stack, eventually,
    stack::{Port, docker, root, run},
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

/// Everything that `docker stack deploy` needs besides the images, and its removal.
struct SecondStack {
    name: String,
}

impl SecondStack {
    /// By hand, as the README has it: secrets, then `docker stack deploy -c stack.yml`.
    fn deploy(first: &Stack, ports: [u16; 4]) -> Result<Self> {
        let second = Self { name: format!("{}-b", first.name) };
        for secret in [
            "jwt_secret",
            "db_password",
            "db_monitor_password",
            "db_replication_password",
            "redis_password",
            "admin_token",
        ] {
            let make = r#"head -c 32 /dev/urandom | base64 | docker secret create --label "$1" "$2" -"#;
            let label = format!("scalable-backend.stack={}", second.name);
            run(Command::new("sh").args(["-c", make, "sh", &label, &format!("{}_{secret}", second.name)]))?;
        }
        let make = r#"echo none | docker secret create --label "$1" "$2" -"#;
        let (label, webhook) =
            (format!("scalable-backend.stack={}", second.name), format!("{}_webhook_url", second.name));
        run(Command::new("sh").args(["-c", make, "sh", &label, &webhook]))?;
        let subnet = std::env::var("NETWORK_SUBNET")?.replace("10.88.", "10.89.");
        let mut deploy = second.command("docker");
        deploy.args(["stack", "deploy", "--resolve-image", "never", "-c", "stack.yml", &second.name]);
        for (name, port) in PORTS.iter().zip(ports) {
            deploy.env(name, port.to_string());
        }
        let config = format!("{}_nginx.conf", second.name);
        run(deploy.env("NETWORK_SUBNET", subnet).env("NGINX_CONFIG", config))?;
        Ok(second)
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
    let mut ports = [0; 4];
    for port in &mut ports {
        *port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    }
    let second = SecondStack::deploy(&stack, ports)?;
    let health = format!("http://127.0.0.1:{}/api/health", ports[0]);
    eventually("the second stack serves", Duration::from_secs(120), || async {
        let answer = stack.http.get(&health).send().await?;
        ensure!(answer.status() == StatusCode::OK, "{}", answer.text().await?);
        Ok(())
    })
    .await?;
    // Each autoscaler looks after its own stack.
    let services = format!("http://127.0.0.1:{}/api/v1/services", ports[1]);
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
    .context("beside a second stack")
}
