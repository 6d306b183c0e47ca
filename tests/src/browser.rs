//! A real Chromium without a screen, driven through Debian's `chromedriver`. It is ended when
//! dropped, and leaves nothing behind.

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use thirtyfour::prelude::*;

use crate::eventually;

/// The browser and its driver.
#[derive(Debug)]
pub struct Browser {
    driver: Option<WebDriver>,
    process: Child,
    profile: PathBuf,
}

impl Browser {
    /// Starts one on ports of its own.
    pub async fn start() -> Result<Self> {
        let mut command = Command::new("chromedriver");
        command.arg("--port=0").stdout(Stdio::piped()).stderr(Stdio::null());
        let mut process =
            command.spawn().context("chromedriver does not start: apt-get install chromium chromium-driver")?;
        let port = port(&mut process);
        let profile = std::env::temp_dir().join(format!("browser-{}-{}", std::process::id(), process.id()));
        let driver = match port {
            Ok(port) => connect(port, &profile).await,
            Err(error) => Err(error),
        };
        match driver {
            Ok(driver) => Ok(Self { driver: Some(driver), process, profile }),
            Err(error) => {
                end(&mut process, &profile);
                Err(error)
            }
        }
    }

    fn driver(&self) -> Result<&WebDriver> {
        self.driver.as_ref().context("the browser is ended")
    }

    /// Opens a page.
    pub async fn open(&self, url: &str) -> Result<()> {
        Ok(self.driver()?.goto(url).await?)
    }

    /// What a function's body returns on the page.
    pub async fn ask(&self, script: &str) -> Result<Value> {
        let answer =
            self.driver()?.execute(script, Vec::new()).await.with_context(|| format!("on the page: {script}"))?;
        Ok(answer.json().clone())
    }

    /// Waits until a function's body returns something true; its last answer explains a failure.
    pub async fn until(&self, what: &str, script: &str, bound: Duration) -> Result<Value> {
        eventually(what, bound, || async {
            let answer = self.ask(script).await?;
            let is_true =
                !matches!(&answer, Value::Null | Value::Bool(false)) && answer != json!(0) && answer != json!("");
            ensure!(is_true, "{script} is {answer}");
            Ok(answer)
        })
        .await
    }

    /// Clicks on what a selector finds, as a mouse would. The page may draw it anew between the look and the click.
    pub async fn click(&self, selector: &str) -> Result<()> {
        eventually(&format!("a click on {selector}"), Duration::from_secs(5), || async {
            let element = self.driver()?.find(By::Css(selector)).await.with_context(|| format!("no {selector}"))?;
            element.scroll_into_view().await?;
            Ok(element.click().await?)
        })
        .await
    }

    /// Types into what a selector finds, in place of what is there.
    pub async fn fill(&self, selector: &str, text: &str) -> Result<()> {
        let element = self.driver()?.find(By::Css(selector)).await.with_context(|| format!("no {selector}"))?;
        element.clear().await?;
        Ok(element.send_keys(text).await?)
    }

    /// Presses a key wherever the focus is.
    pub async fn press(&self, key: Key) -> Result<()> {
        Ok(self.driver()?.active_element().await?.send_keys(key + "").await?)
    }

    /// A window of this size; a small one is a phone's.
    pub async fn resize(&self, width: u32, height: u32) -> Result<()> {
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600});
        self.devtools("Emulation.setDeviceMetricsOverride", size).await
    }

    /// As for somebody who prefers `dark` or `light`.
    pub async fn prefer(&self, scheme: &str) -> Result<()> {
        let features = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.devtools("Emulation.setEmulatedMedia", features).await
    }

    async fn devtools(&self, method: &str, parameters: Value) -> Result<()> {
        self.driver()?.cdp().send_raw(method, parameters).await.with_context(|| method.to_owned()).map(drop)
    }

    /// Draws what is in the window into a file.
    pub async fn picture(&self, file: &Path) -> Result<()> {
        Ok(self.driver()?.screenshot(file).await?)
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Left to itself the session would say goodbye over HTTP and wait for an answer; what ends
        // here ends by its process.
        let _ = self.driver.take().map(WebDriver::leak);
        end(&mut self.process, &self.profile);
    }
}

/// The driver says on which port it listens.
fn port(process: &mut Child) -> Result<u16> {
    let said = process.stdout.take().context("chromedriver says nothing")?;
    for line in BufReader::new(said).lines() {
        let line = line?;
        if let Some((_, port)) = line.split_once("successfully on port ") {
            return port.trim_end_matches('.').parse().with_context(|| line.clone());
        }
    }
    anyhow::bail!("chromedriver ended before it listened")
}

async fn connect(port: u16, profile: &Path) -> Result<WebDriver> {
    let mut capabilities = DesiredCapabilities::chrome();
    capabilities.set_binary("/usr/bin/chromium")?;
    // Containers give neither a sandbox to root nor much shared memory.
    for argument in ["--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--hide-scrollbars"]
    {
        capabilities.add_arg(argument)?;
    }
    capabilities.add_arg(&format!("--user-data-dir={}", profile.display()))?;
    WebDriver::new(format!("http://127.0.0.1:{port}"), capabilities).await.context("the browser does not start")
}

/// The browser is a child of the driver and does not end with it.
fn end(process: &mut Child, profile: &Path) {
    let children = Command::new("pgrep").args(["-P", &process.id().to_string()]).output();
    let children = children.map(|found| String::from_utf8_lossy(&found.stdout).into_owned()).unwrap_or_default();
    let _ = process.kill();
    let _ = process.wait();
    for child in children.lines() {
        let _ = Command::new("kill").args(["-KILL", child]).status();
    }
    let _ = std::fs::remove_dir_all(profile);
}
