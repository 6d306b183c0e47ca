//! From labels behind our prefix to a policy, key by key.

use std::{collections::BTreeMap, num::NonZeroU16, time::Duration};

use super::{Directions, PREFIX};
use crate::{
    scaling::{Algorithm, Bounds, Metric, Policy, Rule, policy::defaults},
    schedule::Schedule,
    settings::Defaults,
};

const SWITCH: &[(&str, bool)] = &[("true", true), ("1", true), ("false", false), ("0", false)];

/// The labels behind the prefix, taken one by one; what is left in the end is a mistake.
pub(super) struct Reader<'a> {
    /// Keys behind the prefix that nobody has asked for yet.
    left: BTreeMap<&'a str, &'a str>,
    pub(super) problems: Vec<String>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(labels: &'a BTreeMap<String, String>) -> Self {
        let ours = labels.iter().filter_map(|(key, value)| {
            let rest = key.strip_prefix(PREFIX)?;
            // `swarm.autoscalerx` is as likely a slip as `swarm.autoscaler.x`.
            (!rest.is_empty()).then_some((rest, value.trim()))
        });
        Self { left: ours.collect(), problems: Vec::new() }
    }

    pub(super) fn directions(&mut self, base: &Defaults) -> Option<Directions> {
        for own in [".state", ".role"] {
            self.left.remove(own);
        }
        let min = self.number(".minimum", base.bounds.min());
        let max = self.number(".maximum", base.bounds.max());
        let bounds = Bounds::new(min, max).map_err(|e| self.problems.push(format!("{PREFIX}.minimum, .maximum: {e}")));
        let (algorithm, forecast) = self.choice(".algorithm", (base.algorithm, base.forecast), Algorithm::NAMES);
        let forecast = self.choice(".forecast", forecast, SWITCH);
        let port = self
            .take(".metrics.port")
            .map(|text| self.parse_as::<NonZeroU16>(".metrics.port", text, "a port from 1 to 65535"));
        let path = self.take(".metrics.path");
        if path.is_some_and(|path| !path.starts_with('/')) {
            self.problems.push(format!("{PREFIX}.metrics.path: allowed is a path that begins with /"));
        }
        let rules = self.rules(base, port.is_some());
        let millis = |d: Duration| u64::try_from(d.as_millis()).unwrap_or(u64::MAX);
        let policy = Policy {
            bounds: bounds.ok()?,
            algorithm,
            forecast,
            metrics: rules,
            cooldown_ms: self.seconds(".cooldown.down", millis(base.cooldown)),
            up_cooldown_ms: self.seconds(".cooldown.up", millis(base.up_cooldown)),
            down_window_ms: None,
            up_window_ms: 0,
            hold_ms: self.seconds(".hold", millis(base.hold)),
            warm_up_ms: self.seconds(".warm-up", millis(base.warm_up)),
            step_up: self.step(".step.up"),
            step_down: self.step(".step.down"),
            min_requests: defaults::min_requests(),
        };
        let dry_run = self.choice(".dry-run", base.dry_run, SWITCH);
        Some(Directions { policy, dry_run, schedules: self.schedules(), active: Vec::new() })
    }

    /// The rules of the metrics that this service is judged on. All thresholds are read, so
    /// that a wrong one is found even on a metric that is not in use.
    fn rules(&mut self, base: &Defaults, has_http: bool) -> BTreeMap<Metric, Rule> {
        let mut rules = BTreeMap::from([
            (Metric::Cpu, self.band(Metric::Cpu, base.cpu)),
            (Metric::Memory, self.band(Metric::Memory, base.memory)),
            (Metric::ResponseTime, self.band(Metric::ResponseTime, base.response_time)),
            (Metric::ErrorRate, self.ceiling(Metric::ErrorRate, base.error_rate)),
            (Metric::Connections, self.band(Metric::Connections, base.share)),
            (Metric::Cache, self.band(Metric::Cache, base.share)),
        ]);
        for metric in [Metric::Requests, Metric::Connections] {
            if let Some(rule) = self.per_replica(metric) {
                rules.insert(metric, rule);
            }
        }
        let judged = self.judged(has_http, rules.contains_key(&Metric::Requests));
        rules.retain(|metric, _| judged.contains(metric));
        rules
    }

    fn judged(&mut self, has_http: bool, has_requests: bool) -> Vec<Metric> {
        let Some(text) = self.take(".metrics") else {
            let mut judged = vec![Metric::Cpu, Metric::Memory];
            if has_http {
                judged.extend([Metric::ResponseTime, Metric::ErrorRate]);
            }
            if has_requests {
                judged.push(Metric::Requests);
            }
            return judged;
        };
        let mut judged = Vec::new();
        for word in text.split(',').map(str::trim) {
            match Metric::ALL.iter().find(|metric| metric.name() == word) {
                Some(Metric::Requests) if !has_requests => self
                    .problems
                    .push(format!("{PREFIX}.metrics={text}: `requests` needs the label {PREFIX}.requests.per-replica")),
                Some(metric) => judged.push(*metric),
                None => {
                    let words: Vec<_> = Metric::ALL.iter().map(|metric| metric.name()).collect();
                    self.problems.push(format!("{PREFIX}.metrics={text}: allowed are {}", words.join(", ")));
                }
            }
        }
        judged
    }

    fn band(&mut self, metric: Metric, base: Rule) -> Rule {
        let Rule::Band { up, down } = base else { return base };
        let (up_key, down_key) = (format!(".{}.up", metric.name()), format!(".{}.down", metric.name()));
        let (up, down) = (self.number(&up_key, up), self.number(&down_key, down));
        let rule = Rule::band(up, down);
        rule.unwrap_or_else(|error| {
            self.problems.push(format!("{PREFIX}{up_key}, {down_key}: {error}"));
            base
        })
    }

    fn ceiling(&mut self, metric: Metric, base: Rule) -> Rule {
        let Rule::Ceiling { up } = base else { return base };
        let key = format!(".{}.up", metric.name());
        let up = self.number(&key, up);
        Rule::ceiling(up).unwrap_or_else(|error| {
            self.problems.push(format!("{PREFIX}{key}: {error}"));
            base
        })
    }

    fn per_replica(&mut self, metric: Metric) -> Option<Rule> {
        let key = format!(".{}.per-replica", metric.name());
        let text = self.take(&key)?;
        let rule = text.parse().ok().and_then(|value| Rule::per_replica(value).ok());
        if rule.is_none() {
            self.problems.push(format!("{PREFIX}{key}={text}: allowed is a number above 0"));
        }
        rule
    }

    fn schedules(&mut self) -> Vec<Schedule> {
        let names: Vec<_> = self.left.keys().filter_map(|key| key.strip_prefix(".schedule.")).collect();
        let mut schedules = Vec::new();
        for name in names {
            let key = format!(".schedule.{name}");
            match self.take(&key).map(|text| Schedule::parse(name, text)) {
                Some(Ok(schedule)) => schedules.push(schedule),
                Some(Err(error)) => self.problems.push(format!("{PREFIX}{key}: {error}")),
                None => {}
            }
        }
        schedules
    }

    fn seconds(&mut self, key: &str, base_ms: u64) -> u64 {
        let seconds = self.number(key, base_ms as f64 / 1000.0);
        if (0.0..=86_400.0).contains(&seconds) {
            return (seconds * 1000.0).round() as u64;
        }
        self.problems.push(format!("{PREFIX}{key}={seconds}: allowed is a number of seconds from 0 to 86400"));
        base_ms
    }

    fn step(&mut self, key: &str) -> Option<u64> {
        let text = self.take(key)?;
        let step = text.parse().ok().filter(|step| *step > 0);
        if step.is_none() {
            self.problems.push(format!("{PREFIX}{key}={text}: allowed is a whole number from 1"));
        }
        step
    }

    fn choice<T: Copy>(&mut self, key: &str, base: T, choices: &[(&str, T)]) -> T {
        let Some(text) = self.take(key) else { return base };
        if let Some((_, chosen)) = choices.iter().find(|(word, _)| *word == text) {
            return *chosen;
        }
        let words: Vec<_> = choices.iter().map(|(word, _)| *word).collect();
        self.problems.push(format!("{PREFIX}{key}={text}: allowed is one of {}", words.join(", ")));
        base
    }

    fn number<T: std::str::FromStr + Copy>(&mut self, key: &str, base: T) -> T {
        let Some(text) = self.take(key) else { return base };
        self.parse_as(key, text, "a number from 0 on").unwrap_or(base)
    }

    fn parse_as<T: std::str::FromStr>(&mut self, key: &str, text: &str, allowed: &str) -> Option<T> {
        let parsed = text.parse().ok();
        if parsed.is_none() {
            self.problems.push(format!("{PREFIX}{key}={text}: allowed is {allowed}"));
        }
        parsed
    }

    fn take(&mut self, key: &str) -> Option<&'a str> {
        self.left.remove(key)
    }

    pub(super) fn reject_unknown(&mut self) {
        let unknown = self.left.keys().map(|key| format!("{PREFIX}{key}: no such label"));
        self.problems.extend(unknown);
    }
}
