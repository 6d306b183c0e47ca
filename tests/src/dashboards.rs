//! The Grafana dashboards as files, and the queries in them.

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::stack::root;

/// Panels whose query has no data in a stack that is well, and why.
pub const PANELS_WITHOUT_DATA: &[(&str, &str)] = &[
    ("autoscaler: Forecast", "only SCALING_ALGORITHM=predictive forecasts"),
    ("autoscaler: Floor", "only SCALING_ALGORITHM=predictive forecasts"),
    ("autoscaler: Skill of the forecast", "only SCALING_ALGORITHM=predictive forecasts"),
    ("autoscaler: Notices", "only with a WEBHOOK_URL there are notices"),
];

/// Alerts whose metric has no data on the stack under test, and why.
pub const ALERTS_WITHOUT_DATA: &[(&str, &str)] =
    &[("CertificateExpires", "only with a certificate: the test of HTTPS sees it fire")];

/// Every dashboard, by the name of its file.
pub fn all() -> Result<Vec<(String, Value)>> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(root().join("monitoring/grafana"))? {
        let path = entry?.path();
        let name = path.file_stem().and_then(|name| name.to_str()).context("a name")?.to_owned();
        all.push((name, serde_json::from_str(&std::fs::read_to_string(&path)?).with_context(|| format!("{path:?}"))?));
    }
    ensure!(!all.is_empty(), "no dashboards");
    all.sort_by(|(a, _), (b, _)| a.cmp(b));
    Ok(all)
}

/// Every query as Grafana would send it: all services, rates over half a minute. Its place is "file: panel".
pub fn queries() -> Result<Vec<(String, String)>> {
    let mut queries = Vec::new();
    for (file, board) in all()? {
        for panel in board["panels"].as_array().context("no panels")? {
            let place = format!("{file}: {}", panel["title"].as_str().context("no title")?);
            for target in panel["targets"].as_array().with_context(|| format!("{place}: no targets"))? {
                let expression = target["expr"].as_str().with_context(|| format!("{place}: no query"))?;
                queries.push((place.clone(), expression.replace("$service", ".+").replace("$__rate_interval", "30s")));
            }
        }
    }
    Ok(queries)
}

/// Names of the metrics in an expression: what has a `_`, is not called, and is not in braces or quotes.
#[must_use]
pub fn metrics_of(expression: &str) -> Vec<String> {
    let outside: String = expression
        .split('{')
        .enumerate()
        .map(|(n, part)| if n == 0 { part } else { part.split_once('}').map_or("", |(_, rest)| rest) })
        .collect::<Vec<_>>()
        .join(" ");
    let mut found = Vec::new();
    let mut rest = outside.as_str();
    while let Some(start) = rest.find(|c: char| c.is_ascii_lowercase()) {
        let word = &rest[start..];
        let end = word.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(word.len());
        let (name, after) = word.split_at(end);
        let is_called = after.trim_start().starts_with('(');
        if (name.contains('_') || name == "up") && !is_called && !found.contains(&name.to_owned()) {
            found.push(name.to_owned());
        }
        rest = after;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_told_from_functions_labels_and_words() {
        let expression =
            r#"a_b < on (service) group_left () (max by (service) (c_d{x_y="e_f(1)"}) or rate(g_h_total[2m]))"#;
        assert_eq!(metrics_of(expression), ["a_b", "c_d", "g_h_total"]);
        assert_eq!(metrics_of(r#"absent(up{job="x_y"} == 1)"#), ["up"]);
    }
}
