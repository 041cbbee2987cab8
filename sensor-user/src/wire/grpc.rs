//! gRPC over HTTP (<https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>) and gRPC-Web
//! (<https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-WEB.md>): what fields and messages say,
//! without what messages hold.

mod messages;

pub use messages::Messages;

/// How messages are framed, as `content-type` says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// `application/grpc`, with or without a message format.
    Grpc,
    /// `application/grpc-web`: the same frames, and the trailers as one of them.
    Web,
    /// `application/grpc-web-text`: these as base64.
    WebText,
}

impl Framing {
    /// What a `content-type` says; none where it is not gRPC's.
    pub fn of(content_type: &[u8]) -> Option<Self> {
        let media = content_type.split(|&byte| byte == b';').next()?.trim_ascii();
        let mut parts = media.splitn(2, |&byte| byte == b'+');
        let kind = parts.next()?;
        [
            (&b"application/grpc"[..], Self::Grpc),
            (b"application/grpc-web", Self::Web),
            (b"application/grpc-web-text", Self::WebText),
        ]
        .into_iter()
        .find_map(|(name, framing)| kind.eq_ignore_ascii_case(name).then_some(framing))
    }
}

/// A status that the protocol defines
/// (<https://github.com/grpc/grpc/blob/master/doc/statuscodes.md>).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status(pub u32);

impl Status {
    /// DEADLINE_EXCEEDED.
    pub const DEADLINE_EXCEEDED: Self = Self(4);

    /// Reads a `grpc-status`: a decimal number without leading zeros.
    pub fn parse(value: &[u8]) -> Option<Self> {
        let digits = value.iter().all(u8::is_ascii_digit);
        let well = digits && !value.is_empty() && (value.len() == 1 || value[0] != b'0');
        std::str::from_utf8(value).ok().filter(|_| well)?.parse().ok().map(Self)
    }

    /// Its name; none for numbers that are not defined.
    pub fn name(self) -> Option<&'static str> {
        const NAMES: [&str; 17] = [
            "OK",
            "CANCELLED",
            "UNKNOWN",
            "INVALID_ARGUMENT",
            "DEADLINE_EXCEEDED",
            "NOT_FOUND",
            "ALREADY_EXISTS",
            "PERMISSION_DENIED",
            "RESOURCE_EXHAUSTED",
            "FAILED_PRECONDITION",
            "ABORTED",
            "OUT_OF_RANGE",
            "UNIMPLEMENTED",
            "INTERNAL",
            "UNAVAILABLE",
            "DATA_LOSS",
            "UNAUTHENTICATED",
        ];
        NAMES.get(usize::try_from(self.0).ok()?).copied()
    }

    /// Whether it is an error of the server, not of what the client asked for
    /// (<https://opentelemetry.io/docs/specs/semconv/rpc/grpc/#grpc-status>).
    pub fn is_server_error(self) -> bool {
        matches!(
            self.name(),
            None | Some(
                "UNKNOWN"
                    | "DEADLINE_EXCEEDED"
                    | "UNIMPLEMENTED"
                    | "INTERNAL"
                    | "UNAVAILABLE"
                    | "DATA_LOSS"
            )
        )
    }
}

/// Service and method of a `:path`: `/` Service-Name `/` Method-Name. The service may hold slashes.
pub fn method(path: &[u8]) -> Option<(&str, &str)> {
    let path = std::str::from_utf8(path).ok()?.strip_prefix('/')?;
    let (service, method) = path.rsplit_once('/')?;
    (!service.is_empty() && !method.is_empty() && !method.contains('?'))
        .then_some((service, method))
}

/// What a call is for, where it is one that operators make, not users.
pub fn class(service: &str) -> Option<&'static str> {
    match service {
        "grpc.health.v1.Health" => Some("health_check"),
        "grpc.reflection.v1.ServerReflection" | "grpc.reflection.v1alpha.ServerReflection" => {
            Some("reflection")
        }
        _ => None,
    }
}

/// Nanoseconds of a `grpc-timeout`: one to eight digits and a unit.
pub fn timeout(value: &[u8]) -> Option<u64> {
    let (unit, digits) = value.split_last()?;
    if !(1..=8).contains(&digits.len()) || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number: u64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    let unit = match unit {
        b'H' => 3_600_000_000_000,
        b'M' => 60_000_000_000,
        b'S' => 1_000_000_000,
        b'm' => 1_000_000,
        b'u' => 1_000,
        b'n' => 1,
        _ => return None,
    };
    Some(number.saturating_mul(unit))
}

/// The text of a `grpc-message`, which is percent-encoded UTF-8. What is not stays as it came, as
/// the protocol asks for: an error's text should not be lost to an error in it.
pub fn message(value: &[u8]) -> String {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value;
    while let Some((&byte, after)) = rest.split_first() {
        let escaped = match rest {
            [b'%', high, low, ..] => {
                let digit = |byte: u8| (byte as char).to_digit(16);
                digit(*high)
                    .zip(digit(*low))
                    .and_then(|(high, low)| u8::try_from(high << 4 | low).ok())
            }
            _ => None,
        };
        match escaped {
            Some(escaped) => {
                bytes.push(escaped);
                rest = &rest[3..];
            }
            None => {
                bytes.push(byte);
                rest = after;
            }
        }
    }
    String::from_utf8(bytes).unwrap_or_else(|_| String::from_utf8_lossy(value).into_owned())
}

/// `grpc-status` and `grpc-message` in the trailers frame of gRPC-Web: lines as in HTTP/1, names in
/// lower case.
pub fn web_trailers(block: &[u8]) -> (Option<Status>, Option<String>) {
    let mut found = (None, None);
    for line in block.split(|&byte| byte == b'\n') {
        let Some(colon) = line.iter().position(|&byte| byte == b':') else { continue };
        let (name, value) = (line[..colon].trim_ascii(), line[colon + 1..].trim_ascii());
        if name.eq_ignore_ascii_case(b"grpc-status") {
            found.0 = Status::parse(value);
        } else if name.eq_ignore_ascii_case(b"grpc-message") && !value.is_empty() {
            found.1 = Some(message(value));
        }
    }
    found
}

#[cfg(test)]
mod tests;
