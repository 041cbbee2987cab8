//! What web servers and proxies write: access logs in the common and the combined format and what is put around
//! them, error logs of nginx and Apache. Their fields have no names: they get those of the semantic conventions.

use super::draft::{Draft, Raw};
use super::{Format, level, pairs, time};
use crate::model::Class;

/// ```text
/// [host:port] 127.0.0.1 - ada [21/Nov/2026:13:28:51 +0000] "GET /api HTTP/1.1" 502 157 "referer" "agent" more…
/// [21/Nov/2026 13:28:06] "GET / HTTP/1.1" 200 12068                                           Django's own server
/// ```
pub(super) fn access<'a>(line: &'a str, draft: &mut Draft<'a>) -> bool {
    // Three words before the time, four with a host; Django has none.
    let Some(open) = memchr::memchr(b'[', line.as_bytes()).filter(|at| *at <= 512) else {
        return false;
    };
    let Some((stamp, rest)) = line.get(open + 1..).and_then(|rest| rest.split_once("] \"")) else {
        return false;
    };
    // `21/Nov/2026:` or `21/Nov/2026 `, and nothing else.
    if stamp.as_bytes().get(2) != Some(&b'/') || stamp.as_bytes().get(6) != Some(&b'/') {
        return false;
    }
    let Some((written, length)) = time::read(stamp.as_bytes()) else { return false };
    let mut before =
        line.get(..open).unwrap_or_default().split(' ').filter(|word| !word.is_empty());
    let words = [before.next(), before.next(), before.next(), before.next(), before.next()];
    let (host, client, user) = match words {
        [None, ..] => (None, None, None),
        [client @ Some(_), Some(_), user @ Some(_), None, _] => (None, client, user),
        [host @ Some(_), client @ Some(_), Some(_), user @ Some(_), None] => (host, client, user),
        _ => return false,
    };
    let Some(end) = quoted(rest) else { return false };
    let request = rest.get(..end).unwrap_or_default();
    let mut rest = rest.get(end + 1..).unwrap_or_default().trim_start();
    let status = word(&mut rest);
    if status.len() != 3
        || !status.bytes().all(|byte| byte.is_ascii_digit())
        || length != stamp.len()
    {
        return false;
    }
    draft.time(draft.clock().resolve(&written), stamp);
    // Development servers write local times with a space: they are frameworks. What is written by the format's own
    // servers is told by nothing in it.
    let framework = stamp.as_bytes().get(11) == Some(&b' ');
    draft.class(if framework { Class::Middleware } else { Class::Infrastructure });
    draft.message(pairs::unescape(request));
    for (key, value) in [("server.address", host), ("client.address", client), ("user.name", user)]
    {
        if let Some(value) = value.filter(|value| *value != "-") {
            draft.other(key, Raw::Str(value.into()));
        }
    }
    request_line(request, draft);
    draft.other("http.response.status_code", Raw::Number(status));
    let size = word(&mut rest);
    if size.bytes().all(|byte| byte.is_ascii_digit()) && !size.is_empty() {
        draft.other("http.response.body.size", Raw::Number(size));
    }
    more(rest, draft);
    true
}

/// `GET /orders?id=7 HTTP/1.1`, where it is one.
fn request_line<'a>(request: &'a str, draft: &mut Draft<'a>) {
    let mut parts = request.split(' ');
    if let (Some(method), Some(target), Some(protocol), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
        && let Some(version) = protocol.strip_prefix("HTTP/")
    {
        draft.other("http.request.method", Raw::Str(method.into()));
        draft.other("url.original", Raw::Str(pairs::unescape(target)));
        draft.other("network.protocol.version", Raw::Str(version.into()));
    }
}

/// What comes after the size: referer and agent, then `key=value`, or the times of nginx's examples; what is
/// neither is kept as it is.
fn more<'a>(mut rest: &'a str, draft: &mut Draft<'a>) {
    for key in ["http.request.header.referer", "user_agent.original"] {
        let Some(text) = rest.strip_prefix('"') else { break };
        let Some(end) = quoted(text) else { break };
        let value = text.get(..end).unwrap_or_default();
        if value != "-" {
            draft.other(key, Raw::Str(pairs::unescape(value)));
        }
        rest = text.get(end + 1..).unwrap_or_default().trim_start();
    }
    if rest.is_empty() || rest == "\"-\"" {
        return;
    }
    if pairs::each(rest, true, |_, _| {}) {
        pairs::each(rest, true, |key, value| {
            if !matches!(&value, Raw::Str(text) if text == "-") {
                draft.field(key, value);
            }
        });
        return;
    }
    // nginx: `$request_time` and `$upstream_response_time` are seconds with three decimals, as nothing else is.
    let mut words = rest.trim_start_matches("\"-\" ").split(' ');
    let seconds = |text: &str| {
        text.split_once('.').is_some_and(|(whole, part)| {
            part.len() == 3 && whole.bytes().chain(part.bytes()).all(|byte| byte.is_ascii_digit())
        })
    };
    match (words.next(), words.next(), words.next()) {
        (Some(request), upstream, None)
            if seconds(request) && upstream.is_none_or(|it| it == "-" || seconds(it)) =>
        {
            draft.other("request_time", Raw::Number(request));
            if let Some(upstream) = upstream.filter(|it| *it != "-") {
                draft.other("upstream_response_time", Raw::Number(upstream));
            }
        }
        _ => {
            draft.other("access.more", Raw::Str(rest.into()));
            pairs::within(rest, draft);
        }
    }
}

