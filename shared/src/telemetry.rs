//! Structured logs on standard output: JSON for machines, text for a terminal.

use std::io::IsTerminal;

use tracing_subscriber::{EnvFilter, fmt, prelude::*};

/// Starts logging. `LOG_LEVEL` takes the `RUST_LOG` syntax (default `info`);
/// `LOG_FORMAT` is `json` or `text` (default: text on a terminal, else JSON).
pub fn init() {
    let filter = std::env::var("LOG_LEVEL")
        .ok()
        .filter(|level| !level.is_empty())
        .and_then(|level| EnvFilter::try_new(level).ok())
        .unwrap_or_else(|| EnvFilter::new("info"));
    let text = match std::env::var("LOG_FORMAT").as_deref() {
        Ok("json") => false,
        Ok("text") => true,
        _ => std::io::stdout().is_terminal(),
    };
    let json = (!text).then(|| fmt::layer().json().flatten_event(true).with_current_span(true).with_span_list(false));
    let plain = text.then(fmt::layer);
    // A second start (tests) keeps the first subscriber.
    let _ = tracing_subscriber::registry().with(filter).with(json).with(plain).try_init();
}
