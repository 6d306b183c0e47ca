//! A TCP server with bad manners, whatever protocol its clients speak.

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::AsyncWriteExt as _,
    net::{TcpSocket, TcpStream},
    task::JoinHandle,
};

/// What it does to a client.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Manners {
    /// The connection never comes about.
    Unreachable,
    /// Takes the connection and says nothing.
    Silent,
    /// Promises an answer, and sends a byte of it now and then.
    Slow,
    /// Answers at once, with what no protocol allows.
    Garbage,
}

/// It is there until dropped.
pub(crate) struct BadServer {
    pub(crate) address: SocketAddr,
    server: JoinHandle<()>,
    _queued: Vec<TcpStream>,
}

impl BadServer {
    pub(crate) async fn start(manners: Manners) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(if manners == Manners::Unreachable { 0 } else { 64 }).unwrap();
        let address = listener.local_addr().unwrap();
        // Connections that nobody takes fill the queue; from then on the kernel ignores more.
        let mut queued = Vec::new();
        if manners == Manners::Unreachable {
            let connect = || tokio::time::timeout(Duration::from_millis(100), TcpStream::connect(address));
            while let Ok(connection) = connect().await {
                queued.push(connection.unwrap());
            }
        }
        let server = tokio::spawn(async move {
            if manners == Manners::Unreachable {
                return std::future::pending().await;
            }
            loop {
                let (client, _) = listener.accept().await.unwrap();
                tokio::spawn(answer(client, manners));
            }
        });
        Self { address, server, _queued: queued }
    }
}

async fn answer(mut client: TcpStream, manners: Manners) {
    match manners {
        Manners::Unreachable | Manners::Silent => std::future::pending().await,
        Manners::Slow => {
            let _ = client.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n").await;
            while client.write_all(b" ").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        Manners::Garbage => {
            let _ = client.write_all(&b"\x00\xff{[<garbage>\r\n".repeat(100)).await;
        }
    }
}

impl Drop for BadServer {
    fn drop(&mut self) {
        self.server.abort();
    }
}
