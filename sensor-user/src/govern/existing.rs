//! Processes that export spans of their own, so that the sensor's are not doubled.
//!
//! Such a process is noticed by its exports, as far as they can be read: requests that hand over spans
//! ([`crate::wire::span_export`]) and that the backend took. One request proves nothing by itself: a
//! stranger may have a webhook of the service sent to a path that looks right, and would hide the
//! service. A process counts as exporting
//!
//! - once it exports to where its own environment says ([`Resource::span_endpoints`]);
//! - or once it has sent three requests that are typical of an exporter
//!   ([`SpanExport::Typical`](crate::model::SpanExport::Typical)) to one destination at an exporter's
//!   rhythm ([`Rhythms`]), none of them within a request that it serves.
//!
//! One that *receives* such requests is a collector, an agent or a proxy on the way, and the spans it
//! passes on are others'. Not noticed are exports over TLS, to a path of somebody's own, of JSON by a
//! client that does not say what it is, or by other means (UDP, a file). A process counts as exporting from
//! then on, for exchanges that begin after that: those before are doubled. It does so until spans of it
//! have been left out for [`PATIENCE`] without a further export. That it is quiet is no reason to forget it.
//!
//! Which spans it has itself can only be told from outside:
//!
//! - a client span whose identifier the application made for this very request ([`Span::minted`]) exists:
//!   that is what the context was sent for;
//! - a server span is taken to exist: whoever instruments a service has its requests traced first. (An
//!   SDK may be told to leave out some, health checks say. These are not seen then.)
//! - a client span of a request without a context, or with one that was only passed on, is not known to
//!   the SDK, nor is one of a trace that the caller does not sample.
//!
//! With [`Existing::Skip`] the parents of what is left stay true and never point to nothing. The next
//! service's server span has the application's identifier for its parent, which its own span has in the
//! backend. But a client span that is left, inside a server span that is not, would be under an
//! identifier that only the sensor knew; what the SDK calls its server span never goes by. So it has no
//! parent, and says why ([`PARENT_MISSING`]).

mod proof;

use std::hash::Hasher;

use proof::{Proof, Rhythms};
use rustc_hash::FxHashMap;
use siphasher::sip::SipHasher24;

use crate::model::{Attribute, Link, Resource, Span, SpanId, SpanKind, Value};

/// Attribute: true on a span that its process exports too.
pub const EXISTING: &str = "sensor.existing";
/// Attribute: why there is no parent: `existing` where it would be a span that is left out because its
/// process exports its own.
pub const PARENT_MISSING: &str = crate::trace::DOUBT;
/// Attribute: what a parent is known by.
const PARENT_EVIDENCE: &str = crate::trace::EVIDENCE;

/// How long spans are left out without another export, in nanoseconds. SDKs export every five seconds
/// by default (`OTEL_BSP_SCHEDULE_DELAY`), and those whose backend is away try again for some minutes.
const PATIENCE: u64 = 5 * 60 * 1_000_000_000;

/// How many processes are named in the sensor's log.
const TOLD: u32 = 1000;

/// Processes that are remembered; the one whose last export is the oldest makes room.
const PROCESSES: usize = 4096;

/// What becomes of spans that their processes export themselves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Existing {
    /// They are exported as any other.
    #[default]
    Keep,
    /// They are left out, and counted.
    Skip,
    /// They are exported, and say so ([`EXISTING`]). Where the application's span has the same
    /// identifier, they take one of their own, and a link to it.
    Link,
}

/// How a span stands to those that its process exports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Its process exports none, or none of this trace.
    Apart,
    /// There is one of the same exchange.
    Existing,
    /// There is none of the same exchange, but of those around it.
    Beside,
}

/// Processes that were seen to export spans or to receive them.
#[derive(Debug, Default)]
pub(super) struct Processes {
    /// By `process.pid`.
    known: FxHashMap<i64, Process>,
    /// How many were found to export their own.
    told: u32,
}

#[derive(Debug)]
struct Process {
    service: Option<Box<str>>,
    instance: Option<Box<str>>,
    role: Role,
    /// Nanoseconds since the Unix epoch.
    last_export: u64,
}

#[derive(Debug)]
enum Role {
    /// It has sent requests that look like exports of its own.
    Candidate(Rhythms),
    /// It exports its own spans.
    Exporter {
        /// Since when, in nanoseconds since the Unix epoch.
        since: u64,
        /// The end of the first span that was left out since the last export.
        waiting: Option<u64>,
    },
    /// It takes spans of others.
    Collector,
}

/// A process that was found to export its own spans.
pub(super) struct Exporter<'a> {
    who: Who<'a>,
    to: String,
    told: bool,
}

impl Exporter<'_> {
    /// Says so: it has a bearing on which spans there are.
    pub(super) fn tell(&self, existing: Existing) {
        let Self { who: Who { pid, service, .. }, to, told } = self;
        let service = service.unwrap_or_default();
        match existing {
            _ if !told => {}
            Existing::Skip => tracing::warn!(
                pid,
                ?service,
                ?to,
                "a process exports its own spans: its server spans are left out (--existing-spans)"
            ),
            Existing::Link => tracing::info!(
                pid,
                ?service,
                ?to,
                "a process exports its own spans: the sensor's are marked (--existing-spans)"
            ),
            Existing::Keep => {
                tracing::info!(pid, ?service, ?to, "a process exports its own spans");
            }
        }
    }
}

/// Who a process is. An id may be used again; by another service, if it is another program.
#[derive(Clone, Copy)]
struct Who<'a> {
    pid: i64,
    service: Option<&'a str>,
    instance: Option<&'a str>,
}

