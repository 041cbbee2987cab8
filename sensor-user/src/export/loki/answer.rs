//! What Loki's answers mean.
//!
//! A 400 is for some lines of a stream, or for all of it, and says so (read in 2.9 to 3.7):
//!
//! - The distributor looks at labels, and then at each line (`pkg/distributor/validator.go`). What is wrong with
//!   labels loses the stream; a line that is too old, too new, too long, or has too much metadata loses itself,
//!   and the others are stored. Each reason comes with how often it was met (`GroupedErrors`): `3 errors like: …;
//!   1 errors like: …`, or alone where there was one.
//! - The ingester refuses lines that are behind the newest of their stream by more than half of `max_chunk_age`
//!   (`pkg/ingester/stream.go`), and says `total ignored: 3 out of 9 for stream: …`. Of lines that the
//!   distributor refused before that, nothing is said then.
//!
//! Where the text is another, none of the lines is known to be taken, and all are counted as lost.

use crate::export::delivery::{Loss, Outcome, Scope};
use crate::export::http::{Answer, snippet};
use crate::export::text::bounded;

/// Loki's default for ingestion that is blocked (`block_ingestion_status_code`): a success to
/// clients, so that they do not try again, and yet nothing is stored.
const BLOCKED: u16 = 260;

/// As Promtail has it: 429 and 5xx may work later, the rest will not. `items` lines were sent, of the stream with
/// these labels.
pub(super) fn outcome(answer: &Answer, labels: &str, items: u64) -> Outcome {
    let text = snippet(&answer.body);
    match answer.status.as_u16() {
        BLOCKED => Outcome::lost(Loss::Rejected, answer.reason(&text)),
        200..300 => Outcome::ACCEPTED,
        429 => too_much(answer, &text, labels),
        500..600 => Outcome::retry(answer.reason(&text), answer.retry_after()),
        400 => {
            let body = String::from_utf8_lossy(&answer.body);
            let refused = refused(&body, answer.cut, labels, items);
            match refused.as_slice() {
                &[(loss, lost)] if lost == items => Outcome::lost(loss, answer.reason(&text)),
                _ => Outcome::Accepted { refused, message: text },
            }
        }
        401..500 => Outcome::lost(Loss::Rejected, answer.reason(&text)),
        _ => Outcome::lost(Loss::Failed, answer.reason(&text)),
    }
}

/// The beginnings of what is said of a whole tenant (`RateLimitedErrorMsg` and
/// `BlockedIngestionErrorMsg` of `pkg/validation/validate.go`). They are without any text of ours.
const OF_TENANT: [&str; 2] = ["ingestion rate limit exceeded", "ingestion blocked for user"];

/// What is said of one stream (`ErrStreamRateLimit`, `StreamLimitErrorMsg`). The limit of active
/// streams is for streams that are not active yet: others go on.
const OF_STREAM: [&str; 2] =
    ["per stream rate limit exceeded", "maximum active stream limit exceeded"];

/// A 429 is for a tenant or for one stream. Up to 3.4 the texts begin in upper case.
fn too_much(answer: &Answer, text: &str, labels: &str) -> Outcome {
    let body = String::from_utf8_lossy(&answer.body).trim().to_ascii_lowercase();
    let after = answer.retry_after();
    // What is in labels can do no harm: it comes later than the first, and after the second it is
    // the stream's own.
    let scope = if OF_TENANT.iter().any(|known| body.starts_with(known)) {
        Scope::Backend
    } else if OF_STREAM.iter().any(|known| body.contains(known)) {
        Scope::Stream
    } else if after.is_some() {
        // A proxy, which does not know of streams.
        Scope::Backend
    } else {
        Scope::Unsaid
    };
    let mut reason = answer.reason(text);
    if scope != Scope::Backend {
        reason = format!("{} gets {reason}", bounded(labels, LABELS_MAX));
    }
    Outcome::Retry { scope, reason, after }
}

/// Characters of a stream's labels in the log.
const LABELS_MAX: usize = 200;

/// The texts that are for one line each, and what they are counted as.
const OF_LINES: [(&str, Loss); 6] = [
    ("has timestamp too old", Loss::TooOld),
    ("has timestamp too new", Loss::Rejected),
    ("max entry size", Loss::Rejected),
    ("has structured metadata too large", Loss::Rejected),
    ("has too many structured metadata labels", Loss::Rejected),
    ("includes structured metadata, but this feature is disallowed", Loss::Rejected),
];

