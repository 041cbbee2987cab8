//! Files made by tcpdump and editcap (see `tests/data/pcap/README.md`); the values expected of them
//! are what tshark says. Packets made by etherparse, for what loopback does not show.

use std::net::SocketAddr;
use std::path::Path;

use super::*;
use crate::capture::event::{Caller, Direction, Endpoints, Flow, ProcessKey};

mod made;
mod real;

/// An event that owns its bytes.
#[derive(Clone, Debug, PartialEq)]
enum Seen {
    Clock(u64),
    Segment {
        flow: u64,
        direction: Direction,
        time: u64,
        position: u64,
        seq: u32,
        text: String,
        cut: u64,
    },
    End {
        flow: u64,
        eof: [bool; 2],
        closed: bool,
        error: bool,
        position: [u64; 2],
    },
}

#[derive(Default)]
struct Capture {
    seen: Vec<Seen>,
    flows: Vec<Flow>,
    error: Option<String>,
    metrics: Arc<Metrics>,
}

impl Capture {
    fn take(&mut self, event: &Event<'_>) {
        let flow = match event {
            Event::Segment(segment) => &segment.flow,
            Event::End(end) => &end.flow,
            Event::Clock(clock) => {
                assert_eq!(clock.monotonic.0, clock.unix_ns);
                self.seen.push(Seen::Clock(clock.unix_ns));
                return;
            }
            other => panic!("{other:?}"),
        };
        if !self.flows.iter().any(|known| known.id == flow.id) {
            self.flows.push(flow.clone());
        }
        assert!(self.flows.contains(flow), "a flow's identity does not change");
        self.seen.push(match event {
            Event::Segment(segment) => {
                assert_eq!(
                    (segment.process, segment.caller),
                    (ProcessKey::UNKNOWN, Caller::default())
                );
                assert_eq!(segment.unreadable_after, segment.skipped_after > 0);
                Seen::Segment {
                    flow: segment.flow.id.0,
                    direction: segment.direction,
                    time: segment.time.0,
                    position: segment.position,
                    seq: segment.tcp_seq.unwrap(),
                    text: String::from_utf8_lossy(segment.bytes).into_owned(),
                    cut: segment.skipped_after,
                }
            }
            Event::End(end) => Seen::End {
                flow: end.flow.id.0,
                eof: [end.receive_eof, end.send_eof],
                closed: end.closed,
                error: end.error,
                position: end.position,
            },
            _ => unreachable!(),
        });
    }

    fn of(bytes: &[u8]) -> Self {
        let mut capture = Self::default();
        let metrics = Arc::clone(&capture.metrics);
        let mut source = match Pcap::new("test.pcap".into(), bytes, metrics) {
            Ok(source) => source,
            Err(error) => {
                capture.error = Some(error.to_string());
                return capture;
            }
        };
        loop {
            match source.poll(&mut |event| capture.take(&event)) {
                Ok(Progress::Finished) => return capture,
                Ok(_) => {}
                Err(error) => {
                    capture.error = Some(error.to_string());
                    assert_eq!(source.poll(&mut |_| ()).unwrap(), Progress::Finished);
                    return capture;
                }
            }
        }
    }

    /// One direction's bytes, with `_` for each that is missing.
    fn stream(&self, flow: u64, wanted: Direction) -> String {
        let mut stream = String::new();
        let mut at = 0;
        for seen in &self.seen {
            match seen {
                Seen::Segment { flow: of, direction, position, text, cut, .. }
                    if (*of, *direction) == (flow, wanted) =>
                {
                    stream.extend((at..*position).map(|_| '_'));
                    stream.push_str(text);
                    stream.extend((0..*cut).map(|_| '_'));
                    at = position + text.len() as u64 + cut;
                }
                _ => {}
            }
        }
        stream
    }

    fn count(&self, counter: Counter) -> u64 {
        self.metrics.get(counter)
    }
}

fn ends(server: &str, client: &str) -> Endpoints {
    let end = |text: &str| {
        let address: SocketAddr = text.parse().unwrap();
        (address.ip(), address.port())
    };
    Endpoints::Tcp { local: end(server), remote: end(client) }
}
