//! The name server in front of the engine's, asked as nginx asks it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::{
    collections::BTreeSet,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

use balancer::{names, probe::Prober, tasks::Tasks};
use hickory_proto::{
    op::{Message, Query, ResponseCode},
    rr::{Name, RData, Record, RecordType, rdata::A},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, UdpSocket},
};

/// An engine that has these addresses for every name but one.
async fn engine(addresses: &'static [[u8; 4]]) -> SocketAddr {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut bytes = [0; 512];
        loop {
            let (length, from) = socket.recv_from(&mut bytes).await.unwrap();
            let question = Message::from_vec(&bytes[..length]).unwrap();
            assert_eq!(question.edns.as_ref().map(|edns| edns.max_payload()), Some(4096));
            let name = question.queries[0].name().clone();
            let mut answer = question.into_response();
            if name.to_ascii() == "nothing." {
                answer.metadata.response_code = ResponseCode::NXDomain;
            } else {
                for address in addresses {
                    let address = RData::A(A(Ipv4Addr::from(*address)));
                    answer.add_answer(Record::from_rdata(name.clone(), 600, address));
                }
            }
            socket.send_to(&answer.to_vec().unwrap(), from).await.unwrap();
        }
    });
    address
}

/// A task that answers, on the port that all have.
async fn task(address: [u8; 4], port: u16) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::from(address), port)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let mut bytes = [0; 1024];
                while stream.read(&mut bytes).await.is_ok_and(|length| length > 0) {
                    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await.unwrap();
                }
            });
        }
    });
    port
}

async fn companion(engine: SocketAddr, port: u16) -> SocketAddr {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(names::serve(socket, engine, Arc::new(Tasks::new(Prober::new(port).unwrap()))));
    address
}

/// As nginx asks: no EDNS, an id of its own.
async fn ask(companion: SocketAddr, name: &str) -> (ResponseCode, BTreeSet<Ipv4Addr>) {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let mut question = Message::query();
    question.metadata.id = 4711;
    question.add_query(Query::query(Name::from_ascii(name).unwrap(), RecordType::A));
    socket.send_to(&question.to_vec().unwrap(), companion).await.unwrap();
    let mut bytes = [0; 4096];
    let length = tokio::time::timeout(Duration::from_secs(2), socket.recv(&mut bytes)).await.unwrap().unwrap();
    let answer = Message::from_vec(&bytes[..length]).unwrap();
    assert_eq!((answer.metadata.id, answer.queries.len()), (4711, 1));
    let addresses = answer.answers.iter().filter_map(|record| match &record.data {
        RData::A(address) => Some(address.0),
        _ => None,
    });
    (answer.metadata.response_code, addresses.collect())
}

fn addresses(last: &[u8]) -> BTreeSet<Ipv4Addr> {
    last.iter().map(|last| Ipv4Addr::new(127, 0, 0, *last)).collect()
}

#[tokio::test]
async fn a_task_that_does_not_answer_is_not_among_the_addresses() {
    let port = task([127, 0, 0, 1], 0).await;
    task([127, 0, 0, 3], port).await;
    let companion = companion(engine(&[[127, 0, 0, 1], [127, 0, 0, 2], [127, 0, 0, 3]]).await, port).await;
    let start = Instant::now();
    while ask(companion, "tasks.api").await.1 != addresses(&[1, 3]) {
        assert!(start.elapsed() < Duration::from_secs(5), "it is still there");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(ask(companion, "TASKS.API.").await.1, addresses(&[1, 3]), "whatever the case");
    assert_eq!(ask(companion, "metrics-collector").await.1, addresses(&[1, 2, 3]), "other names are passed on");
}

#[tokio::test]
async fn what_the_engine_does_not_know_nginx_is_told() {
    let companion = companion(engine(&[]).await, 9).await;
    assert_eq!(ask(companion, "nothing").await, (ResponseCode::NXDomain, BTreeSet::new()));
    assert_eq!(ask(companion, "tasks.api").await, (ResponseCode::NoError, BTreeSet::new()));
}

#[tokio::test]
async fn while_the_engine_is_silent_nginx_keeps_what_it_has() {
    let silent = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let companion = companion(silent.local_addr().unwrap(), 9).await;
    assert_eq!(ask(companion, "tasks.api").await.0, ResponseCode::ServFail);
}
