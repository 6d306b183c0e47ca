//! Accounts, passwords, tokens and sessions.
//!
//! An access token is short-lived and checked without the database; a refresh token lives in the
//! database and can be revoked. Nothing here logs a password, a token or a mail address.

/// Accounts in the database.
pub mod accounts;
/// The caller of a request, from its access token.
pub mod caller;
/// Mail addresses and passwords that are acceptable.
pub mod credentials;
/// argon2id, off the async threads and never too many at once.
pub mod password;
/// The handlers.
pub mod routes;
/// Sessions: refresh tokens, their rotation and revocation.
pub mod sessions;
/// How often somebody may try to log in.
pub mod throttle;
/// Access tokens.
pub mod token;
