//! A pipeline with flows on which bytes go back and forth.

use std::cell::Cell;
use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU64;

use super::super::*;
use crate::capture::event::ClockSync;
use crate::capture::event::{Caller, Direction, End, Segment};
use crate::metrics::CATALOGUE;
use crate::model::{Attribute, Resource, Value};

pub(crate) const CLIENT: bool = true;
pub(crate) const SERVER: bool = false;

/// Sequence number of the first byte of either direction; it wraps on the way.
const SEQ: u32 = u32::MAX - 20;

#[derive(Clone)]
pub(crate) struct TestFlow {
    pub(crate) id: FlowId,
    pub(crate) endpoints: Endpoints,
    pub(crate) from_start: bool,
    pub(crate) pid: u32,
    pub(crate) inode: Option<NonZeroU64>,
    pub(crate) unix_connection: Option<NonZeroU64>,
    pub(crate) received: u64,
    pub(crate) sent: u64,
    positions: std::rc::Rc<[Cell<u64>; 2]>,
}

impl TestFlow {
    fn flow(&self) -> Flow {
        Flow {
            id: self.id,
            endpoints: self.endpoints.clone(),
            netns: None,
            cookie: None,
            inode: self.inode,
            from_start: self.from_start,
            unix_connection: self.unix_connection,
        }
    }

    /// Where a direction stands; `received` and `sent` are what went by unseen.
    fn position(&self, direction: Direction) -> u64 {
        let unseen = [self.received, self.sent][direction.index()];
        self.positions[direction.index()].get() + unseen
    }

    fn advance(&self, direction: Direction, n: u64) {
        let position = &self.positions[direction.index()];
        position.set(position.get() + n);
    }
}

