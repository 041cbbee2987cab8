//! What the counted decoders decode: HTTP/1.1 as services speak it, the same bytes in every build.

use std::fmt::Write as _;
use std::sync::Arc;

use sensor::capture::event::{ClockSync, Event, Monotonic, ProcessKey};
use sensor::metrics::Metrics;
use sensor::model::{Attribute, Resource};
use sensor::trace::{Limits, Pipeline};
use sensor_ebpf::abi::{Family, FlowIdent, RecordKind, SegmentRecord, segment_flag};
use zerocopy::IntoBytes as _;

/// Exchanges of each shape.
const EACH: u32 = 16;

/// An exchange: two heads, and the lengths of the bodies that follow them and are not copied.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// Start line and fields of the request, with the empty line.
    pub request: Vec<u8>,
    /// Bytes of the request's body.
    pub request_body: u64,
    /// Start line and fields of the response, with the empty line.
    pub response: Vec<u8>,
    /// Bytes of the response's body.
    pub response_body: u64,
}

/// A pipeline that knows the time and the process [`TGID`].
#[must_use]
pub fn pipeline() -> Pipeline {
    let mut pipeline = Pipeline::new(Limits::default(), Arc::new(Metrics::default()));
    let sync = ClockSync { monotonic: Monotonic(0), unix_ns: 0 };
    let name = Attribute::new("service.name", "shop");
    let resource = Arc::new(Resource { attributes: vec![name], ..Resource::default() });
    let process = ProcessKey::undated(TGID);
    for event in [Event::Clock(sync), Event::Process { process, exec: false, resource }] {
        pipeline.handle(&event, &mut |_| {});
    }
    pipeline
}

/// Exchanges over one connection: a browser with its cookies, a service with a trace context, curl,
/// and a form that is posted, in turn.
#[must_use]
pub fn exchanges() -> Vec<Exchange> {
    (0..EACH).flat_map(|n| [browser(n), service(n), curl(n), form(n)]).collect()
}

fn browser(n: u32) -> Exchange {
    let mut cookies = String::new();
    for cookie in 0..6 {
        // Writing to a string cannot fail.
        let _ = write!(cookies, "c{cookie}={:032x}; ", u128::from(n + 1) << (8 * cookie));
    }
    let request = format!(
        "GET /articles/{n}/comments?page=2&sort=newest HTTP/1.1\r\nHost: www.shop.example\r\n\
         Connection: keep-alive\r\nsec-ch-ua-platform: \"Linux\"\r\nUser-Agent: Mozilla/5.0 (X11; Linux \
         x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36\r\n\
         Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8\r\n\
         Accept-Encoding: gzip, deflate, br, zstd\r\nAccept-Language: en-GB,en;q=0.9,de;q=0.8\r\n\
         Referer: https://www.shop.example/articles/{n}\r\nCookie: {cookies}last=1\r\n\r\n"
    );
    let response = format!(
        "HTTP/1.1 200 OK\r\nServer: nginx\r\nDate: Fri, 20 Nov 2026 10:00:{:02} GMT\r\n\
         Content-Type: text/html; charset=utf-8\r\nContent-Length: 18734\r\n\
         Connection: keep-alive\r\nVary: Accept-Encoding\r\nETag: W/\"{n:08x}\"\r\n\
         Cache-Control: private, max-age=0, must-revalidate\r\n\
         Set-Cookie: c0={n:032x}; Path=/; Secure; HttpOnly; SameSite=Lax\r\n\
         Strict-Transport-Security: max-age=63072000; includeSubDomains\r\n\r\n",
        n % 60
    );
    exchange(request, 0, response, 18_734)
}

fn service(n: u32) -> Exchange {
    let request = format!(
        "POST /v1/orders/{n}/items HTTP/1.1\r\nhost: orders.shop.svc.cluster.local:8080\r\n\
         content-type: application/json\r\ncontent-length: 214\r\naccept: application/json\r\n\
         user-agent: orders-client/2.7\r\nx-request-id: {n:08x}-5f0e-4b12-9c3e-0242ac120002\r\n\
         traceparent: 00-4bf92f3577b34da6a3ce929d{n:08x}-00f067aa{n:08x}-01\r\n\
         tracestate: rojo=00f067aa0ba902b7,congo=t61rcWkgMzE\r\n\r\n"
    );
    let response = "HTTP/1.1 201 Created\r\ncontent-type: application/json\r\ncontent-length: 96\r\n\
                    date: Fri, 20 Nov 2026 10:00:00 GMT\r\nx-envoy-upstream-service-time: 4\r\n\
                    server: envoy\r\n\r\n";
    exchange(request, 214, response, 96)
}

