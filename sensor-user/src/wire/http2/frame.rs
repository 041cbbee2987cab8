//! Frames of HTTP/2 (RFC 9113 sections 4.1 and 6).
//!
//! ```text
//! +-----------------------------------------------+
//! |                 Length (24)                   |
//! +---------------+---------------+---------------+
//! |   Type (8)    |   Flags (8)   |
//! +-+-------------+---------------+-------------------------------+
//! |R|                 Stream Identifier (31)                      |
//! +=+=============================================================+
//! |                   Frame Payload (0...)                      ...
//! +---------------------------------------------------------------+
//! ```

/// Bytes of a frame's header.
pub const HEADER: usize = 9;

/// What a client sends first (section 3.4).
pub const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Longest payload where SETTINGS_MAX_FRAME_SIZE does not say otherwise (section 6.5.2).
pub const LENGTH_DEFAULT: u32 = 16_384;

/// Flag of DATA and HEADERS: the sender's half of the stream ends.
pub const END_STREAM: u8 = 0x1;
/// Flag of SETTINGS and PING: an answer.
pub const ACK: u8 = 0x1;
/// Flag of HEADERS, PUSH_PROMISE and CONTINUATION: the header block ends.
pub const END_HEADERS: u8 = 0x4;
/// Flag of DATA, HEADERS and PUSH_PROMISE: a pad length, and padding.
pub const PADDED: u8 = 0x8;
/// Flag of HEADERS: five bytes of priority.
pub const PRIORITY: u8 = 0x20;

/// Types of frames (section 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the RFC's names")]
pub enum Type {
    Data,
    Headers,
    Priority,
    RstStream,
    Settings,
    PushPromise,
    Ping,
    Goaway,
    WindowUpdate,
    Continuation,
    /// An extension's: passed over (section 5.5).
    Other(u8),
}

impl Type {
    fn new(code: u8) -> Self {
        match code {
            0 => Self::Data,
            1 => Self::Headers,
            2 => Self::Priority,
            3 => Self::RstStream,
            4 => Self::Settings,
            5 => Self::PushPromise,
            6 => Self::Ping,
            7 => Self::Goaway,
            8 => Self::WindowUpdate,
            9 => Self::Continuation,
            other => Self::Other(other),
        }
    }

    /// The flags that are defined for it.
    fn flags(self) -> u8 {
        match self {
            Self::Data => END_STREAM | PADDED,
            Self::Headers => END_STREAM | END_HEADERS | PADDED | PRIORITY,
            Self::Settings | Self::Ping => ACK,
            Self::PushPromise => END_HEADERS | PADDED,
            Self::Continuation => END_HEADERS,
            Self::Priority
            | Self::RstStream
            | Self::Goaway
            | Self::WindowUpdate
            | Self::Other(_) => 0,
        }
    }
}

/// A frame, or what is in it, breaks the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the frame breaks RFC 9113")]
pub struct Malformed;

/// The nine bytes before each payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHeader {
    /// Bytes of payload, up to 2^24 - 1.
    pub length: u32,
    /// Its type.
    pub kind: Type,
    /// Its flags, those that are not defined among them.
    pub flags: u8,
    /// Its stream, without the reserved bit; 0 for the connection.
    pub stream: u32,
    /// The reserved bit, which senders leave unset.
    pub reserved: bool,
}

impl FrameHeader {
    /// Reads one.
    pub fn new(bytes: &[u8; HEADER]) -> Self {
        let [a, b, c, kind, flags, s0, s1, s2, s3] = *bytes;
        let stream = u32::from_be_bytes([s0, s1, s2, s3]);
        Self {
            length: u32::from_be_bytes([0, a, b, c]),
            kind: Type::new(kind),
            flags,
            stream: stream & 0x7fff_ffff,
            reserved: stream >> 31 != 0,
        }
    }

    /// Whether a flag is set.
    pub fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// Whether the frame's type allows its length and its stream: where it does not, the peer has
    /// to end the connection, so most likely this is no frame (sections 6.1 to 6.10).
    ///
    /// # Errors
    /// Where it does not.
    pub fn check(&self) -> Result<(), Malformed> {
        let on_stream = self.stream != 0;
        let well = match self.kind {
            Type::Data | Type::Continuation => on_stream,
            Type::Headers => on_stream && self.length >= self.prefix(),
            Type::PushPromise => on_stream && self.length >= self.prefix() + 4,
            Type::Priority => on_stream && self.length == 5,
            Type::RstStream => on_stream && self.length == 4,
            Type::Settings => {
                let whole =
                    if self.has(ACK) { self.length == 0 } else { self.length.is_multiple_of(6) };
                !on_stream && whole
            }
            Type::Ping => !on_stream && self.length == 8,
            Type::Goaway => !on_stream && self.length >= 8,
            Type::WindowUpdate => self.length == 4,
            Type::Other(_) => true,
        };
        if well { Ok(()) } else { Err(Malformed) }
    }

