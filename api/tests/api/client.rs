//! A client of the API, and what it thinks of the answers.

use reqwest::{Method, RequestBuilder, header::HeaderMap};
use serde_json::{Value, json};

pub(crate) const PASSWORD: &str = "correct horse battery";

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

/// Somebody who has an account and a session.
#[derive(Clone)]
pub(crate) struct User {
    http: reqwest::Client,
    pub(crate) base: String,
    pub(crate) id: String,
    pub(crate) email: String,
    pub(crate) access: String,
    pub(crate) refresh: String,
}

pub(crate) async fn send(request: RequestBuilder) -> Answer {
    Answer::of(request.send().await.unwrap()).await
}

pub(crate) async fn get(base: &str, path: &str) -> Answer {
    send(reqwest::Client::new().get(format!("{base}{path}"))).await
}

pub(crate) async fn post(base: &str, path: &str, body: &Value) -> Answer {
    send(reqwest::Client::new().post(format!("{base}{path}")).json(body)).await
}

/// A mail address that nobody has.
pub(crate) fn fresh_email() -> String {
    format!("user-{}@example.com", uuid::Uuid::now_v7().simple())
}

pub(crate) fn credentials(email: &str, password: &str) -> Value {
    json!({ "email": email, "password": password })
}

impl Answer {
    pub(crate) async fn of(response: reqwest::Response) -> Self {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Self { status, headers, text: response.text().await.unwrap() }
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// A header's value; empty when there is none.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Seconds of `Retry-After`.
    #[track_caller]
    pub(crate) fn retry_after(&self) -> u64 {
        self.header("retry-after").parse().unwrap_or_else(|_| panic!("no Retry-After: {self:?}"))
    }

    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{self:?}");
        self
    }

    /// Checks that this is a problem document of that status, and returns it.
    #[track_caller]
    pub(crate) fn problem(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.header("content-type"), "application/problem+json", "{self:?}");
        assert_eq!(self.header("cache-control"), "no-store", "{self:?}");
        let problem = self.json();
        assert_eq!(problem["type"], "about:blank", "{problem}");
        assert_eq!(problem["status"], status, "{problem}");
        assert_eq!(problem["request_id"], self.header("x-request-id"), "{problem}");
        for text in ["title", "detail", "request_id"] {
            assert!(problem[text].as_str().is_some_and(|text| !text.is_empty()), "no {text}: {problem}");
        }
        if matches!(status, 429 | 503) {
            assert!((1..=3600).contains(&self.retry_after()), "{self:?}");
        }
        problem
    }

    /// The fields that a 422 names.
    #[track_caller]
    pub(crate) fn wrong_fields(&self) -> Vec<String> {
        let problem = self.problem(422);
        let errors = problem["errors"].as_array().unwrap_or_else(|| panic!("no errors: {problem}"));
        assert!(errors.iter().all(|error| error["message"].as_str().is_some_and(|text| !text.is_empty())), "{problem}");
        errors.iter().map(|error| error["field"].as_str().unwrap().to_owned()).collect()
    }
}

impl User {
    pub(crate) async fn register(base: &str) -> Self {
        let email = fresh_email();
        let made = post(base, "/api/auth/register", &credentials(&email, PASSWORD)).await.expect(201).json();
        let id = made["id"].as_str().unwrap().to_owned();
        let http = reqwest::Client::new();
        let nobody = Self { http, base: base.to_owned(), id, email, access: String::new(), refresh: String::new() };
        nobody.login().await
    }

    /// The same user in a session of its own.
    pub(crate) async fn login(&self) -> Self {
        let pair = post(&self.base, "/api/auth/login", &credentials(&self.email, PASSWORD)).await.expect(200).json();
        let [access, refresh] = ["access_token", "refresh_token"].map(|name| pair[name].as_str().unwrap().to_owned());
        Self { access, refresh, ..self.clone() }
    }

    /// The same user with its requests sent to another instance.
    pub(crate) fn at(&self, base: &str) -> Self {
        Self { base: base.to_owned(), ..self.clone() }
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base)).bearer_auth(&self.access)
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        send(self.request(Method::GET, path)).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        send(self.request(Method::POST, path).json(body)).await
    }

    pub(crate) async fn put(&self, path: &str, body: &Value) -> Answer {
        send(self.request(Method::PUT, path).json(body)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        send(self.request(Method::DELETE, path)).await
    }

    /// Makes an item and returns its path.
    pub(crate) async fn item(&self, title: &str) -> String {
        let made = self.post("/api/items", &json!({ "title": title })).await.expect(201);
        made.header("location").to_owned()
    }
}
