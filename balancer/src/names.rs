//! The name server that nginx asks: each question goes on to the engine's own, and from its answer those tasks are
//! taken away that are to get no requests.
//!
//! nginx follows DNS by itself, without a reload, so leaving a task out of the answer is all it takes. When the engine
//! does not answer nginx is told so, and keeps the addresses that it has.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use hickory_proto::{
    op::{Edns, Message, OpCode, ResponseCode},
    rr::RData,
};
use tokio::{net::UdpSocket, time::timeout};

use crate::{left_out::Reason, tasks::Tasks};

/// The name of all api tasks, as nginx' configuration has it.
const TASKS: &str = "tasks.api";
/// nginx waits for 2 s.
const TIMEOUT: Duration = Duration::from_secs(1);
/// What nginx takes in one datagram: some 250 addresses.
const MOST_BYTES: u16 = 4096;

/// Why the engine's name server did not help.
#[derive(Debug, thiserror::Error)]
enum NameError {
    #[error("the engine's name server cannot be asked")]
    Socket(#[from] std::io::Error),
    #[error("the engine's name server is silent")]
    Silent(#[from] tokio::time::error::Elapsed),
    #[error("the engine's name server is not understood")]
    Garbage(#[from] hickory_proto::serialize::binary::DecodeError),
    #[error("the question cannot be put")]
    Question(#[from] hickory_proto::ProtoError),
}

/// Answers nginx for as long as it is polled.
pub async fn serve(socket: UdpSocket, engine: SocketAddr, tasks: Arc<Tasks>) -> std::io::Result<()> {
    let socket = Arc::new(socket);
    let mut bytes = [0; 512];
    loop {
        let (length, from) = socket.recv_from(&mut bytes).await?;
        // What is no question gets no answer.
        let Ok(question) = Message::from_vec(&bytes[..length]) else { continue };
        let (socket, tasks) = (Arc::clone(&socket), Arc::clone(&tasks));
        tokio::spawn(async move {
            let answer = ask(engine, &question).await.unwrap_or_else(|error| {
                tracing::debug!(error = %error, "nginx keeps the addresses it has");
                failure(&question)
            });
            if let Ok(bytes) = answered(&question, answer, &tasks).to_vec() {
                let _ = socket.send_to(&bytes, from).await;
            }
        });
    }
}

/// The engine's answer to the same question.
async fn ask(engine: SocketAddr, question: &Message) -> Result<Message, NameError> {
    let mut edns = Edns::new();
    edns.set_max_payload(MOST_BYTES);
    let mut question = question.clone();
    question.set_edns(edns);
    // A socket of its own for each question: an answer that comes late meets nobody.
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).await?;
    socket.connect(engine).await?;
    socket.send(&question.to_vec()?).await?;
    let mut bytes = vec![0; MOST_BYTES.into()];
    let length = timeout(TIMEOUT, socket.recv(&mut bytes)).await??;
    Ok(Message::from_vec(&bytes[..length])?)
}

fn failure(question: &Message) -> Message {
    let mut failure = Message::error_msg(question.metadata.id, OpCode::Query, ResponseCode::ServFail);
    failure.queries.clone_from(&question.queries);
    failure
}

/// What nginx is told, having taken in which tasks there are.
fn answered(question: &Message, mut answer: Message, tasks: &Arc<Tasks>) -> Message {
    answer.metadata.id = question.metadata.id;
    // nginx did not ask for it.
    answer.edns = None;
    let about_tasks = question.queries.iter().any(|query| {
        query.query_type() == hickory_proto::rr::RecordType::A
            && query.name().to_ascii().trim_end_matches('.').eq_ignore_ascii_case(TASKS)
    });
    match answer.metadata.response_code {
        ResponseCode::NoError | ResponseCode::NXDomain if about_tasks => {
            tasks.are(answer.answers.iter().filter_map(|record| address(&record.data)).collect::<BTreeSet<_>>());
            without(answer, &tasks.left_out())
        }
        _ => answer,
    }
}

fn address(data: &RData) -> Option<Ipv4Addr> {
    if let RData::A(address) = data { Some(address.0) } else { None }
}

fn without(mut answer: Message, out: &BTreeMap<Ipv4Addr, Reason>) -> Message {
    answer.answers.retain(|record| address(&record.data).is_none_or(|address| !out.contains_key(&address)));
    answer
}
