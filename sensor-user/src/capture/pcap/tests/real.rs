//! Captures of curl and Python's http.server by tcpdump.

use super::*;

fn file(name: &str) -> Vec<u8> {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/pcap");
    std::fs::read(data.join(name)).unwrap()
}

/// Direction, time, position, sequence number and length of each segment.
fn segments(capture: &Capture) -> Vec<(Direction, u64, u64, u32, usize)> {
    let segment = |seen: &Seen| match seen {
        Seen::Segment { flow: 1, direction, time, position, seq, text, cut: 0 } => {
            Some((*direction, *time, *position, *seq, text.len()))
        }
        _ => None,
    };
    capture.seen.iter().filter_map(segment).collect()
}

const REQUESTS: &str = "GET /one HTTP/1.1\r\nHost: 127.0.0.1:18080\r\nUser-Agent: curl/7.88.1\r\n\
                        Accept: */*\r\n\r\n\
                        GET /two HTTP/1.1\r\nHost: 127.0.0.1:18080\r\nUser-Agent: curl/7.88.1\r\n\
                        Accept: */*\r\n\r\n";

#[test]
fn two_requests_on_one_connection() {
    use Direction::{Receive, Send};
    let capture = Capture::of(&file("get.pcap"));
    assert_eq!(capture.error, None);
    assert_eq!(capture.flows.len(), 1);
    let flow = &capture.flows[0];
    assert_eq!(flow.endpoints, ends("127.0.0.1:18080", "127.0.0.1:45704"));
    assert!(flow.from_start && flow.netns.is_none() && flow.cookie.is_none());

    assert_eq!(capture.seen[0], Seen::Clock(1_795_219_387_261_461_000));
    assert_eq!(
        segments(&capture),
        [
            (Receive, 1_795_219_387_261_837_000, 0, 697_140_238, 82),
            (Send, 1_795_219_387_262_615_000, 0, 2_152_010_393, 138),
            (Send, 1_795_219_387_262_643_000, 138, 2_152_010_531, 16),
            (Receive, 1_795_219_387_262_762_000, 82, 697_140_320, 82),
            (Send, 1_795_219_387_262_891_000, 154, 2_152_010_547, 138),
            (Send, 1_795_219_387_306_147_000, 292, 2_152_010_685, 16),
        ]
    );
    let position = [164, 308];
    assert_eq!(
        capture.seen[7..],
        [
            Seen::End { flow: 1, eof: [true, false], closed: false, error: false, position },
            Seen::End { flow: 1, eof: [true, true], closed: true, error: false, position },
        ]
    );
    assert_eq!(capture.stream(1, Receive), REQUESTS);
    let responses = capture.stream(1, Send);
    assert!(responses.starts_with("HTTP/1.1 200 OK\r\nServer: BaseHTTP/0.6 Python/3.11.7\r\n"));
    assert!(responses.ends_with("Content-Length: 16\r\n\r\nhello from /two\n"));
    assert_eq!(capture.count(Counter::Packets), 17);
    assert_eq!(capture.count(Counter::Events), 8);
}

#[test]
fn pcapng_tells_the_same() {
    for name in ["get", "nanos-ipv6-post"] {
        let pcap = Capture::of(&file(&format!("{name}.pcap")));
        let pcapng = Capture::of(&file(&format!("{name}.pcapng")));
        assert_eq!(pcapng.error, None);
        assert_eq!(pcapng.seen, pcap.seen);
        assert_eq!(pcapng.flows, pcap.flows);
    }
}

#[test]
fn nanoseconds_and_ipv6() {
    let capture = Capture::of(&file("nanos-ipv6-post.pcap"));
    assert_eq!(capture.flows[0].endpoints, ends("[::1]:18081", "[::1]:46846"));
    assert_eq!(capture.seen[0], Seen::Clock(1_795_219_390_043_759_404));
    let first = (Direction::Receive, 1_795_219_390_043_819_225, 0, 658_015_556, 3153);
    assert_eq!(segments(&capture)[0], first);
    let body = "0123456789".repeat(300);
    let request = capture.stream(1, Direction::Receive);
    assert!(request.starts_with("POST /upload HTTP/1.1\r\n") && request.ends_with(&body));
    assert!(capture.stream(1, Direction::Send).ends_with("Content-Length: 11\r\n\r\n3000 bytes\n"));
}

