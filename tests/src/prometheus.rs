//! The stack's Prometheus, asked over its API.

use std::{
    io::Write as _,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::stack::{Port, Stack};

/// A client of the stack's Prometheus.
#[derive(Debug, Clone)]
pub struct Prometheus<'a>(pub &'a Stack);

impl Prometheus<'_> {
    /// What an expression is now: every series with its value.
    pub async fn query(&self, expression: &str) -> Result<Vec<Value>> {
        let answer = self.get("/api/v1/query", &[("query", expression)]).await?;
        Ok(answer["data"]["result"].as_array().with_context(|| format!("{expression}: {answer}"))?.clone())
    }

    /// What it asks: job and address of every target, those that answer.
    pub async fn targets_up(&self) -> Result<Vec<(String, String)>> {
        let up = self.query("up == 1").await?;
        let text = |series: &Value, label: &str| series["metric"][label].as_str().unwrap_or_default().to_owned();
        Ok(up.iter().map(|series| (text(series, "job"), text(series, "instance"))).collect())
    }

    /// Names of the alerts that it knows.
    pub async fn alerts_known(&self) -> Result<Vec<(String, Value)>> {
        let answer = self.get("/api/v1/rules", &[("type", "alert")]).await?;
        let groups = answer["data"]["groups"].as_array().context("no groups")?;
        let rules = groups.iter().filter_map(|group| group["rules"].as_array()).flatten();
        Ok(rules.map(|rule| (rule["name"].as_str().unwrap_or_default().to_owned(), rule.clone())).collect())
    }

    async fn get(&self, path: &str, parameters: &[(&str, &str)]) -> Result<Value> {
        let mut url = reqwest::Url::parse(&self.0.url(Port::Prometheus, path))?;
        url.query_pairs_mut().extend_pairs(parameters);
        let answer: Value = self.0.http.get(url).send().await?.json().await?;
        ensure!(answer["status"] == "success", "{parameters:?}: {answer}");
        Ok(answer)
    }
}

/// Runs a tool of the monitoring's image on this input.
pub fn tool(arguments: &[&str], input: &str) -> Result<String> {
    const IN_A_CONTAINER: &[&str] =
        &["run", "--rm", "-i", "--network=none", "--read-only", "--tmpfs=/tmp", "--cap-drop=ALL"];
    let mut process = Command::new("docker")
        .args(IN_A_CONTAINER)
        .args(["--label=scalable-backend.test=monitoring", "scalable_backend_monitoring:latest"])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    process.stdin.take().context("no input")?.write_all(input.as_bytes())?;
    let output = process.wait_with_output()?;
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    ensure!(output.status.success(), "{arguments:?}: {}\n{text}", output.status);
    Ok(text)
}
