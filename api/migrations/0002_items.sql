-- Items, and the answers that are kept so that a retried create is never doubled.

create table items (
    id         uuid primary key,
    owner      uuid not null references users (id) on delete cascade,
    title      text not null,
    body       text,
    version    bigint not null,
    created_at timestamptz not null,
    updated_at timestamptz not null
);
-- The order of a page: newest first, the id where two were made at the same time.
create index items_page on items (owner, created_at desc, id desc);

create table idempotency_keys (
    user_id      uuid not null references users (id) on delete cascade,
    key          text not null,
    request_hash bytea not null,
    -- The answer as it was sent, byte for byte.
    answer       text not null,
    item_id      uuid not null,
    expires_at   timestamptz not null,
    primary key (user_id, key)
);
create index idempotency_keys_expiry on idempotency_keys (expires_at);