/// How many of `items` lines are lost for which reason.
fn refused(body: &str, cut: bool, labels: &str, items: u64) -> Vec<(Loss, u64)> {
    // What is in labels is not Loki's to say.
    let body = body.replace(&format!("'{labels}'"), "''").replace(labels, "");
    let body = body.trim();
    if let Some((ignored, of)) = ignored(body) {
        let behind = body.contains("entry too far behind") || body.contains("entry out of order");
        let loss = if behind { Loss::OutOfOrder } else { Loss::Rejected };
        if (1..=of).contains(&ignored) && of <= items {
            // What did not get there was refused before, or went another way: it is not known to be taken.
            let rest = (Loss::Rejected, items - of);
            return [(loss, ignored), rest].into_iter().filter(|(_, count)| *count > 0).collect();
        }
    }
    let all = |loss| vec![(loss, items)];
    let Some(groups) = groups(body) else { return all(Loss::Rejected) };
    let mut counted = [(Loss::TooOld, 0u64), (Loss::Rejected, 0)];
    for (count, text) in groups {
        let known = OF_LINES.iter().find(|(known, _)| text.contains(known));
        let Some((_, loss)) = known else { return all(Loss::Rejected) };
        for (of, sum) in &mut counted {
            if of == loss {
                *sum = sum.saturating_add(count);
            }
        }
    }
    let [(_, old), (_, other)] = counted;
    if cut || old.saturating_add(other) > items {
        return all(if other == 0 { Loss::TooOld } else { Loss::Rejected });
    }
    counted.into_iter().filter(|(_, count)| *count > 0).collect()
}

/// `total ignored: 3 out of 9 for stream`.
fn ignored(body: &str) -> Option<(u64, u64)> {
    let (_, rest) = body.rsplit_once("total ignored: ")?;
    let (ignored, rest) = rest.split_once(" out of ")?;
    let (of, _) = rest.split_once(" for stream")?;
    Some((ignored.parse().ok()?, of.parse().ok()?))
}

const LIKE: &str = " errors like: ";

/// Each reason with how often it was met. None where that is not told as expected.
fn groups(body: &str) -> Option<Vec<(u64, &str)>> {
    if !body.contains(LIKE) {
        return Some(vec![(1, body)]);
    }
    let mut groups = Vec::new();
    // What is before the first of them is its number, what is before each other one ends with its number.
    let mut parts = body.split(LIKE);
    let mut count: u64 = parts.next()?.parse().ok()?;
    let mut parts = parts.peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            groups.push((count, part));
            break;
        }
        let (text, next) = part.rsplit_once("; ")?;
        groups.push((count, text));
        count = next.parse().ok()?;
    }
    Some(groups)
}

#[cfg(test)]
mod tests {
    use reqwest::StatusCode;
    use reqwest::header::{HeaderMap, HeaderValue, RETRY_AFTER};

    use super::*;

    const LABELS: &str = r#"{level="info", service_name="shop"}"#;

    #[track_caller]
    fn assert_refused(body: &str, expected: &[(Loss, u64)]) {
        assert_eq!(refused(body, false, LABELS, 9), expected, "{body}");
    }

