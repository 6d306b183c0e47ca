//! The live dashboard in a real browser, and the terminal's view, on the deployed stack.

use std::{process::Command, time::Duration};

use anyhow::{Context, Result, ensure};
use tests::{
    Browser, Load, Stack, eventually,
    stack::{Port, docker, root, run},
};
use thirtyfour::Key;

const SOON: Duration = Duration::from_secs(20);

/// Keeps what the page must not do, and when a scale event shows, from before its first script on.
const WATCH: &str = r#"
window.troubles = [];
addEventListener('error', (event) => troubles.push(`error: ${event.message}`));
addEventListener('unhandledrejection', (event) => troubles.push(`rejected: ${event.reason}`));
document.addEventListener('securitypolicyviolation', (event) => troubles.push(`policy: ${event.violatedDirective} ${event.blockedURI}`));
window.seen = [];
window.look = () => {
  const row = document.querySelector('#log tr.acted');
  const key = row && row.textContent;
  if (key && !seen.some((entry) => entry.key === key)) seen.push({ key, shown_ms: Date.now() });
};
new MutationObserver(look).observe(document.getElementById('log'), { childList: true });
"#;

fn card(stack: &Stack, short: &str) -> String {
    format!("[data-service=\"{}\"]", stack.service(short))
}

/// The page, live and with the past drawn.
async fn opened(stack: &Stack) -> Result<Browser> {
    let browser = Browser::start().await?;
    browser.resize(1360, 900).await?;
    browser.open(&stack.url(Port::Autoscaler, "/")).await?;
    browser.ask(WATCH).await?;
    let live = "return document.querySelector('#line.good') && document.querySelector('#log tr') \
                && document.querySelectorAll('.service canvas').length > 3";
    browser.until("the page is live, and has charts and decisions", live, SOON).await?;
    // What is in the log already is no news.
    browser.ask("look()").await?;
    Ok(browser)
}

/// Nothing went wrong on the page, and it asked nobody but its own server.
async fn is_clean(browser: &Browser) -> Result<()> {
    let troubles = browser.ask("return window.troubles").await?;
    ensure!(troubles == serde_json::json!([]), "{troubles}");
    let foreign = "return performance.getEntriesByType('resource').map((entry) => entry.name).filter((name) => !name.startsWith(location.origin))";
    let foreign = browser.ask(foreign).await?;
    ensure!(foreign == serde_json::json!([]), "{foreign}");
    Ok(())
}

#[tokio::test]
async fn load_changes_the_page_within_two_seconds_of_each_step() -> Result<()> {
    let stack = Stack::at_rest().await?;
    let browser = opened(&stack).await?;
    let known = browser.ask("return seen.length").await?.as_u64().context("no count")?;
    let load = Load::start(&stack, 44, 45, &["--ramp", "20"])?;
    let count =
        format!("return Number(document.querySelector('{} .count strong').textContent) >= 3", card(&stack, "api"));
    browser.until("the page shows a third replica", &count, Duration::from_secs(60)).await?;
    let enough = format!("return seen.length > {known}");
    browser.until("the log shows the step", &enough, SOON).await?;

    // Browser, autoscaler and this test share a clock.
    let steps = stack.get_json(Port::Autoscaler, "/api/v1/decisions?service=api&action=up&limit=1").await?;
    let step = &steps["decisions"][0];
    let delay = "const row = seen.at(-1); return row.shown_ms - new Date(document.querySelector('#log tr.acted time').dateTime).getTime()";
    let delay_ms = browser.ask(delay).await?.as_f64().context("no delay")?;
    ensure!((0.0..2_000.0).contains(&delay_ms), "a step was on the page after {delay_ms} ms: {step}");
    println!("a step was on the page {delay_ms} ms after it was decided");

    // Values, thresholds, votes, and the balancer and data tier beside them.
    let text = browser.ask("return document.body.innerText").await?.as_str().context("no text")?.to_owned();
    for part in [
        "CPU",
        "up above 50 %",
        "votes ",
        "measured ",
        "BALANCER",
        "requests/s",
        "primary",
        "connections at work",
        "% full",
        "snapshot of",
    ] {
        ensure!(text.contains(part), "the page lacks {part}: {text}");
    }
    is_clean(&browser).await?;
    load.finish_without_failures(Duration::from_secs(90)).await.map(drop)
}

