//! One run: is the system there, drive the users, watch beside it, report.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::signal::unix::{SignalKind, signal};
use uuid::Uuid;

use crate::{
    api::Api,
    drive::drive,
    failure::Failure,
    options::Options,
    pace::Pace,
    progress::Progress,
    replicas::Watch,
    report::{Circumstances, Report},
    tally::Tally,
    user::Plan,
};

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Nothing was sent but the question for its health.
    #[error("{url}api/health does not answer 200 ({cause}): is the system running there?")]
    NotReady {
        /// What `--host` said.
        url: String,
        /// What came instead.
        cause: Failure,
    },
    /// The HTTP client could not be made.
    #[error("the HTTP client cannot be made")]
    Client(#[from] reqwest::Error),
    /// The engine refused the plan.
    #[error("the load engine stopped")]
    Engine(#[from] Box<goose::GooseError>),
    /// SIGTERM cannot be listened to.
    #[error("signals cannot be received")]
    Signal(#[from] std::io::Error),
}

/// Runs the test that `options` describe.
pub async fn run(options: Options) -> Result<Report, RunError> {
    let collector = options.collector();
    let tls = [&options.host, &collector].iter().any(|url| url.scheme() == "https");
    let api = Api::new(options.host.clone(), tls)?;
    api.health().await.map_err(|cause| RunError::NotReady { url: options.host.to_string(), cause })?;

    let (ramp, time, started) = (options.ramp(), options.minutes, Instant::now());
    let watch = Watch::new(api.client().clone(), collector, options.watch_service.clone());
    let progress = Progress::default();
    let plan = Arc::new(Plan {
        api,
        tally: Tally::default(),
        pace: options.pace(),
        seed: options.seed.unwrap_or_else(rand::random),
        run_id: Uuid::new_v4().simple().to_string()[..12].to_owned(),
        deadline: started + time,
    });
    let mut terminate = signal(SignalKind::terminate())?;
    let terminated = async {
        terminate.recv().await;
        goose::trigger_killswitch("SIGTERM");
        std::future::pending::<()>().await;
    };

    // goose never ends before its users have; the other three never end by themselves.
    tokio::select! {
        driven = drive(&plan, options.host.as_str(), options.users, ramp, time) => driven.map_err(Box::new)?,
        () = watch.run(started) => {}
        () = progress.run(started, time, &plan.tally, &watch) => {}
        () = terminated => {}
    }

    let counts = plan.tally.counts();
    let seconds = started.elapsed().min(time).as_secs_f64();
    let circumstances = Circumstances {
        host: options.host.as_str().trim_end_matches('/').to_owned(),
        users: options.users,
        pace: describe(&plan.pace),
        seed: plan.seed,
        seconds,
        ramp_seconds: ramp.as_secs(),
        interrupted: goose::is_killswitch_triggered(),
        service: options.watch_service,
        expected_replicas: options.expect_replicas.map(|range| (*range.start(), *range.end())),
        own_cpu_micros_per_request: own_cpu().map(|cpu| cpu.as_micros() as f64 / counts.total().requests.max(1) as f64),
    };
    Ok(Report::new(circumstances, &counts, watch.timeline(), progress.samples()))
}

fn describe(pace: &Pace) -> String {
    match pace {
        Pace::Fixed(interval) => format!("a request every {} ms", interval.as_millis()),
        Pace::Think(range) => format!("{} to {} ms between requests", range.start(), range.end()),
    }
}

/// Processor time of this process, user and system; `None` where the kernel does not say.
fn own_cpu() -> Option<Duration> {
    parse_cpu(&std::fs::read_to_string("/proc/self/stat").ok()?)
}

/// Fields 14 and 15, in hundredths of a second on Linux. The program's name before them may
/// hold spaces and ends at the last parenthesis.
fn parse_cpu(stat: &str) -> Option<Duration> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(Duration::from_millis((user + system) * 10))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_read_past_a_name_with_spaces() {
        let stat = "42 (a (b) c) S 1 1 1 0 -1 4194304 1 0 0 0 150 25 0 0 20 0 1 0 5 6 7";
        assert_eq!(parse_cpu(stat), Some(Duration::from_millis(1_750)));
        assert_eq!(parse_cpu("garbage"), None);
    }
}
