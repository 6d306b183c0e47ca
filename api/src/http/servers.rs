//! How the work is spread over database servers and cache shards, as Prometheus text.
//!
//! Labelled by address, which is why it is not left to the recorder: that keeps a series for as long as
//! the process lives, and addresses come and go. What is written here goes with its server.

use std::fmt::{Display, Write as _};

use crate::app::AppState;

/// All series of this module.
pub(super) fn render(state: &AppState) -> String {
    let mut text = String::new();
    let shares = state.database.shares();
    family(&mut text, "db_reads_total", "counter", "Reads that a database server answered.");
    for share in &shares {
        let labels = format!("server=\"{}\",role=\"{}\"", share.server, share.role.label());
        series(&mut text, "db_reads_total", &labels, share.reads);
    }
    family(&mut text, "db_pool_connections", "gauge", "Connections to a database server.");
    for share in &shares {
        for (state, connections) in [("active", share.active), ("idle", share.idle)] {
            let labels = format!("server=\"{}\",role=\"{}\",state=\"{state}\"", share.server, share.role.label());
            series(&mut text, "db_pool_connections", &labels, connections);
        }
    }
    let lookups = state.cache.as_ref().map(|cache| cache.lookups()).unwrap_or_default();
    family(&mut text, "cache_lookups_total", "counter", "Look-ups in a cache shard.");
    for (shard, (hits, misses)) in lookups {
        for (outcome, count) in [("hit", hits), ("miss", misses)] {
            series(&mut text, "cache_lookups_total", &format!("shard=\"{shard}\",outcome=\"{outcome}\""), count);
        }
    }
    text
}

fn family(text: &mut String, name: &str, kind: &str, help: &str) {
    let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
}

fn series(text: &mut String, name: &str, labels: &str, value: impl Display) {
    let _ = writeln!(text, "{name}{{{labels}}} {value}");
}
