//! Request targets and authorities, as attributes need them (RFC 9112 section 3.2, RFC 3986).

use std::borrow::Cow;

use memchr::{memchr, memrchr};

/// Query parameters whose values are credentials: the list of the semantic conventions for
/// `url.query` and `url.full`.
const CREDENTIALS: [&str; 4] = ["AWSAccessKeyId", "Signature", "sig", "X-Goog-Signature"];

/// The parts of a request target that it has.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Target<'a> {
    /// Only in absolute form.
    pub(super) scheme: Option<&'a [u8]>,
    /// In absolute and authority form, with its user information.
    pub(super) authority: Option<&'a [u8]>,
    pub(super) path: Option<&'a [u8]>,
    /// Without the question mark; not empty.
    pub(super) query: Option<&'a [u8]>,
}

impl<'a> Target<'a> {
    /// Takes a target apart; a form that RFC 9112 does not know has no parts.
    pub(super) fn parse(method: &[u8], target: &'a [u8]) -> Self {
        if method == b"CONNECT" {
            return Self { authority: Some(target), ..Self::default() };
        }
        if target.starts_with(b"/") {
            return Self::default().with_path(target);
        }
        let Some(colon) = target.iter().position(|&byte| byte == b':') else {
            return Self::default();
        };
        let (scheme, rest) = target.split_at(colon);
        let valid = scheme.first().is_some_and(u8::is_ascii_alphabetic)
            && scheme.iter().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(byte));
        match rest.strip_prefix(b"://") {
            Some(rest) if valid => {
                let end = rest.iter().position(|byte| b"/?".contains(byte)).unwrap_or(rest.len());
                let (authority, rest) = rest.split_at(end);
                let target =
                    Self { scheme: Some(scheme), authority: Some(authority), ..Self::default() };
                target.with_path(rest)
            }
            _ => Self::default(),
        }
    }

    fn with_path(self, rest: &'a [u8]) -> Self {
        let mark = memchr(b'?', rest).unwrap_or(rest.len());
        let (path, query) = rest.split_at(mark);
        // An empty path is the path "/" (RFC 9110 section 4.2.3).
        let path = if path.is_empty() { b"/" } else { path };
        let query = query.get(1..).filter(|query| !query.is_empty());
        Self { path: Some(path), query, ..self }
    }
}

/// What a host may hold: visible ASCII without what delimits something else.
static HOST: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = b'!';
    while byte <= b'~' {
        table[byte as usize] =
            !matches!(byte, b'/' | b'?' | b'#' | b'@' | b'[' | b']' | b'\\' | b'"' | b'<' | b'>');
        byte += 1;
    }
    table
};

/// Host and port of an authority, without user information and without the brackets around an IPv6
/// address. None where it has no valid host.
pub(super) fn authority(text: &[u8]) -> Option<(&str, Option<u16>)> {
    let text = std::str::from_utf8(text).ok()?;
    let (host, port) = plain(text).or_else(|| other(text))?;
    let port = match port {
        "" => None,
        port if port.bytes().all(|byte| byte.is_ascii_digit()) => Some(port.parse().ok()?),
        _ => return None,
    };
    Some((host, port))
}

/// Nothing but a name or an IPv4 address, and a port; none for any other form.
fn plain(text: &str) -> Option<(&str, &str)> {
    let end = text.bytes().position(|byte| byte == b':' || !HOST[usize::from(byte)]);
    let (host, rest) = text.split_at(end.unwrap_or(text.len()));
    let port = match rest {
        "" => "",
        rest => rest.strip_prefix(':')?,
    };
    (!host.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit())).then_some((host, port))
}

/// Host and port, with user information and brackets around them.
fn other(text: &str) -> Option<(&str, &str)> {
    let text = memrchr(b'@', text.as_bytes()).map_or(text, |at| &text[at + 1..]);
    let (host, port, literal) = if let Some(rest) = text.strip_prefix('[') {
        let end = memchr(b']', rest.as_bytes())?;
        let port = match &rest[end + 1..] {
            "" => "",
            rest => rest.strip_prefix(':')?,
        };
        (&rest[..end], port, true)
    } else {
        let (host, port) = match memrchr(b':', text.as_bytes()) {
            Some(colon) => (&text[..colon], &text[colon + 1..]),
            None => (text, ""),
        };
        (host, port, false)
    };
    if host.is_empty()
        || !host.bytes().all(|byte| HOST[usize::from(byte)])
        || memchr(b':', host.as_bytes()).is_some() != literal
    {
        return None;
    }
    Some((host, port))
}

