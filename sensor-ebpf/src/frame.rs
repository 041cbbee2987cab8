//! Framing: which bytes of a stream are message heads and have to be copied, and which are body
//! and only have to be counted.
//!
//! The kernel side frames to save work; **user space decodes, and decides what the bytes mean**. So
//! framing may err on one side only: copying bytes that turn out to be body costs time, nothing
//! else. Where it loses its place it says so ([`Mode::Lost`]) and waits for the next message; user
//! space sees the missing positions.
//!
//! Written for the verifier: no panics, no slices, bounded loops, state in plain integers that
//! live in a map between calls. Any cut of a stream into calls gives the same framing.

pub mod http1;
pub mod http2;
mod lines;
mod window;

#[cfg(test)]
mod tests;

pub use lines::is_token;
#[cfg(any(test, feature = "user"))]
pub use window::SliceWindow;
pub use window::Window;

/// Where a direction stands. Stored as `u8`, because it lives in map memory.
///
/// ```text
///            ┌────────────────────────────────────────────────────────────┐
///            ▼                                                            │
///   Start ─ Token ─ Status ─────────┐ Rest                                │
///            └─ Target ─ FirstLine ─ Line ────┬─ Name ─ Length / Transfer │
///                                       ▲ ▲   ├─ Rest ──────┘     │      │
///                                       │ └───┴───────────────────┘      │
///                                       │     └─ EndCr ─┬─ Body ──────────┤
///                                       │ (trailers)    ├─ Size ─ Ext ─ Data
///                                       └───────────────┘  ▲            │ │
///                                                          └────────────┘ │
///   UntilClose, Lost, Other, Opaque: nothing is framed    (end of message)┘
/// ```
///
/// A body of gRPC-Web, or the data of each of its chunks, is walked message by message in place of
/// Body, Data or UntilClose ([`http1::web`]; Content-Type, in Type, says that it is one):
///
/// ```text
///   WebPrefix ┬─ WebCopy ─┬─ (end of the body, or of the chunk's data)
///       ▲     └─ WebData ─┤
///       └─────────────────┘
/// ```
///
/// HTTP/2 begins with the client's preface, with what may be a server's first frame, or, on a
/// connection older than the sensor, with a call that begins like a frame of headers:
///
/// ```text
///   Start ─ Token ─ Preface ───────────────┐
///     │                                    ▼         ┌──── (end of frame) ───┐
///     └─ Try ─┬─ (SETTINGS) ─ FrameCopy ─ FrameHead ─┼─ FrameCopy ───────────┤
///        ▲    └─ (HEADERS) ─ Block ─ FrameCopy       └─ Prefix ┬─ FrameCopy ─┤
///        │                                               ▲     ├─ FrameData ─┘
///    FrameLost  (each call's first byte)                 └─────┘ (end of message)
/// ```
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Between messages.
    Start = 0,
    /// In the first token of a start line: a method, or `HTTP/`.
    Token = 1,
    /// In the rest of the version and in the code of a status line.
    Status = 2,
    /// At the request target's first byte.
    Target = 3,
    /// In the rest of a request line.
    FirstLine = 4,
    /// At the first byte of a header line.
    Line = 5,
    /// In a field name that may be one that frames the body.
    Name = 6,
    /// In the value of Content-Length.
    Length = 7,
    /// In the value of Transfer-Encoding.
    Transfer = 8,
    /// In the rest of a line that does not matter, or of a status line.
    Rest = 9,
    /// After a CR at the first byte of a line.
    EndCr = 10,
    /// In a chunk-size.
    Size = 11,
    /// In a chunk extension, up to its line's end.
    Ext = 12,
    /// In the value of Content-Type.
    Type = 13,
    /// In a body of gRPC-Web: in the prefix of a message, or in base64 that is read.
    WebPrefix = 14,
    /// In bytes of such a body that are copied.
    WebCopy = 15,
    /// The modes from here to [`Self::FrameData`] are those of HTTP/2. In the client's preface.
    Preface = 16,
    /// In the first nine bytes of what may be a frame.
    Try = 17,
    /// In a frame that has a header like one of HEADERS, up to the first byte of its block.
    Block = 18,
    /// The modes from here to [`Self::FrameData`] know their place. In a frame's header.
    FrameHead = 19,
    /// In bytes of a frame that are copied.
    FrameCopy = 20,
    /// In DATA: in the length of its padding, or in what may be the prefix of a gRPC message.
    Prefix = 21,
    /// The modes from here on pass bytes over. In payload of DATA.
    FrameData = 22,
    /// In a body of known length.
    Body = 23,
    /// In the data of a chunk, or in the CRLF that ends it.
    Data = 24,
    /// In a message of gRPC-Web over HTTP/1.
    WebData = 25,
    /// In a body that ends with the connection.
    UntilClose = 26,
    /// The place is lost; the next call may begin a message.
    Lost = 27,
    /// This is neither HTTP/1 nor HTTP/2.
    Other = 28,
    /// It was HTTP/1, and another protocol has taken over (101, CONNECT).
    Opaque = 29,
    /// This is HTTP/2, and the place is lost; each call may begin with a frame.
    FrameLost = 30,
}

