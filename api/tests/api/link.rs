//! The network between the API and one of its servers, with an end that a test can pull.
//!
//! Each test has links of its own, so that tests can share servers and still lose them.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
};

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    /// Connections stand and nothing passes, as with a server that is frozen.
    Frozen,
    /// Connections end, as with a server that is gone.
    Cut,
}

pub(crate) struct Link {
    /// What the API takes for its server.
    pub(crate) address: SocketAddr,
    state: watch::Sender<State>,
}

impl Link {
    pub(crate) async fn to(server: SocketAddr) -> Self {
        Self::between(SocketAddr::from(([127, 0, 0, 1], 0)), server).await
    }

    /// With an address of the test's choice, where the system finds a port for 0.
    pub(crate) async fn between(address: SocketAddr, server: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (state, states) = watch::channel(State::Open);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(relay(client, server, states.clone()));
            }
        });
        Self { address, state }
    }

    pub(crate) fn open(&self) {
        self.state.send_replace(State::Open);
    }

    pub(crate) fn freeze(&self) {
        self.state.send_replace(State::Frozen);
    }

    pub(crate) fn cut(&self) {
        self.state.send_replace(State::Cut);
    }
}

async fn relay(client: TcpStream, server: SocketAddr, mut states: watch::Receiver<State>) {
    if *states.borrow() == State::Cut {
        return;
    }
    let Ok(server) = TcpStream::connect(server).await else { return };
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::select! {
        () = pump(from_client, to_server, states.clone()) => {}
        () = pump(from_server, to_client, states.clone()) => {}
        _ = states.wait_for(|state| *state == State::Cut) => {}
    }
}

async fn pump(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut states: watch::Receiver<State>) {
    let mut buffer = [0; 16 * 1024];
    while let Ok(n @ 1..) = from.read(&mut buffer).await {
        let thawed = states.wait_for(|state| *state != State::Frozen).await.is_ok();
        if !thawed || to.write_all(&buffer[..n]).await.is_err() {
            return;
        }
    }
}