fn curl(n: u32) -> Exchange {
    let request = format!(
        "GET /healthz?probe={n} HTTP/1.1\r\nHost: 192.0.2.1:8080\r\nUser-Agent: curl/8.14.1\r\n\
         Accept: */*\r\n\r\n"
    );
    let response = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\n";
    exchange(request, 0, response, 2)
}

fn form(n: u32) -> Exchange {
    let request = format!(
        "POST /login HTTP/1.1\r\nHost: www.shop.example\r\nContent-Length: 53\r\n\
         Origin: https://www.shop.example\r\nContent-Type: application/x-www-form-urlencoded\r\n\
         User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n\
         Accept: */*\r\nCookie: session={n:064x}\r\n\r\n"
    );
    let response = "HTTP/1.1 302 Found\r\nLocation: /account\r\nContent-Length: 0\r\n\
                    Date: Fri, 20 Nov 2026 10:00:00 GMT\r\nServer: nginx\r\n\r\n";
    exchange(request, 53, response, 0)
}

fn exchange(
    request: impl Into<Vec<u8>>,
    request_body: u64,
    response: impl Into<Vec<u8>>,
    response_body: u64,
) -> Exchange {
    Exchange { request: request.into(), request_body, response: response.into(), response_body }
}

/// Index of [`SegmentRecord::direction`]: bytes that the process received.
pub const RECEIVED: u8 = 0;
/// Index of [`SegmentRecord::direction`]: bytes that the process sent.
pub const SENT: u8 = 1;
/// The process in every record.
pub const TGID: u32 = 7;

/// Bytes of a body that go by in one call with its head.
const CALL: u64 = 4096;

/// One end of a connection, as the kernel side tells of it.
#[derive(Debug)]
pub struct Flow {
    ident: FlowIdent,
    positions: [u64; 2],
    time: u64,
}

impl Flow {
    /// A connection over IPv4 that is seen from its beginning; its other end is on another node.
    #[must_use]
    pub fn new(id: u64, local_port: u16, remote_port: u16) -> Self {
        let address = |host| {
            let mut address = [0; 16];
            if let Some(start) = address.first_chunk_mut() {
                *start = [192, 0, 2, host];
            }
            address
        };
        let ident = FlowIdent {
            flow: id,
            cookie: id,
            local: address(1),
            remote: address(2),
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

    /// The records of a message: of a call that moved its head, which is copied, and some of its body,
    /// which is not; and, for a body that takes more than that call, of the one that ended it.
    fn message(&mut self, direction: u8, head: &[u8], body: u64) -> Vec<Vec<u8>> {
        let here = body.min(CALL);
        let mut records = vec![self.record(direction, 0, head, here)];
        if body > here {
            records.push(self.record(direction, body - here, &[], 0));
        }
        records
    }

    fn record(&mut self, direction: u8, before: u64, copied: &[u8], after: u64) -> Vec<u8> {
        let position = &mut self.positions[usize::from(direction)];
        *position += before;
        #[expect(clippy::cast_possible_truncation, reason = "sequence numbers are modulo 2^32")]
        let tcp_seq = *position as u32;
        #[expect(clippy::cast_possible_truncation, reason = "heads are some hundred bytes")]
        let length = copied.len() as u32;
        let header = SegmentRecord {
            kind: RecordKind::Segment as u32,
            flags: segment_flag::HAS_SEQ,
            time_ns: self.time,
            ident: self.ident,
            tgid: TGID,
            tid: TGID,
            start_ns: 0,
            execs: 0,
            padding: 0,
            position: *position,
            skipped_before: before,
            skipped_after: after,
            copied: length,
            tcp_seq,
            lost_records: 0,
            direction,
            reserved: [0; 3],
            goroutine: 0,
            goroutine_parent: 0,
            cause_flow: 0,
            cause_position: 0,
        };
        *position += copied.len() as u64 + after;
        self.time += 1000;
        [header.as_bytes(), copied].concat()
    }

    /// The records of an exchange; `request` is the direction of its request, 0 or 1.
    #[must_use]
    pub fn exchange(&mut self, exchange: &Exchange, request: u8) -> Vec<Vec<u8>> {
        let mut records = self.message(request, &exchange.request, exchange.request_body);
        records.extend(self.message(1 - request, &exchange.response, exchange.response_body));
        records
    }
}

#[cfg(test)]
mod tests {
    use super::exchanges;

    #[test]
    fn heads_are_whole_and_of_common_sizes() {
        for exchange in exchanges() {
            for head in [exchange.request, exchange.response] {
                assert!(head.ends_with(b"\r\n\r\n"));
                assert!((60..2000).contains(&head.len()), "{}", head.len());
                // A continued source line must not leave its spaces in a head.
                assert!(!head.windows(2).any(|two| two == b"  "));
            }
        }
    }
}