impl Mode {
    /// Whether bytes are passed over in this mode, not examined.
    #[inline(always)]
    pub const fn passes(mode: u8) -> bool {
        mode >= Self::FrameData as u8
    }

    /// Whether it is known how many bytes are passed over.
    #[inline(always)]
    pub const fn counts(mode: u8) -> bool {
        mode >= Self::FrameData as u8 && mode < Self::UntilClose as u8
    }

    /// Whether the mode is one of HTTP/1's messages, but not of gRPC's within them, in which bytes are
    /// examined.
    #[inline(always)]
    pub const fn is_http1(mode: u8) -> bool {
        mode < Self::WebPrefix as u8
    }

    /// Whether the mode is one of a body of gRPC-Web over HTTP/1 in which bytes are examined or copied.
    #[inline(always)]
    pub const fn is_web(mode: u8) -> bool {
        mode == Self::WebPrefix as u8 || mode == Self::WebCopy as u8
    }
}

/// Why a stream is [`Mode::Other`] or [`Mode::Lost`].
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It begins neither like HTTP/1 nor like HTTP/2.
    NotHttp = 1,
    /// It begins with a TLS handshake record.
    Tls = 2,
    /// It begins like a frame of HTTP/2, but with none that decides.
    Undecided = 3,
    /// The framing is broken: a bad chunk size, a request with an unknown transfer coding.
    Broken = 4,
    /// A head went beyond [`crate::limits::HEAD_MAX`].
    HeadTooLarge = 5,
}

/// Bits of [`Framer::flags`] in HTTP/1. They live as long as a message's head.
pub mod flag {
    /// A Content-Length was read into `number`.
    pub const LENGTH: u8 = 1;
    /// There is a Transfer-Encoding field.
    pub const TRANSFER: u8 = 2;
    /// Its last coding is `chunked`.
    pub const CHUNKED: u8 = 4;
    /// The lines are those of a trailer section.
    pub const TRAILER: u8 = 8;
    /// The name being matched is Transfer-Encoding, not Content-Length.
    pub const NAME_TRANSFER: u8 = 16;
    /// The message is a response.
    pub const RESPONSE: u8 = 32;
    /// The first token can still be `HTTP/1.`.
    pub const MAYBE_RESPONSE: u8 = 64;
    /// The body is one of gRPC-Web, by its Content-Type.
    pub const WEB: u8 = 128;
    /// The bits that a new message starts without: all.
    pub const NONE: u8 = 0;
}

/// What [`Framer::confirmed`] says.
pub mod confirmed {
    /// A start line of HTTP/1 was seen.
    pub const HTTP1: u8 = 1;
    /// It is HTTP/2: by this direction's own bytes, or by the other's.
    pub const HTTP2: u8 = 2;
}

