//! The command line. Every value is checked here; a wrong one is answered with the
//! option, the value and what is allowed.

use std::{ops::RangeInclusive, path::PathBuf, time::Duration};

use clap::Parser;
use reqwest::Url;

use crate::pace::Pace;

/// Start-to-start interval of one user's requests when nothing else is asked for.
/// At 100 ms a user offers 10 requests a second, so that 25, 50 and 100 users offer 250, 500
/// and 1000: steps that an api replica with a tenth of a core tells apart.
pub const DEFAULT_PACE_MS: u64 = 100;

/// The ramp when none is given, per user. A new user costs two password hashes, each about a
/// third of a second on a tenth of a core, beside what the users before keep asking for. 25 users
/// take 50 seconds.
const RAMP_PER_USER: Duration = Duration::from_secs(2);

/// Where the collector listens on the host under test, unless said otherwise.
const COLLECTOR_PORT: u16 = 8090;

/// Load test for scalable-backend: virtual users that register, sign in, read and write.
///
/// Exit code: 0 when nothing failed, 1 when a request failed or --expect-replicas was not
/// met, 2 when the options are wrong or the host does not answer.
#[derive(Debug, Clone, Parser)]
#[command(name = "stress-test", version, max_term_width = 100)]
pub struct Options {
    /// Virtual users at the same time
    #[arg(long, value_name = "N", default_value = "25", value_parser = users)]
    pub users: usize,

    /// How long to run, the ramp included; fractions are allowed
    #[arg(long, value_name = "MINUTES", default_value = "2", value_parser = minutes)]
    pub minutes: Duration,

    /// The system under test, as its clients reach it
    #[arg(long, value_name = "URL", default_value = "http://localhost", value_parser = base_url)]
    pub host: Url,

    /// Time from the start of one request of a user to the start of its next, in milliseconds
    #[arg(long, value_name = "MS", value_parser = pace_ms, conflicts_with = "think_ms")]
    pub pace_ms: Option<u64>,

    /// Pause between an answer and the next request instead of a fixed pace, in milliseconds
    #[arg(long, value_name = "MIN..MAX", value_parser = think_ms)]
    pub think_ms: Option<RangeInclusive<u64>>,

    /// Seconds over which the users start [default: 2 a user, at most half of the run]
    #[arg(long, value_name = "SECONDS", value_parser = ramp)]
    pub ramp: Option<Duration>,

    /// Also write the report as JSON to this file
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,

    /// Service whose replicas are watched, with or without the stack's name before it
    #[arg(long, value_name = "SERVICE", default_value = "api", value_parser = service)]
    pub watch_service: String,

    /// The metrics collector, asked for replicas [default: port 8090 of the host]
    #[arg(long, value_name = "URL", value_parser = base_url)]
    pub collector: Option<Url>,

    /// Fail unless the most replicas seen lie in this range
    #[arg(long, value_name = "MIN..MAX", value_parser = replicas)]
    pub expect_replicas: Option<RangeInclusive<u64>>,

    /// Number from which every user's choices follow [default: random]
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
}

impl Options {
    /// How each user spaces its requests.
    #[must_use]
    pub fn pace(&self) -> Pace {
        match &self.think_ms {
            Some(range) => Pace::Think(range.clone()),
            None => Pace::Fixed(Duration::from_millis(self.pace_ms.unwrap_or(DEFAULT_PACE_MS))),
        }
    }

    /// Time over which the users start, in whole seconds; always shorter than the run.
    #[must_use]
    pub fn ramp(&self) -> Duration {
        let longest = self.minutes.as_secs().saturating_sub(1);
        let unasked = RAMP_PER_USER.mul_f64(self.users as f64).min(self.minutes / 2);
        let asked = self.ramp.unwrap_or(unasked);
        Duration::from_secs(asked.as_secs().min(longest))
    }

    /// Where replicas are asked for.
    #[must_use]
    pub fn collector(&self) -> Url {
        self.collector.clone().unwrap_or_else(|| {
            let mut url = self.host.clone();
            // The collector speaks plain HTTP, also where the host has TLS before it.
            let _ = url.set_scheme("http");
            let _ = url.set_port(Some(COLLECTOR_PORT));
            url
        })
    }
}

fn number<T: std::str::FromStr + PartialOrd>(text: &str, range: RangeInclusive<T>, allowed: &str) -> Result<T, String> {
    text.parse().ok().filter(|value| range.contains(value)).ok_or_else(|| format!("allowed is {allowed}"))
}

