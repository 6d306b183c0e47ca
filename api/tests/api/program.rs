//! The program itself, as a container runs it: a process with an environment and signals.

use std::{
    collections::BTreeMap,
    process::Stdio,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

use crate::{
    client::get,
    servers::{eventually, free_address},
    stack::Stack,
};

pub(crate) struct Program {
    pub(crate) base: String,
    pub(crate) child: Child,
    environment: BTreeMap<String, String>,
    log: Arc<Mutex<String>>,
}

/// The program with an argument and an environment of its own.
pub(crate) fn command(environment: &BTreeMap<String, String>, argument: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_scalable_backend_api"));
    command.args(argument).env_clear().envs(environment).kill_on_drop(true);
    command
}

impl Program {
    /// Starts it and does not wait for anything.
    pub(crate) fn start(stack: &Stack, more: &[(&str, &str)]) -> Self {
        let address = free_address();
        let mut environment = stack.environment(more);
        environment.insert("PORT".to_owned(), address.port().to_string());
        let mut child = command(&environment, &[]).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let log = Arc::<Mutex<String>>::default();
        tokio::spawn({
            let log = Arc::clone(&log);
            async move {
                while let Ok(Some(line)) = lines.next_line().await {
                    *log.lock().unwrap() += &(line + "\n");
                }
            }
        });
        Self { base: format!("http://{address}"), child, environment, log }
    }

    /// Waits until all is well.
    pub(crate) async fn until_ready(&self) {
        eventually("the program is ready", async || {
            let response = reqwest::get(format!("{}/api/health", self.base)).await.ok()?;
            (response.text().await.ok()?.contains(r#""status":"ok""#)).then_some(())
        })
        .await;
    }

    /// Whether its own health check passes.
    pub(crate) async fn is_healthy(&self) -> bool {
        command(&self.environment, &["healthcheck"]).stderr(Stdio::null()).status().await.unwrap().success()
    }

    /// What Swarm sends first.
    pub(crate) async fn terminate(&self) {
        let pid = self.child.id().unwrap().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().await.unwrap().success());
    }

    /// Everything it has logged so far.
    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// The exposition.
    pub(crate) async fn metrics(&self) -> String {
        get(&self.base, "/metrics").await.expect(200).text
    }
}
