//! Draws the dashboard once a service has been scaled up: `screenshot URL SERVICE FILE`.

use std::{path::Path, time::Duration};

use anyhow::{Result, bail};
use tests::Browser;

const WIDTH: u32 = 1360;
/// As much as a reader takes in at once: the tiles, one service and the next one's head.
const HEIGHT: u32 = 1180;

#[tokio::main]
async fn main() -> Result<()> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [url, service, file] = arguments.as_slice() else { bail!("usage: screenshot URL SERVICE FILE") };
    let browser = Browser::start().await?;
    browser.resize(WIDTH, HEIGHT).await?;
    browser.prefer("light").await?;
    browser.open(url).await?;
    let scaled = format!(
        "return document.querySelectorAll('[data-service=\"{service}\"] canvas').length > 2 \
         && Number(document.querySelector('[data-service=\"{service}\"] .count strong').textContent) >= 3"
    );
    browser.until("the service is scaled up", &scaled, Duration::from_secs(240)).await?;
    let range = "const range = document.getElementById('range'); range.value = '900'; \
                 range.dispatchEvent(new Event('change')); return true";
    browser.ask(range).await?;
    // The past comes in and is drawn; what is on the way settles.
    tokio::time::sleep(Duration::from_secs(3)).await;
    browser.picture(Path::new(file)).await
}
