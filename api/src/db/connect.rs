//! How a server is connected to, and how its connections are kept.

use std::{net::SocketAddr, time::Duration};

use secrecy::ExposeSecret;
use sqlx::{
    PgPool,
    postgres::{PgConnectOptions, PgPoolOptions, PgSslMode},
};

use crate::settings::DatabaseSettings;

/// A connection that idled longer is asked whether it lives before a request depends on it. Asking
/// always would cost every request a round trip.
const TRUSTED_IDLE: Duration = Duration::from_millis(500);

/// A pool for one address; opens nothing yet.
pub(super) fn pool(settings: &DatabaseSettings, address: SocketAddr) -> PgPool {
    PgPoolOptions::new()
        .max_connections(settings.pool_size)
        .acquire_timeout(settings.acquire_timeout)
        .idle_timeout(Duration::from_secs(120))
        .max_lifetime(Duration::from_secs(1800))
        .test_before_acquire(false)
        .before_acquire(|connection, meta| {
            Box::pin(async move {
                if meta.idle_for > TRUSTED_IDLE {
                    sqlx::Connection::ping(connection).await?;
                }
                Ok(true)
            })
        })
        .connect_lazy_with(options(settings, address, settings.statement_timeout))
}

/// One connection to an address.
pub(super) fn options(
    settings: &DatabaseSettings,
    address: SocketAddr,
    statement_timeout: Duration,
) -> PgConnectOptions {
    PgConnectOptions::new_without_pgpass()
        .host(&address.ip().to_string())
        .port(address.port())
        .database(&settings.name)
        .username(&settings.user)
        .password(settings.password.expose_secret())
        .application_name("scalable-backend-api")
        .ssl_mode(PgSslMode::Disable)
        .options([
            // Below that there is only talk of what was there already.
            ("client_min_messages", "warning".to_owned()),
            ("statement_timeout", statement_timeout.as_millis().to_string()),
            // A client that was frozen in a transaction must not keep its row locks.
            ("idle_in_transaction_session_timeout", (statement_timeout * 2).as_millis().to_string()),
        ])
}
