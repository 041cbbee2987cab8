//! Is this the beginning of an HTTP/1 message?
//!
//! The bias: to say no. A yes starts a decoder on the connection, and a wrong yes makes nonsense
//! spans; a wrong no loses (and counts) one connection. So a request is one only when its whole
//! request line is there and is right, up to the version and the line's end: `GET ` alone opens
//! memcached requests, and any token opens IRC. A response is one when its version and its status
//! code are there. Nothing else ever opens like that: no token holds the `/` of `HTTP/`.

use super::{Kind, is_target, is_token};

/// Longest method that is taken for one, in bytes. The longest registered is `UPDATEREDIRECTREF`
/// (17); binary protocols that happen to open with token characters are given up early.
const METHOD_MAX: u8 = 64;

const RESPONSE: &[u8] = b"HTTP/1.";
const VERSION: &[u8] = b"HTTP/1.";

/// What a prefix of a stream is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detection {
    /// Could still be either.
    NeedMore,
    /// The start of a message.
    Http(Kind),
    /// Not the start of an HTTP/1 message, whatever follows.
    NotHttp,
}

/// Looks at a stream byte by byte.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Detector(Step);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Step {
    #[default]
    First,
    /// Bytes of [`RESPONSE`] matched; up to the fourth it could still be a method.
    Http(u8),
    ResponseMinor,
    ResponseSpace,
    /// Digits of the status code seen.
    Status(u8),
    Method(u8),
    TargetFirst,
    Target,
    /// Bytes of [`VERSION`] matched.
    Version(u8),
    RequestMinor,
    LineEnd,
    LineFeed,
    No,
}

impl Detector {
    /// No byte was seen yet.
    pub fn is_fresh(self) -> bool {
        self.0 == Step::First
    }

    /// A method was seen, and at least a part of a target.
    pub fn in_target(self) -> bool {
        matches!(self.0, Step::Target)
    }

    /// Takes the next byte. After an answer other than [`Detection::NeedMore`] the detector is
    /// spent.
    pub fn push(&mut self, byte: u8) -> Detection {
        let next = match self.0 {
            Step::First if byte == RESPONSE[0] => Step::Http(1),
            Step::First if is_token(byte) => Step::Method(1),
            Step::Http(n) if RESPONSE.get(usize::from(n)) == Some(&byte) => {
                if usize::from(n) + 1 == RESPONSE.len() {
                    Step::ResponseMinor
                } else {
                    Step::Http(n + 1)
                }
            }
            // Not the word after all: a method that begins like it, such as HEAD.
            Step::Http(n) if n <= 4 && is_token(byte) => Step::Method(n + 1),
            Step::Http(n) if n <= 4 && byte == b' ' => Step::TargetFirst,
            Step::ResponseMinor if byte.is_ascii_digit() => Step::ResponseSpace,
            Step::ResponseSpace if byte == b' ' => Step::Status(0),
            Step::Status(0) if (b'1'..=b'9').contains(&byte) => Step::Status(1),
            Step::Status(1) if byte.is_ascii_digit() => Step::Status(2),
            Step::Status(2) if byte.is_ascii_digit() => return Detection::Http(Kind::Response),
            Step::Method(n) if n < METHOD_MAX && is_token(byte) => Step::Method(n + 1),
            Step::Method(_) if byte == b' ' => Step::TargetFirst,
            Step::TargetFirst | Step::Target if is_target(byte) => Step::Target,
            Step::Target if byte == b' ' => Step::Version(0),
            Step::Version(n) if VERSION.get(usize::from(n)) == Some(&byte) => {
                if usize::from(n) + 1 == VERSION.len() {
                    Step::RequestMinor
                } else {
                    Step::Version(n + 1)
                }
            }
            Step::RequestMinor if byte.is_ascii_digit() => Step::LineEnd,
            Step::LineEnd if byte == b'\r' => Step::LineFeed,
            Step::LineEnd | Step::LineFeed if byte == b'\n' => {
                return Detection::Http(Kind::Request);
            }
            _ => Step::No,
        };
        self.0 = next;
        if next == Step::No { Detection::NotHttp } else { Detection::NeedMore }
    }
}

/// What the first bytes of a stream are. Empty lines before them are passed over, as RFC 9112
/// section 2.2 asks of servers.
pub fn detect(prefix: &[u8]) -> Detection {
    let mut detector = Detector::default();
    for &byte in prefix {
        if detector.is_fresh() && matches!(byte, b'\r' | b'\n') {
            continue;
        }
        match detector.push(byte) {
            Detection::NeedMore => {}
            answer => return answer,
        }
    }
    Detection::NeedMore
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every prefix of `message` shorter than `at` is undecided; from there on the answer stands.
    fn every_prefix(message: &[u8], at: usize, answer: Detection) {
        for length in 0..=message.len() {
            let expected = if length < at { Detection::NeedMore } else { answer };
            assert_eq!(detect(&message[..length]), expected, "{length} of {message:?}");
        }
    }

    #[test]
    fn requests_on_every_prefix() {
        for line in [
            "GET / HTTP/1.1\r\n",
            "GET / HTTP/1.0\n",
            "HEAD /a?b=c HTTP/1.1\r\n",
            "H /a HTTP/1.1\r\n",
            "HTTP / HTTP/1.1\r\n",
            "HTTPX / HTTP/1.1\r\n",
            "OPTIONS * HTTP/1.1\r\n",
            "CONNECT example.com:443 HTTP/1.1\r\n",
            "GET http://example.com/x HTTP/1.1\r\n",
            "VERSION-CONTROL /\u{e9} HTTP/1.1\r\n",
            "\r\n\nGET / HTTP/1.1\r\n",
        ] {
            let message = format!("{line}Host: a\r\n\r\n");
            every_prefix(message.as_bytes(), line.len(), Detection::Http(Kind::Request));
        }
    }

    #[test]
    fn responses_on_every_prefix() {
        every_prefix(b"HTTP/1.1 200 OK\r\n\r\n", 12, Detection::Http(Kind::Response));
        every_prefix(b"HTTP/1.0 404\r\n\r\n", 12, Detection::Http(Kind::Response));
    }

    #[test]
    fn others_on_every_prefix() {
        for (message, at) in [
            // RFC 9113 section 3.4
            (&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], 12),
            (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc", 1),
            (b"SSH-2.0-OpenSSH_9.2\r\n", 20),
            (b"*1\r\n$4\r\nPING\r\n", 3),
            (b"get key\r\n", 8),
            (b"EHLO mail.example.com\r\n", 22),
            (b"220 mail.example.com ESMTP\r\n", 22),
            (b"GET /\r\n", 6),
            (b"GET / HTTP/1.1 \r\n", 15),
            (b"GET  / HTTP/1.1\r\n", 5),
            (b"GET / HTTP/1.12\r\n", 15),
            (b"GET / http/1.1\r\n", 7),
            (b"HTTP/2 200\r\n", 6),
            (b"HTTP/1.1 2x0\r\n", 11),
            (b"HTTP/1.1 020\r\n", 10),
            (b"RTSP/1.0 200 OK\r\n", 5),
            (b" GET / HTTP/1.1\r\n", 1),
            (b"\x00\x00\x00\x85\xffSMB", 1),
        ] {
            every_prefix(message, at, Detection::NotHttp);
        }
        let long = [b'A'; 65];
        every_prefix(&long, 65, Detection::NotHttp);
    }
}
