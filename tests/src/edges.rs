//! What `sensor-workload` and the tests that trace it have in common: exchanges whose every value
//! follows from a number, so that a span that mixes up two of them shows.

#![expect(clippy::panic, reason = "this is how a test fails")]

pub mod calls;
pub mod control;
pub mod driver;
pub mod hostile;
pub mod inside;
pub mod peer;
pub mod raw;
pub mod spans;
pub mod uring;

use std::fmt::Write as _;

use anyhow::{Context as _, Result, ensure};

/// Statuses that follow from a marker; each class that a span treats in its own way is there.
const STATUSES: [u16; 7] = [200, 201, 206, 404, 418, 500, 503];

/// An exchange that is told by its number alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Marker(pub u64);

impl Marker {
    /// `url.path`
    pub fn path(self) -> String {
        format!("/marker/{}", self.0)
    }

    /// The marker of a path, if it is one.
    pub fn of_path(path: &str) -> Option<Self> {
        path.strip_prefix("/marker/")?.parse().ok().map(Self)
    }

    /// `user_agent.original`
    pub fn agent(self) -> String {
        format!("agent-{}", self.0)
    }

    /// The trace that the request belongs to.
    pub fn trace_id(self) -> String {
        format!("{:032x}", u128::from(self.0) << 64 | 0xabcd)
    }

    /// The span that the request comes from.
    pub fn parent_id(self) -> String {
        format!("{:016x}", self.0 << 16 | 0xef)
    }

    /// `http.response.status_code`
    pub fn status(self) -> u16 {
        STATUSES[(self.0 % STATUSES.len() as u64) as usize]
    }

    /// Bytes of the request's body; more than none.
    pub fn request_body_size(self) -> usize {
        1 + (self.0 * 37 % 331) as usize
    }

    /// Bytes of the response's body; more than none.
    pub fn response_body_size(self) -> usize {
        1 + (self.0 * 101 % 2999) as usize
    }

    /// The request's head.
    pub fn request_head(self) -> Vec<u8> {
        format!(
            "POST {} HTTP/1.1\r\nHost: localhost\r\nUser-Agent: {}\r\ntraceparent: 00-{}-{}-01\r\n\
             Content-Length: {}\r\n\r\n",
            self.path(),
            self.agent(),
            self.trace_id(),
            self.parent_id(),
            self.request_body_size()
        )
        .into_bytes()
    }

    /// The request, whole.
    pub fn request(self) -> Vec<u8> {
        let mut request = self.request_head();
        request.extend(body(self.request_body_size()));
        request
    }

    /// The response's head.
    pub fn response_head(self) -> Vec<u8> {
        let (status, size) = (self.status(), self.response_body_size());
        format!("HTTP/1.1 {status} X\r\nX-Marker: {}\r\nContent-Length: {size}\r\n\r\n", self.0)
            .into_bytes()
    }

    /// The response's body.
    pub fn response_body(self) -> Vec<u8> {
        body(self.response_body_size())
    }
}

/// A body that says what no span may say, should it be taken for a head.
pub fn body(size: usize) -> Vec<u8> {
    const BAIT: &[u8] =
        b"HTTP/1.1 299 Bait\r\nContent-Length: 0\r\n\r\nGET /bait HTTP/1.1\r\nHost: bait\r\n\r\n";
    BAIT.iter().copied().cycle().take(size).collect()
}

/// The first line of a head, and its `Content-Length` (0 without one).
///
/// # Errors
/// When it has neither.
pub fn read_head(head: &[u8]) -> Result<(String, usize)> {
    let text = std::str::from_utf8(head).context("a head that is no text")?;
    let mut lines = text.split("\r\n");
    let first = lines.next().unwrap_or_default().to_owned();
    ensure!(first.contains("HTTP/1.1"), "no start line: {first:?}");
    let length = lines
        .filter_map(|line| line.split_once(": "))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .map_or(Ok(0), |(_, value)| value.parse())
        .with_context(|| format!("in {text:?}"))?;
    Ok((first, length))
}

/// A list as the control channel has it: `1 2 3`.
pub fn list(markers: impl IntoIterator<Item = Marker>) -> String {
    markers.into_iter().fold(String::new(), |mut text, marker| {
        let space = if text.is_empty() { "" } else { " " };
        // Writing to a string cannot fail.
        let _ = write!(text, "{space}{}", marker.0);
        text
    })
}
