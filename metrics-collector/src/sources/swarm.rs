//! Services, tasks and nodes, from the manager's engine.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};

use super::Gathered;
use crate::{
    clock,
    docker::Engine,
    fetch,
    parse::swarm::{self, Attached, Swarm},
};

/// Reads all three lists. Any of them missing makes the reading useless.
pub async fn read(engine: &Engine) -> Gathered<Swarm> {
    match tokio::try_join!(engine.services(), engine.tasks(), engine.nodes()) {
        Ok((services, tasks, nodes)) => Gathered::whole(swarm::read(services, tasks, nodes, shared, clock::unix_ms())),
        Err(error) => Gathered::nothing(format!("the engine could not be read: {}", fetch::chain(&error))),
    }
}

/// Whether this process is on the task's network: then the system would send from an
/// address of that network. Connecting a UDP socket sends nothing, it only asks for the route.
fn shared(attached: &Attached) -> bool {
    let any: IpAddr = match attached.address {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let own = UdpSocket::bind((any, 0)).and_then(|socket| {
        socket.connect((attached.address, 9))?;
        socket.local_addr()
    });
    own.is_ok_and(|own| attached.contains(own.ip()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_is_shared_when_this_process_has_an_address_on_it() {
        let on = |text: &str| shared(&Attached::parse(text).unwrap());
        assert!(on("127.0.0.53/8"));
        assert!(!on("203.0.113.9/24"));
    }
}