    /// Whether a sender of today would write it: [`Self::check`], and nothing that a recipient has
    /// to ignore. For who does not know that this is a frame's header.
    pub fn is_plain(&self) -> bool {
        self.check().is_ok()
            && !self.reserved
            && self.flags & !self.kind.flags() == 0
            && self.length <= LENGTH_DEFAULT
            && !matches!(self.kind, Type::Other(_))
    }

    /// Bytes before a header block's fragment that the flags ask for.
    fn prefix(&self) -> u32 {
        let priority = self.kind == Type::Headers && self.has(PRIORITY);
        u32::from(self.has(PADDED)) + if priority { 5 } else { 0 }
    }
}

/// The fragment of a header block in the payload of HEADERS, PUSH_PROMISE or CONTINUATION, and the
/// promised stream of a PUSH_PROMISE (sections 6.2, 6.6, 6.10).
///
/// # Errors
/// Where padding does not leave room, or a promised stream is 0.
pub fn fragment<'a>(
    header: &FrameHeader,
    payload: &'a [u8],
) -> Result<(&'a [u8], Option<u32>), Malformed> {
    let mut rest = payload;
    let mut padding = 0;
    if header.kind != Type::Continuation && header.has(PADDED) {
        let (&length, after) = rest.split_first().ok_or(Malformed)?;
        (padding, rest) = (usize::from(length), after);
    }
    let mut promised = None;
    match header.kind {
        Type::Headers if header.has(PRIORITY) => {
            rest = rest.get(5..).ok_or(Malformed)?;
        }
        Type::PushPromise => {
            let (&id, after) = rest.split_first_chunk().ok_or(Malformed)?;
            let id = u32::from_be_bytes(id) & 0x7fff_ffff;
            (promised, rest) = (Some(id).filter(|id| *id != 0), after);
            if promised.is_none() {
                return Err(Malformed);
            }
        }
        _ => {}
    }
    let end = rest.len().checked_sub(padding).ok_or(Malformed)?;
    Ok((&rest[..end], promised))
}

/// What a SETTINGS frame says of what matters to who listens (section 6.5.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// SETTINGS_HEADER_TABLE_SIZE, bytes: what the sender's *peer* may use.
    pub header_table_size: Option<u32>,
}

impl Settings {
    /// Reads the payload of a SETTINGS frame, or of an `HTTP2-Settings` field once it is decoded.
    /// Of a setting that comes more than once, the last counts.
    pub fn new(payload: &[u8]) -> Self {
        let mut settings = Self::default();
        for &[i0, i1, v0, v1, v2, v3] in payload.as_chunks().0 {
            if u16::from_be_bytes([i0, i1]) == 1 {
                settings.header_table_size = Some(u32::from_be_bytes([v0, v1, v2, v3]));
            }
        }
        settings
    }
}

/// Why a stream was reset, or a connection is to end (section 7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ErrorCode(pub u32);

impl ErrorCode {
    /// NO_ERROR.
    pub const NO_ERROR: Self = Self(0);
    /// CANCEL.
    pub const CANCEL: Self = Self(8);

    /// Its name in the RFC; none for codes that it does not define.
    pub fn name(self) -> Option<&'static str> {
        const NAMES: [&str; 14] = [
            "NO_ERROR",
            "PROTOCOL_ERROR",
            "INTERNAL_ERROR",
            "FLOW_CONTROL_ERROR",
            "SETTINGS_TIMEOUT",
            "STREAM_CLOSED",
            "FRAME_SIZE_ERROR",
            "REFUSED_STREAM",
            "CANCEL",
            "COMPRESSION_ERROR",
            "CONNECT_ERROR",
            "ENHANCE_YOUR_CALM",
            "INADEQUATE_SECURITY",
            "HTTP_1_1_REQUIRED",
        ];
        NAMES.get(usize::try_from(self.0).ok()?).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(bytes: [u8; 9]) -> FrameHeader {
        FrameHeader::new(&bytes)
    }

    /// Bytes from the bit diagram of section 4.1.
    #[test]
    fn the_nine_bytes() {
        let all = header([0x01, 0x02, 0x03, 0x01, 0x25, 0x80, 0x00, 0x01, 0x02]);
        assert_eq!(
            all,
            FrameHeader {
                length: 0x01_0203,
                kind: Type::Headers,
                flags: END_STREAM | END_HEADERS | PRIORITY,
                stream: 0x0102,
                reserved: true,
            }
        );
        for code in 0..=255 {
            let kind = header([0, 0, 0, code, 0, 0, 0, 0, 0]).kind;
            assert_eq!(matches!(kind, Type::Other(other) if other == code), code > 9);
        }
    }

