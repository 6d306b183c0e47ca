//! Load as an operator puts it on: the stress test, as a process of its own.

use std::{
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::{
    eventually,
    stack::{Port, Stack, root},
};

/// A running stress test. It is ended when dropped.
#[derive(Debug)]
pub struct Load {
    process: Child,
    report: PathBuf,
}

impl Load {
    /// Starts `users` virtual users for `seconds` against the stack.
    pub fn start(stack: &Stack, users: u32, seconds: u64, extra: &[&str]) -> Result<Self> {
        let report = std::env::temp_dir().join(format!("{}-{}-{users}.json", stack.name, std::process::id()));
        let log = std::fs::File::create(report.with_extension("log"))?;
        let process = Command::new(root().join("scripts/stress-test.sh"))
            .args(["--users", &users.to_string()])
            .args(["--minutes", &format!("{:.4}", seconds as f64 / 60.0)])
            .args(["--host", &stack.url(Port::Http, "")])
            .args(["--collector", &stack.url(Port::Collector, "")])
            .arg("--report")
            .arg(&report)
            .args(extra)
            .stdout(log.try_clone()?)
            .stderr(Stdio::from(log))
            .spawn()
            .context("cannot start the stress test")?;
        Ok(Self { process, report })
    }

    /// Waits for the end; returns the report, having demanded that not one request failed.
    pub async fn finish_without_failures(mut self, bound: Duration) -> Result<Value> {
        let status = eventually("the stress test ends", bound, || {
            let ended = self.process.try_wait();
            async move { ended?.context("it still runs") }
        })
        .await?;
        let log = std::fs::read_to_string(self.report.with_extension("log")).unwrap_or_default();
        let tail: Vec<_> = log.lines().rev().take(40).collect();
        let tail = tail.into_iter().rev().collect::<Vec<_>>().join("\n");
        ensure!(status.success(), "the stress test failed ({status}):\n{tail}");
        serde_json::from_str(&std::fs::read_to_string(&self.report)?).context("the report is not JSON")
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        for file in [self.report.clone(), self.report.with_extension("log")] {
            let _ = std::fs::remove_file(file);
        }
    }
}
