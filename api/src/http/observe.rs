//! The outermost layer around the routes: the log line, the counts, and the bodies of problems.
//!
//! Labels are route templates and status classes, never a path or an id. Probes and scrapes are
//! neither counted nor logged: they would drown what clients do.

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use axum::{
    body::Body,
    extract::{MatchedPath, Request, State},
    http::{HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::Response,
};

use super::{
    problem::{ApiError, Failure},
    request_id::RequestId,
};

/// Which quick and successful reads are logged. One JSON line costs nearly as much processor time as
/// answering a trivial request, and a replica has a fraction of a core.
#[derive(Debug, Clone)]
pub struct AccessLog {
    sample: u64,
    reads: Arc<AtomicU64>,
}

const SLOW: Duration = Duration::from_millis(500);
const UNKNOWN: &str = "<unknown>";

impl AccessLog {
    /// Logs one of `sample` quick successful reads; 1 logs all.
    #[must_use]
    pub fn new(sample: u64) -> Self {
        Self { sample, reads: Arc::default() }
    }

    /// Writes, refusals, faults and slow answers always; of the rest a sample.
    fn wants(&self, read: bool, status: StatusCode, took: Duration) -> bool {
        !read
            || status.is_client_error()
            || status.is_server_error()
            || took > SLOW
            || self.reads.fetch_add(1, Ordering::Relaxed).is_multiple_of(self.sample)
    }
}

/// One more request in flight for as long as it lives, also when its client goes away.
struct InFlight;

impl InFlight {
    fn enter() -> Self {
        metrics::gauge!("http_requests_in_flight").increment(1.0);
        Self
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        metrics::gauge!("http_requests_in_flight").decrement(1.0);
    }
}

/// Gives every metric of the recorder its help text, and the version one of its own.
pub fn describe() {
    metrics::describe_gauge!("build_info", "1, with the version as a label.");
    metrics::describe_gauge!("http_requests_in_flight", "Requests that are being answered.");
    metrics::describe_counter!("http_requests_total", "Answers, by method, route and class of status.");
    metrics::describe_histogram!("http_request_duration_seconds", "Time from a request's arrival to its answer.");
    metrics::gauge!("build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
}

/// Runs the request and tells about it.
pub async fn observe(State(log): State<AccessLog>, request: Request, next: Next) -> Response {
    let path = request.extensions().get::<MatchedPath>().cloned();
    let route = path.as_ref().map_or(UNKNOWN, MatchedPath::as_str);
    let id = request.extensions().get::<RequestId>().cloned();
    let id = id.as_ref().map_or("", RequestId::as_str);
    if is_probe(route) {
        return finish(next.run(request).await, id).0;
    }
    let method = label(request.method());
    let read = request.method().is_safe();
    let client = client(&request);
    let started = Instant::now();
    let in_flight = InFlight::enter();
    let (response, failure) = finish(next.run(request).await, id);
    drop(in_flight);
    let (took, status) = (started.elapsed(), response.status());
    count(method, route, status, took);
    if log.wants(read, status, took) {
        let cause = failure.as_ref().and_then(ApiError::cause);
        write_line(&Line { id, method, route, status, took, client, cause });
    }
    response
}

struct Line<'a> {
    id: &'a str,
    method: &'a str,
    route: &'a str,
    status: StatusCode,
    took: Duration,
    client: Option<IpAddr>,
    cause: Option<&'a str>,
}

fn write_line(line: &Line<'_>) {
    let Line { id, method, route, status, took, client, cause } = *line;
    let (status, client) = (status.as_u16(), client.map(tracing::field::display));
    // To the microsecond: quick answers take less than a thousandth of a second.
    let duration_ms = took.as_micros() as f64 / 1000.0;
    if status >= 500 && status != 503 {
        tracing::error!(request_id = id, method, route, status, duration_ms, client, cause, "request failed");
    } else if status == 503 {
        tracing::warn!(request_id = id, method, route, status, duration_ms, client, cause, "request turned away");
    } else {
        tracing::info!(request_id = id, method, route, status, duration_ms, client, "request finished");
    }
}

fn count(method: &'static str, route: &str, status: StatusCode, took: Duration) {
    let class = match status.as_u16() {
        ..300 => "2xx",
        300..400 => "3xx",
        400..500 => "4xx",
        _ => "5xx",
    };
    let labels = [("method", method.to_owned()), ("route", route.to_owned()), ("status", class.to_owned())];
    metrics::counter!("http_requests_total", &labels).increment(1);
    metrics::histogram!("http_request_duration_seconds", &labels).record(took);
}

/// Writes the body of a failed answer. Whatever fails without saying why, fails in the same form.
fn finish(mut response: Response, id: &str) -> (Response, Option<ApiError>) {
    let failure = match response.extensions_mut().remove::<Failure>() {
        Some(Failure(error)) => error,
        None => return (response, None),
    };
    let body = serde_json::to_vec(&failure.problem(id)).unwrap_or_default();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.remove(header::CONTENT_LENGTH);
    *response.body_mut() = Body::from(body);
    (response, Some(failure))
}

fn is_probe(route: &str) -> bool {
    matches!(route, "/api/health" | "/api/health/live" | "/metrics")
}

/// Methods are a client's free text: those this service never answers share one label.
fn label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::PATCH => "PATCH",
        Method::OPTIONS => "OPTIONS",
        _ => UNKNOWN,
    }
}

/// The client as the balancer saw it: for people who read logs, never for a decision.
fn client(request: &Request) -> Option<IpAddr> {
    request.headers().get("x-real-ip")?.to_str().ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_writes_and_slow_answers_are_always_logged() {
        let log = AccessLog::new(1_000);
        let quick = Duration::from_millis(1);
        assert!(log.wants(true, StatusCode::OK, quick), "the first of each sample");
        for _ in 0..10 {
            assert!(!log.wants(true, StatusCode::OK, quick));
            assert!(log.wants(false, StatusCode::OK, quick));
            assert!(log.wants(true, StatusCode::NOT_FOUND, quick));
            assert!(log.wants(true, StatusCode::OK, Duration::from_millis(501)));
        }
    }

    #[test]
    fn an_invented_method_gets_no_label_of_its_own() {
        assert_eq!(label(&Method::from_bytes(b"BREW").unwrap()), UNKNOWN);
    }
}