/// State of one direction. Lives in map memory: plain integers, all zero at the beginning.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Framer {
    /// A [`Mode`].
    pub mode: u8,
    /// Bits of [`flag`], or in HTTP/2 of [`http2::flag`].
    pub flags: u8,
    /// Bytes matched so far of whatever the mode matches.
    pub matched: u8,
    /// A [`Reason`], once the mode is [`Mode::Other`] or [`Mode::Lost`].
    pub reason: u8,
    /// The status code, in a response's head. In HTTP/2, the padding of a DATA frame that is to come. In a
    /// body of gRPC-Web over HTTP/1, messages begun in it, or in the chunk.
    pub status: u16,
    /// One of [`confirmed`], or 0: nothing is certain.
    pub confirmed: u8,
    /// In HTTP/2: bytes already read of the prefix that goes on in the next DATA frame of
    /// `held_stream`, and the top bit as [`http2::flag::TRAILERS`]. In a body of gRPC-Web over HTTP/1: bytes
    /// read of a prefix, and the bits of [`http1::web::state`].
    pub held_matched: u8,
    /// Bytes of the current head so far. In HTTP/2, message prefixes begun in the current frame.
    pub head: u32,
    /// In HTTP/2: payload of the current frame, without padding, beyond what `number` counts. In a body of
    /// gRPC-Web over HTTP/1: bytes of it, or of the chunk, beyond those; the largest where it has no length.
    pub frame_left: u32,
    /// The length, chunk size or part of a frame being read; then the bytes of it that are still to
    /// come.
    pub number: u64,
    /// The last eight bytes read, newest lowest; blanks left out and lower case in a field value. In a body
    /// of base64, what was read of a group of four characters.
    pub history: u64,
    /// In HTTP/2: the stream of the last frame that was of one.
    pub frame_stream: u32,
    /// In HTTP/2: what is left of the current gRPC message beyond what `number` counts. While its
    /// prefix is read, as much of its length as was read. In [`Mode::Try`], the other direction's
    /// `frame_stream`. In a body of gRPC-Web over HTTP/1: likewise, beyond what `held` covers.
    pub message: u32,
    /// In HTTP/2: the stream whose last DATA frame ended within a message, 0 for none.
    pub held_stream: u32,
    /// In HTTP/2: `message` of that stream. In a body of gRPC-Web over HTTP/1: bytes of it that nothing has
    /// to be read in, beyond what `number` counts.
    pub held: u32,
}

/// Steps that a window is given: a header line takes one to three, a frame three to five, a
/// byte-wise value one for each byte. What is left of the window is for the next scan, so this
/// bounds work, not what can be framed.
pub const STEPS: u32 = 256;

/// Frames bytes `from..len` of `window` and returns the position reached: `len`, or less when a
/// part that is passed over begins there ([`Mode::passes`]), or when the steps ran out.
///
/// On the host; the programs run the same steps in a loop of their own.
#[cfg(any(test, feature = "user"))]
pub fn scan<W: Window>(
    framer: &mut Framer,
    pairing: &mut Pairing,
    window: &W,
    from: u32,
    len: u32,
) -> u32 {
    let mut at = from;
    for _ in 0..STEPS {
        if at >= len || Mode::passes(framer.mode) {
            break;
        }
        at = if Mode::is_http1(framer.mode) {
            http1::step(framer, pairing, window, at, len)
        } else if Mode::is_web(framer.mode) {
            http1::web::step(framer, window, at, len)
        } else {
            http2::step(framer, window, at, len)
        };
    }
    at
}

impl Framer {
    /// Passes over up to `n` bytes in a mode that passes, and returns how many. When what is counted
    /// ends, framing goes on behind it.
    #[inline(always)]
    pub fn pass(&mut self, n: u64) -> u64 {
        if !Mode::counts(self.mode) {
            return n;
        }
        let taken = if n < self.number { n } else { self.number };
        self.number = self.number.wrapping_sub(taken);
        if self.number == 0 {
            if self.mode == Mode::FrameData as u8 {
                http2::next_part(self);
            } else if self.mode == Mode::WebData as u8 {
                http1::web::passed(self);
            } else {
                self.matched = 0;
                self.mode = if self.mode == Mode::Body as u8 {
                    Mode::Start as u8
                } else {
                    Mode::Size as u8
                };
            }
        }
        taken
    }

    /// Bytes are missing where they were needed.
    #[inline(always)]
    pub fn lose_place(&mut self) {
        self.mode = if self.confirmed == confirmed::HTTP2 {
            Mode::FrameLost as u8
        } else {
            Mode::Lost as u8
        };
    }
}

/// What the two directions of a connection have to know of each other: which responses have no
/// body. Lives in map memory, all zero at the beginning.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pairing {
    /// Requests begun.
    pub requests: u32,
    /// Final responses ended (the head of them).
    pub responses: u32,
    /// Bit n mod 64: request n is a HEAD.
    pub head: u64,
    /// Bit n mod 64: request n is a CONNECT.
    pub connect: u64,
}
