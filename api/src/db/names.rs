//! What a name stands for, asked again and again by a task of its own.
//!
//! A name without a task, as that of the standbys when there are none, the engine passes on to the node's own name
//! server. Where that one does not answer, each such question takes 20 s: it must hold up nothing else, least of all the
//! primary, and there must not be many of them at once.
//!
//! Docker's DNS claims a lifetime of ten minutes, so nothing may be kept for long.

use std::{net::SocketAddr, time::Duration};

use tokio::sync::watch;

/// Half a round: what a round sees is hardly older than itself.
const EVERY: Duration = Duration::from_millis(500);

/// `None` before the first answer; nobody asks any more once it is dropped.
pub(super) type Addresses = watch::Receiver<Option<Vec<SocketAddr>>>;

/// Begins to ask.
pub(super) fn follow(name: String, port: u16) -> Addresses {
    let (publish, addresses) = watch::channel(None);
    tokio::spawn(async move {
        while !publish.is_closed() {
            // A name that does not exist stands for nothing.
            let found = tokio::net::lookup_host((name.as_str(), port)).await;
            publish.send_replace(Some(found.map(Iterator::collect).unwrap_or_default()));
            tokio::time::sleep(EVERY).await;
        }
    });
    addresses
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_name_stands_for_its_addresses_and_one_that_does_not_exist_for_nothing() {
        let mut addresses = follow("127.0.0.1".into(), 7);
        let found = addresses.wait_for(Option::is_some).await.unwrap().clone();
        assert_eq!(found, Some(vec!["127.0.0.1:7".parse().unwrap()]));
        let mut nothing = follow("nowhere.invalid".into(), 7);
        assert_eq!(nothing.wait_for(Option::is_some).await.unwrap().clone(), Some(vec![]));
    }
}
