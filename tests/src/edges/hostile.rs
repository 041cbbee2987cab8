//! Bytes that are no HTTP/1, or broken, or made to be misread. What should come of each is here as
//! well, so that nobody has to look for it.

/// What both ends' sensors should say of a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The connection is left alone, for this reason: a counter of the kernel side.
    LeftAlone(&'static str),
    /// An exchange at each end is lost, for this reason.
    Lost(&'static str),
}

/// One connection.
#[derive(Clone, Debug)]
pub struct Case {
    /// What it is.
    pub name: &'static str,
    /// What the client sends.
    pub request: Vec<u8>,
    /// What the server sends then.
    pub response: Vec<u8>,
    /// Bytes that are sent and received at once.
    pub piece: usize,
    /// What should come of it.
    pub fate: Fate,
}

const NOT_HTTP: Fate = Fate::LeftAlone("kernel.flows_not_http");
const TLS: Fate = Fate::LeftAlone("kernel.flows_tls");
const HTTP2: Fate = Fate::LeftAlone("kernel.flows_http2");
const TOO_LARGE: Fate = Fate::Lost("exchanges.lost.head_too_large");
const UNDECODABLE: Fate = Fate::Lost("exchanges.lost.undecodable");
/// The kernel side stops at a chunk that is none: for user space, bytes are missing.
const CHUNKS: Fate = Fate::Lost("exchanges.lost.gap");
const INCOMPLETE: Fate = Fate::Lost("exchanges.lost.head_incomplete");

/// A response that no span may show.
const BAIT: &[u8] = b"HTTP/1.1 299 Bait\r\nContent-Length: 0\r\n\r\n";

/// A good request.
const GOOD: &[u8] = b"GET /good HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// All of them.
pub fn cases() -> Vec<Case> {
    let case = |name, request: &[u8], response: &[u8], fate| Case {
        name,
        request: request.to_vec(),
        response: response.to_vec(),
        piece: usize::MAX,
        fate,
    };
    let noise: Vec<u8> =
        (0..4096u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 21) as u8).collect();
    let head =
        |fields: &[u8]| [b"GET /bad HTTP/1.1\r\nHost: localhost\r\n", fields, b"\r\n\r\n"].concat();
    let long = head(&[b"X-Long: ".as_slice(), &b"x".repeat(17 << 10)].concat());
    let endless =
        [b"GET /bad HTTP/1.1\r\nX-Endless: ".as_slice(), &b"x".repeat(100 << 10)].concat();
    let chunked = |body: &[u8]| {
        [b"POST /bad HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n".as_slice(), body].concat()
    };
    let mut cases = vec![
        case("noise", &noise, &noise, NOT_HTTP),
        case("zeros", &[0; 512], &[0; 512], NOT_HTTP),
        // The first bytes of what `openssl s_client` sends, RFC 8446 section 4.1.2.
        case(
            "TLS",
            &[b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".as_slice(), &noise[..512]].concat(),
            &[b"\x16\x03\x03\x00\x7a\x02\x00\x00\x76\x03\x03".as_slice(), &noise[..122]].concat(),
            TLS,
        ),
        // RFC 9113 section 3.4, and an empty SETTINGS.
        case(
            "HTTP/2",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0",
            b"\0\0\0\x04\0\0\0\0\0",
            HTTP2,
        ),
        case("SSH", b"SSH-2.0-OpenSSH_9.6\r\n", b"SSH-2.0-OpenSSH_9.6\r\n", NOT_HTTP),
        case("Redis inline", b"PING\r\n", b"+PONG\r\n", NOT_HTTP),
        case("Redis", b"*1\r\n$4\r\nPING\r\n", b"+PONG\r\n", NOT_HTTP),
        case("Redis GET", b"GET key\r\n", b"$5\r\nvalue\r\n", NOT_HTTP),
        case("HTTP/0.9", b"GET /\r\n", b"<html></html>", NOT_HTTP),
        case("another version", b"GET / HTTP/3.0\r\n\r\n", b"HTTP/3.0 200 OK\r\n\r\n", NOT_HTTP),
        case("no version", b"GET / \r\n\r\n", b"?", NOT_HTTP),
        case("a long head", &long, BAIT, TOO_LARGE),
        case("an endless head", &endless, BAIT, TOO_LARGE),
        case("half a head", b"GET /bad HTTP/1.1\r\nHost: loc", b"", INCOMPLETE),
        case("a NUL", &head(b"X-Nul: a\0b"), BAIT, UNDECODABLE),
        case("no colon", &head(b"nonsense"), BAIT, UNDECODABLE),
        case("a bad name", &head(b"a b: c"), BAIT, UNDECODABLE),
        case(
            "two lengths",
            &[&head(b"Content-Length: 3\r\nContent-Length: 4"), b"xxxx".as_slice()].concat(),
            BAIT,
            UNDECODABLE,
        ),
        case("a negative length", &head(b"Content-Length: -1"), BAIT, UNDECODABLE),
        case(
            "an endless length",
            &head(b"Content-Length: 99999999999999999999"),
            BAIT,
            UNDECODABLE,
        ),
        case("chunks of ZZ", &chunked(b"ZZ\r\nabc\r\n0\r\n\r\n"), b"", CHUNKS),
        case("chunks of no end", &chunked(b"fffffffffffffffff\r\nabc"), b"", CHUNKS),
        case("a negative chunk", &chunked(b"-3\r\nabc\r\n0\r\n\r\n"), b"", CHUNKS),
        case(
            "two lengths of an answer",
            GOOD,
            b"HTTP/1.1 299 Bait\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
            UNDECODABLE,
        ),
        case(
            "bad chunks of an answer",
            GOOD,
            b"HTTP/1.1 299 Bait\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
            UNDECODABLE,
        ),
    ];
    // Each of the short ones byte by byte as well: it may not make a difference.
    let bytewise: Vec<_> = cases
        .iter()
        .filter(|case| case.request.len() < 600)
        .map(|case| Case { piece: 1, ..case.clone() })
        .collect();
    cases.extend(bytewise);
    cases
}
