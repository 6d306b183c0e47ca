//! The requests of the system under test, and what each answer must hold. Every method
//! makes exactly one request and never repeats it.

use std::time::Duration;

use reqwest::{
    Client, Method, RequestBuilder, Response, StatusCode, Url,
    header::{HeaderValue, USER_AGENT},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::failure::{Failure, Kind};

/// For a new connection: far above what a machine nearby needs.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// For a whole answer: longer than any bounded wait of the system under test.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// Shorter than the idle times of balancers, so that no request meets a connection that the
/// other side is just closing.
const IDLE_TIMEOUT: Duration = Duration::from_secs(15);
/// Items asked for per page.
pub const PAGE: usize = 20;
/// Bytes of an unexpected answer that are quoted.
const QUOTE: usize = 200;

/// What a user writes into an item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    /// The item's title.
    pub title: String,
    /// The item's text.
    pub body: String,
}

/// An item as the system returns it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Item {
    /// Its id.
    pub id: String,
    /// What it holds.
    #[serde(flatten)]
    pub content: Content,
}

/// A page of items.
#[derive(Debug, Deserialize)]
pub struct Page {
    /// The items.
    pub items: Vec<Item>,
    /// Where the next page begins; `None` on the last.
    pub next_cursor: Option<String>,
}

/// What a user signs its requests with.
#[derive(Deserialize)]
pub struct Tokens {
    /// Sent with each request.
    pub access_token: String,
    /// Exchanged for new tokens, once.
    pub refresh_token: String,
    /// Life of the access token in seconds.
    pub expires_in: u64,
    token_type: String,
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokens").field("expires_in", &self.expires_in).finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
struct Account {
    email: String,
}

/// The system under test. Clones share connections, which are kept alive.
#[derive(Debug, Clone)]
pub struct Api {
    client: Client,
    base: Url,
}

impl Api {
    /// Nothing is sent yet. `tls` says whether any address to be asked begins with `https`.
    pub fn new(base: Url, tls: bool) -> reqwest::Result<Self> {
        let mut builder = Client::builder()
            // Neither a proxy nor compression shall stand between the load and the system.
            .no_proxy()
            .no_gzip()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(ANSWER_TIMEOUT)
            .pool_idle_timeout(IDLE_TIMEOUT)
            .default_headers([(USER_AGENT, HeaderValue::from_static("stress-test"))].into_iter().collect());
        if !tls {
            // The system's certificates are neither needed nor there in a slim image.
            builder = builder.tls_certs_only([]);
        }
        Ok(Self { client: builder.build()?, base })
    }

    /// The client, for what is asked beside the load.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Whether the system is ready: 200 from its health route.
    pub async fn health(&self) -> Result<(), Failure> {
        let request = self.request(Method::GET, "/api/health").timeout(CONNECT_TIMEOUT);
        answer(request, StatusCode::OK).await.map(drop)
    }

    /// A new account.
    pub async fn register(&self, email: &str, password: &str) -> Result<(), Failure> {
        let request = self.request(Method::POST, "/api/auth/register").json(&Credentials { email, password });
        let account: Account = json(answer(request, StatusCode::CREATED).await?).await?;
        same("the account's email", email, &account.email)
    }

    /// Tokens for an account.
    pub async fn login(&self, email: &str, password: &str) -> Result<Tokens, Failure> {
        let request = self.request(Method::POST, "/api/auth/login").json(&Credentials { email, password });
        usable(json(answer(request, StatusCode::OK).await?).await?)
    }

    /// New tokens for a refresh token, which is used up.
    pub async fn refresh(&self, refresh_token: &str) -> Result<Tokens, Failure> {
        let body = serde_json::json!({ "refresh_token": refresh_token });
        let request = self.request(Method::POST, "/api/auth/refresh").json(&body);
        usable(json(answer(request, StatusCode::OK).await?).await?)
    }

    /// The caller's own account, which must be `email`.
    pub async fn me(&self, token: &str, email: &str) -> Result<(), Failure> {
        let request = self.request(Method::GET, "/api/users/me").bearer_auth(token);
        let account: Account = json(answer(request, StatusCode::OK).await?).await?;
        same("the account's email", email, &account.email)
    }

