//! What a run found: a table for people, JSON for programs, and the verdict.

use std::{
    collections::BTreeMap,
    fmt::{self, Display, Formatter},
};

use serde::Serialize;

use crate::{
    mix::Action,
    progress::{Sample, clock},
    replicas::Timeline,
    tally::{Counts, Stats},
};

/// Latencies and counts of one kind of request, or of all.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// The kind of request, or `total`.
    pub name: String,
    /// Requests that ended.
    pub requests: u64,
    /// Those that failed.
    pub failures: u64,
    /// Over the whole run, the ramp included.
    pub requests_per_second: f64,
    /// Median in milliseconds; `None` without requests, as for the others.
    pub p50_ms: Option<f64>,
    /// 95th percentile.
    pub p95_ms: Option<f64>,
    /// 99th percentile.
    pub p99_ms: Option<f64>,
    /// The longest.
    pub max_ms: Option<f64>,
}

/// Failures of one kind.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FailureRow {
    /// `connect`, `timeout`, `disconnected`, `wrong_body`, or `http_` and the status.
    pub kind: String,
    /// How many.
    pub count: u64,
    /// How many of each kind of request.
    pub requests: BTreeMap<&'static str, u64>,
    /// The first of them in words.
    pub first: String,
}

/// What was asked for and what the run was like.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Circumstances {
    /// The system under test.
    pub host: String,
    /// Virtual users asked for.
    pub users: usize,
    /// How they spaced their requests.
    pub pace: String,
    /// Repeats the users' choices with `--seed`.
    pub seed: u64,
    /// How long requests were made, in seconds.
    pub seconds: f64,
    /// Over how much of that the users started.
    pub ramp_seconds: u64,
    /// Whether it was stopped before its time.
    pub interrupted: bool,
    /// The watched service.
    pub service: String,
    /// Range that the most replicas seen must lie in.
    pub expected_replicas: Option<(u64, u64)>,
    /// Processor time this program used per request; `None` where it cannot be read.
    pub own_cpu_micros_per_request: Option<f64>,
}

/// The whole report; its JSON form is what `--report` writes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Whether the run counts as passed: the exit code is 0.
    pub passed: bool,
    /// Why it did not.
    pub objections: Vec<String>,
    /// What was asked for.
    pub run: Circumstances,
    /// All requests that ended.
    pub requests: u64,
    /// Those of them that failed.
    pub failed: u64,
    /// All requests together.
    pub total: Row,
    /// Each kind of request that was made.
    pub by_request: Vec<Row>,
    /// Failures by kind, the most frequent first.
    pub failures: Vec<FailureRow>,
    /// Requests that the pace asked for and slow answers prevented; 0 below saturation.
    pub not_offered: f64,
    /// Replicas of the watched service.
    pub replicas: Timeline,
    /// The run in steps of a few seconds.
    pub samples: Vec<Sample>,
}

impl Report {
    /// Puts together what was counted and seen.
    #[must_use]
    pub fn new(run: Circumstances, counts: &Counts, replicas: Timeline, samples: Vec<Sample>) -> Self {
        let row = |name: &str, stats: &Stats| Row {
            name: name.to_owned(),
            requests: stats.requests,
            failures: stats.failures,
            requests_per_second: stats.requests as f64 / run.seconds.max(0.001),
            p50_ms: stats.percentile_ms(50.0),
            p95_ms: stats.percentile_ms(95.0),
            p99_ms: stats.percentile_ms(99.0),
            max_ms: stats.percentile_ms(100.0),
        };
        let made = |action| counts.by_action.get(&action).map(|stats: &Stats| row(Action::label(action), stats));
        let total = row("total", &counts.total());
        let objections = objections(&run, &total, &replicas);
        Self {
            passed: objections.is_empty(),
            objections,
            requests: total.requests,
            failed: total.failures,
            by_request: Action::ALL.into_iter().filter_map(made).collect(),
            failures: failure_rows(counts),
            not_offered: counts.not_offered,
            total,
            run,
            replicas,
            samples,
        }
    }
}

fn failure_rows(counts: &Counts) -> Vec<FailureRow> {
    let mut rows: Vec<_> = counts
        .failures
        .iter()
        .map(|(kind, by_action)| FailureRow {
            kind: kind.label().into_owned(),
            count: by_action.values().sum(),
            requests: by_action.iter().map(|(action, count)| (action.label(), *count)).collect(),
            first: counts.first_of_kind.get(kind).cloned().unwrap_or_default(),
        })
        .collect();
    rows.sort_by_key(|row| std::cmp::Reverse(row.count));
    rows
}

