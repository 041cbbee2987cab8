//! Frames and header blocks as an endpoint writes them, for tests.

/// What the static table (RFC 7541 appendix A) has of what the tests say.
const STATIC: [(u8, &str, &str); 22] = [
    (1, ":authority", ""),
    (2, ":method", "GET"),
    (3, ":method", "POST"),
    (4, ":path", "/"),
    (6, ":scheme", "http"),
    (7, ":scheme", "https"),
    (8, ":status", "200"),
    (9, ":status", "204"),
    (10, ":status", "206"),
    (11, ":status", "304"),
    (12, ":status", "400"),
    (13, ":status", "404"),
    (14, ":status", "500"),
    (28, "content-length", ""),
    (31, "content-type", ""),
    (32, "cookie", ""),
    (38, "host", ""),
    (54, "server", ""),
    (58, "user-agent", ""),
    (59, "vary", ""),
    (60, "via", ""),
    (61, "www-authenticate", ""),
];

/// Flags.
pub(super) const END_STREAM: u8 = 1;
pub(super) const END_HEADERS: u8 = 4;

/// One end of a connection: its encoder, with a table of 4,096 bytes.
#[derive(Clone, Debug, Default)]
pub(super) struct Endpoint {
    /// Newest first.
    table: Vec<(String, String)>,
}

impl Endpoint {
    /// A header block. Everything is indexed that can be, except what begins with `!`.
    pub(super) fn block(&mut self, fields: &[(&str, &str)]) -> Vec<u8> {
        let mut block = Vec::new();
        for &(name, value) in fields {
            let (name, indexed) = match name.strip_prefix('!') {
                Some(name) => (name, false),
                None => (name, true),
            };
            let whole = STATIC.iter().find(|(_, n, v)| (*n, *v) == (name, value)).map(|it| it.0);
            let held = self.table.iter().position(|(n, v)| (&**n, &**v) == (name, value));
            let held = held.map(|at| u8::try_from(at + 62).unwrap());
            if let Some(index) = whole.filter(|_| !value.is_empty()).or(held) {
                integer(&mut block, 0x80, 7, usize::from(index));
                continue;
            }
            let named = STATIC.iter().find(|(_, n, _)| *n == name).map(|it| usize::from(it.0));
            let held = self.table.iter().position(|(n, _)| n == name).map(|at| at + 62);
            let index = named.or(held).unwrap_or(0);
            if indexed {
                integer(&mut block, 0x40, 6, index);
            } else {
                integer(&mut block, 0, 4, index);
            }
            if index == 0 {
                string(&mut block, name);
            }
            string(&mut block, value);
            if indexed {
                self.insert(name, value);
            }
        }
        block
    }

    fn insert(&mut self, name: &str, value: &str) {
        self.table.insert(0, (name.to_owned(), value.to_owned()));
        let size = |(name, value): &(String, String)| name.len() + value.len() + 32;
        while self.table.iter().map(size).sum::<usize>() > 4096 {
            self.table.pop();
        }
    }

    /// HEADERS, whole.
    pub(super) fn headers(&mut self, stream: u32, end: bool, fields: &[(&str, &str)]) -> Vec<u8> {
        let block = self.block(fields);
        frame(1, END_HEADERS | if end { END_STREAM } else { 0 }, stream, &block)
    }
}

fn integer(block: &mut Vec<u8>, first: u8, bits: u32, value: usize) {
    let max = (1 << bits) - 1;
    if value < max {
        block.push(first | u8::try_from(value).unwrap());
        return;
    }
    block.push(first | u8::try_from(max).unwrap());
    let mut rest = value - max;
    while rest >= 128 {
        block.push(u8::try_from(rest % 128).unwrap() | 0x80);
        rest /= 128;
    }
    block.push(u8::try_from(rest).unwrap());
}

fn string(block: &mut Vec<u8>, text: &str) {
    integer(block, 0, 7, text.len());
    block.extend_from_slice(text.as_bytes());
}

pub(super) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

pub(super) fn data(stream: u32, end: bool, payload: &[u8]) -> Vec<u8> {
    frame(0, u8::from(end), stream, payload)
}

pub(super) fn reset(stream: u32, code: u32) -> Vec<u8> {
    frame(3, 0, stream, &code.to_be_bytes())
}

pub(super) fn goaway(last: u32, code: u32) -> Vec<u8> {
    frame(7, 0, 0, &[last.to_be_bytes(), code.to_be_bytes()].concat())
}

/// What a client begins with.
pub(super) fn preface() -> Vec<u8> {
    [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &frame(4, 0, 0, b"\0\x03\0\0\0\x64")].concat()
}

/// What a server begins with.
pub(super) fn settings() -> Vec<u8> {
    frame(4, 0, 0, b"\0\x04\0\x01\0\0")
}

/// A message of gRPC.
pub(super) fn message(compressed: bool, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&[u8::from(compressed)], &length[..], payload].concat()
}