    /// A new item; the answer must hold what was written. `key` makes a repetition harmless.
    pub async fn create(&self, token: &str, key: &str, content: &Content) -> Result<Item, Failure> {
        let request = self.request(Method::POST, "/api/items").bearer_auth(token).header("Idempotency-Key", key);
        written(json(answer(request.json(content), StatusCode::CREATED).await?).await?, content)
    }

    /// An item, which must be as it was last written.
    pub async fn read(&self, token: &str, item: &Item) -> Result<(), Failure> {
        let request = self.item(Method::GET, token, &item.id);
        let read: Item = json(answer(request, StatusCode::OK).await?).await?;
        same("the item's id", &item.id, &read.id)?;
        written(read, &item.content).map(drop)
    }

    /// New content for an item; the answer must hold it.
    pub async fn update(&self, token: &str, id: &str, content: &Content) -> Result<(), Failure> {
        let request = self.item(Method::PUT, token, id).json(content);
        let item: Item = json(answer(request, StatusCode::OK).await?).await?;
        same("the item's id", id, &item.id)?;
        written(item, content).map(drop)
    }

    /// An item less.
    pub async fn delete(&self, token: &str, id: &str) -> Result<(), Failure> {
        answer(self.item(Method::DELETE, token, id), StatusCode::NO_CONTENT).await.map(drop)
    }

    /// The first page of the caller's items, or the one at `cursor`.
    pub async fn list(&self, token: &str, cursor: Option<&str>) -> Result<Page, Failure> {
        let mut url = self.at("/api/items");
        url.query_pairs_mut().append_pair("limit", &PAGE.to_string()).extend_pairs(cursor.map(|at| ("cursor", at)));
        let request = self.client.get(url).bearer_auth(token);
        let page: Page = json(answer(request, StatusCode::OK).await?).await?;
        if page.items.len() > PAGE {
            return Err(Failure::wrong_body(format!("a page of {PAGE} holds {} items", page.items.len())));
        }
        Ok(page)
    }

    fn item(&self, method: Method, token: &str, id: &str) -> RequestBuilder {
        self.request(method, &format!("/api/items/{id}")).bearer_auth(token)
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, self.at(path))
    }

    fn at(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        url.set_path(path);
        url
    }
}

#[derive(Serialize)]
struct Credentials<'a> {
    email: &'a str,
    password: &'a str,
}

/// Sends and demands a status. The body is quoted only from answers that failed: those that
/// did not may hold tokens.
async fn answer(request: RequestBuilder, due: StatusCode) -> Result<Response, Failure> {
    let response = request.send().await?;
    let status = response.status();
    if status == due {
        return Ok(response);
    }
    let id = response.headers().get("x-request-id").and_then(|id| id.to_str().ok()).unwrap_or("none").to_owned();
    let body = if status.is_success() { String::new() } else { response.text().await.unwrap_or_default() };
    let quote: String = body.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(QUOTE).collect();
    let detail = format!("{} instead of {}, request id {id} {quote}", status.as_u16(), due.as_u16());
    Err(Failure { kind: Kind::Status(status.as_u16()), detail: detail.trim_end().to_owned() })
}

async fn json<T: DeserializeOwned>(response: Response) -> Result<T, Failure> {
    let body = response.bytes().await?;
    serde_json::from_slice(&body).map_err(|error| Failure::wrong_body(format!("not the JSON that was due: {error}")))
}

fn usable(tokens: Tokens) -> Result<Tokens, Failure> {
    if tokens.access_token.is_empty() || tokens.refresh_token.is_empty() || tokens.expires_in == 0 {
        return Err(Failure::wrong_body("the tokens are empty or expired at birth"));
    }
    if !tokens.token_type.eq_ignore_ascii_case("bearer") {
        return Err(Failure::wrong_body(format!("token_type is {}, not Bearer", tokens.token_type)));
    }
    Ok(tokens)
}

fn written(item: Item, content: &Content) -> Result<Item, Failure> {
    same("the item's title", &content.title, &item.content.title)?;
    same("the item's body", &content.body, &item.content.body)?;
    Ok(item)
}

fn same(what: &str, due: &str, got: &str) -> Result<(), Failure> {
    if due == got {
        return Ok(());
    }
    Err(Failure::wrong_body(format!("{what} is {got:?}, not {due:?}")))
}