    #[test]
    fn lengths_and_streams_by_type() {
        // Type, length, flags, stream, and whether the sections of each type allow it.
        for (kind, length, flags, stream, well) in [
            (0, 0, 0, 1, true),
            (0, 5, 0, 0, false),
            (1, 0, 0, 1, true),
            (1, 0, 0, 0, false),
            (1, 5, 0x28, 1, false),
            (1, 6, 0x28, 1, true),
            (2, 5, 0, 1, true),
            (2, 4, 0, 1, false),
            (2, 5, 0, 0, false),
            (3, 4, 0, 1, true),
            (3, 4, 0, 0, false),
            (3, 5, 0, 1, false),
            (4, 0, 1, 0, true),
            (4, 6, 1, 0, false),
            (4, 18, 0, 0, true),
            (4, 17, 0, 0, false),
            (4, 6, 0, 1, false),
            (5, 4, 0, 1, true),
            (5, 4, 8, 1, false),
            (6, 8, 0, 0, true),
            (6, 7, 0, 0, false),
            (6, 8, 0, 1, false),
            (7, 8, 0, 0, true),
            (7, 7, 0, 0, false),
            (7, 8, 0, 3, false),
            (8, 4, 0, 0, true),
            (8, 4, 0, 3, true),
            (8, 3, 0, 0, false),
            (9, 0, 4, 1, true),
            (9, 0, 4, 0, false),
            (10, 77, 0xff, 9, true),
        ] {
            let header = header([0, 0, length, kind, flags, 0, 0, 0, stream]);
            assert_eq!(header.check().is_ok(), well, "{header:?}");
        }
    }

    #[test]
    fn what_a_sender_of_today_would_not_write() {
        let plain = [0, 0, 0, 1, 4, 0, 0, 0, 1];
        assert!(header(plain).is_plain());
        for (at, value) in [(5, 0x80), (4, 0x40), (3, 10), (8, 0)] {
            let mut odd = plain;
            odd[at] = value;
            assert!(!header(odd).is_plain(), "{odd:?}");
        }
        assert!(header([0, 0x40, 0, 0, 0, 0, 0, 0, 1]).is_plain());
        assert!(!header([0, 0x40, 1, 0, 0, 0, 0, 0, 1]).is_plain());
    }

    #[test]
    fn fragments() {
        let of = |kind, flags, payload: &'static [u8]| {
            fragment(&header([0, 0, 0, kind, flags, 0, 0, 0, 1]), payload)
        };
        assert_eq!(of(1, 0, b"block"), Ok((&b"block"[..], None)));
        assert_eq!(of(1, PRIORITY, b"\x80\0\0\x03\x10block"), Ok((&b"block"[..], None)));
        assert_eq!(
            of(1, PRIORITY | PADDED, b"\x02\0\0\0\x03\x10block\0\0"),
            Ok((&b"block"[..], None))
        );
        assert_eq!(of(1, PADDED, b"\x02\0\0"), Ok((&b""[..], None)));
        assert_eq!(of(1, PADDED, b"\x03\0\0"), Err(Malformed));
        assert_eq!(of(1, PADDED, b""), Err(Malformed));
        assert_eq!(of(1, PRIORITY, b"\0\0\0\x03"), Err(Malformed));
        assert_eq!(of(5, 0, b"\0\0\0\x02block"), Ok((&b"block"[..], Some(2))));
        assert_eq!(of(5, PADDED, b"\x01\x80\0\0\x02block\0"), Ok((&b"block"[..], Some(2))));
        assert_eq!(of(5, 0, b"\0\0\0\0"), Err(Malformed));
        assert_eq!(of(5, 0, b"\0\0\x02"), Err(Malformed));
        // A flag that CONTINUATION does not have.
        assert_eq!(of(9, PADDED, b"\x02ock"), Ok((&b"\x02ock"[..], None)));
    }

    #[test]
    fn settings() {
        let payload = b"\0\x03\0\0\0\x64\0\x01\0\0\x10\0\0\x04\0\0\xff\xff\0\x01\0\x01\0\0";
        assert_eq!(Settings::new(payload).header_table_size, Some(65_536));
        assert_eq!(Settings::new(b"\0\x03\0\0\0\x64").header_table_size, None);
        assert_eq!(Settings::new(b"").header_table_size, None);
    }

    /// Section 7.
    #[test]
    fn error_codes() {
        for (code, name) in [
            (0x0, "NO_ERROR"),
            (0x1, "PROTOCOL_ERROR"),
            (0x2, "INTERNAL_ERROR"),
            (0x3, "FLOW_CONTROL_ERROR"),
            (0x4, "SETTINGS_TIMEOUT"),
            (0x5, "STREAM_CLOSED"),
            (0x6, "FRAME_SIZE_ERROR"),
            (0x7, "REFUSED_STREAM"),
            (0x8, "CANCEL"),
            (0x9, "COMPRESSION_ERROR"),
            (0xa, "CONNECT_ERROR"),
            (0xb, "ENHANCE_YOUR_CALM"),
            (0xc, "INADEQUATE_SECURITY"),
            (0xd, "HTTP_1_1_REQUIRED"),
        ] {
            assert_eq!(ErrorCode(code).name(), Some(name));
        }
        assert_eq!(ErrorCode(0xe).name(), None);
        assert_eq!(ErrorCode(u32::MAX).name(), None);
    }
}