    /// The texts are those of `pkg/validation/validate.go` and `pkg/ingester/stream.go` of Loki 2.9
    /// to 3.7.
    #[test]
    fn a_limit_is_of_the_tenant_or_of_a_stream() {
        let scope = |text: &str, labels: &str, after: Option<&'static str>| {
            let mut headers = HeaderMap::new();
            headers.extend(after.map(|it| (RETRY_AFTER, HeaderValue::from_static(it))));
            let status = StatusCode::TOO_MANY_REQUESTS;
            let answer = Answer { status, headers, body: text.into(), cut: false };
            match outcome(&answer, labels, 9) {
                Outcome::Retry { scope, after, .. } => (scope, after.map(|it| it.as_secs())),
                other => panic!("{other:?}"),
            }
        };
        let tenant = "ngestion rate limit exceeded for user fake (limit: 4194304 bytes/sec) while \
                      attempting to ingest '9' lines totaling '900' bytes, reduce log volume or \
                      contact your Loki administrator to see if the limit can be increased";
        for first in ["i", "I"] {
            let text = format!("{first}{tenant}\n");
            assert_eq!(scope(&text, LABELS, None), (Scope::Backend, None));
            assert_eq!(scope(&text, LABELS, Some("7")), (Scope::Backend, Some(7)));
        }
        let blocked = "ingestion blocked for user fake until '2027-01-01 00:00:00 +0000 UTC' with \
                       status code '429'";
        assert_eq!(scope(blocked, LABELS, None), (Scope::Backend, None));
        // Called as the tenant's limit is: it is the stream's own all the same.
        let hostile = r#"{service_name="ingestion rate limit exceeded for user"}"#;
        for labels in [LABELS, hostile] {
            let rate = format!(
                "entry with timestamp 2026-11-21 10:00:00 +0000 UTC ignored, reason: 'Per stream \
                 rate limit exceeded (limit: 3MB/sec) while attempting to ingest for stream \
                 '{labels}' totaling 8238B, consider splitting a stream via additional labels or \
                 contact your Loki administrator to see if the limit can be increased',\nuser \
                 'fake', total ignored: 9 out of 9 for stream: {labels}"
            );
            assert_eq!(scope(&rate, labels, None), (Scope::Stream, None));
            assert_eq!(scope(&rate, labels, Some("7")), (Scope::Stream, Some(7)));
            let streams = format!(
                "maximum active stream limit exceeded when trying to create stream {labels}, \
                 reduce the number of active streams (reduce labels or reduce label values), or \
                 contact your Loki administrator to see if the limit can be increased, user: \
                 'fake'"
            );
            assert_eq!(scope(&streams, labels, None), (Scope::Stream, None));
        }
        // Of a proxy.
        assert_eq!(scope("<h1>Too Many Requests</h1>", LABELS, None), (Scope::Unsaid, None));
        assert_eq!(scope("", LABELS, Some("7")), (Scope::Backend, Some(7)));
    }

    /// What is blocked is answered as if it were taken.
    #[test]
    fn blocked_ingestion_is_no_success() {
        let status = StatusCode::from_u16(260).unwrap();
        let body = "ingestion blocked for user fake until 'x' with status code '260'".into();
        let answer = Answer { status, headers: HeaderMap::new(), body, cut: false };
        let outcome = outcome(&answer, LABELS, 9);
        assert!(matches!(outcome, Outcome::Lost { loss: Loss::Rejected, .. }), "{outcome:?}");
    }

    /// The formats are those of `pkg/validation/validate.go`, `pkg/util/errors/errors.go`, `pkg/ingester/stream.go`
    /// and `pkg/chunkenc/interface.go` of Loki 3.7.
    #[test]
    fn lines_are_counted_by_reason() {
        let old = format!(
            "entry for stream '{LABELS}' has timestamp too old: 2024-01-01T00:00:00Z, oldest \
             acceptable timestamp is: 2026-11-14T13:00:00Z"
        );
        let new =
            format!("entry for stream '{LABELS}' has timestamp too new: 2030-01-01T00:00:00Z");
        let long = format!(
            "max entry size '262144' bytes exceeded for stream '{LABELS}' while adding an entry \
             with length '300000' bytes"
        );
        assert_refused(&format!("{old}\n"), &[(Loss::TooOld, 1)]);
        assert_refused(&format!("9 errors like: {old}"), &[(Loss::TooOld, 9)]);
        assert_refused(
            &format!("3 errors like: {old}; 1 errors like: {new}; 2 errors like: {long}"),
            &[(Loss::TooOld, 3), (Loss::Rejected, 3)],
        );
        let behind = concat!(
            "entry with timestamp 2026-11-21 10:00:00 +0000 UTC ignored, reason: 'entry too far ",
            "behind, entry timestamp is: 2026-11-21T10:00:00Z, oldest acceptable timestamp is: ",
            "2026-11-21T11:00:00Z',\nuser 'fake', total ignored: 2 out of "
        );
        assert_refused(&format!("{behind}9 for stream: {LABELS}"), &[(Loss::OutOfOrder, 2)]);
        // Three did not get to the ingester.
        assert_refused(
            &format!("{behind}6 for stream: {LABELS}"),
            &[(Loss::OutOfOrder, 2), (Loss::Rejected, 3)],
        );
    }

    #[test]
    fn what_is_not_understood_is_all_of_it() {
        for body in [
            "",
            "error at least one label pair is required per stream",
            "stream '{}' has label value too long: 'x'",
            "entry for stream '{}' has 16 label names; limit 15",
            "99 errors like: stream '' has timestamp too new: x",
            "x errors like: has timestamp too old",
            "3 errors like: has timestamp too old; what 2 errors like: has timestamp too old",
            "total ignored: 12 out of 9 for stream: {}",
            "total ignored: 2 out of 10 for stream: {}",
        ] {
            assert_refused(body, &[(Loss::Rejected, 9)]);
        }
    }

    /// An answer that is too long to be read to its end has more than it shows.
    #[test]
    fn of_a_cut_answer_all_are_counted() {
        let old = "2 errors like: '' has timestamp too old: x";
        assert_eq!(refused(old, true, LABELS, 9), [(Loss::TooOld, 9)]);
        let new = "2 errors like: '' has timestamp too new: x";
        assert_eq!(refused(new, true, LABELS, 9), [(Loss::Rejected, 9)]);
    }

    /// A service may be called anything.
    #[test]
    fn names_of_services_do_not_count() {
        let labels = r#"{service_name="a; 7 errors like: has timestamp too old"}"#;
        let body = format!("2 errors like: entry for stream '{labels}' has timestamp too new: x");
        assert_eq!(refused(&body, false, labels, 9), [(Loss::Rejected, 2)]);
    }
}