impl<'a> Who<'a> {
    /// None where nothing is known of processes.
    fn of(resource: &'a Resource) -> Option<Self> {
        let pid = int(&resource.attributes, "process.pid")?;
        let instance = resource.text("service.instance.id");
        Some(Self { pid, service: resource.service_name(), instance })
    }

    fn is(&self, process: &Process) -> bool {
        process.service.as_deref() == self.service && process.instance.as_deref() == self.instance
    }
}

impl Processes {
    /// Looks whether a span is an export, whoever it is of. Some where that shows that the process
    /// exports its own spans, and that was not known.
    pub(super) fn notice<'a>(&mut self, span: &'a Span) -> Option<Exporter<'a>> {
        if span.exports_spans.is_none() || !proof::was_taken(span) {
            return None;
        }
        let who = Who::of(&span.resource)?;
        let proof = Proof::of(span);
        if proof.is_none() && span.kind == SpanKind::Client {
            return None;
        }
        let now = span.end_unix_ns;
        if !self.known.get(&who.pid).is_some_and(|process| who.is(process)) {
            self.make_room();
            let [service, instance] = [who.service, who.instance].map(|it| it.map(Box::from));
            let role = Role::Candidate(Rhythms::default());
            self.known.insert(who.pid, Process { service, instance, role, last_export: now });
        }
        let process = self.known.get_mut(&who.pid)?;
        process.last_export = process.last_export.max(now);
        let Some(proof) = proof else {
            process.role = Role::Collector;
            return None;
        };
        let to = proof::destination(span);
        let proven = match &mut process.role {
            Role::Collector => false,
            Role::Exporter { waiting, .. } => {
                *waiting = None;
                false
            }
            Role::Candidate(rhythms) => proof == Proof::Configured || rhythms.repeats(&to, now),
        };
        if !proven {
            return None;
        }
        process.role = Role::Exporter { since: now, waiting: None };
        self.told = self.told.saturating_add(1);
        Some(Exporter { who, to, told: self.told <= TOLD })
    }

    fn make_room(&mut self) {
        if self.known.len() < PROCESSES {
            return;
        }
        let oldest = self.known.iter().min_by_key(|(_, process)| process.last_export);
        if let Some(pid) = oldest.map(|(&pid, _)| pid) {
            self.known.remove(&pid);
        }
    }

    /// How a complete span stands to those that its process exports.
    pub(super) fn standing(&mut self, span: &Span) -> Standing {
        let standing = self.looks(span);
        if standing == Standing::Existing
            && let Some(who) = Who::of(&span.resource)
            && let Some(process) = self.known.get_mut(&who.pid)
            && let Role::Exporter { waiting, .. } = &mut process.role
        {
            waiting.get_or_insert(span.end_unix_ns);
        }
        standing
    }

    /// Whether the spans are left out that a process has at `now`, in nanoseconds since the Unix epoch.
    pub(super) fn exports(&self, resource: &Resource, now: u64) -> bool {
        let Some(who) = Who::of(resource) else { return false };
        let process = self.known.get(&who.pid).filter(|process| who.is(process));
        let Some(&Role::Exporter { since, waiting }) = process.map(|process| &process.role) else {
            return false;
        };
        now >= since && waiting.is_none_or(|waiting| now.saturating_sub(waiting) <= PATIENCE)
    }

    /// The same, of one that may go on.
    pub(super) fn looks(&self, span: &Span) -> Standing {
        if self.known.is_empty() || span.remote_sampled == Some(false) {
            return Standing::Apart;
        }
        let Some(who) = Who::of(&span.resource) else {
            return Standing::Apart;
        };
        let process = self.known.get(&who.pid).filter(|process| who.is(process));
        let Some(&Role::Exporter { since, waiting }) = process.map(|process| &process.role) else {
            return Standing::Apart;
        };
        let waited = waiting.map_or(0, |waiting| span.end_unix_ns.saturating_sub(waiting));
        if span.start_unix_ns < since || waited > PATIENCE {
            Standing::Apart
        } else if span.kind == SpanKind::Server || span.minted {
            Standing::Existing
        } else {
            Standing::Beside
        }
    }
}

/// Takes its parent, which is not exported.
pub(super) fn orphan(span: &mut Span) {
    if span.parent_span_id.take().is_none() {
        return;
    }
    span.attributes.retain(|it| it.key != PARENT_EVIDENCE && it.key != PARENT_MISSING);
    span.attributes.push(Attribute::new(PARENT_MISSING, "existing"));
}

/// Sets a span apart from the application's own.
pub(super) fn link(span: &mut Span) {
    span.attributes.push(Attribute::new(EXISTING, true));
    if !span.minted {
        return;
    }
    // It is in the trace that a foreign caller's request came with, and has its link.
    if span.links.iter().any(|link| link.span_id == span.span_id) {
        return;
    }
    // Made of the application's, so that it is the same wherever it is made.
    let mut hash = SipHasher24::new_with_keys(0x7365_6e73_6f72, 3);
    hash.write(&span.trace_id.bytes());
    hash.write(&span.span_id.bytes());
    let Some(id) = SpanId::new(hash.finish().to_le_bytes()) else {
        return;
    };
    let attributes = vec![Attribute::new(EXISTING, true)];
    let theirs = Link { trace_id: span.trace_id, span_id: span.span_id, attributes };
    span.links.push(theirs);
    span.span_id = id;
    span.minted = false;
}

fn text<'a>(span: &'a Span, key: &str) -> Option<&'a str> {
    span.attributes.iter().find_map(|attribute| match &attribute.value {
        Value::Str(text) if attribute.key == key => Some(text.as_str()),
        _ => None,
    })
}

fn int(attributes: &[Attribute], key: &str) -> Option<i64> {
    attributes.iter().find(|attribute| attribute.key == key).and_then(|attribute| {
        match attribute.value {
            Value::Int(number) => Some(number),
            _ => None,
        }
    })
}