/// Where the quote is closed: `\"` (Apache) does not close it, and nginx writes `\x22`.
fn quoted(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut at = 0;
    loop {
        at += memchr::memchr2(b'"', b'\\', bytes.get(at..)?)?;
        if bytes.get(at) == Some(&b'"') {
            return Some(at);
        }
        at += 2;
    }
}

fn word<'a>(rest: &mut &'a str) -> &'a str {
    let (word, after) = rest.split_once(' ').unwrap_or((rest, ""));
    *rest = after;
    word
}

/// ```text
/// 2026/11/21 13:28:51 [error] 22583#22583: *2 connect() failed …, client: 127.0.0.1, server: , request: "GET / HTTP/1.1"
/// [Sat Nov 21 13:38:40.165722 2026] [watchdog:debug] [pid 7296:tid 7296] mod_watchdog.c(445): AH010033: …
/// ```
pub(super) fn error<'a>(line: &'a str, draft: &mut Draft<'a>) -> Option<Format> {
    let found = if line.starts_with('[') { apache(line, draft) } else { nginx(line, draft) };
    found.inspect(|_| draft.class(Class::Infrastructure))
}

fn nginx<'a>(line: &'a str, draft: &mut Draft<'a>) -> Option<Format> {
    let (written, length) = time::read(line.as_bytes()).filter(|(_, length)| *length == 19)?;
    let (word, rest) = line.get(length..)?.strip_prefix(" [")?.split_once("] ")?;
    let severity = level::word(word)?;
    let (process, message) = rest.split_once(": ")?;
    let (pid, tid) = process.split_once('#')?;
    if !pid.bytes().chain(tid.bytes()).all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    draft.time(draft.clock().resolve(&written), line.get(..length)?);
    draft.level(severity, word);
    draft.other("process.pid", Raw::Number(pid));
    draft.other("thread.id", Raw::Number(tid));
    let numbered = message.strip_prefix('*').and_then(|rest| rest.split_once(' '));
    let message = match numbered.filter(|(number, _)| number.bytes().all(|it| it.is_ascii_digit()))
    {
        Some((connection, message)) => {
            draft.other("connection", Raw::Number(connection));
            message
        }
        None => message,
    };
    // What nginx puts behind the message of a request, in this order.
    let Some((said, context)) = message.split_once(", client: ") else {
        draft.message(message);
        return Some(Format::NginxError);
    };
    draft.message(said);
    let mut rest = context;
    let mut key = "client";
    for next in ["server", "request", "subrequest", "upstream", "host", "referrer"] {
        let mark = [", ", next, ": "].concat();
        if let Some((value, after)) = rest.split_once(&*mark) {
            draft.other(key, Raw::Str(value.trim_matches('"').into()));
            (key, rest) = (next, after);
        }
    }
    draft.other(key, Raw::Str(rest.trim_matches('"').into()));
    Some(Format::NginxError)
}

fn apache<'a>(line: &'a str, draft: &mut Draft<'a>) -> Option<Format> {
    let (stamp, rest) = line.get(1..)?.split_once("] [")?;
    let (written, length) = time::read(stamp.as_bytes())?;
    let (who, mut rest) = rest.split_once("] ")?;
    // Before 2.4 there is no module.
    let (module, word) = who.split_once(':').unwrap_or(("", who));
    let severity = level::word(word)
        .or_else(|| word.strip_prefix("trace").and_then(|_| level::word("trace")))?;
    if length != stamp.len() || stamp.as_bytes().get(3) != Some(&b' ') {
        return None;
    }
    draft.time(draft.clock().resolve(&written), stamp);
    draft.level(severity, word);
    draft.other("module", Raw::Str(module.into()));
    while let Some((inner, after)) = rest.strip_prefix('[').and_then(|rest| rest.split_once("] ")) {
        if let Some(process) = inner.strip_prefix("pid ") {
            let (pid, tid) = process.split_once(":tid ").unwrap_or((process, ""));
            draft.other("process.pid", Raw::bare(pid));
            draft.other("thread.id", Raw::bare(tid));
        } else if let Some(client) = inner.strip_prefix("client ") {
            draft.other("client", Raw::Str(client.into()));
        } else {
            break;
        }
        rest = after;
    }
    // `mod_watchdog.c(445): `
    if let Some((place, after)) = rest.split_once("): ")
        && let Some((file, line)) = place.split_once('(')
        && file.ends_with(".c")
        && line.bytes().all(|byte| byte.is_ascii_digit())
    {
        draft.caller(&[file, ":", line].concat());
        rest = after;
    }
    draft.message(rest);
    Some(Format::ApacheError)
}

