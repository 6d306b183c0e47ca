//! What the entrypoint hands on; it has checked the operator's part with the same rules.

use std::path::PathBuf;

use shared::env::{Env, EnvError};

/// Settings of the companion.
#[derive(Debug, Clone)]
pub struct Settings {
    /// A directory in memory that nginx reads, too.
    pub run_dir: PathBuf,
    /// Requests per second for each replica; 0: no limit.
    pub rate_per_replica: u32,
    /// Percent of the limit for one client; 0: no limit for one client.
    pub client_share: u32,
    /// Replicas that the limit counts on before any are known.
    pub min_replicas: u32,
}

impl Settings {
    /// Reads the environment.
    pub fn from_env(mut env: Env) -> Result<Self, EnvError> {
        let settings = Self {
            run_dir: env.text("RUN_DIR", "/run/nginx").into(),
            rate_per_replica: env.within("RATE_PER_REPLICA", 1000, 0..=99_999, "a number from 0 to 99999"),
            client_share: env.within("RATE_CLIENT_SHARE", 50, 0..=100, "a percentage from 0 to 100"),
            min_replicas: env.within("MIN_REPLICAS", 2, 1..=100, "a number from 1 to 100"),
        };
        env.finish()?;
        Ok(settings)
    }
}
