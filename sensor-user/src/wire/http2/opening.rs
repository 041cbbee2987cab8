//! Do the first bytes of a connection open HTTP/2?
//!
//! The bias: to say no. Only the client's preface is a yes, all 24 bytes of it: it was made so that
//! nothing else begins like that (RFC 9113 section 3.4). What a server sends first, SETTINGS, is
//! nine bytes of which few are free, but other protocols begin with zeros too: so it is no more than
//! a reason to wait for what the client says. (A server need not wait for the client's preface, so
//! its SETTINGS may be seen first.)

use super::frame::{FrameHeader, HEADER, LENGTH_DEFAULT, PREFACE, Type};

/// What the first bytes of a direction are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening {
    /// Could still be either.
    NeedMore,
    /// A client's preface.
    Client,
    /// What a server would begin with.
    MaybeServer,
    /// Neither, whatever follows.
    Neither,
}

/// Judges the first bytes of a direction.
pub fn opening(prefix: &[u8]) -> Opening {
    let n = prefix.len().min(PREFACE.len());
    if prefix[..n] == PREFACE[..n] {
        return if n == PREFACE.len() { Opening::Client } else { Opening::NeedMore };
    }
    // A SETTINGS frame of up to 16,384 bytes, no ACK, on stream 0.
    let fixed = |at: usize, value: u8| prefix.get(at).is_none_or(|byte| *byte == value);
    let possible = fixed(0, 0)
        && prefix.get(1).is_none_or(|byte| *byte <= 0x40)
        && fixed(3, 4)
        && (4..HEADER).all(|at| fixed(at, 0));
    match prefix.first_chunk() {
        _ if !possible => Opening::Neither,
        None => Opening::NeedMore,
        Some(bytes) => {
            let header = FrameHeader::new(bytes);
            let settings = header.kind == Type::Settings && header.check().is_ok();
            if settings && header.length <= LENGTH_DEFAULT {
                Opening::MaybeServer
            } else {
                Opening::Neither
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every prefix of `bytes` shorter than `at` is undecided; from there on the answer stands.
    fn every_prefix(bytes: &[u8], at: usize, answer: Opening) {
        for length in 0..=bytes.len() {
            let expected = if length < at { Opening::NeedMore } else { answer };
            assert_eq!(opening(&bytes[..length]), expected, "{length} of {bytes:02x?}");
        }
    }

    #[test]
    fn clients_on_every_prefix() {
        // RFC 9113 section 3.4, in hexadecimal as it is there.
        let preface = 0x5052_4920_2a20_4854_5450_2f32_u128.to_be_bytes()[4..].to_vec();
        let preface = [preface, 0x2e30_0d0a_0d0a_534d_0d0a_0d0a_u128.to_be_bytes()[4..].to_vec()];
        let mut bytes = preface.concat();
        bytes.extend_from_slice(b"\0\0\0\x04\0\0\0\0\0");
        every_prefix(&bytes, 24, Opening::Client);
    }

    #[test]
    fn servers_on_every_prefix() {
        every_prefix(b"\0\0\0\x04\0\0\0\0\0\0\0\0\x04\x01", 9, Opening::MaybeServer);
        every_prefix(b"\0\0\x12\x04\0\0\0\0\0\0\x03\0\0\0\x64", 9, Opening::MaybeServer);
    }

    #[test]
    fn others_on_every_prefix() {
        for (bytes, at) in [
            (&b"POST / HTTP/1.1\r\n"[..], 2),
            (b"PRI * HTTP/1.1\r\n\r\n", 12),
            (b"PRI * HTTP/2.0\r\n\r\nSN", 20),
            (b"PROPFIND / HTTP/1.1\r\n", 3),
            // TLS, SSH, MySQL's greeting, PostgreSQL, Kafka, MongoDB, an SMB session.
            (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc", 1),
            (b"SSH-2.0-OpenSSH_9.2\r\n", 1),
            (b"\x4a\0\0\0\x0a8.0.36\0", 1),
            (b"\0\0\0\x08\x04\xd2\x16\x2f", 4),
            (b"\0\0\0\x43\0\x03\0\x0c\0\0\0\0", 4),
            (b"\x3f\0\0\0\x01\0\0\0", 1),
            (b"\0\0\0\x85\xffSMB", 4),
            // A SETTINGS that is an answer, on a stream, of an odd or an excessive length.
            (b"\0\0\0\x04\x01\0\0\0\0", 5),
            (b"\0\0\x06\x04\0\0\0\0\x01", 9),
            (b"\0\0\x05\x04\0\0\0\0\0", 9),
            (b"\0\x41\x06\x04\0\0\0\0\0", 2),
            (b"\0\x40\x0e\x04\0\0\0\0\0", 9),
        ] {
            every_prefix(bytes, at, Opening::Neither);
        }
    }
}
