//! argon2id, off the async threads and never too many at once.
//!
//! A hash takes tens of milliseconds of a whole core and 19 MiB; a replica has a fraction of a
//! core. So there is a turn to wait for, and a limit to the waiting.

use std::{sync::Arc, time::Duration};

use argon2::{Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version, password_hash::phc::PasswordHash};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::credentials::Password;
use crate::http::problem::ApiError;

/// What nobody's password matches; of the same cost as a real hash, so that an unknown address takes
/// as long as a wrong password.
const DECOY: &str = "$argon2id$v=19$m=19456,t=2,p=1$ZGVjb3lkZWNveWRlY295MQ$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// Makes and checks password hashes.
#[derive(Debug, Clone)]
pub struct Hasher {
    turns: Arc<Semaphore>,
    wait: Duration,
}

impl Hasher {
    /// At most `concurrency` hashes at a time; a request waits at most `wait` for its turn.
    #[must_use]
    pub fn new(concurrency: usize, wait: Duration) -> Self {
        Self { turns: Arc::new(Semaphore::new(concurrency)), wait }
    }

    /// The hash of a new password, as a PHC string.
    pub async fn hash(&self, password: Password) -> Result<String, ApiError> {
        self.in_turn(move || {
            let hash: PasswordHash = argon2().hash_password(password.expose()).map_err(ApiError::internal)?;
            Ok(hash.to_string())
        })
        .await
    }

    /// Whether the password belongs to the hash. Without a hash the same work is done, for nothing.
    pub async fn verify(&self, password: Password, hash: Option<String>) -> Result<bool, ApiError> {
        self.in_turn(move || {
            let known = hash.is_some();
            let matches = argon2().verify_password(password.expose(), hash.as_deref().unwrap_or(DECOY)).is_ok();
            Ok(matches && known)
        })
        .await
    }

    async fn in_turn<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let turn = tokio::time::timeout(self.wait, Arc::clone(&self.turns).acquire_owned()).await;
        let Ok(Ok(turn)) = turn else {
            return Err(ApiError::Busy("no turn to hash a password in time"));
        };
        tokio::task::spawn_blocking(move || hold(turn, work)).await.map_err(ApiError::internal)?
    }
}

/// The turn ends with the work, not with the request: a client that goes away frees no processor.
fn hold<T>(_turn: OwnedSemaphorePermit, work: impl FnOnce() -> T) -> T {
    work()
}

fn argon2() -> Argon2<'static> {
    // 19 MiB, two passes, one lane: what OWASP recommends as the least; also the default.
    Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::DEFAULT)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn password(text: &str) -> Password {
        Password::parse(text).unwrap()
    }

    #[tokio::test]
    async fn a_password_matches_its_own_hash_only() {
        let hasher = Hasher::new(1, Duration::from_secs(10));
        let hash = hasher.hash(password("correct horse")).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert!(hasher.verify(password("correct horse"), Some(hash.clone())).await.unwrap());
        assert!(!hasher.verify(password("wrong horse"), Some(hash)).await.unwrap());
    }

    #[test]
    fn the_decoy_costs_what_a_real_hash_costs() {
        let real: PasswordHash = argon2().hash_password(b"12345678").unwrap();
        let decoy = PasswordHash::new(DECOY).unwrap();
        assert_eq!((decoy.algorithm, decoy.version), (real.algorithm, real.version));
        assert_eq!(decoy.params.to_string(), real.params.to_string());
        assert_eq!(decoy.hash.map(|hash| hash.len()), real.hash.map(|hash| hash.len()));
        assert_eq!(decoy.salt.map(|salt| salt.len()), real.salt.map(|salt| salt.len()));
    }

    #[tokio::test]
    async fn nobody_is_let_in_without_a_hash() {
        let hasher = Hasher::new(1, Duration::from_secs(10));
        assert!(!hasher.verify(password("12345678"), None).await.unwrap());
    }

    #[tokio::test]
    async fn waiting_for_a_turn_ends_with_a_refusal() {
        let hasher = Hasher::new(1, Duration::from_millis(20));
        let _taken = Arc::clone(&hasher.turns).acquire_owned().await.unwrap();
        assert!(matches!(hasher.hash(password("12345678")).await, Err(ApiError::Busy(_))));
    }
}
