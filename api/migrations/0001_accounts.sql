-- Accounts, their sessions, and how often somebody tried to log in.
--
-- Two versions of the program may run at once during an update, so a migration
-- only ever adds. What is no longer used goes in a later release.

create table users (
    id            uuid primary key,
    -- Folded to lower case by the program: one mailbox, one account.
    email         text not null constraint users_email_key unique,
    password_hash text not null,
    created_at    timestamptz not null
);

-- One log-in and everything that descends from it. It is revoked as a whole: a token that a
-- rotation is just making cannot slip through.
create table sessions (
    id         uuid primary key,
    user_id    uuid not null references users (id) on delete cascade,
    expires_at timestamptz not null,
    revoked_at timestamptz
);
create index sessions_user on sessions (user_id);
create index sessions_expiry on sessions (expires_at);

create table refresh_tokens (
    -- The token itself is known to its client alone.
    token_hash bytea primary key,
    session_id uuid not null references sessions (id) on delete cascade,
    expires_at timestamptz not null,
    -- Set by its rotation. Shown again after that, it was stolen or replayed.
    used_at    timestamptz
);
create index refresh_tokens_session on refresh_tokens (session_id);
create index refresh_tokens_expiry on refresh_tokens (expires_at);

-- Keyed by a digest, so that the table is no list of addresses that were tried.
create table login_attempts (
    subject    bytea primary key,
    attempts   integer not null,
    expires_at timestamptz not null
);
create index login_attempts_expiry on login_attempts (expires_at);