#[tokio::test]
async fn pause_resume_and_scale_need_the_token_and_a_confirmation() -> Result<()> {
    let stack = Stack::at_rest().await?;
    let browser = opened(&stack).await?;
    let api = card(&stack, "api");
    let button = |order: &str| format!("{api} [data-order={order}]");
    let offers = |order: &str| format!("return document.querySelector('{}') !== null", button(order));
    let confirm = "#order .buttons .primary";
    let closed = "return !document.getElementById('order').open";

    browser.click(&button("pause")).await?;
    browser.click(confirm).await?;
    browser
        .until(
            "without a token it is refused",
            "return document.querySelector('#order .bad').textContent.includes('needed')",
            SOON,
        )
        .await?;
    browser.fill("#token", "guessed").await?;
    browser.click(confirm).await?;
    browser
        .until(
            "a wrong token is refused",
            "return document.querySelector('#order .bad').textContent.includes('not the admin token')",
            SOON,
        )
        .await?;
    ensure!(stack.account("api").await?["detail"]["history"]["paused_until_ms"].is_null(), "a wrong token paused it");
    browser.fill("#token", &stack.admin_token()?).await?;
    browser.press(Key::Enter).await?;
    browser.until("the dialog is closed", closed, SOON).await?;
    let left = format!("return document.querySelector('{api} .left').textContent.startsWith('paused for another')");
    browser.until("the page says paused", &left, Duration::from_secs(5)).await?;
    eventually("the round takes it up", SOON, || async {
        let account = stack.account("api").await?;
        ensure!(account["detail"]["decision"]["reason"] == "paused", "{}", account["why"]);
        Ok(())
    })
    .await?;

    // From now on the token is known to the page, and nowhere else.
    let kept = "return [localStorage.length, sessionStorage.length, document.cookie, document.querySelectorAll('#token').length].join()";
    ensure!(browser.ask(kept).await? == "0,0,,0", "{}", browser.ask(kept).await?);
    browser.until("it can be resumed", &offers("resume"), SOON).await?;
    browser.click(&button("resume")).await?;
    browser.click(confirm).await?;
    browser.until("it goes on", &offers("pause"), SOON).await?;

    browser.click(&button("scale")).await?;
    browser.fill("#order input[type=number]", "3").await?;
    browser.click(confirm).await?;
    stack.comes_to("api", 3, Duration::from_secs(60)).await?;
    let set = format!(
        "const card = document.querySelector('{api}'); return card.querySelector('.count strong').textContent === '3' \
         && card.querySelector('.facts').innerText.includes('set by hand')"
    );
    browser.until("the page shows the count that was set", &set, SOON).await?;
    browser.until("it can be handed back", &offers("resume"), SOON).await?;
    browser.click(&button("resume")).await?;
    browser.click(confirm).await?;
    browser.until("the dialog is closed", closed, SOON).await?;
    browser.click("#forget").await?;
    is_clean(&browser).await?;
    stack.comes_to("api", 2, Duration::from_secs(120)).await
}

#[tokio::test]
async fn the_page_works_by_keyboard_on_a_phone_and_in_both_schemes() -> Result<()> {
    let stack = Stack::at_rest().await?;
    let browser = opened(&stack).await?;
    let api = card(&stack, "api");

    // To the first button of a service and into its dialog, by keys alone.
    let focused = |what: &str| format!("return document.activeElement.matches('{what}')");
    for _ in 0..60 {
        browser.press(Key::Tab).await?;
        if browser.ask(&focused(&format!("{api} .buttons button"))).await? == true {
            break;
        }
    }
    let outlined = "return getComputedStyle(document.activeElement).outlineStyle !== 'none'";
    ensure!(browser.ask(outlined).await? == true, "the focus cannot be seen");
    browser.press(Key::Enter).await?;
    browser.until("the dialog is open", "return document.getElementById('order').open", SOON).await?;
    browser.press(Key::Escape).await?;
    browser.until("Escape closes it and the focus is back", &focused(&format!("{api} .buttons button")), SOON).await?;
    browser.ask(&format!("document.querySelector('{api} .plot').focus()")).await?;
    let before = browser.ask(&format!("return document.querySelector('{api} .reading').textContent")).await?;
    for _ in 0..3 {
        browser.press(Key::Left).await?;
    }
    let moved = format!("return document.querySelector('{api} .reading').textContent !== {before}");
    browser.until("arrow keys move through a chart", &moved, SOON).await?;

    for (width, height) in [(390, 844), (1360, 900)] {
        browser.resize(width, height).await?;
        let overflow = "return document.documentElement.scrollWidth - document.documentElement.clientWidth";
        ensure!(browser.ask(overflow).await? == 0, "{width} px: the page is wider than its window");
        for scheme in ["light", "dark"] {
            browser.prefer(scheme).await?;
            let poor = browser.ask(CONTRAST).await?;
            ensure!(poor == serde_json::json!([]), "{scheme}, {width} px: too little contrast: {poor}");
        }
    }
    let unnamed = "return [...document.querySelectorAll('button, select, input, [role=img]')].filter((e) => !(e.ariaLabel || e.labels?.length || e.textContent.trim())).length";
    ensure!(browser.ask(unnamed).await? == 0, "some controls have no name");
    is_clean(&browser).await
}

