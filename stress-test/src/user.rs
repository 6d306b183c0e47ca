//! One virtual user. Each step is one request: what its state demands (an account, tokens),
//! else what the mix draws. What it wrote it remembers, and demands back.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use rand::{Rng, RngExt, SeedableRng, rngs::SmallRng};

use crate::{
    api::{Api, Content, Item, Page, Tokens},
    failure::{Failure, Kind},
    mix::{self, Action},
    pace::{Pace, Pacer},
    tally::Tally,
};

/// Pause after an account or tokens were refused: repeating at once would only add load.
const RETRY_PAUSE: Duration = Duration::from_secs(1);
/// Tokens are renewed this long before their end, or at nine tenths of a shorter life.
const RENEW_BEFORE: Duration = Duration::from_secs(30);
/// Items a user keeps in mind; beyond, the oldest is no longer asked for.
const REMEMBERED: usize = 200;

/// What all users of a run have in common.
#[derive(Debug)]
pub struct Plan {
    /// The system under test.
    pub api: Api,
    /// Where results go.
    pub tally: Tally,
    /// How requests are spaced.
    pub pace: Pace,
    /// From which each user's choices follow.
    pub seed: u64,
    /// Part of each address, so that runs never share accounts.
    pub run_id: String,
    /// No request starts after this.
    pub deadline: Instant,
}

#[derive(Clone)]
struct Session {
    tokens: Arc<Tokens>,
    renew_at: Instant,
    expires_at: Instant,
}

/// One user's whole state.
#[derive(Clone)]
pub struct User {
    plan: Arc<Plan>,
    number: usize,
    rng: SmallRng,
    pacer: Pacer,
    attempt: u32,
    registered: bool,
    session: Option<Session>,
    items: Vec<Item>,
    cursor: Option<String>,
    written: u64,
}

impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("User").field("number", &self.number).field("items", &self.items.len()).finish_non_exhaustive()
    }
}

