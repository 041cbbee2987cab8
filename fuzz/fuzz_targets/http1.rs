//! Any bytes in any pieces, with any gaps, are messages or a failure; what is told is in the order of
//! the stream and within it; and without gaps it is the same for every cut.
//!
//! The first byte says what is asked for, the next ones how the rest is cut.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sensor::capture::event::Monotonic;
use sensor::stream::Piece;
use sensor::wire::http1::{
    Asked, At, Body, Decoder, Failure, Head, Kind, MessageEnd, Sink, StartLine,
};

/// Longest head, small enough to be reached.
const HEAD_MAX: u32 = 512;

/// Checks what it hears, and keeps what may not depend on the cut.
struct Heard {
    asked: Asked,
    log: Vec<String>,
    /// Bytes of the stream that were fed so far.
    fed: u64,
    /// Where the last thing that was told is.
    last: u64,
    state: State,
    over: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Between,
    Head(Kind, u64),
    Body,
    /// After the head of a response to who knows what: its end may be told or not.
    Unknown,
}

impl Heard {
    fn new(asked: Asked) -> Self {
        let (log, state) = (Vec::new(), State::Between);
        Self { asked, log, fed: 0, last: 0, state, over: false }
    }

    fn note(&mut self, text: String) {
        assert!(!self.over, "told after the end: {text}");
        self.log.push(text);
    }
}

impl Sink for Heard {
    fn start(&mut self, kind: Kind, first: At) {
        assert!(matches!(self.state, State::Between | State::Unknown), "{:?}", self.state);
        assert!(self.last <= first.position && first.position < self.fed);
        self.last = first.position;
        self.state = State::Head(kind, first.position);
        self.note(format!("start {kind:?} {}", first.position));
    }

    fn head(&mut self, head: &Head<'_>, first: At, last: At) -> Asked {
        let kind = match head.line {
            StartLine::Request { method, target, minor } => {
                assert!(!method.is_empty() && !target.is_empty() && minor <= 9);
                assert_ne!(head.body, Body::UntilClose, "a request has an end");
                Kind::Request
            }
            StartLine::Response { status, minor } => {
                assert!((100..=999).contains(&status) && minor <= 9);
                Kind::Response
            }
        };
        match self.state {
            State::Head(started, position) => {
                assert_eq!((started, position), (kind, first.position));
            }
            // An interim response is followed by another one.
            state => panic!("{state:?}"),
        }
        assert!(first.position <= last.position && last.position < self.fed);
        assert_eq!(last.position - first.position + 1, head.raw.len() as u64);
        assert!(head.raw.len() <= HEAD_MAX as usize);
        assert!(head.raw.ends_with(b"\n"));
        for field in head.fields() {
            assert!(!field.name.is_empty() && !field.value.contains(&0));
        }
        self.last = last.position;
        // 101 is final: it answers the Upgrade.
        let interim = matches!(head.line, StartLine::Response { status: 100..=199, .. })
            && !matches!(head.line, StartLine::Response { status: 101, .. });
        self.state = match kind {
            _ if interim => State::Between,
            Kind::Response if self.asked == Asked::Unknown => State::Unknown,
            _ => State::Body,
        };
        self.note(format!("{:?} {:?} {}", head.line, head.body, last.position));
        self.asked
    }

    fn end(&mut self, end: MessageEnd) {
        assert!(matches!(self.state, State::Body | State::Unknown), "{:?}", self.state);
        if let Some(body) = end.body {
            assert!(body <= self.fed - self.last - 1, "a body longer than the stream");
        }
        self.state = State::Between;
        self.note(format!("end {:?} {:?}", end.kind, end.body));
    }

    fn failed(&mut self, kind: Option<Kind>, failure: Failure) {
        self.state = State::Between;
        self.note(format!("failed {kind:?} {failure:?}"));
    }

    fn not_http(&mut self) {
        assert_eq!(self.state, State::Between);
        self.note("not http".to_owned());
        self.over = true;
    }

    fn upgraded(&mut self, _next: At) {
        self.state = State::Between;
        self.note("upgraded".to_owned());
        self.over = true;
    }
}

/// Feeds the pieces, and tells what was heard.
fn decode<'a>(asked: Asked, pieces: impl Iterator<Item = Piece<'a>>) -> Vec<String> {
    let mut decoder = Decoder::new(true, HEAD_MAX);
    let mut heard = Heard::new(asked);
    let mut position = 0;
    for (piece, time) in pieces.zip(1..) {
        let at = At { time: Monotonic(time), position, tcp_seq: Some(position as u32) };
        position += piece.length();
        heard.fed = position;
        decoder.feed(piece, at, &mut heard);
    }
    heard.log
}

fuzz_target!(|input: &[u8]| {
    let [first, cut, data @ ..] = input else { return };
    let asked = match first & 3 {
        0 => Asked::Other,
        1 => Asked::Head,
        2 => Asked::Connect,
        _ => Asked::Unknown,
    };
    let size = usize::from(*cut).max(1);
    let whole = decode(asked, std::iter::once(Piece::Bytes(data)));
    // Where the end of a message cannot be told, or after a failure, what follows is found by how
    // pieces begin.
    if asked != Asked::Unknown && !whole.iter().any(|text| text.starts_with("failed")) {
        assert_eq!(
            decode(asked, data.chunks(size).map(Piece::Bytes)),
            whole,
            "in pieces of {size}"
        );
        assert_eq!(decode(asked, data.chunks(1).map(Piece::Bytes)), whole, "byte by byte");
    }
    // Some of the pieces are missing, and some are skipped.
    let gaps = data.chunks(size).enumerate().map(|(i, chunk)| match first >> 2 & 7 {
        0 => Piece::Bytes(chunk),
        n if i % usize::from(n) == 1 => Piece::Lost(chunk.len() as u64),
        n if i % usize::from(n) == 2 => Piece::Skip(chunk.len() as u64),
        _ => Piece::Bytes(chunk),
    });
    decode(asked, gaps);
});
