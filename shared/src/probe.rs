//! The `healthcheck` subcommand: one GET, exit 0 on 200.
//!
//! The engine starts it in the container every few seconds, so it uses neither a runtime
//! nor an HTTP client.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    process::ExitCode,
    time::Duration,
};

const TIMEOUT: Duration = Duration::from_secs(3);

/// Asks this container's own server on `port` for `path`.
#[must_use]
pub fn run(port: u16, path: &str) -> ExitCode {
    match status_line(port, path) {
        Ok(line) if line.split(' ').nth(1) == Some("200") => ExitCode::SUCCESS,
        Ok(line) => fail(&format!("{path} answered: {line}")),
        Err(error) => fail(&format!("{path} on port {port}: {error}")),
    }
}

fn status_line(port: u16, path: &str) -> std::io::Result<String> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut head = [0; 256];
    let n = stream.read(&mut head)?;
    let head = String::from_utf8_lossy(&head[..n]);
    Ok(head.lines().next().unwrap_or_default().to_owned())
}

fn fail(text: &str) -> ExitCode {
    // The engine keeps a probe's output and shows it in `docker inspect`.
    let _ = writeln!(std::io::stderr(), "unhealthy: {text}");
    ExitCode::FAILURE
}