impl User {
    /// User `number` of the run; its first request is due within one interval from `now`.
    #[must_use]
    pub fn new(plan: Arc<Plan>, number: usize, now: Instant) -> Self {
        // Far apart seeds, as neighbouring ones could give similar users.
        let mut rng = SmallRng::seed_from_u64(plan.seed ^ (number as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
        plan.tally.user_started();
        Self {
            pacer: Pacer::new(plan.pace.clone(), now, &mut rng),
            plan,
            number,
            rng,
            attempt: 0,
            registered: false,
            session: None,
            items: Vec::new(),
            cursor: None,
            written: 0,
        }
    }

    /// When the next step is due.
    #[must_use]
    pub fn due(&self) -> Instant {
        self.pacer.next()
    }

    /// Makes one request, counts it and notes what follows from its answer.
    pub async fn step(&mut self) {
        let started = Instant::now();
        let action = self.next_action(started);
        let outcome = self.act(action).await;
        let ended = Instant::now();
        let failure = outcome.err().filter(|failure| !self.expected(failure, ended));
        self.plan.tally.record(action, ended - started, failure.as_ref());
        let lost = self.pacer.answered(ended, &mut self.rng);
        if lost > 0.0 {
            self.plan.tally.not_offered(lost);
        }
        if failure.is_some() && self.session.is_none() {
            self.pacer.put_off(ended + RETRY_PAUSE);
        }
    }

    fn next_action(&mut self, now: Instant) -> Action {
        match &self.session {
            None if self.registered => Action::Login,
            None => Action::Register,
            Some(session) if now >= session.renew_at => Action::Refresh,
            Some(_) => mix::pick(&mut self.rng, self.items.len()),
        }
    }

    async fn act(&mut self, action: Action) -> Result<(), Failure> {
        let plan = self.plan.clone();
        let api = &plan.api;
        let session = self.session.clone();
        let token = session.as_ref().map_or("", |session| &session.tokens.access_token);
        let result = match action {
            Action::Register => self.register(api).await,
            Action::Login => api.login(&self.email(), &self.password()).await.map(|tokens| self.sign_in(tokens)),
            Action::Refresh => {
                // A refresh token serves once: whatever comes back, this one is gone.
                self.session = None;
                let refresh_token = session.as_ref().map_or("", |session| &session.tokens.refresh_token);
                api.refresh(refresh_token).await.map(|tokens| self.sign_in(tokens))
            }
            Action::Me => api.me(token, &self.email()).await,
            Action::ReadItem => {
                let index = self.any_item();
                api.read(token, &self.items[index]).await
            }
            Action::ListItems => self.list(api, token).await,
            Action::CreateItem => self.create(api, token).await,
            Action::UpdateItem => self.update(api, token).await,
            Action::DeleteItem => {
                // Taken out first: after a lost answer nobody knows whether it is still there.
                let index = self.any_item();
                let item = self.items.swap_remove(index);
                api.delete(token, &item.id).await
            }
        };
        if matches!(&result, Err(failure) if failure.kind == Kind::Status(401)) {
            self.renew_now();
        }
        result
    }

    async fn register(&mut self, api: &Api) -> Result<(), Failure> {
        // A new address each time: a lost answer may have left an account behind.
        self.attempt += 1;
        api.register(&self.email(), &self.password()).await?;
        self.registered = true;
        Ok(())
    }

    async fn create(&mut self, api: &Api, token: &str) -> Result<(), Failure> {
        let content = self.new_content();
        let key = format!("{}-{}-{}", self.plan.run_id, self.number, self.written);
        let item = api.create(token, &key, &content).await?;
        if self.items.len() == REMEMBERED {
            self.items.remove(0);
        }
        self.items.push(item);
        Ok(())
    }

    async fn update(&mut self, api: &Api, token: &str) -> Result<(), Failure> {
        let index = self.any_item();
        let mut item = self.items.swap_remove(index);
        let content = self.new_content();
        // Only a confirmed change comes back into the list: else its content is not known.
        api.update(token, &item.id, &content).await?;
        item.content = content;
        self.items.push(item);
        Ok(())
    }

    async fn list(&mut self, api: &Api, token: &str) -> Result<(), Failure> {
        let cursor = self.cursor.take();
        let page = api.list(token, cursor.as_deref()).await?;
        self.check_page(&page, cursor.is_none())?;
        self.cursor = page.next_cursor;
        Ok(())
    }

    /// Items on a page must differ from each other and be as they were written. A list that
    /// fits on one page must hold all of them.
    fn check_page(&self, page: &Page, first: bool) -> Result<(), Failure> {
        for (n, item) in page.items.iter().enumerate() {
            if page.items[..n].iter().any(|other| other.id == item.id) {
                return Err(Failure::wrong_body(format!("a page holds item {} twice", item.id)));
            }
            if self.items.iter().any(|own| own.id == item.id && own.content != item.content) {
                return Err(Failure::wrong_body(format!("item {} is not listed as it was written", item.id)));
            }
        }
        let whole = first && page.next_cursor.is_none();
        let missing = |own: &&Item| whole && page.items.iter().all(|item| item.id != own.id);
        match self.items.iter().find(missing) {
            Some(own) => Err(Failure::wrong_body(format!("item {} is missing in the list", own.id))),
            None => Ok(()),
        }
    }

    fn sign_in(&mut self, tokens: Tokens) {
        let now = Instant::now();
        let life = Duration::from_secs(tokens.expires_in);
        let early = RENEW_BEFORE.min(life / 10);
        self.session = Some(Session {
            tokens: Arc::new(tokens),
            renew_at: now + life.saturating_sub(early),
            expires_at: now + life,
        });
    }

    fn renew_now(&mut self) {
        if let Some(session) = &mut self.session {
            session.renew_at = Instant::now();
        }
    }

    /// A refusal of a token that had run out is what should happen.
    fn expected(&self, failure: &Failure, now: Instant) -> bool {
        let expired = self.session.as_ref().is_some_and(|session| now >= session.expires_at);
        failure.kind == Kind::Status(401) && expired
    }

    fn any_item(&mut self) -> usize {
        self.rng.random_range(0..self.items.len())
    }

    fn new_content(&mut self) -> Content {
        self.written += 1;
        let title = format!("item {} of user {}", self.written, self.number);
        // A line or two of text, quotes and a non-ASCII letter included.
        let body = format!("\"{:016x}\" – note {}", self.rng.next_u64(), self.written).repeat(3);
        Content { title, body }
    }

    fn email(&self) -> String {
        format!("load-{}-{}-{}@example.com", self.plan.run_id, self.number, self.attempt)
    }

    fn password(&self) -> String {
        format!("Load-{}-{}", self.plan.run_id, self.number)
    }
}
