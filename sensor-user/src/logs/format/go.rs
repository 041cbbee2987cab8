//! Go's own formats: klog (and glog), Zap's console, logrus for a terminal, gin.

use super::draft::{Draft, Raw, is_place};
use super::{json, level, pairs, time};
use crate::model::{Class, Severity};

/// Files of client-go and the other libraries that every Kubernetes component has.
const CLIENT_GO: [&str; 9] = [
    "reflector.go",
    "shared_informer.go",
    "leaderelection.go",
    "request.go",
    "round_trippers.go",
    "transport.go",
    "event.go",
    "cached_discovery.go",
    "client_config.go",
];

/// ```text
/// I1121 13:28:04.563564   21948 main.go:124] "order placed" order_id=42 customer="Ada Lovelace"
/// W1121 13:28:04.563573   21948 main.go:125] stock low
/// ```
pub(super) fn klog<'a>(line: &'a str, draft: &mut Draft<'a>) -> bool {
    let severity = match line.as_bytes() {
        [b'I', b'0'..=b'9', ..] => Severity::Info,
        [b'W', b'0'..=b'9', ..] => Severity::Warn,
        [b'E', b'0'..=b'9', ..] => Severity::Error,
        [b'F', b'0'..=b'9', ..] => Severity::Fatal,
        _ => return false,
    };
    let Some((written, length)) = time::klog(line.as_bytes().get(1..).unwrap_or_default()) else {
        return false;
    };
    let head = line.get(1 + length..).and_then(|rest| rest.split_once("] "));
    let Some((place, message)) = head else { return false };
    let Some((thread, caller)) = place.trim_start().split_once(' ') else { return false };
    if !is_place(caller) || !thread.bytes().all(|byte| byte.is_ascii_digit()) {
        return false;
    }
    let stamp = line.get(1..1 + length).unwrap_or_default();
    draft.time(draft.clock().resolve(&written), stamp);
    draft.level(severity, line.get(..1).unwrap_or_default());
    draft.caller(caller);
    draft.other("thread", Raw::Number(thread));
    if caller.split_once(':').is_some_and(|(file, _)| CLIENT_GO.contains(&file)) {
        draft.class(Class::Middleware);
    }
    structured(message, draft);
    true
}

/// CockroachDB (`crdb-v1`, `crdb-v2`): glog's, with a year, perhaps a channel before the place, and
/// a mark for whether secrets are marked. <https://www.cockroachlabs.com/docs/stable/log-formats>
///
/// ```text
/// W261130 15:31:55.250123 1 server/server.go:12 ⋮ [n1] 12  late
/// I210116 21:49:17.083093 14 1@cli/start.go:690 ⋮ [-] 23  node startup completed
/// ```
pub(super) fn cockroach<'a>(line: &'a str, draft: &mut Draft<'a>) -> bool {
    let (Some(word), Some(rest)) = (line.get(..1), line.get(1..)) else { return false };
    let Some(severity) = level::letter(word) else { return false };
    let Some((written, length)) = time::cockroach(rest.as_bytes()) else { return false };
    let mut parts = rest.get(length..).unwrap_or_default().trim_start().splitn(3, ' ');
    let (Some(goroutine), Some(place), Some(message)) = (parts.next(), parts.next(), parts.next())
    else {
        return false;
    };
    let caller = place.split_once('@').map_or(place, |(_, caller)| caller);
    if !is_place(caller) || !goroutine.bytes().all(|byte| byte.is_ascii_digit()) {
        return false;
    }
    draft.time(draft.clock().resolve(&written), rest.get(..length).unwrap_or_default());
    draft.level(severity, word);
    draft.caller(caller);
    draft.other("thread", Raw::Bare(goroutine));
    let message = message.trim_start();
    let message = message.strip_prefix('⋮').unwrap_or(message).trim_start();
    draft.message(message);
    pairs::within(message, draft);
    true
}

/// What klog's `InfoS` writes: the message in quotes, then pairs.
fn structured<'a>(message: &'a str, draft: &mut Draft<'a>) {
    let end = message.starts_with('"').then(|| pairs::closing(message.as_bytes(), b'"')).flatten();
    if let Some(end) = end
        && let (Some(said), Some(rest)) = (message.get(1..end), message.get(end + 1..))
        && (rest.is_empty()
            || rest.starts_with(' ') && pairs::each(rest.trim_start(), true, |_, _| {}))
    {
        draft.message(pairs::unescape(said));
        pairs::each(rest.trim_start(), true, |key, value| draft.field(key, value));
    } else {
        draft.message(message);
        pairs::within(message, draft);
    }
}

