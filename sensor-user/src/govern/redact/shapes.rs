//! Secrets that are known by what they look like.

use crate::wire::base64;

/// What parts of words are made of.
pub(super) fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// How many of the next bytes are such.
fn count(bytes: &[u8], at: usize, is: impl Fn(u8) -> bool) -> usize {
    bytes.get(at..).unwrap_or_default().iter().take_while(|byte| is(**byte)).count()
}

fn is_base64url(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}

/// The end of a JSON Web Token (RFC 7519), in the compact form of JWS or JWE: an object's beginning in base64url, and at least
/// one part more. A signature may be missing (`alg: none`), or cut.
pub(super) fn jwt(bytes: &[u8], at: usize) -> Option<usize> {
    const HEADER_MIN: usize = 10;
    const PART_MIN: usize = 4;
    if !bytes.get(at..)?.starts_with(b"eyJ") {
        return None;
    }
    let header = count(bytes, at, is_base64url);
    let mut end = at + header;
    let payload = count(bytes, end + 1, is_base64url);
    if header < HEADER_MIN || bytes.get(end) != Some(&b'.') || payload < PART_MIN {
        return None;
    }
    end += 1 + payload;
    for _ in 0..3 {
        let part = count(bytes, end + 1, is_base64url);
        if bytes.get(end) != Some(&b'.') || part == 0 {
            break;
        }
        end += 1 + part;
    }
    Some(end)
}

/// The end of an AWS access key's identifier
/// (<https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html#identifiers-unique-ids>): of a long-term
/// key (`AKIA`) or a temporary one (`ASIA`).
pub(super) fn aws_key(bytes: &[u8], at: usize) -> Option<usize> {
    const LENGTH: usize = 20;
    let rest = bytes.get(at..)?;
    if !rest.starts_with(b"AKIA") && !rest.starts_with(b"ASIA") {
        return None;
    }
    let upper = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit();
    let length = count(bytes, at, upper);
    let whole = bytes.get(at + length).is_none_or(|byte| !is_word(*byte));
    (length == LENGTH && whole).then_some(at + length)
}

/// Credentials behind the name of a scheme at `at`: where they begin and end.
pub(super) fn credentials(bytes: &[u8], at: usize) -> Option<(usize, usize)> {
    let rest = bytes.get(at..)?;
    let is = |scheme: &[u8]| {
        rest.get(..scheme.len()).is_some_and(|name| name.eq_ignore_ascii_case(scheme))
    };
    let (name, bearer) = match (is(b"bearer "), is(b"basic ")) {
        (true, _) => (b"bearer".len(), true),
        (_, true) => (b"basic".len(), false),
        _ => return None,
    };
    let start = at + name + count(bytes, at + name, |byte| byte == b' ');
    // `token68` of RFC 9110 section 11.2.
    let token = |byte: u8| {
        byte.is_ascii_alphanumeric()
            || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'+' | b'/' | b'=')
    };
    let end = start + count(bytes, start, token);
    let text = bytes.get(start..end)?;
    // The end of a sentence is none of the token.
    let end = if text.ends_with(b".") { end - 1 } else { end };
    let text = bytes.get(start..end)?;
    let secret = if bearer { !is_prose(text) } else { is_user_and_password(text) };
    secret.then_some((start, end))
}

/// "bearer tokens", "Bearer authentication": a word of a language, or a parameter (`realm=`, cut by its quote).
fn is_prose(text: &[u8]) -> bool {
    const LONGEST: usize = 20;
    const SHORTEST: usize = 6;
    let word = text.strip_suffix(b"=").unwrap_or(text);
    let lower = |byte: &u8| byte.is_ascii_lowercase() || matches!(byte, b'-' | b'_' | b'.');
    let only_words = word.split_first().is_none_or(|(first, rest)| {
        first.is_ascii_alphabetic() && rest.iter().all(lower)
            || word.iter().all(u8::is_ascii_uppercase)
    });
    word.len() < SHORTEST || only_words && word.len() < LONGEST
}

/// Base64 of text with a colon (RFC 7617), which a word of a language is not.
fn is_user_and_password(text: &[u8]) -> bool {
    let mut decoder = base64::Decoder::default();
    let mut colon = false;
    for &character in text {
        match decoder.push(character) {
            Ok(None) => {}
            Ok(Some((group, length))) => {
                for &byte in group.iter().take(length) {
                    if byte.is_ascii_control() {
                        return false;
                    }
                    colon |= byte == b':';
                }
            }
            Err(base64::Broken) => return false,
        }
    }
    colon
}

/// The end of a block of PEM (RFC 7468) with a private key, or of what there is of one.
pub(super) fn key_block(bytes: &[u8], at: usize) -> Option<usize> {
    const BEGIN: &[u8] = b"-----BEGIN ";
    const END: &[u8] = b"-----END ";
    const LABEL_MAX: usize = 40;
    let rest = bytes.get(at..)?.strip_prefix(BEGIN)?;
    let label = |byte: &&u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || **byte == b' ';
    let length = rest.iter().take(LABEL_MAX).take_while(label).count();
    let (label, rest) = rest.split_at_checked(length)?;
    if memchr::memmem::find(label, b"PRIVATE KEY").is_none() || !rest.starts_with(b"-----") {
        return None;
    }
    let body = at + BEGIN.len() + length;
    let Some(end) = memchr::memmem::find(bytes.get(body..)?, END) else {
        return Some(bytes.len());
    };
    let end = body + end + END.len();
    let line = bytes.get(end..)?;
    let closed = memchr::memmem::find(line.get(..LABEL_MAX + 5).unwrap_or(line), b"-----");
    Some(closed.map_or(end, |dashes| end + dashes + 5))
}

/// An address of mail around the `@` at `at`: where it begins, not before `floor`, and ends.
pub(super) fn email(bytes: &[u8], at: usize, floor: usize) -> Option<(usize, usize)> {
    // RFC 5321 section 4.5.3.1.
    const LOCAL_MAX: usize = 64;
    let local = |byte: &&u8| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'%' | b'+' | b'-')
    };
    let before = bytes.get(floor..at)?;
    let length = before.iter().rev().take(LOCAL_MAX).take_while(local).count();
    let domain =
        count(bytes, at + 1, |byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-'));
    let text = bytes.get(at + 1..at + 1 + domain)?;
    let kept = text.iter().rposition(|byte| byte.is_ascii_alphanumeric())?;
    let text = text.get(..=kept)?;
    let top = text.rsplit(|byte| *byte == b'.').next()?;
    let well = text.contains(&b'.')
        && !text.starts_with(b".")
        && top.len() >= 2
        && top.iter().any(u8::is_ascii_alphabetic);
    (length > 0 && well).then_some((at - length, at + 1 + kept + 1))
}

/// The password in the authority of a URL, whose `//` is at `at`: where it begins and ends, and where the host does. Of a
/// web address, also what stands for a user alone, which is a token mostly.
pub(super) fn user_info(bytes: &[u8], at: usize, web: bool) -> Option<(usize, usize)> {
    let start = at + 2;
    let length = count(bytes, start, |byte| {
        byte > b' '
            && !matches!(byte, b'/' | b'?' | b'#' | b'"' | b'\'' | b'`' | b'<' | b'>' | b'\\')
    });
    let authority = bytes.get(start..start + length)?;
    let end = memchr::memrchr(b'@', authority)?;
    match memchr::memchr(b':', authority.get(..end)?) {
        Some(colon) => Some((start + colon + 1, start + end)),
        None => web.then_some((start, start + end)),
    }
}
