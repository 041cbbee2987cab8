//! What an exchange costs in memory allocations, from the kernel's records to the span. The sensor
//! shares its CPUs with the services it traces, so this is counted, not timed: a count is the same
//! on every machine.

#![expect(clippy::unwrap_used, clippy::panic, reason = "these are tests, helpers included")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Arc;

use sensor::capture::decode::{Decoded, decode};
use sensor::capture::event::{ClockSync, Event, Monotonic, Tgid};
use sensor::metrics::Metrics;
use sensor::model::{Attribute, Resource};
use sensor::trace::{Limits, Pipeline};
use sensor_ebpf::abi::{Family, FlowIdent, RecordKind, SegmentRecord, segment_flag};
use zerocopy::IntoBytes;

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

/// The system's allocator, and how often this thread asked it for memory.
struct Counting;

impl Counting {
    fn count() {
        // Not there any more while the thread ends.
        let _ = COUNT.try_with(|count| count.set(count.get() + 1));
    }
}

// SAFETY: all is passed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        Self::count();
        // SAFETY: the caller's promise is the one asked for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is the one asked for.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        Self::count();
        // SAFETY: the caller's promise is the one asked for.
        unsafe { System.realloc(memory, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const RECEIVED: u8 = 0;
const SENT: u8 = 1;

/// One end of a connection, as the kernel side tells of it.
struct Flow {
    ident: FlowIdent,
    positions: [u64; 2],
    time: u64,
}

impl Flow {
    fn new(id: u64, local_port: u16, remote_port: u16) -> Self {
        let mut address = [0; 16];
        address[..4].copy_from_slice(&[192, 0, 2, 1]);
        let ident = FlowIdent {
            flow: id,
            cookie: id,
            local: address,
            remote: address,
            local_port,
            remote_port,
            netns: 1,
            inode: 0,
            family: Family::Inet as u8,
            from_start: 1,
            reserved: [0; 6],
        };
        Self { ident, positions: [0; 2], time: 1 }
    }

    fn record(&mut self, direction: u8, bytes: &[u8]) -> Vec<u8> {
        let position = &mut self.positions[usize::from(direction)];
        let header = SegmentRecord {
            kind: RecordKind::Segment as u32,
            flags: segment_flag::HAS_SEQ,
            time_ns: self.time,
            ident: self.ident,
            tgid: 7,
            tid: 7,
            position: *position,
            skipped_before: 0,
            skipped_after: 0,
            copied: u32::try_from(bytes.len()).unwrap(),
            tcp_seq: u32::try_from(*position).unwrap(),
            lost_records: 0,
            direction,
            reserved: [0; 3],
        };
        *position += bytes.len() as u64;
        self.time += 1000;
        [header.as_bytes(), bytes].concat()
    }
}

/// Allocations per exchange, once the connection is known.
fn per_exchange(mut flow: Flow, first: u8, request: &str) -> f64 {
    const EXCHANGES: u32 = 100;
    let answer = b"HTTP/1.1 200 OK\r\nServer: nginx\r\nDate: Fri, 20 Nov 2026 10:00:00 GMT\r\n\
        Content-Type: text/plain\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nok";
    let mut exchange = || [flow.record(first, request.as_bytes()), flow.record(1 - first, answer)];
    let before = [exchange(), exchange()].concat();
    let records: Vec<_> = (0..EXCHANGES).flat_map(|_| exchange()).collect();

    let mut pipeline = Pipeline::new(Limits::default(), Arc::new(Metrics::default()));
    let mut spans = 0;
    let mut handle = |event: &Event<'_>| pipeline.handle(event, &mut |_| spans += 1);
    handle(&Event::Clock(ClockSync { monotonic: Monotonic(0), unix_ns: 0 }));
    let name = Attribute::new("service.name", "shop");
    let resource = Arc::new(Resource { attributes: vec![name] });
    handle(&Event::Process { tgid: Tgid(7), resource });
    let mut feed = |record: &Vec<u8>| match decode(record) {
        Ok(Decoded::Event(event)) => handle(&event),
        other => panic!("{other:?}"),
    };
    before.iter().for_each(&mut feed);
    let count = COUNT.get();
    records.iter().for_each(&mut feed);
    let count = COUNT.get() - count;
    assert_eq!(spans, EXCHANGES + 2);
    f64::from(u32::try_from(count).unwrap()) / f64::from(EXCHANGES)
}

#[track_caller]
fn at_most(allowed: f64, counted: f64) {
    assert!(
        counted <= allowed,
        "an exchange now takes {counted} allocations, {allowed} are allowed: find the new ones \
         (`valgrind --tool=dhat`). If the feature that needs them is worth it on every exchange \
         of every traced service, raise the number here and say why in the commit."
    );
}

/// The open exchange, its attributes, its events.
#[test]
fn a_server_exchange() {
    let request = "GET /api/items?id=7 HTTP/1.1\r\nHost: shop.example:8080\r\nAccept: */*\r\n\
        User-Agent: curl/7.88.1\r\n\
        traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n\r\n";
    at_most(3.0, per_exchange(Flow::new(1, 8080, 40_000), RECEIVED, request));
}

/// The same, and `url.full`.
#[test]
fn a_client_exchange() {
    let request = "GET /api/items?id=7 HTTP/1.1\r\nHost: shop.example:8080\r\nAccept: */*\r\n\
        User-Agent: curl/7.88.1\r\n\r\n";
    at_most(4.0, per_exchange(Flow::new(1, 40_000, 8080), SENT, request));
}
