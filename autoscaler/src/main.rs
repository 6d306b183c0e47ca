//! Wiring only: settings, logs, build, run until a signal, or one of the commands.

use std::{
    io::{ErrorKind, Read, Write},
    process::ExitCode,
    time::Duration,
};

use anyhow::Context;
use autoscaler::{
    cli, run, settings,
    swarm::{Engine, Swarm},
};
use clap::{Parser, Subcommand};
use shared::{env::Env, probe, shutdown, telemetry};

/// Scales Docker Swarm services by their labels.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Run the autoscaler (the default).
    Run,
    /// Ask the autoscaler in this container how it is; exit 0 when it is well.
    Healthcheck,
    /// Decide on one JSON document from standard input, and print the decision.
    Decide {
        /// Print the JSON Schemas of question and answer instead.
        #[arg(long)]
        schema: bool,
    },
    /// Ask a running autoscaler why a service is where it is.
    Explain {
        /// The service, with or without the stack's prefix.
        name: String,
        /// Where the autoscaler is; without it, in this container.
        #[arg(long)]
        url: Option<String>,
    },
    /// All services at one glance: replicas, bounds, votes, what holds them, and the data tier.
    Status {
        /// Again and again, until it is interrupted.
        #[arg(long, short)]
        watch: bool,
        /// Seconds between two looks.
        #[arg(long, default_value_t = 2.0, value_parser = seconds)]
        every: f64,
        /// Print what there is as JSON instead.
        #[arg(long, conflicts_with = "watch")]
        json: bool,
        /// Where the autoscaler is; without it, in this container.
        #[arg(long)]
        url: Option<String>,
    },
    /// Check the labels of all services in the Swarm; exit 1 when some are wrong.
    Check,
    /// Replay a trace of load through policies, and compare how they did.
    Simulate(cli::simulate::Simulation),
    /// What other policies would have done with the load that was recorded.
    #[command(after_help = cli::replay::LIMITS)]
    Replay(cli::replay::Replay),
}

fn main() -> anyhow::Result<ExitCode> {
    let mut env = Env::from_process();
    match Cli::parse().command.unwrap_or(Command::Run) {
        // Started every few seconds: it gets no runtime.
        Command::Healthcheck => Ok(probe::run(settings::port(&mut env), "/health")),
        command => run_command(command, env),
    }
}

#[tokio::main]
async fn run_command(command: Command, mut env: Env) -> anyhow::Result<ExitCode> {
    match command {
        Command::Run | Command::Healthcheck => serve(env).await,
        Command::Decide { schema: true } => print(&cli::decide::schema()?),
        Command::Decide { schema: false } => {
            let mut question = String::new();
            std::io::stdin().read_to_string(&mut question).context("cannot read standard input")?;
            print(&cli::decide::answer(&question).context("the question is not understood")?)
        }
        Command::Explain { name, url } => {
            let url = url.unwrap_or_else(|| format!("http://127.0.0.1:{}", settings::port(&mut env)));
            print(&cli::explain::text(&cli::explain::ask(&url, &name).await?))
        }
        Command::Status { watch, every, json, url } => {
            let url = url.unwrap_or_else(|| format!("http://127.0.0.1:{}", settings::port(&mut env)));
            if watch {
                return watched(&url, Duration::from_secs_f64(every)).await;
            }
            let overview = cli::status::ask(&url).await?;
            print(&if json { overview } else { cli::status::table(&overview)? })
        }
        Command::Simulate(simulation) => print(&cli::simulate::run(&simulation)?),
        Command::Replay(replay) => {
            let here = format!("http://127.0.0.1:{}", settings::port(&mut env));
            print(&cli::replay::run(&replay, &here).await?)
        }
        Command::Check => {
            let settings = settings::Settings::from_env(env)?;
            let services = Engine::new(&settings.docker_socket)?.services().await?;
            let report = cli::check::check(&services, &settings.defaults);
            print(&report.text)?;
            Ok(if report.errors == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
    }
}

/// The table again and again. An autoscaler that is being replaced is waited for.
async fn watched(url: &str, every: Duration) -> anyhow::Result<ExitCode> {
    loop {
        let shown = cli::status::ask(url).await.and_then(|overview| cli::status::table(&overview));
        let text = shown.unwrap_or_else(|error| error.to_string());
        let mut out = std::io::stdout();
        let written = writeln!(out, "{}{}  {}", cli::status::AGAIN, cli::status::time(), text.trim_end());
        match written.and_then(|()| out.flush()) {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(ExitCode::SUCCESS),
            written => written.context("cannot write to standard output")?,
        }
        tokio::time::sleep(every).await;
    }
}

fn seconds(text: &str) -> Result<f64, String> {
    let parsed = text.parse().ok().filter(|seconds| (0.5..=3600.0).contains(seconds));
    parsed.ok_or_else(|| "allowed are seconds from 0.5 to 3600".to_owned())
}

fn print(text: &str) -> anyhow::Result<ExitCode> {
    match writeln!(std::io::stdout(), "{}", text.trim_end()) {
        // Whoever reads has had enough.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(ExitCode::SUCCESS),
        written => written.map(|()| ExitCode::SUCCESS).context("cannot write to standard output"),
    }
}

async fn serve(env: Env) -> anyhow::Result<ExitCode> {
    telemetry::init();
    let settings = settings::Settings::from_env(env)?;
    let stop = shutdown::on_signal().context("cannot listen for signals")?;
    let program = run::build(settings)?;
    tracing::info!(address = %program.address()?, version = env!("CARGO_PKG_VERSION"), "the autoscaler is running");
    program.run(stop).await;
    Ok(ExitCode::SUCCESS)
}
