//! The `stress-test` program: options in, a table on standard output, JSON on request.

use std::{fs::File, io::Write, process::ExitCode};

use anyhow::Context;
use clap::Parser;
use stress_test::{options::Options, report::Report, run};

/// Wrong options or a host that does not answer; clap uses the same number.
const UNUSABLE: u8 = 2;

fn main() -> ExitCode {
    match start(Options::parse()) {
        Ok(report) if report.passed => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "stress-test: {error:#}");
            ExitCode::from(UNUSABLE)
        }
    }
}

fn start(options: Options) -> anyhow::Result<Report> {
    // Opened first: a report that cannot be written is known before the load, not after it.
    let file = match &options.report {
        Some(path) => {
            let context = || format!("--report {}: allowed is a file that can be written", path.display());
            Some(File::create(path).with_context(context)?)
        }
        None => None,
    };
    // One thread: cheaper per request, and never more than one core taken from the system under test.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let report = runtime.block_on(run::run(options))?;
    write!(std::io::stdout().lock(), "{report}")?;
    if let Some(file) = file {
        serde_json::to_writer_pretty(file, &report).context("the report cannot be written")?;
    }
    Ok(report)
}