fn users(text: &str) -> Result<usize, String> {
    number(text, 1..=10_000, "a whole number from 1 to 10000")
}

fn minutes(text: &str) -> Result<Duration, String> {
    number(text, 0.05..=1440.0, "a number of minutes from 0.05 to 1440").map(|m| Duration::from_secs_f64(m * 60.0))
}

fn pace_ms(text: &str) -> Result<u64, String> {
    number(text, 1..=60_000, "a whole number of milliseconds from 1 to 60000")
}

fn ramp(text: &str) -> Result<Duration, String> {
    number(text, 0..=3600, "a whole number of seconds from 0 to 3600").map(Duration::from_secs)
}

fn think_ms(text: &str) -> Result<RangeInclusive<u64>, String> {
    range(text, 0..=60_000).ok_or_else(|| "allowed is MIN..MAX in milliseconds from 0 to 60000, as 50..150".to_owned())
}

fn replicas(text: &str) -> Result<RangeInclusive<u64>, String> {
    range(text, 0..=1000).ok_or_else(|| "allowed is MIN..MAX from 0 to 1000, as 3..5".to_owned())
}

fn range(text: &str, allowed: RangeInclusive<u64>) -> Option<RangeInclusive<u64>> {
    let (min, max) = text.split_once("..")?;
    let (min, max) = (min.trim().parse().ok()?, max.trim().parse().ok()?);
    (min <= max && allowed.contains(&min) && allowed.contains(&max)).then_some(min..=max)
}

fn service(text: &str) -> Result<String, String> {
    let named = !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c));
    if named {
        return Ok(text.to_owned());
    }
    Err("allowed is the name of a Swarm service: letters, digits, '_', '-' and '.'".to_owned())
}

fn base_url(text: &str) -> Result<Url, String> {
    Url::parse(text)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
        .filter(|url| url.path() == "/" && url.query().is_none() && url.fragment().is_none())
        .ok_or_else(|| "allowed is http:// or https:// with a host and no path, as http://localhost:8080".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &[&str]) -> Result<Options, String> {
        Options::try_parse_from(["stress-test"].iter().chain(args)).map_err(|error| error.to_string())
    }

    #[test]
    fn a_bad_value_is_answered_with_option_value_and_what_is_allowed() {
        for (option, value, allowed) in [
            ("--users", "0", "1 to 10000"),
            ("--users", "many", "1 to 10000"),
            ("--minutes", "NaN", "0.05 to 1440"),
            ("--minutes", "-1", "0.05 to 1440"),
            ("--pace-ms", "0", "1 to 60000"),
            ("--think-ms", "9..3", "MIN..MAX"),
            ("--ramp", "1.5", "0 to 3600"),
            ("--host", "localhost", "http://"),
            ("--host", "http://localhost/api", "no path"),
            ("--collector", "ftp://x", "http://"),
            ("--watch-service", "a b", "Swarm service"),
            ("--expect-replicas", "3", "MIN..MAX"),
        ] {
            let text = parse(&[&format!("{option}={value}")]).unwrap_err();
            for part in [option, value, allowed] {
                assert!(text.contains(part), "{option} {value}: {text}");
            }
        }
    }

    #[test]
    fn a_pace_and_a_think_time_exclude_each_other() {
        let text = parse(&["--pace-ms", "50", "--think-ms", "1..2"]).unwrap_err();
        assert!(text.contains("--pace-ms") && text.contains("--think-ms"), "{text}");
    }

    #[test]
    fn the_ramp_grows_with_the_users_up_to_half_of_the_run_and_never_fills_it() {
        let ramp = |args: &[&str]| parse(args).unwrap().ramp().as_secs();
        assert_eq!(ramp(&["--users", "25", "--minutes", "2"]), 50);
        assert_eq!(ramp(&["--users", "100", "--minutes", "5"]), 150);
        assert_eq!(ramp(&["--minutes", "0.5"]), 15);
        assert_eq!(ramp(&["--minutes", "0.05"]), 1);
        assert_eq!(ramp(&["--minutes", "1", "--ramp", "3600"]), 59);
        assert_eq!(ramp(&["--ramp", "0"]), 0);
    }

    #[test]
    fn the_collector_is_looked_for_beside_the_host() {
        let at = |args: &[&str]| parse(args).unwrap().collector().to_string();
        assert_eq!(at(&[]), "http://localhost:8090/");
        assert_eq!(at(&["--host", "https://shop.example:8443"]), "http://shop.example:8090/");
        assert_eq!(at(&["--collector", "http://10.0.0.1:9"]), "http://10.0.0.1:9/");
    }
}
