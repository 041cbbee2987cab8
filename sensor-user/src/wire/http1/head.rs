//! A complete message head: start line, fields, and how the body is delimited (RFC 9112 sections
//! 3 to 6).
//!
//! Strict where two readers could disagree on where the message ends (that is request smuggling,
//! and the sensor would be one reader more), lenient only where the RFC allows it to a recipient:
//! a bare LF ends a line (2.2), a folded field is one line (5.2), a status line may lack its reason.

use std::borrow::Cow;

use memchr::{memchr, memchr3};

use super::{Kind, TCHARS, is_target};
use crate::wire::names::NameSet;

/// A head that breaks the grammar, or whose framing is ambiguous.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the head of the message breaks RFC 9112")]
pub struct Malformed;

/// The first line of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartLine<'a> {
    /// `method SP request-target SP HTTP-version`
    Request {
        /// Any token; case matters.
        method: &'a [u8],
        /// In any of the four forms; not empty, no space.
        target: &'a [u8],
        /// The digit after `HTTP/1.`.
        minor: u8,
    },
    /// `HTTP-version SP status-code SP [ reason-phrase ]`
    Response {
        /// 100 to 999.
        status: u16,
        /// The digit after `HTTP/1.`.
        minor: u8,
    },
}

/// What the head says of the body, before what the request was comes into it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// Neither a length nor a coding.
    Unstated,
    /// `Content-Length`, without a transfer coding.
    Length(u64),
    /// `Transfer-Encoding` with chunked last.
    Chunked,
    /// `Transfer-Encoding` without chunked: a response, up to the end of the connection.
    UntilClose,
}

/// A complete head.
#[derive(Clone, Copy, Debug)]
pub struct Head<'a> {
    /// The start line.
    pub line: StartLine<'a>,
    /// How its body is delimited.
    pub body: Body,
    /// It has an `Upgrade` field.
    pub upgrade: bool,
    /// The names of a response's fields: who wants only a few need not look at the fields of one that
    /// has none of them. (Of a request, most fields are looked at.)
    pub names: NameSet,
    /// The head's bytes, from the start line to the empty line.
    pub raw: &'a [u8],
    /// The first fields of a request, name and value: who wants them need not read them again.
    noted: [(&'a [u8], &'a [u8]); NOTED],
    count: usize,
    /// Those after the noted ones.
    fields: Fields<'a>,
}

/// More fields than most requests have, so most are read once.
const NOTED: usize = 8;

impl<'a> Head<'a> {
    /// Reads a head that ends with its empty line.
    ///
    /// # Errors
    /// Where the start line or a field breaks the grammar, or the body's framing is ambiguous
    /// (RFC 9112 section 6.3): `Content-Length` that is no number or differs, an HTTP/1.0 message
    /// or a request whose transfer coding is not usable.
    pub fn parse(kind: Kind, raw: &'a [u8]) -> Result<Self, Malformed> {
        Self::prefix(kind, raw).map(|head| Self { raw, ..head })
    }

    /// Reads the head that `data` begins with; [`Self::raw`] then says how far it goes.
    ///
    /// # Errors
    /// Where it breaks the grammar as for [`Self::parse`], or may be incomplete.
    pub(super) fn prefix(kind: Kind, data: &'a [u8]) -> Result<Self, Malformed> {
        let (first, fields) = split_line(data).ok_or(Malformed)?;
        let line = match kind {
            Kind::Request => request_line(first),
            Kind::Response => status_line(first),
        }
        .ok_or(Malformed)?;
        let mut framing = Framing::default();
        let mut rest = Fields { rest: fields };
        let mut noted = [Default::default(); NOTED];
        let mut count = 0;
        let mut noting = kind == Kind::Request;
        let mut fields = rest;
        let mut names = NameSet::default();
        while let Some(field) = rest.step()? {
            framing.field(&field)?;
            if kind == Kind::Response {
                names = names.with(field.name);
            }
            if noting {
                match (noted.get_mut(count), field.value) {
                    (Some(place), Cow::Borrowed(value)) => {
                        *place = (field.name, value);
                        count += 1;
                        fields = rest;
                    }
                    _ => noting = false,
                }
            }
        }
        let empty = match rest.rest {
            [b'\n', ..] => 1,
            [b'\r', b'\n', ..] => 2,
            _ => return Err(Malformed),
        };
        let raw = &data[..data.len() - rest.rest.len() + empty];
        let body = framing.body(line)?;
        Ok(Self { line, body, upgrade: framing.upgrade, names, raw, noted, count, fields })
    }

