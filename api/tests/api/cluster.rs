//! A primary and its standbys, behind links that a test can pull.

use std::sync::LazyLock;

use crate::{
    link::Link,
    servers::{Container, Network, eventually},
    stack::Stack,
};

/// Servers that no test stops. Started by the first test that asks.
pub(crate) static CLUSTER: LazyLock<Cluster> = LazyLock::new(|| Cluster::of(2));

pub(crate) struct Cluster {
    pub(crate) primary: Container,
    pub(crate) standbys: Vec<Container>,
    _network: Network,
}

/// An environment's servers and the way to them.
pub(crate) struct Links {
    pub(crate) stack: Stack,
    pub(crate) standbys: Vec<Link>,
    pub(crate) names: String,
}

impl Cluster {
    pub(crate) fn of(standbys: usize) -> Self {
        let network = Network::new();
        let place = ["--network", &network.name];
        let primary = ["--network-alias", "primary", "-v", "/var/lib/postgresql/data", "-e", "MAX_CONNECTIONS=400"];
        let primary = Container::database(&[&place[..], &primary].concat());
        let standby = |slot: usize| {
            let slot = format!("TASK_SLOT={slot}");
            let role = ["-e", "ROLE=replica", "-e", "PRIMARY_HOST=primary", "-e", "MAX_CONNECTIONS=400", "-e", &slot];
            Container::database(&[&place[..], &role, &["-v", "/var/lib/postgresql/replica"]].concat())
        };
        let standbys = (1..=standbys).map(standby).collect();
        Self { primary, standbys, _network: network }
    }

    /// Waits until all stream, and puts links before them: one port, an address each.
    pub(crate) async fn linked(&self) -> Links {
        eventually("all standbys stream", async || self.standbys.iter().all(Container::is_healthy).then_some(())).await;
        let mut stack = Stack::new().await;
        stack.postgres = Link::to(self.primary.address).await;
        let (mut standbys, mut names) = (Vec::new(), Vec::new());
        for (last, standby) in (2..).zip(&self.standbys) {
            let address = ([127, 0, 0, last], stack.postgres.address.port());
            standbys.push(Link::between(address.into(), standby.address).await);
            names.push(format!("127.0.0.{last}"));
        }
        Links { stack, standbys, names: names.join(",") }
    }
}