/// Between tabs: a time, a level, perhaps the logger's name and the caller, the message, and fields as JSON.
///
/// ```text
/// 2026-11-21T13:28:04.562Z   WARN   stock   go/main.go:36   stock low   {"sku": "A-1"}
/// ```
pub(super) fn zap<'a>(line: &'a str, draft: &mut Draft<'a>) -> bool {
    let mut columns = line.split('\t');
    let (Some(stamp), Some(word)) = (columns.next(), columns.next()) else { return false };
    let Some(severity) = level::word(word) else { return false };
    let digits = stamp.as_bytes().first().is_some_and(u8::is_ascii_digit);
    if !digits || !time::is_time(stamp) {
        return false;
    }
    let rest = line.get(stamp.len() + word.len() + 2..).unwrap_or_default();
    draft.time(time::text(stamp, draft.clock()), stamp);
    draft.level(severity, word);
    let (mut rest, fields) = match rest.rsplit_once('\t') {
        Some((before, fields)) if fields.starts_with('{') => (before, Some(fields)),
        _ if rest.starts_with('{') => ("", Some(rest)),
        _ => (rest, None),
    };
    // A column before the message is the caller if it looks like one, and else the logger's name.
    if let Some((first, after)) = rest.split_once('\t') {
        if is_place(first) {
            draft.caller(first);
            rest = after;
        } else if let Some((second, after)) = after.split_once('\t').filter(|(it, _)| is_place(it))
        {
            draft.logger(first);
            draft.caller(second);
            rest = after;
        } else if first
            .bytes()
            .all(|it| it.is_ascii_alphanumeric() || matches!(it, b'.' | b'_' | b'-' | b'/'))
        {
            draft.logger(first);
            rest = after;
        }
    }
    draft.message(rest);
    match fields {
        // What is no JSON is more of the message.
        Some(fields) if json::is_object(fields) => drop(json::read(fields, draft)),
        Some(_) => draft.message(line.get(stamp.len() + word.len() + 2..).unwrap_or_default()),
        None => pairs::within(rest, draft),
    }
    true
}

/// logrus for a terminal: the level's first four letters, the time or the seconds since it started, a message of
/// at least 44 characters, pairs.
///
/// ```text
/// INFO[2026-11-21T13:28:04Z] order placed                                  amount=12.5 customer="Ada Lovelace"
/// INFO[0000] order placed                                  amount=12.5
/// ```
pub(super) fn logrus<'a>(line: &'a str, draft: &mut Draft<'a>) -> bool {
    let Some((word, rest)) = line.split_at_checked(4) else { return false };
    if !matches!(word, "TRAC" | "DEBU" | "INFO" | "WARN" | "ERRO" | "FATA" | "PANI") {
        return false;
    }
    let Some((stamp, message)) = rest.strip_prefix('[').and_then(|rest| rest.split_once(']'))
    else {
        return false;
    };
    let seconds = stamp.len() >= 4 && stamp.bytes().all(|byte| byte.is_ascii_digit());
    if !seconds && !time::is_time(stamp) {
        return false;
    }
    if seconds {
        // Since the program started.
        draft.other("elapsed_s", Raw::Str(stamp.into()));
    } else {
        draft.time(time::text(stamp, draft.clock()), stamp);
    }
    if let Some(severity) = level::word(word) {
        draft.level(severity, word);
    }
    // With the caller reported: ` func() file.go:12 message`.
    let message = pairs::tail(message.trim_start(), draft);
    draft.message(message.trim_end());
    true
}

/// ```text
/// [GIN] 2026/11/21 - 13:28:04 | 200 |  8.288µs |       127.0.0.1 | GET      "/orders/7"
/// ```
pub(super) fn gin<'a>(line: &'a str, draft: &mut Draft<'a>) -> bool {
    let Some(rest) = line.strip_prefix("[GIN] ") else { return false };
    let Some((written, length)) = time::read(rest.as_bytes()) else { return false };
    let mut columns = rest.get(length..).unwrap_or_default().splitn(5, '|').map(str::trim);
    let (Some(""), Some(status), Some(latency), Some(client), Some(request)) =
        (columns.next(), columns.next(), columns.next(), columns.next(), columns.next())
    else {
        return false;
    };
    draft.time(draft.clock().resolve(&written), rest.get(..length).unwrap_or_default());
    draft.message(request);
    draft.class(Class::Middleware);
    draft.other("http.response.status_code", Raw::bare(status));
    draft.other("latency", Raw::Str(latency.into()));
    draft.other("client.address", Raw::Str(client.into()));
    if let Some((method, target)) = request.split_once(' ') {
        draft.other("http.request.method", Raw::Str(method.into()));
        draft.other("url.original", Raw::Str(target.trim().trim_matches('"').into()));
    }
    true
}
