//! Real backends: built by the test that wants them, started on loopback, killed when dropped.
//!
//! They are Go programs (sources and pinned versions under `tests/backends`), kept in
//! `target/backends`. Where Go or its modules cannot be had, the test is skipped with a loud
//! `SKIPPED`; in CI, that is a failure.

mod build;
pub mod collector;
pub mod victorialogs;

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

/// Why a backend cannot be had on this machine; not the fault of what is tested.
#[derive(Debug)]
pub struct Unavailable(pub String);

/// The backend, or None after saying `SKIPPED`.
///
/// # Panics
/// In CI, where the backend has to be had.
pub fn or_skip<T>(test: &str, backend: Result<T, Unavailable>) -> Option<T> {
    match backend {
        Ok(backend) => Some(backend),
        Err(Unavailable(reason)) => {
            crate::skip(test, &reason);
            None
        }
    }
}

/// The body of what `GET` gives. HTTP/1.0, so that the body ends with the connection.
///
/// # Errors
/// When nobody answers, or not with 200.
pub fn get(address: SocketAddr, path_and_query: &str) -> Result<String> {
    let mut connection = TcpStream::connect(address)?;
    connection.set_read_timeout(Some(Duration::from_secs(10)))?;
    write!(connection, "GET {path_and_query} HTTP/1.0\r\nhost: {address}\r\n\r\n")?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").context("the answer has no head")?;
    let status = head.split(' ').nth(1);
    ensure!(status == Some("200"), "{path_and_query} gave {head}\n{body}");
    Ok(body.to_owned())
}

/// Percent-encodes everything but letters and digits.
#[must_use]
pub fn percent_encode(text: &str) -> String {
    let encode = |byte: u8| match byte {
        b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(encode).collect()
}