/// Bytes of a target as text: as they are, or with those beyond ASCII percent-encoded where they
/// are not UTF-8 (the same resource by RFC 3986, and nothing made up).
pub(super) fn text(bytes: &[u8]) -> Cow<'_, str> {
    if let Ok(text) = std::str::from_utf8(bytes) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(bytes.iter().fold(String::with_capacity(bytes.len() + 16), |mut text, &byte| {
        if byte.is_ascii() {
            text.push(char::from(byte));
        } else {
            text.push('%');
            for nibble in [byte >> 4, byte & 15] {
                text.push(char::from(b"0123456789ABCDEF"[usize::from(nibble)]));
            }
        }
        text
    }))
}

/// A query without the values of known credentials.
pub(super) fn redacted(query: Cow<'_, str>) -> Cow<'_, str> {
    let secret = |pair: &[u8]| {
        CREDENTIALS.iter().any(|name| {
            pair.strip_prefix(name.as_bytes()).is_some_and(|rest| rest.first() == Some(&b'='))
        })
    };
    if !query.as_bytes().split(|&byte| byte == b'&').any(secret) {
        return query;
    }
    let pairs = query.split('&').map(|pair| match pair.split_once('=') {
        Some((name, _)) if secret(pair.as_bytes()) => Cow::Owned(format!("{name}=REDACTED")),
        _ => Cow::Borrowed(pair),
    });
    Cow::Owned(pairs.collect::<Vec<_>>().join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(method: &str, target: &'static str) -> [Option<&'static str>; 4] {
        let target = Target::parse(method.as_bytes(), target.as_bytes());
        [target.scheme, target.authority, target.path, target.query]
            .map(|part| part.map(|bytes| std::str::from_utf8(bytes).unwrap()))
    }

    /// The examples of RFC 9112 section 3.2.
    #[test]
    fn the_four_forms() {
        assert_eq!(parts("GET", "/where?q=now"), [None, None, Some("/where"), Some("q=now")]);
        let absolute = "http://www.example.org/pub/WWW/TheProject.html";
        let path = Some("/pub/WWW/TheProject.html");
        assert_eq!(parts("GET", absolute), [Some("http"), Some("www.example.org"), path, None]);
        assert_eq!(
            parts("CONNECT", "www.example.com:80"),
            [None, Some("www.example.com:80"), None, None]
        );
        assert_eq!(parts("OPTIONS", "*"), [None; 4]);
        let bare = parts("OPTIONS", "http://www.example.org:8001");
        assert_eq!(bare, [Some("http"), Some("www.example.org:8001"), Some("/"), None]);
        assert_eq!(parts("GET", "/a?"), [None, None, Some("/a"), None]);
        assert_eq!(parts("GET", "nonsense"), [None; 4]);
        assert_eq!(parts("GET", "/a:b://c"), [None, None, Some("/a:b://c"), None]);
    }

    #[test]
    fn authorities() {
        let read = |text: &'static str| authority(text.as_bytes());
        assert_eq!(read("example.com"), Some(("example.com", None)));
        assert_eq!(read("example.com:8080"), Some(("example.com", Some(8080))));
        assert_eq!(read("example.com:"), Some(("example.com", None)));
        assert_eq!(read("user:pa@ss@example.com:1"), Some(("example.com", Some(1))));
        assert_eq!(read("[2001:db8::1]:80"), Some(("2001:db8::1", Some(80))));
        assert_eq!(read("[::1]"), Some(("::1", None)));
        for bad in
            ["", ":80", "a b", "a:b:c", "::1", "[::1", "[::1]x", "a:65536", "a:-1", "a/b", "[a]"]
        {
            assert_eq!(read(bad), None, "{bad}");
        }
    }

    #[test]
    fn what_is_no_utf8_is_percent_encoded() {
        assert_eq!(text("/\u{e9}".as_bytes()), "/\u{e9}");
        assert_eq!(text(b"/\xe9a%20"), "/%E9a%20");
    }

    #[test]
    fn credentials() {
        let cases = [
            ("a=1&sig=abc&b=2", "a=1&sig=REDACTED&b=2"),
            ("AWSAccessKeyId=x&Signature=y", "AWSAccessKeyId=REDACTED&Signature=REDACTED"),
            ("X-Goog-Signature=", "X-Goog-Signature=REDACTED"),
            ("sig&SIG=1", "sig&SIG=1"),
        ];
        for (query, expected) in cases {
            assert_eq!(redacted(Cow::Borrowed(query)), expected);
        }
    }
}
