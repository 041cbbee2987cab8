//! Everything at the entry, and of what is inside a part that grows with the errors there.
//!
//! A span is at the entry where it has no parent, or where its request came from outside this node: from
//! an address that is none of those that connections here have at their own end. What is inside is
//! decided by the trace's id ([`Ratio`]) at the rate of its service, so that the spans of one trace are
//! kept together: those that a service with few errors keeps, one with more errors keeps too.
//!
//! The rate follows the part of the service's spans that are errors, over a window that slides along with
//! the spans' own times.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use rustc_hash::FxHashSet;

use super::Ratio;
use crate::model::{Span, SpanKind, Status, Value};

/// Services that are told apart; the rest are one.
const SERVICES: usize = 1000;

/// Own addresses that are remembered. With more, callers from the rest count as outside.
const ADDRESSES: usize = 4096;

/// Parts of the window: it slides by one.
const SLOTS: usize = 10;

/// How much is kept.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// Of a service without errors, from 0 to 1.
    pub min: f64,
    /// Of one with many, from `min` to 1.
    pub max: f64,
    /// How many are many: the part of errors, above 0 and up to 1, from which on it is `max`. In
    /// between, the rate grows evenly.
    pub errors: f64,
    /// How long an error counts.
    pub window: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self { min: 0.01, max: 0.2, errors: 0.1, window: Duration::from_secs(60) }
    }
}

/// The sampler at work.
#[derive(Debug)]
pub(super) struct Adaptive {
    settings: Settings,
    /// Nanoseconds.
    slot: u64,
    services: HashMap<Box<str>, Window>,
    /// Of services without a name, and of those beyond [`SERVICES`].
    others: Window,
    /// When services were last forgotten, as a number of slots.
    swept: u64,
    own: FxHashSet<Box<str>>,
}

impl Adaptive {
    pub(super) fn new(settings: Settings) -> Self {
        let window = u64::try_from(settings.window.as_nanos()).unwrap_or(u64::MAX);
        Self {
            settings,
            slot: (window / SLOTS as u64).max(1),
            services: HashMap::new(),
            others: Window::default(),
            swept: 0,
            own: FxHashSet::default(),
        }
    }

    pub(super) fn see(&mut self, span: &Span) {
        if let Some(address) = text(span, "network.local.address")
            && self.own.len() < ADDRESSES
            && !self.own.contains(address)
        {
            self.own.insert(address.into());
        }
        let now = span.end_unix_ns / self.slot;
        let name = span.resource.service_name().unwrap_or_default();
        if !self.services.contains_key(name) && !name.is_empty() {
            if self.services.len() >= SERVICES && self.swept < now {
                self.swept = now;
                self.services.retain(|_, window| window.is_open(now));
            }
            if self.services.len() < SERVICES {
                self.services.insert(name.into(), Window::default());
            }
        }
        let window = self.services.get_mut(name).unwrap_or(&mut self.others);
        window.count(now, span.status == Status::Error);
    }

    pub(super) fn samples(&self, span: &Span) -> bool {
        if self.is_entry(span) {
            return true;
        }
        let Settings { min, max, errors, window: _ } = self.settings;
        let name = span.resource.service_name().unwrap_or_default();
        let failing = self.services.get(name).unwrap_or(&self.others).errors();
        let rate = min + (max - min) * (failing / errors).min(1.0);
        // Out of range for none of the settings that are let in.
        Ratio::new(rate).is_none_or(|ratio| ratio.samples(span.trace_id))
    }

    fn is_entry(&self, span: &Span) -> bool {
        if span.parent_span_id.is_none() {
            return true;
        }
        let outside = |address: &str| {
            let loopback = address.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
            !loopback && !self.own.contains(address)
        };
        // Who calls over a Unix socket has no address, and is here.
        span.kind == SpanKind::Server && text(span, "network.peer.address").is_some_and(outside)
    }
}

fn text<'a>(span: &'a Span, key: &str) -> Option<&'a str> {
    span.attributes.iter().find(|attribute| attribute.key == key).and_then(|attribute| {
        match &attribute.value {
            Value::Str(text) => Some(text.as_str()),
            _ => None,
        }
    })
}

/// The spans of a service, by when they ended.
#[derive(Clone, Debug, Default)]
struct Window {
    /// Slot `n` is at `n` modulo their number.
    slots: [Slot; SLOTS],
    newest: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    number: u64,
    spans: u32,
    errors: u32,
}

impl Window {
    fn count(&mut self, number: u64, error: bool) {
        self.newest = self.newest.max(number);
        #[expect(clippy::cast_possible_truncation, reason = "below the number of slots")]
        let slot = &mut self.slots[(number % SLOTS as u64) as usize];
        if slot.number > number {
            // It ended before the window did.
            return;
        }
        if slot.number < number {
            *slot = Slot { number, ..Slot::default() };
        }
        slot.spans = slot.spans.saturating_add(1);
        slot.errors = slot.errors.saturating_add(u32::from(error));
    }

    /// The part of errors.
    fn errors(&self) -> f64 {
        let [mut spans, mut errors] = [0, 0];
        for slot in self.slots.iter().filter(|slot| slot.number + SLOTS as u64 > self.newest) {
            spans += u64::from(slot.spans);
            errors += u64::from(slot.errors);
        }
        #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
        if spans == 0 { 0.0 } else { errors as f64 / spans as f64 }
    }

    /// It holds something still.
    fn is_open(&self, now: u64) -> bool {
        self.newest.saturating_add(SLOTS as u64) > now
    }
}
