//! The agent: what the Swarm tasks of this node use, for whoever asks.
//!
//! It reads only its own node's engine, since raw statistics exist nowhere else.

/// What the agent tells the collector.
pub mod report;

/// Processor use over a sliding window.
pub mod cpu_window;

/// One reading of all containers, kept from round to round.
pub mod sampler;

/// The agent's pages.
pub mod pages;

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use shared::{prom, serve, shutdown};
use tokio::{sync::watch, time::MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use crate::{agent::sampler::Sampler, docker::Engine, fetch, settings};

/// On an engine of 20.10 one call takes up to 1.2 s when there are many.
const STATS_TIMEOUT: Duration = Duration::from_secs(4);

/// Runs until a signal.
pub async fn run(settings: settings::Agent) -> anyhow::Result<()> {
    let stop = shutdown::on_signal()?;
    let metrics = prom::install()?;
    describe();
    let listener = serve::bind(settings.bind).with_context(|| format!("cannot listen on {}", settings.bind))?;
    let engine = Engine::new(&settings.docker_socket, STATS_TIMEOUT)?;
    let (publish, latest) = watch::channel(None);
    let sampler = Sampler::new(engine, &settings);
    tokio::spawn(sample_until(stop.clone(), sampler, settings.interval, publish));
    tracing::info!(address = %settings.bind, "agent is listening");
    let pages = pages::router(latest, settings.interval, metrics);
    serve::serve(listener, pages, serve::Limits::default(), stop).await;
    Ok(())
}

fn describe() {
    metrics::describe_gauge!("agent_tasks", "Tasks of this node in the newest report.");
    metrics::describe_counter!("agent_failed_rounds_total", "Rounds in which the engine could not be read.");
    metrics::describe_histogram!("agent_round_duration_seconds", "How long reading all containers took.");
    // A counter that was never touched is not written, and a rate of it not known.
    metrics::counter!("agent_failed_rounds_total").increment(0);
}

/// Samples every interval. A late round shifts the next ones: two readings close together
/// would make a window of next to nothing.
async fn sample_until(
    stop: CancellationToken,
    mut sampler: Sampler,
    interval: Duration,
    publish: watch::Sender<Option<Arc<report::Report>>>,
) {
    let mut tick = tokio::time::interval(interval);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            () = stop.cancelled() => return,
        }
        let started = tokio::time::Instant::now();
        match sampler.round().await {
            Ok(report) => {
                metrics::gauge!("agent_tasks").set(report.tasks.len() as f64);
                publish.send_replace(Some(Arc::new(report)));
            }
            Err(error) => {
                metrics::counter!("agent_failed_rounds_total").increment(1);
                tracing::warn!(error = fetch::chain(&error), "the engine could not be read");
            }
        }
        metrics::histogram!("agent_round_duration_seconds").record(started.elapsed());
    }
}