fn objections(run: &Circumstances, total: &Row, replicas: &Timeline) -> Vec<String> {
    let mut found = Vec::new();
    if total.requests == 0 {
        found.push("no request was made".to_owned());
    }
    if total.failures > 0 {
        found.push(format!("{} of {} requests failed", total.failures, total.requests));
    }
    if let Some((min, max)) = run.expected_replicas {
        match replicas.max {
            None => {
                found.push(format!("{min}..{max} replicas were expected, but nobody could say how many there were"))
            }
            Some(seen) if !(min..=max).contains(&seen) => {
                found.push(format!("at most {seen} replicas were seen, {min}..{max} were expected"));
            }
            Some(_) => {}
        }
    }
    found
}

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let run = &self.run;
        let ended = if run.interrupted { ", interrupted" } else { "" };
        writeln!(
            f,
            "{} users, {} s against {}, {}, seed {}{ended}",
            run.users,
            run.seconds.round(),
            run.host,
            run.pace,
            run.seed
        )?;
        writeln!(f)?;
        let head = ["request", "requests", "failed", "req/s", "p50 ms", "p95 ms", "p99 ms", "max ms"];
        writeln!(
            f,
            "{:<12}{:>10}{:>8}{:>9}{:>10}{:>10}{:>10}{:>10}",
            head[0], head[1], head[2], head[3], head[4], head[5], head[6], head[7]
        )?;
        for row in self.by_request.iter().chain([&self.total]) {
            let ms = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |ms| format!("{ms:.1}"));
            write!(f, "{:<12}{:>10}{:>8}{:>9.1}", row.name, row.requests, row.failures, row.requests_per_second)?;
            writeln!(f, "{:>10}{:>10}{:>10}{:>10}", ms(row.p50_ms), ms(row.p95_ms), ms(row.p99_ms), ms(row.max_ms))?;
        }
        writeln!(f)?;
        self.write_failures(f)?;
        self.write_replicas(f)?;
        if self.not_offered >= 1.0 {
            writeln!(f, "answers slower than the pace kept back {:.0} requests", self.not_offered)?;
        }
        if let Some(micros) = run.own_cpu_micros_per_request {
            writeln!(f, "this program used {micros:.0} µs of processor time per request")?;
        }
        match self.passed {
            true => writeln!(f, "passed"),
            false => writeln!(f, "FAILED: {}", self.objections.join("; ")),
        }
    }
}

impl Report {
    fn write_failures(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.failures.is_empty() {
            return writeln!(f, "failures    none");
        }
        for row in &self.failures {
            let parts: Vec<_> = row.requests.iter().map(|(name, count)| format!("{name} {count}")).collect();
            writeln!(f, "failures    {} × {} ({}), first: {}", row.count, row.kind, parts.join(", "), row.first)?;
        }
        Ok(())
    }

    fn write_replicas(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let steps: Vec<_> = self
            .replicas
            .changes
            .iter()
            .map(|change| {
                let replicas = change.replicas.map_or_else(|| "absent".to_owned(), |n| n.to_string());
                format!("{} {replicas}", clock(change.at_seconds))
            })
            .collect();
        let most = self.replicas.max.map_or_else(|| "never seen".to_owned(), |max| format!("at most {max}"));
        writeln!(f, "replicas    {} ({most}): {}", self.run.service, steps.join(" → "))?;
        match &self.replicas.problem {
            Some(problem) => writeln!(f, "            absent because: {problem}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        failure::{Failure, Kind},
        replicas::Change,
        tally::Tally,
    };

    fn circumstances(expected_replicas: Option<(u64, u64)>) -> Circumstances {
        Circumstances {
            host: "http://localhost".into(),
            users: 25,
            pace: "a request every 100 ms".into(),
            seed: 7,
            seconds: 10.0,
            ramp_seconds: 3,
            interrupted: false,
            service: "api".into(),
            expected_replicas,
            own_cpu_micros_per_request: Some(90.0),
        }
    }

    fn counts(failure: Option<Kind>) -> Counts {
        let tally = Tally::default();
        tally.record(Action::Me, Duration::from_millis(20), None);
        if let Some(kind) = failure {
            let failure = Failure { kind, detail: "what came".into() };
            tally.record(Action::ReadItem, Duration::from_millis(40), Some(&failure));
        }
        tally.counts()
    }

    fn timeline(max: Option<u64>) -> Timeline {
        Timeline { changes: vec![Change { at_seconds: 65, replicas: max }], max, last: max, problem: None }
    }

    #[test]
    fn a_clean_run_passes_and_its_json_has_the_shape_that_is_promised() {
        let report = Report::new(circumstances(Some((2, 2))), &counts(None), timeline(Some(2)), vec![]);
        assert!(report.passed);
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!((&json["requests"], &json["failed"]), (&1.into(), &0.into()));
        assert_eq!(json["total"]["requests"], 1);
        assert_eq!(json["by_request"][0]["name"], "me");
        assert_eq!(json["replicas"]["changes"][0]["at_seconds"], 65);
        assert_eq!(json["failures"].as_array().unwrap().len(), 0);
    }

    #[test]
    fn one_failure_fails_the_run_and_is_named_with_its_kind() {
        let report = Report::new(circumstances(None), &counts(Some(Kind::Status(503))), timeline(None), vec![]);
        assert!(!report.passed);
        let text = report.to_string();
        assert!(text.contains("1 × http_503 (read item 1), first: read item: what came"), "{text}");
        assert!(text.contains("FAILED: 1 of 2 requests failed"), "{text}");
    }

    #[test]
    fn replicas_outside_the_expected_range_or_unseen_fail_the_run() {
        for (max, text) in [(Some(6), "at most 6 replicas were seen, 3..5"), (None, "nobody could say")] {
            let report = Report::new(circumstances(Some((3, 5))), &counts(None), timeline(max), vec![]);
            assert!(report.objections[0].contains(text), "{:?}", report.objections);
        }
        assert!(Report::new(circumstances(Some((3, 5))), &counts(None), timeline(Some(5)), vec![]).passed);
    }

    #[test]
    fn nothing_measured_is_a_failure_and_no_zero() {
        let report = Report::new(circumstances(None), &Counts::default(), Timeline::default(), vec![]);
        assert!(!report.passed);
        assert_eq!(report.total.p50_ms, None);
        assert!(report.to_string().contains("never seen"));
    }
}