    /// The fields, in order.
    pub fn fields(&self) -> impl Iterator<Item = Field<'a>> + '_ {
        let noted = self.noted.iter().take(self.count);
        noted.map(|&(name, value)| Field { name, value: Cow::Borrowed(value) }).chain(self.fields)
    }
}

/// One field line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// A token; case does not matter.
    pub name: &'a [u8],
    /// Without the white space around it; owned where it was folded.
    pub value: Cow<'a, [u8]>,
}

impl Field<'_> {
    /// Whether this is the field of that name.
    pub fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name.as_bytes())
    }
}

/// The fields of a head.
#[derive(Clone, Copy, Debug)]
struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    /// The next field; none at the empty line.
    #[inline]
    fn step(&mut self) -> Result<Option<Field<'a>>, Malformed> {
        let data = self.rest;
        let mut colon = 0;
        while let Some(&byte) = data.get(colon)
            && TCHARS[usize::from(byte)]
        {
            colon += 1;
        }
        if colon == 0 {
            let end = matches!(data, [] | [b'\n', ..] | [b'\r', b'\n', ..]);
            return if end { Ok(None) } else { Err(Malformed) };
        }
        let (name, rest) = data.split_at(colon);
        let (value, rest) = field_line(rest.strip_prefix(b":").ok_or(Malformed)?)?;
        self.rest = rest;
        let value = value.trim_ascii();
        let value = match rest {
            [b' ' | b'\t', ..] => Cow::Owned(self.folded(value)?),
            _ => Cow::Borrowed(value),
        };
        Ok(Some(Field { name, value }))
    }

    /// obs-fold: what goes on in the next line is joined by one space.
    #[cold]
    fn folded(&mut self, first: &[u8]) -> Result<Vec<u8>, Malformed> {
        let mut joined = first.to_vec();
        while let [b' ' | b'\t', ..] = self.rest {
            let (fold, rest) = field_line(self.rest)?;
            self.rest = rest;
            joined.push(b' ');
            joined.extend_from_slice(fold.trim_ascii());
        }
        Ok(joined)
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Field<'a>;

    fn next(&mut self) -> Option<Field<'a>> {
        // The head was read through once before.
        self.step().ok().flatten()
    }
}

/// A line without its end, and what follows; none where no line ends.
fn split_line(data: &[u8]) -> Option<(&[u8], &[u8])> {
    let lf = memchr(b'\n', data)?;
    let line = &data[..lf];
    Some((line.strip_suffix(b"\r").unwrap_or(line), &data[lf + 1..]))
}

/// The same within a field value, which must not hold NUL or CR (RFC 9110 section 5.5).
fn field_line(data: &[u8]) -> Result<(&[u8], &[u8]), Malformed> {
    let end = memchr3(b'\n', b'\r', 0, data).ok_or(Malformed)?;
    let (line, rest) = data.split_at(end);
    match rest {
        [b'\n', rest @ ..] | [b'\r', b'\n', rest @ ..] => Ok((line, rest)),
        _ => Err(Malformed),
    }
}

fn request_line(line: &[u8]) -> Option<StartLine<'_>> {
    let method = line.iter().position(|&byte| !TCHARS[usize::from(byte)]).filter(|&n| n > 0)?;
    let (method, rest) = line.split_at(method);
    let rest = rest.strip_prefix(b" ")?;
    let (target, version) = rest.split_at(memchr(b' ', rest)?);
    let well = !target.is_empty()
        // To the end whatever comes: that is faster, many bytes at a time.
        && target.iter().fold(true, |well, &byte| well & is_target(byte));
    match version {
        [b' ', b'H', b'T', b'T', b'P', b'/', b'1', b'.', minor @ b'0'..=b'9'] if well => {
            Some(StartLine::Request { method, target, minor: minor - b'0' })
        }
        _ => None,
    }
}

fn status_line(line: &[u8]) -> Option<StartLine<'_>> {
    let (version, rest) = line.split_at_checked(8)?;
    let [b'H', b'T', b'T', b'P', b'/', b'1', b'.', minor @ b'0'..=b'9'] = version else {
        return None;
    };
    let (&[b' ', ref code @ ..], after) = rest.split_at_checked(4)? else {
        return None;
    };
    if after.first().is_some_and(|&byte| byte != b' ') {
        return None;
    }
    let status = code.iter().try_fold(0u16, |value, digit| {
        digit.is_ascii_digit().then(|| value * 10 + u16::from(digit - b'0'))
    })?;
    (status >= 100).then_some(StartLine::Response { status, minor: minor - b'0' })
}

