//! Wiring: settings, log, the companion, until a signal.

use balancer::{run, settings::Settings};
use shared::{env::Env, shutdown, telemetry};

fn main() -> anyhow::Result<()> {
    let settings = Settings::from_env(Env::from_process())?;
    telemetry::init();
    // A few questions and a page twice a second: one thread is plenty.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let outcome = runtime.block_on(async { run::run(settings, shutdown::on_signal()?).await });
    runtime.shutdown_background();
    outcome
}
