//! HTTP clients, made in one place: each has a deadline for the whole exchange, and knows
//! Mozilla's certificates beside the system's, because a small image brings none.

use std::time::Duration;

use reqwest::{Certificate, Client, ClientBuilder, redirect};

/// A client whose calls end within `timeout`. It follows no redirect: everybody it asks is
/// named in the settings.
pub(crate) fn client(timeout: Duration) -> Result<Client, reqwest::Error> {
    builder(timeout)?.build()
}

/// The same, to be changed further.
pub(crate) fn builder(timeout: Duration) -> Result<ClientBuilder, reqwest::Error> {
    let roots = webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().map(|root| Certificate::from_der(root));
    let roots = roots.collect::<Result<Vec<_>, _>>()?;
    Ok(Client::builder().timeout(timeout).redirect(redirect::Policy::none()).tls_certs_merge(roots))
}