/// Texts whose contrast with what is behind them is below 4.5.
const CONTRAST: &str = r#"
const parse = (colour) => colour.match(/[\d.]+/g).map(Number);
const light = ([r, g, b]) => [r, g, b].map((v) => v / 255).map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)).reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
const behind = (element) => {
  const layers = [];
  for (let e = element; e; e = e.parentElement) {
    const [r, g, b, a = 1] = parse(getComputedStyle(e).backgroundColor);
    layers.push([r, g, b, a]);
    if (a === 1) break;
  }
  return layers.reverse().reduce((under, [r, g, b, a]) => [r, g, b].map((v, i) => v * a + under[i] * (1 - a)), [255, 255, 255]);
};
const poor = [];
for (const element of document.querySelectorAll('body *')) {
  const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
  if (!own || element.offsetParent === null) continue;
  const [text, ground] = [light(parse(getComputedStyle(element).color)), light(behind(element))];
  const contrast = (Math.max(text, ground) + 0.05) / (Math.min(text, ground) + 0.05);
  if (contrast < 4.5) poor.push(`${element.tagName}.${element.className} ${element.textContent.slice(0, 30)}: ${contrast.toFixed(2)}`);
}
return poor;
"#;

/// A service whose labels are meant to become markup; it has no task.
struct Hostile(String);

impl Hostile {
    fn create(stack: &Stack) -> Result<Self> {
        let (name, field) = (stack.service("hostile"), "{{.Spec.TaskTemplate.ContainerSpec.Image}}");
        let image = docker(&["service", "inspect", "-f", field, &stack.service("api")])?;
        let namespace = format!("com.docker.stack.namespace={}", stack.name);
        let evil = "swarm.autoscaler.maximum=<img src=x onerror=window.owned=1><script>window.owned=1</script>";
        docker(&[
            "service",
            "create",
            "--detach",
            "--quiet",
            "--no-resolve-image",
            "--name",
            &name,
            "--replicas",
            "0",
            "--label",
            &namespace,
            "--label",
            "swarm.autoscaler=true",
            "--label",
            evil,
            &image,
        ])?;
        Ok(Self(name))
    }
}

impl Drop for Hostile {
    fn drop(&mut self) {
        let _ = docker(&["service", "rm", &self.0]);
    }
}

#[tokio::test]
async fn hostile_labels_stay_text_and_a_lost_line_is_told_until_it_is_back() -> Result<()> {
    let stack = Stack::at_rest().await?;
    let hostile = Hostile::create(&stack)?;
    let browser = opened(&stack).await?;
    let shown = format!(
        "return document.querySelector('[data-service=\"{}\"] .notes')?.textContent.includes('<img src=x onerror=')",
        hostile.0
    );
    browser.until("the wrong label is shown as it is", &shown, SOON).await?;
    ensure!(
        browser
            .ask("return window.owned === undefined && document.querySelectorAll('main img, main script').length === 0")
            .await?
            == true
    );
    drop(hostile);
    browser
        .until(
            "what is removed is gone from the page",
            "return document.querySelectorAll('.service.wrong').length === 0",
            SOON,
        )
        .await?;
    is_clean(&browser).await?;

    let rows = browser.ask("return document.querySelectorAll('#log tr').length").await?;
    let container = stack.containers("autoscaler")?.pop().context("no autoscaler runs")?;
    docker(&["kill", &container])?;
    browser.until("the page says that it hears nothing", "return document.body.classList.contains('stale') && document.getElementById('banner').textContent.includes('No word')", SOON).await?;
    let back = "return !document.body.classList.contains('stale') && document.querySelector('#line.good') && !document.getElementById('banner').textContent.includes('No word')";
    browser.until("it is live again without a reload", back, Duration::from_secs(60)).await?;
    ensure!(
        browser.ask("return document.querySelectorAll('#log tr').length").await?.as_u64() >= rows.as_u64(),
        "the log forgot"
    );
    ensure!(browser.ask("return window.troubles !== undefined").await? == true, "the page was loaded anew");
    Ok(())
}

#[tokio::test]
async fn the_terminal_shows_the_same() -> Result<()> {
    let stack = Stack::at_rest().await?;
    let text = run(Command::new("scripts/watch.sh").arg("--once").current_dir(root()))?;
    for part in [
        stack.name.as_str(),
        "SERVICE",
        "api",
        "2 (2 run)",
        "2-5",
        "postgres-replica",
        "redis",
        "sources   ",
        "balancer  ",
        "database  primary",
        "cache     ",
    ] {
        ensure!(text.contains(part), "watch.sh lacks {part}: {text}");
    }
    let watched = "timeout 6 scripts/watch.sh --every 1 | grep -c '^SERVICE '";
    let looks: u32 = run(Command::new("bash").args(["-c", watched]).current_dir(root()))?.parse()?;
    ensure!(looks >= 2, "it was shown {looks} times in 6 s");
    let wrong =
        Command::new("scripts/watch.sh").arg("--once").env("STACK_NAME", "nowhere").current_dir(root()).output()?;
    let words = String::from_utf8_lossy(&wrong.stderr).into_owned();
    ensure!(!wrong.status.success() && words.contains("there is no service nowhere_autoscaler"), "{words}");
    Ok(())
}