/// What the fields seen so far say of the body.
#[derive(Default)]
struct Framing {
    length: Option<u64>,
    coding: Option<Coding>,
    upgrade: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Coding {
    ChunkedLast,
    Other,
    /// Chunked, then something after it.
    ChunkedInside,
}

impl Framing {
    fn field(&mut self, field: &Field<'_>) -> Result<(), Malformed> {
        match field.name.len() {
            7 if field.is("upgrade") => self.upgrade = true,
            14 if field.is("content-length") => self.content_length(&field.value)?,
            17 if field.is("transfer-encoding") => self.transfer_encoding(&field.value)?,
            _ => {}
        }
        Ok(())
    }

    /// A number, or a list of the same number (RFC 9110 section 8.6).
    fn content_length(&mut self, value: &[u8]) -> Result<(), Malformed> {
        for member in value.split(|&byte| byte == b',') {
            let digits = member.trim_ascii();
            if digits.is_empty() {
                return Err(Malformed);
            }
            let length = digits
                .iter()
                .try_fold(0u64, |length, &digit| {
                    let digit = (digit as char).to_digit(10)?;
                    length.checked_mul(10)?.checked_add(u64::from(digit))
                })
                .ok_or(Malformed)?;
            if self.length.is_some_and(|before| before != length) {
                return Err(Malformed);
            }
            self.length = Some(length);
        }
        Ok(())
    }

    /// The codings in order, over all fields of the name.
    fn transfer_encoding(&mut self, value: &[u8]) -> Result<(), Malformed> {
        for member in value.split(|&byte| byte == b',') {
            let name = member.split(|&byte| byte == b';').next().unwrap_or_default().trim_ascii();
            if name.is_empty() {
                continue;
            }
            let chunked = name.eq_ignore_ascii_case(b"chunked");
            self.coding = Some(match (self.coding, chunked) {
                (None | Some(Coding::Other), true) => Coding::ChunkedLast,
                (None | Some(Coding::Other), false) => Coding::Other,
                // Chunked twice (7.1: "MUST NOT").
                (Some(Coding::ChunkedLast | Coding::ChunkedInside), true) => return Err(Malformed),
                (Some(Coding::ChunkedLast | Coding::ChunkedInside), false) => Coding::ChunkedInside,
            });
        }
        // Present, and naming nothing.
        if self.coding.is_none() { Err(Malformed) } else { Ok(()) }
    }

