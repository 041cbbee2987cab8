//! What a value says of its name, where the name is not known.
//!
//! A name that was indexed before the sensor came stays unknown, while a value that changes with every
//! request is always sent. Some values have a shape that nothing else has in a request: these are
//! recovered here. It is an inference, and who uses it has to say so.

/// Longest `:path` that is recognised.
const PATH_MAX: usize = 1_024;

/// Bytes of the binary format of a trace context.
const BINARY: usize = 29;

/// A shape that gives a name away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// `traceparent`: 55 characters, a version other than ff, identifiers that are not zero, all of it
    /// lower-case hexadecimal (W3C Trace Context section 3.2).
    Traceparent,
    /// `grpc-trace-bin`: Base64 of version 0, and the fields 0 (trace id), 1 (span id) and 2 (flags) of
    /// 16, 8 and 1 bytes, identifiers that are not zero (OpenCensus BinaryEncoding).
    GrpcTraceBin,
    /// `:path` of a gRPC method: `/package.Service/Method`, of a service in a package, each part an
    /// identifier of Protocol Buffers (gRPC over HTTP/2, "Path").
    GrpcPath,
}

/// The shape of a value, if it has one. It says nothing of where the value was: [`Inference`] does.
pub fn shape(value: &[u8]) -> Option<Shape> {
    match value {
        [b'/', ..] => is_grpc_path(value).then_some(Shape::GrpcPath),
        _ if value.len() == 55 => is_traceparent(value).then_some(Shape::Traceparent),
        _ => binary_context(value).map(|_| Shape::GrpcTraceBin),
    }
}

/// What can be inferred of the fields of one request.
///
/// Not of a response, where `traceresponse` has the shape of `traceparent`. Nothing is inferred that
/// the block has under its own name, nor where two values that differ have the same shape, nor a
/// `:path` after the first regular field (RFC 9113 section 8.3).
#[derive(Debug, Default)]
pub struct Inference {
    traceparent: Candidate<[u8; 55]>,
    grpc_trace_bin: Candidate<[u8; BINARY]>,
    path: Candidate<Vec<u8>>,
    /// A regular field has been there.
    regular: bool,
}

#[derive(Debug, Default)]
enum Candidate<T> {
    #[default]
    None,
    One(T),
    /// It is named, or ambiguous.
    Never,
}

impl<T: PartialEq> Candidate<T> {
    fn add(&mut self, value: T) {
        *self = match std::mem::take(self) {
            Self::None => Self::One(value),
            Self::One(other) if other == value => Self::One(value),
            _ => Self::Never,
        };
    }

    fn get(&self) -> Option<&T> {
        if let Self::One(value) = self { Some(value) } else { None }
    }
}

impl Inference {
    /// Takes a field: each one of the block, in order.
    pub fn see(&mut self, field: &super::Field<'_>) {
        match (field.name, field.value) {
            (Some(name), _) => self.named(name),
            (None, Some(value)) => self.unnamed(value),
            (None, None) => {}
        }
    }

    fn named(&mut self, name: &[u8]) {
        match name {
            b":path" => self.path = Candidate::Never,
            b"traceparent" => self.traceparent = Candidate::Never,
            b"grpc-trace-bin" => self.grpc_trace_bin = Candidate::Never,
            _ => {}
        }
        self.regular |= name.first() != Some(&b':');
    }

    fn unnamed(&mut self, value: &[u8]) {
        match shape(value) {
            Some(Shape::Traceparent) => {
                self.regular = true;
                if let Ok(value) = value.try_into() {
                    self.traceparent.add(value);
                }
            }
            Some(Shape::GrpcTraceBin) => {
                self.regular = true;
                if let Some(context) = binary_context(value) {
                    self.grpc_trace_bin.add(context);
                }
            }
            Some(Shape::GrpcPath) if !self.regular => self.path.add(value.to_vec()),
            _ => {}
        }
    }

    /// The value of `traceparent`.
    pub fn traceparent(&self) -> Option<&[u8; 55]> {
        self.traceparent.get()
    }

    /// The value of `grpc-trace-bin`, decoded from its Base64.
    pub fn grpc_trace_bin(&self) -> Option<&[u8; BINARY]> {
        self.grpc_trace_bin.get()
    }

    /// The value of `:path`.
    pub fn path(&self) -> Option<&[u8]> {
        self.path.get().map(Vec::as_slice)
    }
}

/// ```text
/// 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01
/// ```
fn is_traceparent(value: &[u8]) -> bool {
    let hex = |text: &[u8]| text.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let identifier = |text: &[u8]| hex(text) && text.iter().any(|&byte| byte != b'0');
    let mut parts = value.split(|&byte| byte == b'-');
    let mut part = |len| parts.next().filter(|part| part.len() == len);
    let (Some(version), Some(trace), Some(parent), Some(flags)) =
        (part(2), part(32), part(16), part(2))
    else {
        return false;
    };
    let shaped = hex(version) && identifier(trace) && identifier(parent) && hex(flags);
    shaped && version != b"ff" && parts.next().is_none()
}

/// ```text
///   0   1   2 .. 17   18  19 .. 26  27   28
/// +---+---+---------+---+---------+---+-------+
/// | 0 | 0 | trace   | 1 | span    | 2 | flags |
/// +---+---+---------+---+---------+---+-------+
/// ```
fn binary_context(value: &[u8]) -> Option<[u8; BINARY]> {
    let context: [u8; BINARY] = base64(value)?;
    let zero = |bytes: &[u8]| bytes.iter().all(|&byte| byte == 0);
    let shaped = context[..2] == [0, 0] && context[18] == 1 && context[27] == 2;
    (shaped && !zero(&context[2..18]) && !zero(&context[19..27])).then_some(context)
}

/// Base64 of exactly `N` bytes, with or without padding (RFC 4648 section 4, and gRPC over HTTP/2,
/// which lets it out).
fn base64<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    let digits = (N * 8).div_ceil(6);
    let (text, padding) = text.split_at_checked(digits)?;
    let padded = (digits + padding.len()).is_multiple_of(4);
    if !(padding.is_empty() || padded && matches!(padding, b"=" | b"==")) {
        return None;
    }
    let mut bytes = [0; N];
    let (mut bits, mut have, mut at) = (0_u32, 0, 0);
    for &byte in text {
        let digit = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(digit);
        have += 6;
        if have >= 8 {
            have -= 8;
            *bytes.get_mut(at)? = (bits >> have & 0xff) as u8;
            at += 1;
        }
    }
    // What is left over is zero.
    (at == N && bits & ((1 << have) - 1) == 0).then_some(bytes)
}

fn is_grpc_path(value: &[u8]) -> bool {
    let identifier = |text: &[u8]| {
        text.first().is_some_and(|byte| byte.is_ascii_alphabetic() || *byte == b'_')
            && text.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
    };
    let mut parts = value.split(|&byte| byte == b'/');
    let (Some([]), Some(service), Some(method), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return false;
    };
    value.len() <= PATH_MAX
        && identifier(method)
        && service.contains(&b'.')
        && service.split(|&byte| byte == b'.').all(identifier)
}
