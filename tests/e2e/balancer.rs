//! The guide's checklist for load balancing, item by item, and what sick replicas cost.

use std::{
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tests::{
    Prometheus, Stack, Traffic, eventually,
    stack::{Port, docker, run},
    traffic::Seen,
};

// On several threads, so that clients go on while a test waits for a command.

/// Clients of the tests in which a replica falls ill: as many requests may be on it at that moment.
const CLIENTS: usize = 4;

/// After so long a replica that does not answer gets no requests any more.
const FORGOTTEN: Duration = Duration::from_secs(2);

/// The tasks that `/nginx/upstream` shows as healthy.
async fn healthy(stack: &Stack) -> Result<Vec<Value>> {
    let page = stack.get_json(Port::Http, "/nginx/upstream").await?;
    let tasks = page["tasks"].as_array().with_context(|| format!("no tasks: {page}"))?;
    Ok(tasks.iter().filter(|task| task["health"] == "healthy").cloned().collect())
}

/// A figure of the balancer's own page, which is two seconds old at most.
async fn figure(stack: &Stack, name: &str) -> Result<f64> {
    let text = stack.get_text(Port::Http, "/nginx/metrics").await?;
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    Ok(line.with_context(|| format!("{name} is missing"))?.parse()?)
}

/// A container of the api and its address on the stack's network.
fn victim(stack: &Stack) -> Result<(String, String)> {
    let id = stack.containers("api")?.pop().context("no api container")?;
    let format = r#"{{range $name, $net := .NetworkSettings.Networks}}{{$net.IPAddress}} {{end}}"#;
    let address = docker(&["inspect", "-f", format, &id])?;
    Ok((id, address.split(' ').next().unwrap_or_default().to_owned()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_are_distributed_across_all_healthy_instances() -> Result<()> {
    let stack = Stack::at_rest().await?;
    let traffic = Traffic::start(&stack, CLIENTS).await?;
    let shown = eventually("each instance shows its share", Duration::from_secs(30), || async {
        let tasks = healthy(&stack).await?;
        ensure!(tasks.len() == 2, "{tasks:?}");
        for task in &tasks {
            let traffic = &task["traffic"];
            ensure!(traffic["requests"].as_u64() > Some(40), "too few requests yet: {task}");
            ensure!(traffic["share_percent"].as_f64().is_some_and(|share| (30.0..=70.0).contains(&share)), "{task}");
            ensure!(traffic["latency_ms"].as_f64().is_some_and(|ms| ms > 0.0 && ms < 1000.0), "{task}");
            ensure!(traffic["failures"] == 0 && task["slot"].is_u64() && task["node"].is_string(), "{task}");
        }
        Ok(())
    })
    .await;
    traffic.finish_without_failures().await?;
    shown
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn new_instances_are_added_to_the_load_balancer_automatically() -> Result<()> {
    let stack = Stack::at_rest().await?;
    let traffic = Traffic::start(&stack, CLIENTS).await?;
    stack.scale("api", 3)?;
    let added = eventually("a third instance is healthy", Duration::from_secs(60), || async {
        ensure!(figure(&stack, "nginx_limit_level").await? == 3.0, "the limit does not count on it yet");
        let tasks = healthy(&stack).await?;
        ensure!(tasks.len() == 3, "{tasks:?}");
        let idle = tasks.iter().find(|task| task["traffic"]["requests"].as_u64().is_none_or(|requests| requests < 5));
        ensure!(idle.is_none(), "got nothing yet: {idle:?}");
        Ok(())
    })
    .await;
    traffic.finish_without_failures().await?;
    stack.settle().await?;
    added?;
    eventually("the limit follows it down", Duration::from_secs(5), || async {
        ensure!(figure(&stack, "nginx_limit_level").await? == 2.0);
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unhealthy_instances_are_removed_automatically() -> Result<()> {
    let stack = Stack::at_rest().await?;
    let traffic = Traffic::start(&stack, CLIENTS).await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let (frozen, address) = victim(&stack)?;
    // Its process stands still, so that its health check fails, too.
    let pid = docker(&["inspect", "-f", "{{.State.Pid}}", &frozen])?;
    run(Command::new("kill").args(["-STOP", &pid]))?;
    let since = Instant::now();
    let replaced = eventually("the frozen instance is replaced", Duration::from_secs(90), || async {
        let tasks = healthy(&stack).await?;
        ensure!(!tasks.iter().any(|task| task["address"] == address.as_str()), "still there: {tasks:?}");
        ensure!(tasks.len() == 2, "{tasks:?}");
        Ok(())
    })
    .await;
    let seen = traffic.finish().await?;
    replaced?;
    println!("{}", hurts_at_most(&seen, since, since + FORGOTTEN, CLIENTS, "standing still")?);
    // None of these could have been answered twice, so waiting for them was right: a GET is repeated elsewhere.
    let failed = seen.iter().filter(|seen| seen.failed() && seen.what != "POST").count();
    ensure!(failed == 0, "{failed} GETs failed");
    stack.comes_to("api", 2, Duration::from_secs(60)).await
}

/// The engine does not probe a container that it has paused, so Swarm sees nothing wrong with it until the autoscaler
/// has the tasks replaced.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_instance_gets_no_requests_and_is_replaced() -> Result<()> {
    let stack = Stack::at_rest().await?;
    let traffic = Traffic::start(&stack, CLIENTS).await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let (paused, address) = victim(&stack)?;
    docker(&["pause", &paused])?;
    let since = Instant::now();
    let replaced = async {
        eventually("it is shown why it gets no requests", Duration::from_secs(5), || async {
            let tasks = healthy(&stack).await?;
            let task = tasks.iter().find(|task| task["address"] == address.as_str());
            ensure!(task.is_some_and(|task| task["left_out"] == "silent"), "{task:?}");
            ensure!(figure(&stack, "nginx_limit_level").await? == 1.0, "the limit counts on it");
            Ok(())
        })
        .await?;
        eventually("it is replaced", Duration::from_secs(90), || async {
            ensure!(!stack.containers("api")?.contains(&paused), "{:?}", stack.account("api").await?["warnings"]);
            Ok(())
        })
        .await?;
        let after = since.elapsed();
        stack.comes_to("api", 2, Duration::from_secs(60)).await?;
        eventually("the limit counts on two", Duration::from_secs(20), || async {
            ensure!(figure(&stack, "nginx_limit_level").await? == 2.0);
            Ok(())
        })
        .await?;
        let figures = stack.get_text(Port::Autoscaler, "/metrics").await?;
        let line = format!("autoscaler_replacements_total{{service=\"{}\"}} 1", stack.service("api"));
        ensure!(figures.contains(&line), "no {line}");
        Ok(after)
    }
    .await;
    if replaced.is_err() {
        let _ = docker(&["unpause", &paused]);
    }
    let seen = traffic.finish().await?;
    println!("paused: gone after {:.1?}", replaced?);
    println!("{}", hurts_at_most(&seen, since, since + FORGOTTEN, CLIENTS, "paused")?);
    // What was on it waited in vain, and none of that could have been answered twice: a GET is repeated elsewhere.
    let failed: Vec<_> = seen.iter().filter(|seen| seen.failed() && seen.what != "POST").collect();
    ensure!(failed.is_empty(), "{failed:.3?}");
    Ok(())
}

/// Of the requests that had no answer yet at `since`, few failed or took more than two seconds, and none that was
/// sent after `until`.
fn hurts_at_most(seen: &[Seen], since: Instant, until: Instant, most: usize, what: &str) -> Result<String> {
    let hurt = |seen: &&Seen| seen.failed() || seen.took > Duration::from_secs(2);
    let hurt: Vec<_> = seen.iter().filter(|seen| seen.at + seen.took > since).filter(hurt).collect();
    let last = hurt.iter().map(|seen| seen.at.saturating_duration_since(since)).max().unwrap_or_default();
    let longest = hurt.iter().map(|seen| seen.took).max().unwrap_or_default();
    ensure!(hurt.len() <= most, "{what}: {} hurt: {hurt:.3?}", hurt.len());
    ensure!(since + last <= until, "{what}: one was sent {last:?} after and still hurt: {hurt:.3?}");
    let count = (hurt.len(), seen.len());
    Ok(format!(
        "{what}: {} of {} requests hurt, the last sent after {last:.2?}, for {longest:.2?} at most",
        count.0, count.1
    ))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_requests_are_dropped_during_scaling() -> Result<()> {
    let stack = Stack::at_rest().await?;
    let mut traffic = Traffic::start(&stack, CLIENTS).await?;
    traffic.add_held_up(&stack).await?;
    let cycles = std::env::var("CYCLES").map_or(Ok(0), |cycles| cycles.parse::<u32>())?;
    let changed = async {
        for number in 0..cycles {
            cycle(&stack, number).await.with_context(|| format!("cycle {number}"))?;
            docker(&["service", "update", "--force", "--detach", &stack.service("api")])?;
            updated(&stack, "api").await?;
            let again = stack.clone();
            tokio::task::spawn_blocking(move || again.deploy_again(&[])).await??;
            println!("cycle {}: done", number + 1);
        }
        cycle(&stack, cycles).await
    }
    .await;
    let seen = traffic.finish_without_failures().await?;
    changed?;
    let held_up = seen.iter().filter(|seen| seen.was_held_up()).count();
    println!("{} requests in {cycles} + 1 cycles, {held_up} of them of four seconds, none failed", seen.len());
    ensure!(seen.len() > 300 && held_up > 3, "too few requests to prove anything: {} and {held_up}", seen.len());
    Ok(())
}

/// Up and down, with everything around the api updated meanwhile.
async fn cycle(stack: &Stack, number: u32) -> Result<()> {
    stack.scale("api", 4)?;
    stack.comes_to("api", 4, Duration::from_secs(60)).await?;
    for service in ["metrics-collector", "autoscaler"] {
        docker(&["service", "update", "--force", "--detach", &stack.service(service)])?;
    }
    reload(stack, number)?;
    for service in ["metrics-collector", "autoscaler"] {
        updated(stack, service).await?;
    }
    stack.settle().await
}

async fn updated(stack: &Stack, service: &str) -> Result<()> {
    eventually("the update is complete", Duration::from_secs(120), || async {
        let state = docker(&["service", "inspect", "-f", "{{.UpdateStatus.State}}", &stack.service(service)])?;
        ensure!(state == "completed", "{service}: {state}");
        Ok(())
    })
    .await
}

/// Changes the balancer's configuration in place.
fn reload(stack: &Stack, number: u32) -> Result<()> {
    let nginx = stack.containers("nginx")?.pop().context("no nginx container")?;
    let change = r##"{ cat nginx/nginx.conf; echo "# change $2"; } | docker exec -i "$1" reload"##;
    let mut command = Command::new("bash");
    command.args(["-c", change, "bash", &nginx, &number.to_string()]);
    run(command.current_dir(tests::stack::root())).map(drop)
}

#[ignore = "takes a minute: scripts/soak.sh sick"]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_instance_gets_less() -> Result<()> {
    let stack = Stack::at_rest().await?;
    let (slow, address) = victim(&stack)?;
    // The clients sign in first: with so little processor a password hash alone takes longer than a request may.
    let traffic = Traffic::start(&stack, CLIENTS).await?;
    // From 0.12 processors to a tenth of that.
    docker(&["update", "--cpus", "0.012", &slow])?;
    let since = Instant::now();
    tokio::time::sleep(Duration::from_secs(30)).await;
    let tasks = healthy(&stack).await;
    docker(&["update", "--cpus", "0.12", &slow])?;
    let seen = traffic.finish().await?;
    let tasks = tasks?;
    let task = tasks.iter().find(|task| task["address"] == address.as_str()).context("it is gone")?;
    let failed = seen.iter().filter(|seen| seen.failed()).count();
    let late = seen.iter().filter(|seen| seen.took > Duration::from_secs(1)).count();
    let longest = seen.iter().map(|seen| seen.took).max().unwrap_or_default();
    println!(
        "slow: of {} requests within {:.0?}, {failed} failed and {late} took more than a second, {longest:.2?} at most",
        seen.len(),
        since.elapsed(),
    );
    for task in &tasks {
        println!(
            "slow: {}: {}",
            if task["address"] == address.as_str() { "itself" } else { "the other" },
            task["traffic"]
        );
    }
    ensure!(task["traffic"]["share_percent"].as_f64().is_some_and(|share| share < 40.0), "{task}");
    ensure!(failed * 100 <= seen.len() && late * 20 <= seen.len(), "{failed} failed, {late} late, of {}", seen.len());
    Ok(())
}

#[ignore = "takes a minute: scripts/soak.sh sick"]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_out_of_memory_costs_no_get_and_is_replaced() -> Result<()> {
    let stack = Stack::at_rest().await?;
    let traffic = Traffic::start(&stack, CLIENTS).await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (greedy, _) = victim(&stack)?;
    // The kernel takes the process with the highest score: make that the api, then fill its memory.
    let pid = docker(&["inspect", "-f", "{{.State.Pid}}", &greedy])?;
    std::fs::write(format!("/proc/{pid}/oom_score_adj"), "1000")?;
    let since = Instant::now();
    let fill = "x=$(head -c 200000000 /dev/zero | tr '\\0' x)";
    let _ = run(Command::new("docker").args(["exec", &greedy, "bash", "-c", fill]));
    let ended = eventually("it is out of memory", Duration::from_secs(20), || async {
        let state = docker(&["inspect", "-f", "{{.State.Running}} {{.State.ExitCode}}", &greedy])?;
        ensure!(state == "false 137", "{state}");
        Ok(Instant::now())
    })
    .await;
    let back = stack.comes_to("api", 2, Duration::from_secs(60)).await;
    let seen = traffic.finish().await?;
    let gone = ended?;
    back?;
    println!("{}", hurts_at_most(&seen, since, gone + Duration::from_secs(2), CLIENTS, "out of memory")?);
    let failed: Vec<_> = seen.iter().filter(|seen| seen.failed() && seen.what != "POST").collect();
    ensure!(failed.is_empty(), "{failed:.3?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_switches_https_on_and_its_absence_off() -> Result<()> {
    let stack = Stack::at_rest().await?;
    let folder = std::env::temp_dir().join(format!("{}-tls", stack.name));
    std::fs::create_dir_all(&folder)?;
    let [certificate, key] = ["cert.pem", "key.pem"].map(|name| folder.join(name));
    let make = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost \
        -addext subjectAltName=DNS:localhost -out \"$1\" -keyout \"$2\" 2>/dev/null";
    run(Command::new("bash").args(["-c", make, "bash"]).args([&certificate, &key]))?;
    let deploy = |tls: bool| {
        let mut command = Command::new("./deploy-autoscaling.sh");
        if tls {
            command.env("TLS_CERT_FILE", &certificate).env("TLS_KEY_FILE", &key);
        }
        run(command.current_dir(tests::stack::root()))
    };
    let secure = format!("https://localhost:{}/api/docs", std::env::var("HTTPS_PORT")?);
    let curl = |args: &[&str]| {
        let mut command = Command::new("curl");
        command.args(["-s", "-m", "10", "-o", "/dev/null", "-w", "%{http_code} %{http_version} %{redirect_url}"]);
        run(command.arg("--cacert").arg(&certificate).args(args))
    };
    let on = deploy(true).and_then(|_| {
        let (over_tls, plain) = (curl(&[secure.as_str()])?, curl(&[stack.url(Port::Http, "/api/docs").as_str()])?);
        ensure!(over_tls == "200 2", "{over_tls}");
        ensure!(plain.starts_with("308 1.1 https://127.0.0.1:"), "{plain}");
        let health = curl(&[stack.url(Port::Http, "/api/health").as_str()])?;
        ensure!(health.starts_with("200"), "{health}");
        Ok(())
    });
    // It is good for two days.
    let expires = eventually("the alert on its age fires", Duration::from_secs(60), || async {
        let firing = Prometheus(&stack).query("ALERTS{alertname=\"CertificateExpires\",alertstate=\"firing\"}").await?;
        ensure!(!firing.is_empty(), "it does not fire");
        Ok(())
    })
    .await;
    let off = deploy(false);
    let left = docker(&["secret", "ls", "-q", "--filter", &format!("name={}_tls_", stack.name)])?;
    std::fs::remove_dir_all(&folder)?;
    on?;
    expires?;
    off?;
    ensure!(left.is_empty(), "its secrets are left: {left}");
    ensure!(curl(&[secure.as_str()]).is_err(), "HTTPS is still on");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_balancers_own_metrics_reach_the_collector() -> Result<()> {
    let stack = Stack::at_rest().await?;
    let traffic = Traffic::start(&stack, 2).await?;
    let told = eventually("the collector tells what the balancer counts", Duration::from_secs(20), || async {
        let text = stack.get_text(Port::Collector, "/metrics").await?;
        for name in [
            "nginx_requests_total{class=\"2xx\"} ",
            "nginx_limited_total ",
            "nginx_retries_total ",
            "nginx_upstream_seconds_bucket{le=\"+Inf\"} ",
            "nginx_upstream_requests_total{upstream=\"",
            "nginx_limit_level 2",
            "nginx_limit_requests_per_second 2000",
            "nginx_balancers 1",
        ] {
            ensure!(text.lines().any(|line| line.starts_with(name)), "{name} is missing");
        }
        Ok(())
    })
    .await;
    traffic.finish_without_failures().await?;
    told?;
    let page = stack.get_json(Port::Http, "/nginx/upstream").await?;
    let limit = &page["limit"];
    ensure!(limit["level"] == 2 && limit["requests_per_second"] == 2000.0, "{page}");
    ensure!(limit["confirmed_ago_ms"].as_u64().is_some_and(|ms| ms < 10_000), "{page}");
    Ok(())
}
