//! What a balancer has added up, out of its own page.

use shared::snapshot::{BalancerAccount, BalancerLimit, LeftOut, Tries};

use crate::parse::exposition::{ExpositionError, Sample, parse};

/// Reads a whole page. What is not on it is 0, or not known.
pub fn read(text: &str) -> Result<BalancerAccount, ExpositionError> {
    let mut account = BalancerAccount { balancers: 1, ..BalancerAccount::default() };
    let (mut limit, mut level) = (BalancerLimit::default(), None);
    for sample in parse(text)? {
        match sample.name {
            "nginx_requests_total" => {
                if let Some(class) = sample.label("class") {
                    account.answers.insert(class.to_owned(), count(&sample));
                }
            }
            "nginx_limited_total" => account.limited = count(&sample),
            "nginx_retries_total" => account.retries = count(&sample),
            "nginx_upstream_seconds_bucket" => {
                let bound = sample.label("le").and_then(|le| le.parse().ok()).filter(|bound: &f64| bound.is_finite());
                account.latency_buckets.extend(bound.map(|bound| (bound, count(&sample))));
            }
            "nginx_upstream_seconds_sum" => account.latency_seconds = seconds(&sample),
            "nginx_upstream_seconds_count" => account.latency_count = count(&sample),
            "nginx_upstream_requests_total" => tries(&mut account, &sample).requests = count(&sample),
            "nginx_upstream_failures_total" => tries(&mut account, &sample).failures = count(&sample),
            "nginx_upstream_latency_seconds_total" => tries(&mut account, &sample).seconds = seconds(&sample),
            "nginx_upstream_left_out" => left_out(&mut account, &sample),
            "nginx_limit_level" => level = Some(count(&sample)),
            "nginx_limit_requests_per_second" => limit.requests_per_second = Some(seconds(&sample)),
            "nginx_limit_client_requests_per_second" => limit.client_requests_per_second = Some(seconds(&sample)),
            "nginx_limit_age_seconds" => limit.age_seconds = Some(seconds(&sample)),
            _ => {}
        }
    }
    account.limit = level.map(|level| BalancerLimit { level, ..limit });
    Ok(account)
}

/// A value that no counter can have counts as nothing.
fn count(sample: &Sample<'_>) -> u64 {
    seconds(sample) as u64
}

fn seconds(sample: &Sample<'_>) -> f64 {
    Some(sample.value).filter(|value| value.is_finite()).unwrap_or(0.0).max(0.0)
}

fn tries<'a>(account: &'a mut BalancerAccount, sample: &Sample<'_>) -> &'a mut Tries {
    account.upstreams.entry(sample.label("upstream").unwrap_or("unknown").to_owned()).or_default()
}

/// A reason that is not known is none.
fn left_out(account: &mut BalancerAccount, sample: &Sample<'_>) {
    let reason = match sample.label("reason") {
        Some("silent") => LeftOut::Silent,
        Some("failing") => LeftOut::Failing,
        _ => return,
    };
    account.left_out.extend(sample.label("upstream").map(|upstream| (upstream.to_owned(), reason)));
}

/// Adds the account of another balancer. Of the limits that is the rate that all let through together, and
/// the most careful of each other figure.
pub fn add(to: &mut BalancerAccount, other: BalancerAccount) {
    to.balancers += other.balancers;
    to.limited += other.limited;
    to.retries += other.retries;
    to.latency_seconds += other.latency_seconds;
    to.latency_count += other.latency_count;
    to.left_out.extend(other.left_out);
    for (class, answers) in other.answers {
        *to.answers.entry(class).or_default() += answers;
    }
    if to.latency_buckets.is_empty() {
        to.latency_buckets = other.latency_buckets;
    } else {
        for (bound, answers) in &mut to.latency_buckets {
            *answers +=
                other.latency_buckets.iter().find(|(other, _)| other == bound).map_or(0, |(_, answers)| *answers);
        }
    }
    for (address, tries) in other.upstreams {
        let sum = to.upstreams.entry(address).or_default();
        *sum = Tries {
            requests: sum.requests + tries.requests,
            failures: sum.failures + tries.failures,
            seconds: sum.seconds + tries.seconds,
        };
    }
    to.limit = match (to.limit, other.limit) {
        (Some(a), Some(b)) => Some(BalancerLimit {
            level: a.level.min(b.level),
            requests_per_second: a.requests_per_second.zip(b.requests_per_second).map(|(a, b)| a + b),
            client_requests_per_second: a
                .client_requests_per_second
                .zip(b.client_requests_per_second)
                .map(|(a, b)| a.min(b)),
            age_seconds: a.age_seconds.zip(b.age_seconds).map(|(a, b)| a.max(b)),
        }),
        (a, b) => a.or(b),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = include_str!("../../tests/golden/balancer.txt");

    #[test]
    fn a_balancers_page_is_read() {
        let account = read(PAGE).unwrap();
        assert_eq!((account.answers["2xx"], account.answers["4xx"], account.answers["5xx"]), (1200, 310, 2));
        assert_eq!((account.limited, account.retries, account.latency_count), (300, 4, 1212));
        assert_eq!((account.latency_buckets.len(), account.latency_buckets[0]), (11, (0.005, 900)));
        assert_eq!(account.upstreams["10.87.0.7"], Tries { requests: 700, failures: 3, seconds: 4.2 });
        assert_eq!(account.left_out, [("10.87.0.8".to_owned(), LeftOut::Failing)].into());
        let limit = account.limit.unwrap();
        assert_eq!((limit.level, limit.requests_per_second, limit.age_seconds), (2, Some(2000.0), Some(0.0)));
    }

    #[test]
    fn a_page_without_limits_has_none_and_nonsense_is_refused() {
        assert_eq!(read("nginx_limited_total 7\n").unwrap().limit, None);
        assert!(read("<html>").is_err());
        assert_eq!(read("nginx_limited_total NaN\n").unwrap().limited, 0);
    }

    #[test]
    fn two_balancers_let_through_what_both_do() {
        let mut both = read(PAGE).unwrap();
        let mut other = read(PAGE).unwrap();
        other.limit = other.limit.map(|limit| BalancerLimit { level: 1, age_seconds: Some(9.0), ..limit });
        add(&mut both, other);
        let limit = both.limit.unwrap();
        assert_eq!((limit.level, limit.requests_per_second, limit.age_seconds), (1, Some(4000.0), Some(9.0)));
        assert_eq!((both.balancers, both.answers["2xx"], both.latency_buckets[0].1), (2, 2400, 1800));
        assert_eq!(both.upstreams["10.87.0.7"].requests, 1400);
    }
}
