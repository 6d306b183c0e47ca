//! The pages of metrics that the stack serves, and what is on them.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};

use crate::stack::{Port, Stack, docker};

/// Who serves a page of metrics.
pub const PROGRAMS: [&str; 4] = ["collector", "agent", "autoscaler", "api"];

/// A metric as a page shows it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shown {
    /// `gauge`, `counter` or `histogram`.
    pub kind: String,
    /// The text that explains it.
    pub help: String,
    /// Names of its labels; `le` is part of being a histogram.
    pub labels: BTreeSet<String>,
}

/// The page of a program. Those of the agent and of the api are not for the world: they are asked
/// from inside of the stack's network.
pub async fn page(stack: &Stack, program: &str) -> Result<String> {
    let (host, port) = match program {
        "collector" => return stack.get_text(Port::Collector, "/metrics").await,
        "autoscaler" => return stack.get_text(Port::Autoscaler, "/metrics").await,
        "agent" => ("tasks.metrics-agent", 8091),
        _ => ("tasks.api", 3000),
    };
    let inside = stack.containers("postgres")?.pop().context("no postgres container")?;
    let script = format!("exec 3<>/dev/tcp/{host}/{port}; printf 'GET /metrics HTTP/1.0\\r\\n\\r\\n' >&3; cat <&3");
    let answer = docker(&["exec", &inside, "timeout", "5", "bash", "-c", &script])?;
    let (_, body) = answer.split_once("\r\n\r\n").with_context(|| format!("no body: {answer:.200}"))?;
    Ok(format!("{}\n", body.trim_end()))
}

/// Every metric of a page, by name.
#[must_use]
pub fn read(page: &str) -> BTreeMap<String, Shown> {
    let mut all = BTreeMap::<String, Shown>::new();
    for line in page.lines() {
        if let Some((name, help)) = line.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' ')) {
            help.clone_into(&mut all.entry(name.to_owned()).or_default().help);
        } else if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
            kind.clone_into(&mut all.entry(name.to_owned()).or_default().kind);
        } else if !line.starts_with('#') && !line.is_empty() {
            let name = line.split(['{', ' ']).next().unwrap_or_default();
            let is_histogram = |name: &&str| all.get(*name).is_some_and(|shown| shown.kind == "histogram");
            let whole =
                ["_bucket", "_sum", "_count"].iter().filter_map(|end| name.strip_suffix(end)).find(is_histogram);
            let shown = all.entry(whole.unwrap_or(name).to_owned()).or_default();
            shown.labels.extend(labels(line).filter(|label| *label != "le").map(str::to_owned));
        }
    }
    all
}

/// Names of a sample's labels. A quote or a comma within a value does not occur in ours.
fn labels(line: &str) -> impl Iterator<Item = &str> {
    let inside = line.split_once('{').and_then(|(_, rest)| rest.rsplit_once('}')).map_or("", |(inside, _)| inside);
    inside.split("\",").filter_map(|pair| Some(pair.split_once('=')?.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_is_one_metric_and_labels_are_its_own() {
        let page = "# HELP a_seconds How long.\n# TYPE a_seconds histogram\na_seconds_bucket{x=\"1\",le=\"+Inf\"} 1\n\
                    a_seconds_sum{x=\"1\"} 1\n# TYPE b gauge\nb{y=\"a=b\",z=\"\"} 2\nc_count 1\n";
        let found = read(page);
        assert_eq!(found.keys().collect::<Vec<_>>(), ["a_seconds", "b", "c_count"]);
        assert_eq!((&*found["a_seconds"].kind, &*found["a_seconds"].help), ("histogram", "How long."));
        assert_eq!(found["a_seconds"].labels, BTreeSet::from(["x".to_owned()]));
        assert_eq!(found["b"].labels, BTreeSet::from(["y".to_owned(), "z".to_owned()]));
        assert_eq!((&*found["b"].help, &*found["c_count"].kind), ("", ""));
    }
}