pub(crate) struct World {
    pub(crate) pipeline: Pipeline,
    pub(crate) spans: Vec<Span>,
    delivered: u64,
    metrics: Arc<Metrics>,
    flows: u64,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(Limits::default())
    }

    /// The monotonic clock stands at 0 when it is one hour past the epoch.
    pub(crate) fn with(limits: Limits) -> Self {
        let metrics = Arc::new(Metrics::default());
        let pipeline = Pipeline::new(limits, Arc::clone(&metrics));
        let mut world = Self { pipeline, spans: Vec::new(), delivered: 0, metrics, flows: 0 };
        let sync = ClockSync { monotonic: Monotonic(0), unix_ns: 3_600_000_000_000 };
        world.handle(&Event::Clock(sync));
        world
    }

    /// A connection of 192.0.2.1:40000 to 192.0.2.2:80, seen from one of the two. Each flow is
    /// of its own process, from 10 on.
    pub(crate) fn flow(&mut self, client: bool) -> TestFlow {
        self.flows += 1;
        let (a, b) = (
            (Ipv4Addr::new(192, 0, 2, 1).into(), 40_000),
            (Ipv4Addr::new(192, 0, 2, 2).into(), 80),
        );
        let (local, remote): ((IpAddr, u16), (IpAddr, u16)) = if client { (a, b) } else { (b, a) };
        let pid = u32::try_from(self.flows).unwrap() + 9;
        let name = Attribute::new("service.name", format!("svc-{pid}"));
        let resource = Arc::new(Resource { attributes: vec![name], ..Resource::default() });
        self.handle(&Event::Process { process: ProcessKey::undated(pid), exec: false, resource });
        TestFlow {
            id: FlowId(self.flows),
            endpoints: Endpoints::Tcp { local, remote },
            from_start: true,
            pid,
            inode: None,
            unix_connection: None,
            received: 0,
            sent: 0,
            positions: Default::default(),
        }
    }

    /// Every event is followed by a check of the equation.
    pub(crate) fn handle(&mut self, event: &Event<'_>) {
        let before = self.spans.len();
        let spans = &mut self.spans;
        self.pipeline.handle(event, &mut |span| spans.push(span));
        self.delivered += (self.spans.len() - before) as u64;
        let lost: u64 = CATALOGUE
            .iter()
            .filter(|(_, name, _)| name.starts_with("exchanges.lost."))
            .map(|&(counter, ..)| self.metrics.get(counter))
            .sum();
        let spans = self.count(Counter::ExchangesSpans);
        let open = self.pipeline.open_exchanges() as u64;
        assert_eq!(self.count(Counter::ExchangesSeen), spans + open + lost, "{event:?}");
        let waiting = self.pipeline.settling() as u64;
        assert_eq!(spans, self.delivered + waiting + self.count(Counter::SpansNotSampled));
    }

    pub(crate) fn segment(
        &mut self,
        flow: &TestFlow,
        direction: Direction,
        time: u64,
        bytes: &[u8],
        skipped_after: u64,
        change: impl FnOnce(&mut Segment<'_>),
    ) {
        let position = flow.position(direction);
        flow.advance(direction, bytes.len() as u64 + skipped_after);
        #[expect(clippy::cast_possible_truncation, reason = "modulo 2^32")]
        let seq = SEQ.wrapping_add(position as u32);
        let mut segment = Segment {
            flow: flow.flow(),
            direction,
            time: Monotonic(time),
            time_is_start: false,
            process: ProcessKey::undated(flow.pid),
            caller: Caller { tid: flow.pid, ..Caller::default() },
            position,
            skipped_before: 0,
            bytes,
            skipped_after,
            unreadable_after: false,
            tcp_seq: matches!(flow.endpoints, Endpoints::Tcp { .. }).then_some(seq),
            lost_records: 0,
            frame_start: false,
            head_too_large: false,
        };
        change(&mut segment);
        self.handle(&Event::Segment(segment));
    }

    pub(crate) fn receive(&mut self, flow: &TestFlow, time: u64, text: &str) {
        self.segment(flow, Direction::Receive, time, text.as_bytes(), 0, |_| {});
    }

    pub(crate) fn send(&mut self, flow: &TestFlow, time: u64, text: &str) {
        self.segment(flow, Direction::Send, time, text.as_bytes(), 0, |_| {});
    }

    /// A segment that only marks how far a body has come.
    pub(crate) fn skip(&mut self, flow: &TestFlow, direction: Direction, time: u64, n: u64) {
        flow.advance(direction, n);
        self.segment(flow, direction, time, b"", 0, |segment| {
            segment.skipped_before = n;
        });
    }

    /// Bytes go by without a segment.
    pub(crate) fn pass(&mut self, flow: &TestFlow, direction: Direction, n: u64) {
        flow.advance(direction, n);
    }

    /// A request, and 204 for an answer.
    pub(crate) fn exchange(&mut self, flow: &TestFlow, request: &str) {
        let client = matches!(&flow.endpoints, Endpoints::Tcp { local, .. } if local.1 != 80);
        let response = "HTTP/1.1 204 No Content\r\n\r\n";
        if client {
            self.send(flow, 20, request);
            self.receive(flow, 30, response);
        } else {
            self.receive(flow, 20, request);
            self.send(flow, 30, response);
        }
    }

    /// The connection is gone.
    pub(crate) fn end(&mut self, flow: &TestFlow, time: u64, error: bool) {
        self.end_with(flow, time, error, [0; 2], [None; 2]);
    }

    pub(crate) fn end_with(
        &mut self,
        flow: &TestFlow,
        time: u64,
        error: bool,
        skipped: [u64; 2],
        last: [Option<u64>; 2],
    ) {
        // Where nothing is said, the last bytes went by a nanosecond before the end.
        let before = Some(Monotonic(time - 1));
        self.handle(&Event::End(End {
            flow: flow.flow(),
            time: Monotonic(time),
            process: ProcessKey::undated(flow.pid),
            receive_eof: true,
            send_eof: true,
            closed: true,
            error,
            position: [Direction::Receive, Direction::Send].map(|d| flow.position(d)),
            skipped,
            last: last.map(|time| time.map(Monotonic).or(before)),
            lost_records: [0; 2],
        }));
    }

    pub(crate) fn one(&mut self) -> Span {
        assert_eq!(self.spans.len(), 1, "{:?}", self.spans);
        self.spans.remove(0)
    }

    pub(crate) fn count(&self, counter: Counter) -> u64 {
        self.metrics.get(counter)
    }
}

fn value<'a>(span: &'a Span, key: &str) -> Option<&'a Value> {
    let mut found = span.attributes.iter().filter(|attribute| attribute.key == key);
    let value = found.next().map(|attribute| &attribute.value);
    assert!(found.next().is_none(), "{key} twice");
    value
}

pub(crate) fn text<'a>(span: &'a Span, key: &str) -> Option<&'a str> {
    value(span, key).map(|value| match value {
        Value::Str(text) => text.as_ref(),
        other => panic!("{key} is {other:?}"),
    })
}

pub(crate) fn texts(span: &Span, key: &str) -> Option<Vec<String>> {
    value(span, key).map(|value| match value {
        Value::Strs(texts) => texts.to_vec(),
        other => panic!("{key} is {other:?}"),
    })
}

pub(crate) fn int(span: &Span, key: &str) -> Option<i64> {
    value(span, key).map(|value| match value {
        Value::Int(n) => *n,
        other => panic!("{key} is {other:?}"),
    })
}

/// All attributes as `key=value`, sorted.
pub(crate) fn attributes(span: &Span) -> Vec<String> {
    let mut all: Vec<String> = span
        .attributes
        .iter()
        .map(|attribute| match &attribute.value {
            Value::Str(text) => format!("{}={text}", attribute.key),
            Value::Int(n) => format!("{}={n}", attribute.key),
            other => panic!("{other:?}"),
        })
        .collect();
    all.sort();
    all
}

pub(crate) fn names(span: &Span) -> Vec<&'static str> {
    span.events.iter().map(|event| event.name).collect()
}