/// Envoy's default format.
///
/// ```text
/// [2026-11-21T13:28:04.562Z] "GET /orders HTTP/1.1" 200 - 0 2 1 0 "-" "curl/8" "e2a5…" "shop" "10.0.0.7:80"
/// ```
pub(super) fn envoy<'a>(line: &'a str, draft: &mut Draft<'a>) -> bool {
    let Some((stamp, rest)) = line.get(1..).and_then(|rest| rest.split_once("] \"")) else {
        return false;
    };
    let Some((written, length)) = time::read(stamp.as_bytes()) else { return false };
    let Some(end) = quoted(rest) else { return false };
    let request = rest.get(..end).unwrap_or_default();
    let mut fields = rest.get(end + 1..).unwrap_or_default().trim_start();
    if length != stamp.len() || !stamp.ends_with('Z') || fields.split(' ').count() < 10 {
        return false;
    }
    draft.time(draft.clock().resolve(&written), stamp);
    draft.message(request);
    draft.class(Class::Infrastructure);
    request_line(request, draft);
    // In its documentation's order and words.
    for key in [
        "response_code",
        "response_flags",
        "bytes_received",
        "bytes_sent",
        "duration",
        "upstream_service_time",
    ] {
        let value = word(&mut fields).trim_matches('"');
        if value != "-" {
            let key = if key == "response_code" { "http.response.status_code" } else { key };
            draft.other(key, Raw::bare(value));
        }
    }
    for key in
        ["x_forwarded_for", "user_agent.original", "x_request_id", "authority", "upstream_host"]
    {
        let Some(text) = fields.strip_prefix('"') else { break };
        let Some(end) = quoted(text) else { break };
        let value = text.get(..end).unwrap_or_default();
        if value != "-" {
            draft.field(key, Raw::Str(value.into()));
        }
        fields = text.get(end + 1..).unwrap_or_default().trim_start();
    }
    true
}

/// HAProxy's HTTP log (`option httplog`), perhaps behind what syslog puts before it.
///
/// ```text
/// 10.0.1.2:33317 [06/Feb/2009:12:14:14.655] http-in static/srv1 10/0/30/69/109 200 2750 - - ---- 1/1/1/1/0 0/0 "GET / HTTP/1.1"
/// ```
pub(super) fn haproxy<'a>(line: &'a str, draft: &mut Draft<'a>) -> bool {
    let Some((client, rest)) = line.split_once(" [") else { return false };
    let client = client.rsplit_once("]: ").map_or(client, |(_, client)| client);
    let Some((stamp, rest)) = rest.split_once("] ") else { return false };
    if client.contains(' ') || stamp.as_bytes().get(20) != Some(&b'.') || !rest.ends_with('"') {
        return false;
    }
    let Some((written, length)) = time::read(stamp.as_bytes()).filter(|(_, it)| *it == stamp.len())
    else {
        return false;
    };
    let mut words = rest;
    let (frontend, server, timers) = (word(&mut words), word(&mut words), word(&mut words));
    let (status, size) = (word(&mut words), word(&mut words));
    let Some((_, request)) = words.split_once('"') else { return false };
    let request = request.trim_end_matches('"');
    if timers.split('/').count() != 5 || status.parse::<i32>().is_err() {
        return false;
    }
    draft.time(draft.clock().resolve(&written), stamp.get(..length).unwrap_or_default());
    draft.message(request);
    draft.class(Class::Infrastructure);
    draft.other("client.address", Raw::Str(client.into()));
    draft.other("frontend", Raw::Str(frontend.into()));
    draft.other("backend", Raw::Str(server.into()));
    draft.other("timers", Raw::Str(timers.into()));
    // -1: there was none.
    if status != "-1" {
        draft.other("http.response.status_code", Raw::bare(status));
    }
    draft.other("bytes_read", Raw::bare(size));
    request_line(request, draft);
    true
}

/// `127.0.0.1:42258 - "GET / HTTP/1.1" 200 OK`, as uvicorn has it.
pub(super) fn uvicorn<'a>(message: &'a str, draft: &mut Draft<'a>) {
    let Some((client, rest)) = message.split_once(" - \"") else { return };
    let Some((request, status)) = rest.rsplit_once("\" ") else { return };
    let status = status.get(..3).unwrap_or_default();
    if client.contains(' ') || !status.bytes().all(|byte| byte.is_ascii_digit()) {
        return;
    }
    draft.other("client.address", Raw::Str(client.into()));
    request_line(request, draft);
    draft.other("http.response.status_code", Raw::bare(status));
}
