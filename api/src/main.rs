//! Wiring only: settings, logs, then serve until a signal.

use std::process::ExitCode;

use anyhow::Context;
use api::settings::{self, Settings};
use shared::env::Env;

fn main() -> ExitCode {
    // The probe runs every few seconds in each container: no runtime, no other settings. It asks for
    // readiness: a task is found by the balancer from its first healthy probe on, and must not be
    // before it can serve. Once it is ready a lost dependency only degrades, and restarts nothing.
    if std::env::args().nth(1).as_deref() == Some("healthcheck") {
        return shared::probe::run(settings::probe_port(Env::from_process()), "/api/health");
    }
    shared::telemetry::init();
    match start() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("the API cannot start: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn start() -> anyhow::Result<()> {
    let settings = Settings::from_env(Env::from_process())?;
    // Two threads, whatever the machine has: a replica is given a fraction of a core, and each
    // further thread only adds wake-ups.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    runtime.block_on(async {
        let stop = shared::shutdown::on_signal().context("cannot listen for signals")?;
        let server = api::app::bind(settings, stop)?;
        server.run().await;
        Ok(())
    })
}
