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

mod http1;
mod lines;
mod window;

#[cfg(any(test, feature = "user"))]
pub use http1::scan;
#[cfg(test)]
mod tests;

pub use http1::{STEPS, step};
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
    /// The modes from here on pass bytes over. In a body of known length.
    Body = 13,
    /// In the data of a chunk, or in the CRLF that ends it.
    Data = 14,
    /// In a body that ends with the connection.
    UntilClose = 15,
    /// The place is lost; the next call may begin a message.
    Lost = 16,
    /// This is not HTTP/1.
    Other = 17,
    /// It was HTTP/1, and another protocol has taken over (101, CONNECT).
    Opaque = 18,
}

impl Mode {
    /// Whether bytes are passed over in this mode, not examined.
    #[inline(always)]
    pub const fn passes(mode: u8) -> bool {
        mode >= Self::Body as u8
    }
}

/// Why a stream is [`Mode::Other`].
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It does not begin like HTTP/1.
    NotHttp = 1,
    /// It begins with a TLS handshake record.
    Tls = 2,
    /// It begins with the HTTP/2 preface.
    Http2 = 3,
    /// The framing is broken: a bad chunk size, a request with an unknown transfer coding.
    Broken = 4,
    /// A head went beyond [`crate::limits::HEAD_MAX`].
    HeadTooLarge = 5,
}

/// Bits of [`Framer::flags`]. The first group lives as long as a message's head.
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
    /// The bits that a new message starts without: all.
    pub const NONE: u8 = 0;
}

/// State of one direction. Lives in map memory: plain integers, all zero at the beginning.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Framer {
    /// A [`Mode`].
    pub mode: u8,
    /// Bits of [`flag`].
    pub flags: u8,
    /// Bytes matched so far of whatever the mode matches.
    pub matched: u8,
    /// A [`Reason`], once the mode is [`Mode::Other`] or [`Mode::Lost`].
    pub reason: u8,
    /// The status code, in a response.
    pub status: u16,
    /// 1 once a whole start line of HTTP/1 was seen in this direction.
    pub confirmed: u8,
    /// Zero.
    pub reserved: u8,
    /// Bytes of the current head so far.
    pub head: u32,
    /// Zero.
    pub reserved2: u32,
    /// The length or chunk size being read; then the bytes of it that are still to come.
    pub number: u64,
    /// The last eight bytes read, newest lowest; blanks left out and lower case in a field value.
    pub history: u64,
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
