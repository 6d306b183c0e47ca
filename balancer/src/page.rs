//! The balancer's own `/nginx/metrics`, in the text format of Prometheus.

use std::{collections::BTreeMap, fmt::Write, net::Ipv4Addr, time::Duration};

use crate::{
    account::{Account, BOUNDS, Upstream},
    left_out::Reason,
    limit::{Capacity, Limit},
    settings::Settings,
};

/// The limit as it is in force.
#[derive(Debug, Clone, Copy)]
pub struct InForce {
    /// Replicas and balancers that it counts on.
    pub capacity: Capacity,
    /// Since the collector last confirmed it; `None` before the first time.
    pub age: Option<Duration>,
}

/// Renders the page.
#[must_use]
pub fn render(settings: &Settings, account: &Account, in_force: InForce, out: &BTreeMap<Ipv4Addr, Reason>) -> String {
    let mut page = Page::default();
    let classes = account.classes.iter().enumerate().skip(1);
    page.family(
        "nginx_requests_total",
        "counter",
        "Answers to clients.",
        classes.map(|(class, count)| (format!("{{class=\"{}xx\"}}", class + 1), *count as f64)),
    );
    page.one("nginx_limited_total", "counter", "Requests refused by the limit.", account.limited as f64);
    page.one("nginx_retries_total", "counter", "Tries beyond the first of a request.", account.retries as f64);
    histogram(&mut page, account);
    upstreams(&mut page, account);
    page.family(
        "nginx_upstream_left_out",
        "gauge",
        "1 for each api task that is there and gets no requests, because it does not answer or is the only one that fails.",
        out.iter().map(|(address, reason)| (format!("{{upstream=\"{address}\",reason=\"{}\"}}", reason.label()), 1.0)),
    );
    limit(&mut page, settings, in_force);
    page.0
}

fn histogram(page: &mut Page, account: &Account) {
    let mut sum = 0;
    let bounds = BOUNDS.iter().map(ToString::to_string).chain(["+Inf".to_owned()]);
    let mut samples = Vec::new();
    for (bound, count) in bounds.zip(account.buckets) {
        sum += count;
        samples.push((format!("_bucket{{le=\"{bound}\"}}"), sum as f64));
    }
    samples.extend([("_sum".to_owned(), account.seconds), ("_count".to_owned(), sum as f64)]);
    page.family("nginx_upstream_seconds", "histogram", "Time of the last try of each request.", samples);
}

fn upstreams(page: &mut Page, account: &Account) {
    let mut each = |name, help, of: fn(&Upstream) -> f64| {
        let samples =
            account.upstreams.iter().map(|(address, upstream)| (format!("{{upstream=\"{address}\"}}"), of(upstream)));
        page.family(name, "counter", help, samples);
    };
    each("nginx_upstream_requests_total", "Tries, by api task.", |upstream| upstream.answers.requests as f64);
    let help = "Tries without an answer, or answered 5xx.";
    each("nginx_upstream_failures_total", help, |upstream| upstream.answers.failures as f64);
    each("nginx_upstream_latency_seconds_total", "Time of these tries.", |upstream| upstream.seconds);
}

fn limit(page: &mut Page, settings: &Settings, InForce { capacity, age }: InForce) {
    let help = "Replicas that the limit counts on.";
    page.one("nginx_limit_level", "gauge", help, f64::from(capacity.replicas));
    if settings.rate_per_replica > 0 {
        let total = Limit::of(capacity).requests_per_second(settings.rate_per_replica);
        let help = "What this balancer lets through.";
        page.one("nginx_limit_requests_per_second", "gauge", help, f64::from(total));
        if settings.client_share > 0 {
            let client = total * settings.client_share / 100;
            let help = "Of that, for one client.";
            page.one("nginx_limit_client_requests_per_second", "gauge", help, f64::from(client));
        }
    }
    if let Some(age) = age {
        let help = "Since the collector last confirmed the limit.";
        page.one("nginx_limit_age_seconds", "gauge", help, age.as_secs_f64().round());
    }
}

#[derive(Debug, Default)]
struct Page(String);

impl Page {
    fn one(&mut self, name: &str, kind: &str, help: &str, value: f64) {
        self.family(name, kind, help, [(String::new(), value)]);
    }

    /// A family without a sample is not on the page.
    fn family(&mut self, name: &str, kind: &str, help: &str, samples: impl IntoIterator<Item = (String, f64)>) {
        let mut samples = samples.into_iter().peekable();
        if samples.peek().is_some() {
            // Writing into a string cannot fail.
            let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
            for (labels, value) in samples {
                let _ = writeln!(self.0, "{name}{labels} {value}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn the_page_has_what_was_counted() {
        let mut account = Account::default();
        account.add("200 10.0.0.1:3000, 10.0.0.2:3000;502, 200;0.001, 0.020", Instant::now());
        account.add("429 -;-;-", Instant::now());
        let settings = Settings { run_dir: "/".into(), rate_per_replica: 100, client_share: 50, min_replicas: 2 };
        let in_force =
            InForce { capacity: Capacity { replicas: 3, balancers: 2 }, age: Some(Duration::from_millis(1800)) };
        let out = BTreeMap::from([(Ipv4Addr::new(10, 0, 0, 1), Reason::Silent)]);
        let page = render(&settings, &account, in_force, &out);
        for line in [
            "nginx_requests_total{class=\"2xx\"} 1",
            "nginx_requests_total{class=\"4xx\"} 1",
            "nginx_limited_total 1",
            "nginx_retries_total 1",
            "nginx_upstream_seconds_bucket{le=\"0.01\"} 0",
            "nginx_upstream_seconds_bucket{le=\"0.025\"} 1",
            "nginx_upstream_seconds_bucket{le=\"+Inf\"} 1",
            "nginx_upstream_seconds_sum 0.02",
            "nginx_upstream_failures_total{upstream=\"10.0.0.1\"} 1",
            "nginx_upstream_failures_total{upstream=\"10.0.0.2\"} 0",
            "nginx_upstream_left_out{upstream=\"10.0.0.1\",reason=\"silent\"} 1",
            "nginx_limit_level 3",
            "nginx_limit_requests_per_second 150",
            "nginx_limit_client_requests_per_second 75",
            "nginx_limit_age_seconds 2",
        ] {
            assert!(page.lines().any(|found| found == line), "{line} is missing:\n{page}");
        }
    }
}