#[test]
fn cooked_captures() {
    for (name, client, path) in
        [("any-sll.pcap", 37_900, "/sll"), ("any-sll2.pcap", 45_716, "/any")]
    {
        let capture = Capture::of(&file(name));
        assert_eq!(capture.error, None);
        let client = format!("127.0.0.1:{client}");
        assert_eq!(capture.flows[0].endpoints, ends("127.0.0.1:18080", &client));
        assert!(capture.stream(1, Direction::Receive).starts_with(&format!("GET {path} HTTP/1.1")));
        let last = capture.seen.last().unwrap();
        let position = [82, 154];
        assert_eq!(
            *last,
            Seen::End { flow: 1, eof: [true; 2], closed: true, error: false, position }
        );
    }
}

#[test]
fn bytes_beyond_the_snapshot_length_are_missing_not_absent() {
    let capture = Capture::of(&file("snaplen96.pcap"));
    // 96 bytes less 14 of Ethernet, 20 of IPv4 and 32 of TCP with its timestamps.
    let request = capture.stream(1, Direction::Receive);
    assert_eq!(request, format!("{}{}", "GET /cut HTTP/1.1\r\nHost: 127.0", "_".repeat(52)));
    let response = capture.stream(1, Direction::Send);
    let cut = format!("{}{}", "HTTP/1.1 200 OK\r\nServer: BaseH", "_".repeat(108));
    assert_eq!(response, format!("{cut}hello from /cut\n"));
    let last = capture.seen.last().unwrap();
    assert!(matches!(last, Seen::End { position: [82, 154], closed: true, .. }), "{last:?}");
}

#[test]
fn a_cut_file_delivers_what_is_there_and_says_so() {
    for name in ["get.pcap", "get.pcapng"] {
        let bytes = file(name);
        let whole = Capture::of(&bytes);
        for len in 0..bytes.len() {
            let cut = Capture::of(&bytes[..len]);
            let common = cut.seen.len().min(whole.seen.len());
            assert_eq!(cut.seen[..common], whole.seen[..common], "{name} cut at {len}");
            assert_eq!(cut.seen.len(), common);
        }
        let error = Capture::of(&bytes[..bytes.len() - 1]).error;
        let error = error.expect("the last block is cut");
        assert!(error.contains("test.pcap") && error.contains("after 1"), "{error}");
    }
}

/// The same file as a big-endian machine would have written it.
fn big_endian_pcap(bytes: &[u8]) -> Vec<u8> {
    let mut big = bytes.to_vec();
    let mut reverse = |at: usize, len: usize| big[at..at + len].reverse();
    for (at, len) in [(0, 4), (4, 2), (6, 2), (8, 4), (12, 4), (16, 4), (20, 4)] {
        reverse(at, len);
    }
    let mut at = 24;
    while at < bytes.len() {
        (0..4).for_each(|word| reverse(at + 4 * word, 4));
        let captured = u32::from_le_bytes(bytes[at + 8..at + 12].try_into().unwrap());
        at += 16 + usize::try_from(captured).unwrap();
    }
    big
}

#[test]
fn big_endian_files() {
    for name in ["get.pcap", "nanos-ipv6-post.pcap"] {
        let little = Capture::of(&file(name));
        let big = Capture::of(&big_endian_pcap(&file(name)));
        assert_eq!(big.error, None);
        assert_eq!(big.seen, little.seen);
    }
}

#[test]
fn it_is_opened_by_its_first_bytes() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/pcap/get.pcapng");
    let mut source =
        crate::capture::open(&path, crate::capture::Pace::Full, &Arc::default()).unwrap();
    let mut events = 0;
    while source.poll(&mut |_| events += 1).unwrap() != Progress::Finished {}
    assert_eq!(events, 9);
}
