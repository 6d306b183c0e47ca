//! Wiring: settings, telemetry, one of the two programs, until a signal.

use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};
use collector::{agent, serve, settings};
use shared::{env::Env, probe, telemetry};

/// Measures containers (agent) and gathers every measurement into one snapshot (collector).
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serves what the Swarm tasks of this node use.
    Agent,
    /// Gathers all sources and serves the snapshot.
    Collector,
    /// Exits 0 when the program in this container answers its health check.
    Healthcheck { program: Program },
}

#[derive(Clone, Copy, ValueEnum)]
enum Program {
    Agent,
    Collector,
}

fn main() -> anyhow::Result<ExitCode> {
    let mut env = Env::from_process();
    let command = Cli::parse().command;
    if let Command::Healthcheck { program } = command {
        let default = match program {
            Program::Agent => settings::AGENT_PORT,
            Program::Collector => settings::COLLECTOR_PORT,
        };
        return Ok(probe::run(settings::port(&mut env, "PORT", default), "/health"));
    }
    telemetry::init();
    // One thread is plenty for a round every few seconds, and the cheapest.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let outcome = match command {
        Command::Agent => runtime.block_on(agent::run(settings::Agent::from_env(env)?)),
        _ => runtime.block_on(serve::run(settings::Collector::from_env(env)?)),
    };
    // A name server that does not answer holds a thread for seconds, which nobody waits for.
    runtime.shutdown_background();
    outcome.map(|()| ExitCode::SUCCESS)
}
