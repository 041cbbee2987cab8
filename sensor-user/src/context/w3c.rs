//! W3C Trace Context (<https://www.w3.org/TR/trace-context/>).

use std::borrow::Cow;

use super::Malformed;
use super::hex::lower;
use crate::model::{SpanId, TraceFlags, TraceId};

#[cfg(test)]
mod tests;

/// Most list-members of a tracestate (section 3.3.1.1).
const MEMBERS_MAX: usize = 32;

/// Characters of a combined tracestate that are kept (section 3.3.1.5 asks for at least these).
const TRACESTATE_MAX: usize = 512;

/// Members longer than this go first where a tracestate has to be shortened (same section).
const LONG_MEMBER: usize = 128;

/// A valid `traceparent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Traceparent {
    /// The trace that the request belongs to.
    pub trace_id: TraceId,
    /// `parent-id`: the span of the sender.
    pub parent_id: SpanId,
    /// `trace-flags`; of a version other than 00, only the flag that is known: sampled.
    pub flags: TraceFlags,
}

/// Reads a field's value (section 3.2).
///
/// ```text
/// 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01
/// version(2) - trace-id(32) - parent-id(16) - trace-flags(2)
/// ```
///
/// # Errors
/// Where it is not exactly that for version 00, does not begin with that for a later version, is
/// of the version ff, or has an identifier that is all zero.
pub fn traceparent(value: &[u8]) -> Result<Traceparent, Malformed> {
    let (fields, rest) = value.split_at_checked(55).ok_or(Malformed)?;
    let [version, ..] = lower::<1>(&fields[..2])?;
    let dashes = [fields[2], fields[35], fields[52]] == *b"---";
    let ended = match version {
        0 => rest.is_empty(),
        0xff => false,
        // Section 3.2.4: a later version may go on after a dash.
        _ => rest.is_empty() || rest[0] == b'-',
    };
    if !dashes || !ended {
        return Err(Malformed);
    }
    let [flags] = lower::<1>(&fields[53..])?;
    Ok(Traceparent {
        trace_id: TraceId::new(lower(&fields[3..35])?).ok_or(Malformed)?,
        parent_id: SpanId::new(lower(&fields[36..52])?).ok_or(Malformed)?,
        flags: TraceFlags(if version == 0 { flags } else { flags & 1 }),
    })
}

/// Combines the values of all `tracestate` fields in order (section 3.3). None where they hold no
/// member.
///
/// Kept as it came, unless it is longer than 512 characters: then whole members are left out as
/// section 3.3.1.5 has it, those of more than 128 characters first, then from the end.
///
/// # Errors
/// Where a key or a value breaks the grammar, or there are more than 32 members.
pub fn tracestate(values: &[Cow<'_, [u8]>]) -> Result<Option<Box<str>>, Malformed> {
    let mut members: Vec<&str> = Vec::new();
    for member in values.iter().flat_map(|value| value.split(|&byte| byte == b',')) {
        let member = member.trim_ascii();
        // Empty members are allowed (section 3.3.1.1).
        if !member.is_empty() {
            check_member(member)?;
            members.push(std::str::from_utf8(member).map_err(|_| Malformed)?);
        }
        if members.len() > MEMBERS_MAX {
            return Err(Malformed);
        }
    }
    let length = |members: &[&str]| {
        members.iter().map(|member| member.len() + 1).sum::<usize>().saturating_sub(1)
    };
    while length(&members) > TRACESTATE_MAX {
        let long = members.iter().rposition(|member| member.len() > LONG_MEMBER);
        members.remove(long.unwrap_or(members.len() - 1));
    }
    Ok((!members.is_empty()).then(|| members.join(",").into_boxed_str()))
}

/// `list-member = key "=" value` (sections 3.3.1.3.1 and 3.3.1.3.2).
fn check_member(member: &[u8]) -> Result<(), Malformed> {
    let equals = member.iter().position(|&byte| byte == b'=').ok_or(Malformed)?;
    let (key, value) = (&member[..equals], &member[equals + 1..]);
    let well = match key.iter().position(|&byte| byte == b'@') {
        None => is_key(key, 256, false),
        Some(at) => is_key(&key[..at], 241, true) && is_key(&key[at + 1..], 14, false),
    };
    // chr = %x20-2B / %x2D-3C / %x3E-7E; the last is no space, which the trim saw to.
    let text =
        value.iter().all(|&byte| matches!(byte, 0x20..=0x7e) && byte != b',' && byte != b'=');
    if well && text && (1..=256).contains(&value.len()) { Ok(()) } else { Err(Malformed) }
}

/// A letter (a digit too, for a tenant), then up to `max - 1` more of the key's characters.
fn is_key(key: &[u8], max: usize, tenant: bool) -> bool {
    let Some((&first, rest)) = key.split_first() else {
        return false;
    };
    let letter = |byte: u8| byte.is_ascii_lowercase();
    let more = |&byte: &u8| {
        letter(byte) || byte.is_ascii_digit() || matches!(byte, b'_' | b'-' | b'*' | b'/')
    };
    key.len() <= max && (letter(first) || tenant && first.is_ascii_digit()) && rest.iter().all(more)
}