    /// RFC 9112 section 6.3, items 3 to 8.
    fn body(&self, line: StartLine<'_>) -> Result<Body, Malformed> {
        let minor = match line {
            StartLine::Request { minor, .. } | StartLine::Response { minor, .. } => minor,
        };
        match (self.coding, self.length) {
            (None, None) => Ok(Body::Unstated),
            (None, Some(length)) => Ok(Body::Length(length)),
            // 6.1: faulty framing in an HTTP/1.0 message.
            (Some(_), _) if minor == 0 => Err(Malformed),
            (Some(Coding::ChunkedLast), _) => Ok(Body::Chunked),
            (Some(Coding::Other | Coding::ChunkedInside), _) => match line {
                StartLine::Request { .. } => Err(Malformed),
                StartLine::Response { .. } => Ok(Body::UntilClose),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(head: &str) -> Result<Head<'_>, Malformed> {
        Head::parse(Kind::Request, head.as_bytes())
    }

    fn body_of(fields: &str) -> Result<Body, Malformed> {
        let head = format!("POST / HTTP/1.1\r\n{fields}\r\n");
        Head::parse(Kind::Request, head.as_bytes()).map(|head| head.body)
    }

    fn answer_body(line: &str, fields: &str) -> Result<Body, Malformed> {
        let head = format!("{line}\r\n{fields}\r\n");
        Head::parse(Kind::Response, head.as_bytes()).map(|head| head.body)
    }

    #[test]
    fn start_lines() {
        for (target, method) in [
            ("/where?q=now", "GET"),
            ("*", "OPTIONS"),
            ("a.example:80", "CONNECT"),
            ("/", "purge!"),
        ] {
            let text = format!("{method} {target} HTTP/1.0\r\n\r\n");
            let line = StartLine::Request {
                method: method.as_bytes(),
                target: target.as_bytes(),
                minor: 0,
            };
            assert_eq!(request(&text).unwrap().line, line);
        }
        for line in
            ["GET /", "GET / HTTP/2.0", "GET  / HTTP/1.1", "GET / HTTP/1.1 ", "G:T / HTTP/1.1"]
        {
            assert_eq!(request(&format!("{line}\r\n\r\n")).unwrap_err(), Malformed, "{line}");
        }
        for (line, status) in
            [("HTTP/1.1 200 OK", 200), ("HTTP/1.1 200", 200), ("HTTP/1.0 599 ", 599)]
        {
            let head = format!("{line}\r\n\r\n");
            let head = Head::parse(Kind::Response, head.as_bytes()).unwrap();
            assert!(matches!(head.line, StartLine::Response { status: got, .. } if got == status));
        }
        for line in
            ["HTTP/1.1 20", "HTTP/1.1 2000", "HTTP/1.1  200", "HTTP/2.0 200", "HTTP/1.1 099"]
        {
            assert!(answer_body(line, "").is_err(), "{line}");
        }
    }

    #[test]
    fn fields_are_trimmed_unfolded_and_may_end_in_a_bare_lf() {
        let head =
            request("GET / HTTP/1.1\nHost:\t a \r\nX: one\r\n\ttwo\n  three \r\nEmpty:\r\n\r\n");
        let fields: Vec<(String, String)> = head
            .unwrap()
            .fields()
            .map(|field| {
                let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
                (text(field.name), text(&field.value))
            })
            .collect();
        let pairs = [("Host", "a"), ("X", "one two three"), ("Empty", "")];
        assert_eq!(fields, pairs.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }

    #[test]
    fn fields_come_once_and_in_order_however_many_and_wherever_folded() {
        for folded in [None, Some(0), Some(5), Some(NOTED), Some(NOTED + 3)] {
            for fields in 0..NOTED + 5 {
                let value = |n| if folded == Some(n) { "v\r\n w" } else { "v w" };
                let lines: String =
                    (0..fields).map(|n| format!("n{n}: {}\r\n", value(n))).collect();
                let head = format!("GET / HTTP/1.1\r\n{lines}\r\n");
                let names: Vec<_> = request(&head)
                    .unwrap()
                    .fields()
                    .inspect(|field| assert_eq!(*field.value, *b"v w"))
                    .map(|field| String::from_utf8(field.name.to_vec()).unwrap())
                    .collect();
                let expected: Vec<_> = (0..fields).map(|n| format!("n{n}")).collect();
                assert_eq!(names, expected, "folded: {folded:?}");
            }
        }
    }

    #[test]
    fn broken_fields() {
        for field in [
            "no colon\r\n",
            ": v\r\n",
            "a b: c\r\n",
            "a : b\r\n",
            " folded: first\r\n",
            "a: \0\r\n",
            "a: b\rc\r\n",
        ] {
            assert_eq!(body_of(field), Err(Malformed), "{field:?}");
        }
    }

    #[test]
    fn content_length() {
        assert_eq!(body_of("Content-Length: 42\r\n"), Ok(Body::Length(42)));
        assert_eq!(
            body_of("Content-Length: 42, 42\r\ncontent-length: 42\r\n"),
            Ok(Body::Length(42))
        );
        assert_eq!(body_of("Content-Length: 18446744073709551615\r\n"), Ok(Body::Length(u64::MAX)));
        for value in ["42, 43", "-1", "+1", "", "4 2", "0x10", "18446744073709551616", "1,"] {
            assert_eq!(body_of(&format!("Content-Length: {value}\r\n")), Err(Malformed), "{value}");
        }
        assert_eq!(body_of("Content-Length: 1\r\nContent-Length: 2\r\n"), Err(Malformed));
    }

    #[test]
    fn transfer_encoding() {
        let chunked = "Transfer-Encoding: gzip\r\nTransfer-Encoding: Chunked\r\n";
        assert_eq!(body_of(chunked), Ok(Body::Chunked));
        assert_eq!(
            body_of("Transfer-Encoding: chunked\r\nContent-Length: 3\r\n"),
            Ok(Body::Chunked)
        );
        for value in ["gzip", "chunked, gzip", "chunked, chunked", "", "identity"] {
            let field = format!("Transfer-Encoding: {value}\r\n");
            assert_eq!(body_of(&field), Err(Malformed), "{value}");
        }
        let gzip = "Transfer-Encoding: gzip\r\nContent-Length: 3\r\n";
        assert_eq!(answer_body("HTTP/1.1 200 OK", gzip), Ok(Body::UntilClose));
        let old = "Transfer-Encoding: chunked\r\n";
        assert_eq!(answer_body("HTTP/1.0 200 OK", old), Err(Malformed));
    }
}
