//! A task's request counters out of its exposition, summed over routes and methods.
//!
//! Summing first means that a route or status that is seen for the first time counts from
//! zero, instead of being new and thereby without a difference.

use std::collections::BTreeMap;

use crate::parse::{
    exposition::{Sample, parse},
    quantile::{Bound, Buckets},
};

const TOTAL: &str = "http_requests_total";
const BUCKET: &str = "http_request_duration_seconds_bucket";

/// What a task has counted since its process started. A task without any request yet has
/// all at zero: exporters write a counter only once it was touched.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Requests {
    /// Requests answered.
    pub total: f64,
    /// Of these, with status 5xx; `None` when the task does not count by status.
    pub errors: Option<f64>,
    /// Latencies, each bucket for itself.
    pub latency: Buckets,
}

/// Why an exposition cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RequestsError {
    /// It is not one.
    #[error(transparent)]
    Text(#[from] crate::parse::exposition::ExpositionError),
    /// A counter that is negative, infinite or NaN.
    #[error("{0} has a value that no counter can have")]
    NotACounter(&'static str),
    /// A bucket without a bound.
    #[error("{BUCKET} has a series without a usable label le")]
    NoBound,
}

/// Reads a whole exposition.
pub fn read(text: &str) -> Result<Requests, RequestsError> {
    let mut counted: Option<(f64, f64)> = None;
    let mut cumulative: BTreeMap<Bound, f64> = BTreeMap::new();
    for sample in parse(text)? {
        match sample.name {
            TOTAL => {
                let value = count(&sample, TOTAL)?;
                let (total, errors) = counted.get_or_insert((0.0, 0.0));
                *total += value;
                if sample.label("status").is_some_and(|status| status.starts_with('5')) {
                    *errors += value;
                }
            }
            BUCKET => {
                let value = count(&sample, BUCKET)?;
                *cumulative.entry(bound(&sample).ok_or(RequestsError::NoBound)?).or_insert(0.0) += value;
            }
            _ => {}
        }
    }
    let all = cumulative.values().next_back().copied();
    let latency = each_for_itself(cumulative);
    Ok(match (counted, all) {
        (Some((total, errors)), _) => Requests { total, errors: Some(errors), latency },
        (None, Some(total)) => Requests { total, errors: None, latency },
        (None, None) => Requests { errors: Some(0.0), ..Requests::default() },
    })
}

fn count(sample: &Sample<'_>, name: &'static str) -> Result<f64, RequestsError> {
    if sample.value.is_finite() && sample.value >= 0.0 {
        Ok(sample.value)
    } else {
        Err(RequestsError::NotACounter(name))
    }
}

fn bound(sample: &Sample<'_>) -> Option<Bound> {
    let text = sample.label("le")?;
    Bound::new(if text == "+Inf" { f64::INFINITY } else { text.parse().ok()? })
}

fn each_for_itself(cumulative: BTreeMap<Bound, f64>) -> Buckets {
    let mut below = 0.0_f64;
    cumulative
        .into_iter()
        .map(|(bound, upto)| {
            let own = (upto - below).max(0.0);
            below = below.max(upto);
            (bound, own)
        })
        .collect()
}

impl Requests {
    /// What was added since an earlier reading of the same task. A counter that fell means
    /// that the process started anew: then everything it has counted is new.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let all = |latency: &Buckets| latency.values().sum::<f64>();
        let succeeded = |requests: &Self| requests.total - requests.errors.unwrap_or(0.0);
        let fell = succeeded(self) < succeeded(earlier)
            || self.errors.is_some_and(|now| Some(now) < earlier.errors)
            || all(&self.latency) < all(&earlier.latency);
        if fell {
            return self.clone();
        }
        // Some exporters count on while they write, so that one bucket may seem to fall a little.
        let before = |bound| earlier.latency.get(bound).copied().unwrap_or(0.0);
        let latency = self.latency.iter().map(|(bound, now)| (*bound, (now - before(bound)).max(0.0))).collect();
        Self {
            total: self.total - earlier.total,
            errors: self.errors.map(|now| now - earlier.errors.unwrap_or(0.0)),
            latency,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::parse::quantile::quantile;

    #[test]
    fn routes_and_methods_are_added_up() {
        let requests = read(include_str!("../../tests/golden/exposition.txt")).unwrap();
        assert_eq!((requests.total, requests.errors), (1000.0, Some(10.0)));
        let counts: Vec<f64> = requests.latency.values().copied().collect();
        assert_eq!(counts, [900.0, 80.0, 19.0, 1.0]);
        // 950 of 1000 lie within (0.1, 0.2], 50 of its 80 below: 0.1 + 0.1 · 50/80.
        assert!((quantile(0.95, &requests.latency).unwrap() - 0.1625).abs() < 1e-9);
    }

    #[test]
    fn no_request_yet_is_zero_requests() {
        let requests = read("# TYPE up gauge\nup 1\n").unwrap();
        assert_eq!((requests.total, requests.errors), (0.0, Some(0.0)));
    }

    #[test]
    fn without_a_status_counter_errors_are_unknown() {
        let requests = read("http_request_duration_seconds_bucket{le=\"+Inf\"} 7\n").unwrap();
        assert_eq!((requests.total, requests.errors), (7.0, None));
    }

    #[test]
    fn impossible_values_refuse_the_scrape() {
        for bad in ["http_requests_total NaN", "http_requests_total -1", "http_requests_total +Inf"] {
            assert!(matches!(read(bad), Err(RequestsError::NotACounter(_))), "{bad}");
        }
        for bad in ["{le=\"x\"} 1", " 1", "{le=\"NaN\"} 1"] {
            let text = format!("http_request_duration_seconds_bucket{bad}");
            assert!(matches!(read(&text), Err(RequestsError::NoBound)), "{text}");
        }
        assert!(matches!(read("<html>"), Err(RequestsError::Text(_))));
    }

    #[test]
    fn a_status_seen_for_the_first_time_counts_from_zero() {
        let before = read("http_requests_total{status=\"2xx\"} 100\n").unwrap();
        let after = read("http_requests_total{status=\"2xx\"} 110\nhttp_requests_total{status=\"5xx\"} 5\n").unwrap();
        let added = after.since(&before);
        assert_eq!((added.total, added.errors), (15.0, Some(5.0)));
    }

    #[test]
    fn a_restarted_process_counts_from_zero() {
        let before = read("http_requests_total{status=\"2xx\"} 100\n").unwrap();
        let after = read("http_requests_total{status=\"2xx\"} 7\n").unwrap();
        assert_eq!(after.since(&before).total, 7.0);
        let failing = read("http_requests_total{status=\"5xx\"} 100\n").unwrap();
        assert_eq!(failing.since(&before).errors, Some(100.0), "as many as before, but others");
    }

    proptest! {
        #[test]
        fn what_was_added_is_never_negative(
            before in proptest::collection::vec(0..1000_u32, 6),
            after in proptest::collection::vec(0..1000_u32, 6),
        ) {
            let of = |n: &[u32]| read(&format!(
                "http_requests_total{{status=\"2xx\"}} {}\nhttp_requests_total{{status=\"5xx\"}} {}\n\
                 http_request_duration_seconds_bucket{{le=\"0.1\"}} {}\n\
                 http_request_duration_seconds_bucket{{le=\"1\"}} {}\n\
                 http_request_duration_seconds_bucket{{le=\"+Inf\"}} {}\n",
                n[0], n[1], n[2], n[2] + n[3], n[2] + n[3] + n[4],
            )).unwrap();
            let added = of(&after).since(&of(&before));
            prop_assert!(added.total >= 0.0 && added.errors.unwrap() >= 0.0);
            prop_assert!(added.errors.unwrap() <= added.total + 1e-9);
            prop_assert!(added.latency.values().all(|count| *count >= 0.0));
        }
    }
}
