//! An accept loop that can always be stopped.
//!
//! `axum::serve` waits for ever for a client that sent half a header; this loop bounds
//! the head's time, drains before it stops accepting, and ends at a deadline.

use std::{io, net::SocketAddr, time::Duration};

use axum::{
    Router,
    http::{HeaderValue, header},
    middleware::map_response,
    response::Response,
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
    service::TowerToHyperService,
};
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// How long each part of a connection's and the server's end may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// For a whole request head, the idle time before it included. Behind a balancer it must
    /// exceed the balancer's idle time, or requests meet a connection that is just closing.
    pub head: Duration,
    /// Still accepting after the signal: the time until balancers stop sending.
    pub drain: Duration,
    /// For requests in flight after that.
    pub deadline: Duration,
    /// For a client that is there and does not read: answers that never end (events) would
    /// otherwise wait for it for ever. Also ends connections whose other end is gone.
    pub unread: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head: Duration::from_secs(10),
            drain: Duration::ZERO,
            deadline: Duration::from_secs(3),
            unread: Duration::from_secs(30),
        }
    }
}

/// Listens with a backlog that survives a burst (Tokio's own is 128).
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(4096)?;
    TcpListener::from_std(socket.into())
}

/// Serves until `stop` is cancelled, then drains, finishes what is in flight, and returns.
pub async fn serve(listener: TcpListener, app: Router, limits: Limits, stop: CancellationToken) {
    // From the signal on, each answer asks its client to come back elsewhere.
    let stopping = stop.clone();
    let app = app.layer(map_response(move |mut response: Response| {
        if stopping.is_cancelled() {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        std::future::ready(response)
    }));
    let graceful = GracefulShutdown::new();
    let drained = async {
        stop.cancelled().await;
        tokio::time::sleep(limits.drain).await;
    };
    tokio::pin!(drained);
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    let _ = stream.set_nodelay(true);
                    let _ = SockRef::from(&stream).set_tcp_user_timeout(Some(limits.unread));
                    let mut http = hyper::server::conn::http1::Builder::new();
                    http.timer(TokioTimer::new()).header_read_timeout(limits.head);
                    let service = TowerToHyperService::new(app.clone());
                    let connection = graceful.watch(http.serve_connection(TokioIo::new(stream), service));
                    tokio::spawn(async move {
                        if let Err(error) = connection.await {
                            tracing::debug!(%error, "connection ended early");
                        }
                    });
                }
                Err(error) => {
                    // Out of file descriptors, most likely: retrying at once would spin.
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            },
            () = &mut drained => break,
        }
    }
    drop(listener);
    if tokio::time::timeout(limits.deadline, graceful.shutdown()).await.is_err() {
        tracing::warn!(deadline_seconds = limits.deadline.as_secs_f64(), "stopping with requests still open");
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use axum::routing::get;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpStream,
    };

    use super::*;

    async fn start(limits: Limits) -> (SocketAddr, CancellationToken, tokio::task::JoinHandle<()>) {
        let listener = bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let address = listener.local_addr().unwrap();
        let slow = || async {
            tokio::time::sleep(Duration::from_millis(400)).await;
            "done"
        };
        let app = Router::new().route("/slow", get(slow)).route("/", get(|| async { "ok" }));
        let stop = CancellationToken::new();
        (address, stop.clone(), tokio::spawn(serve(listener, app, limits, stop)))
    }

    async fn ask(address: SocketAddr, head: &str) -> TcpStream {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        stream
    }

    async fn answer(mut stream: TcpStream) -> String {
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        text
    }

    #[tokio::test]
    async fn a_request_in_flight_is_finished_and_told_to_close() {
        let (address, stop, server) = start(Limits::default()).await;
        let stream = ask(address, "GET /slow HTTP/1.1\r\nHost: x\r\n\r\n").await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        stop.cancel();
        let text = answer(stream).await;
        assert!(text.ends_with("done") && text.contains("connection: close"), "{text}");
        server.await.unwrap();
        assert!(TcpStream::connect(address).await.is_err());
    }

    #[tokio::test]
    async fn a_client_with_half_a_header_does_not_hold_the_server() {
        let limits = Limits { deadline: Duration::from_millis(300), ..Limits::default() };
        let (address, stop, server) = start(limits).await;
        let _half = ask(address, "GET / HTTP/1.1\r\nHo").await;
        let whole = ask(address, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
        assert!(answer(whole).await.ends_with("ok"));
        stop.cancel();
        tokio::time::timeout(Duration::from_secs(2), server).await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_client_that_does_not_read_is_cut_off() {
        let (ended, mut end) = tokio::sync::mpsc::channel::<()>(1);
        let endless = move || {
            let ended = ended.clone();
            async move {
                axum::body::Body::from_stream(futures_util::stream::unfold(ended, |ended| async {
                    Some((Ok::<_, io::Error>(vec![b'x'; 65_536]), ended))
                }))
            }
        };
        let listener = bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let (address, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
        let limits = Limits { unread: Duration::from_secs(1), ..Limits::default() };
        let app = Router::new().route("/", get(endless));
        let server = tokio::spawn(serve(listener, app, limits, stop.clone()));
        let _deaf = ask(address, "GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
        // The handler keeps one sender; the stream's goes when its connection ends.
        stop.cancel();
        tokio::time::timeout(Duration::from_secs(20), server).await.unwrap().unwrap();
        tokio::time::timeout(Duration::from_secs(20), end.recv()).await.unwrap();
    }

    #[tokio::test]
    async fn while_draining_new_connections_are_still_served() {
        let limits = Limits { drain: Duration::from_millis(500), ..Limits::default() };
        let (address, stop, server) = start(limits).await;
        stop.cancel();
        let stream = ask(address, "GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
        assert!(answer(stream).await.ends_with("ok"));
        server.await.unwrap();
    }
}
