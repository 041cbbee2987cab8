//! Captures made here, of what loopback does not show.

use etherparse::PacketBuilder;
use proptest::prelude::*;

use super::*;
use crate::capture::pcap::flow::Flows;
use crate::capture::pcap::packet::TcpPacket;

const CLIENT: ([u8; 4], u16) = ([192, 0, 2, 1], 51_000);
const SERVER: ([u8; 4], u16) = ([198, 51, 100, 7], 8080);
/// Initial sequence numbers, near the wrap.
const CLIENT_ISN: u32 = u32::MAX - 10;
const SERVER_ISN: u32 = 1_000_000;

#[derive(Clone, Copy)]
enum Side {
    Client,
    Server,
}

use Side::{Client, Server};

/// `seq` and `ack` count from the initial sequence numbers; the SYN is 0.
fn ip(from: Side, seq: u32, ack: Option<u32>, flags: &str, data: &[u8]) -> Vec<u8> {
    let (source, destination, isn, peer) = match from {
        Client => (CLIENT, SERVER, CLIENT_ISN, SERVER_ISN),
        Server => (SERVER, CLIENT, SERVER_ISN, CLIENT_ISN),
    };
    let mut builder = PacketBuilder::ipv4(source.0, destination.0, 64).tcp(
        source.1,
        destination.1,
        isn.wrapping_add(seq),
        1000,
    );
    if let Some(ack) = ack {
        builder = builder.ack(peer.wrapping_add(ack));
    }
    for flag in flags.chars() {
        builder = match flag {
            'S' => builder.syn(),
            'F' => builder.fin(),
            'R' => builder.rst(),
            other => panic!("{other}"),
        };
    }
    let mut packet = Vec::new();
    builder.write(&mut packet, data).unwrap();
    packet
}

const RAW_IP: u32 = 101;

/// Packet n has time n seconds.
fn pcap(link: u32, packets: &[Vec<u8>]) -> Vec<u8> {
    let mut file = Vec::new();
    let word = |file: &mut Vec<u8>, word: u32| file.extend_from_slice(&word.to_le_bytes());
    for header in [0xa1b2_c3d4, 0x0004_0002, 0, 0, 65_535, link] {
        word(&mut file, header);
    }
    for (second, packet) in (0..).zip(packets) {
        let len = u32::try_from(packet.len()).unwrap();
        for header in [second, 0, len, len] {
            word(&mut file, header);
        }
        file.extend_from_slice(packet);
    }
    file
}

fn capture(packets: &[Vec<u8>]) -> Capture {
    let capture = Capture::of(&pcap(RAW_IP, packets));
    assert_eq!(capture.error, None);
    capture
}

fn handshake() -> Vec<Vec<u8>> {
    vec![
        ip(Client, 0, None, "S", b""),
        ip(Server, 0, Some(1), "S", b""),
        ip(Client, 1, Some(1), "", b""),
    ]
}

fn after_handshake(packets: impl IntoIterator<Item = Vec<u8>>) -> Capture {
    capture(&handshake().into_iter().chain(packets).collect::<Vec<_>>())
}

fn received(capture: &Capture) -> String {
    capture.stream(1, Direction::Receive)
}

#[test]
fn data_are_put_in_order_and_repetitions_dropped() {
    let capture = after_handshake([
        ip(Client, 1, Some(1), "", b"GET "),
        ip(Client, 11, Some(1), "", b"TP/1"),
        ip(Client, 5, Some(1), "", b"/ a HTTP!"),
        ip(Client, 1, Some(1), "", b"get "),
        ip(Client, 3, Some(1), "", b"T / a H"),
        ip(Client, 12, Some(1), "", b"P/1.1\r\n"),
    ]);
    // The first wins: the slash that waited, not the exclamation mark that came after it.
    assert_eq!(received(&capture), "GET / a HTTP/1.1\r\n");
    let positions: Vec<u64> = capture
        .seen
        .iter()
        .filter_map(|seen| match seen {
            Seen::Segment { position, .. } => Some(*position),
            _ => None,
        })
        .collect();
    assert_eq!(positions, [0, 4, 10, 14]);
    // Offset 0 is ISN + 1; the numbers wrap around between.
    let first_seq = CLIENT_ISN.wrapping_add(1);
    assert!(matches!(capture.seen[1], Seen::Segment { seq, .. } if seq == first_seq));
}

#[test]
fn a_hole_that_the_peer_has_acknowledged_is_a_gap() {
    let capture = after_handshake([
        ip(Client, 1, Some(1), "", b"abc"),
        ip(Client, 7, Some(1), "", b"ghi"),
        ip(Server, 1, Some(10), "", b"answer"),
    ]);
    assert_eq!(received(&capture), "abc___ghi");
    // Before the data of the packet that acknowledged it.
    let order: Vec<&str> = capture
        .seen
        .iter()
        .filter_map(|seen| match seen {
            Seen::Segment { text, .. } => Some(text.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(order, ["abc", "ghi", "answer"]);
}

#[test]
fn an_acknowledgement_captured_before_its_data_is_no_gap() {
    let capture = after_handshake([
        ip(Server, 1, Some(7), "", b""),
        ip(Client, 1, Some(1), "", b"abc"),
        ip(Client, 4, Some(1), "", b"def"),
    ]);
    assert_eq!(received(&capture), "abcdef");
}

#[test]
fn a_hole_at_the_end_of_the_capture_is_a_gap() {
    let capture = after_handshake([ip(Client, 4, Some(1), "", b"def")]);
    assert_eq!(received(&capture), "___def");
}

#[test]
fn an_end_behind_such_a_hole_is_told() {
    let capture =
        after_handshake([ip(Client, 1, Some(1), "", b"abc"), ip(Client, 7, Some(1), "F", b"ghi")]);
    assert_eq!(received(&capture), "abc___ghi");
    let position = [9, 0];
    assert_eq!(
        *capture.seen.last().unwrap(),
        Seen::End { flow: 1, eof: [true, false], closed: false, error: false, position }
    );
}

#[test]
fn a_missing_tail_shows_at_the_end() {
    let capture = after_handshake([
        ip(Client, 1, Some(1), "", b"abc"),
        ip(Client, 11, Some(1), "F", b""),
        ip(Server, 1, Some(12), "", b""),
        ip(Server, 1, Some(12), "F", b""),
    ]);
    let position = [10, 0];
    assert_eq!(
        capture.seen[2..],
        [
            Seen::End { flow: 1, eof: [true, false], closed: false, error: false, position },
            Seen::End { flow: 1, eof: [true, true], closed: true, error: false, position },
        ]
    );
}

#[test]
fn what_waits_behind_a_hole_is_bounded() {
    let piece = vec![b'x'; 60_000];
    let pieces = (0..18).map(|n| ip(Client, 11 + n * 60_000, Some(1), "", &piece));
    let capture = after_handshake(pieces);
    // 17 pieces are 1,020,000 bytes, within 1 MiB; the 18th is not: the hole is given up before
    // the file ends.
    let stream = received(&capture);
    assert_eq!(stream.len(), 10 + 18 * 60_000);
    assert!(stream.starts_with("__________x") && stream.ends_with('x'));

    let late = after_handshake(
        (0..18).map(|n| ip(Client, 11 + n * 60_000, Some(1), "", &piece)).chain([ip(
            Client,
            1,
            Some(1),
            "",
            b"0123456789",
        )]),
    );
    assert!(received(&late).starts_with('_'), "too late");
}

#[test]
fn a_reset_ends_the_connection_and_what_follows_is_counted() {
    let capture = after_handshake([
        ip(Client, 1, Some(1), "", b"abc"),
        ip(Client, 7, Some(1), "", b"ghi"),
        ip(Server, 1, Some(4), "R", b""),
        ip(Client, 1, Some(1), "", b"abc"),
        ip(Client, 10, Some(1), "", b"jkl"),
    ]);
    assert_eq!(received(&capture), "abc___ghi");
    let position = [9, 0];
    assert_eq!(
        *capture.seen.last().unwrap(),
        Seen::End { flow: 1, eof: [false; 2], closed: true, error: true, position }
    );
    assert_eq!(capture.count(Counter::PacketsAfterClose), 1, "a repetition is no loss");
}

#[test]
fn a_refused_connection_is_no_flow() {
    let refused = [ip(Client, 0, None, "S", b""), ip(Server, 0, Some(1), "R", b"")];
    assert_eq!(capture(&refused).seen, [Seen::Clock(0)]);
}

#[test]
fn ports_are_used_again() {
    let mut packets = handshake();
    packets.push(ip(Client, 1, Some(1), "", b"one"));
    // Another connection, with another initial sequence number; its SYN comes twice.
    let again = ip(Client, 5_000, None, "S", b"");
    packets.extend([again.clone(), again, ip(Client, 5_001, Some(1), "", b"two")]);
    let capture = capture(&packets);
    assert_eq!(received(&capture), "one");
    assert_eq!(capture.stream(2, Direction::Receive), "two");
    let position = [3, 0];
    assert_eq!(
        capture.seen[2],
        Seen::End { flow: 1, eof: [false; 2], closed: true, error: false, position }
    );
    assert!(capture.flows.iter().all(|flow| flow.from_start));
}

#[test]
fn without_a_syn_the_data_say_who_the_server_is() {
    let server = ends("198.51.100.7:8080", "192.0.2.1:51000");
    for (packet, direction) in [
        (ip(Client, 100, Some(50), "", b"GET /x HTTP/1.1\r\n"), Direction::Receive),
        (ip(Server, 100, Some(50), "", b"HTTP/1.1 200 OK\r\n"), Direction::Send),
        (ip(Server, 100, Some(50), "", b"the middle of a body"), Direction::Send),
        (ip(Client, 100, Some(50), "", b"the middle of a body"), Direction::Receive),
    ] {
        let capture = capture(&[ip(Server, 99, Some(1), "", b""), packet]);
        assert_eq!(capture.flows[0].endpoints, server);
        assert!(!capture.flows[0].from_start);
        assert!(
            matches!(capture.seen[1], Seen::Segment { direction: d, position: 0, .. } if d == direction)
        );
    }
    // Requests tell even where the ports mislead.
    let odd = capture(&[ip(Server, 100, Some(50), "", b"OPTIONS * HTTP/1.1\r\n")]);
    assert_eq!(odd.flows[0].endpoints, ends("192.0.2.1:51000", "198.51.100.7:8080"));
}

#[test]
fn link_layers() {
    let packet = ip(Client, 1, Some(1), "", b"GET / HTTP/1.1\r\n");
    let behind = |header: &[u8]| [header, &packet].concat();
    let ethernet = [0; 12];
    let vlan = [&ethernet[..], &[0x81, 0x00, 0x00, 0x05, 0x08, 0x00]].concat();
    let double = [&ethernet[..], &[0x88, 0xa8, 0, 5, 0x81, 0x00, 0, 6, 0x08, 0x00]].concat();
    for (link, packet) in [
        (1, behind(&[&ethernet[..], &[0x08, 0x00]].concat())),
        (1, behind(&vlan)),
        (1, behind(&double)),
        // Padded to Ethernet's least length: not data.
        (1, [behind(&[&ethernet[..], &[0x08, 0x00]].concat()), vec![0xff; 9]].concat()),
        (0, behind(&[2, 0, 0, 0])),
        (0, behind(&[0, 0, 0, 2])),
        (108, behind(&[0, 0, 0, 2])),
        (228, packet.clone()),
        (RAW_IP, packet.clone()),
    ] {
        let capture = Capture::of(&pcap(link, &[packet]));
        assert_eq!(received(&capture), "GET / HTTP/1.1\r\n", "link type {link}");
    }
}

#[test]
fn what_is_not_delivered_is_counted_by_reason() {
    let tcp = ip(Client, 1, Some(1), "", b"data");
    let mut fragment = tcp.clone();
    // More fragments, at offset 0; then the last one, at another.
    fragment[6] = 0x20;
    let mut last = tcp.clone();
    last[7] = 3;
    let mut udp = Vec::new();
    PacketBuilder::ipv4([1; 4], [2; 4], 9).udp(1, 2).write(&mut udp, b"x").unwrap();
    let capture = capture(&[fragment, last, udp, tcp[..30].to_vec(), vec![], vec![0xf0; 40]]);
    assert_eq!(capture.seen, [Seen::Clock(0)]);
    assert_eq!(capture.count(Counter::Packets), 6);
    assert_eq!(capture.count(Counter::PacketsFragmented), 2);
    assert_eq!(capture.count(Counter::PacketsNotTcp), 1);
    assert_eq!(capture.count(Counter::PacketsUndecodable), 3);

    // IEEE 802.11.
    let wireless = Capture::of(&pcap(105, &[tcp]));
    assert_eq!(wireless.count(Counter::PacketsUndecodable), 1);
}

#[test]
fn connections_are_bounded() {
    let metrics = Arc::new(Metrics::default());
    let mut flows = Flows::bounded(Arc::clone(&metrics), 4);
    let mut capture = Capture::default();
    let address = |port| SocketAddr::from(([192, 0, 2, 1], port));
    for port in 0..10 {
        let packet = TcpPacket {
            source: address(1000 + port),
            destination: address(80),
            seq: 1,
            ack: None,
            syn: false,
            fin: false,
            rst: false,
            data: b"data",
            cut: 0,
        };
        flows.packet(Monotonic(0), &packet, &mut |event| capture.take(&event));
    }
    assert_eq!(capture.flows.len(), 10);
    assert_eq!(metrics.get(Counter::PacketFlowsForgotten), 6);
}

/// A pcapng section of one interface with these options, and one packet.
fn pcapng(big: bool, options: &[(u16, &[u8])], units: u64, packet: &[u8]) -> Vec<u8> {
    let u16s = |value: u16| {
        if big { value.to_be_bytes() } else { value.to_le_bytes() }
    };
    let u32s = |value: u32| {
        if big { value.to_be_bytes() } else { value.to_le_bytes() }
    };
    let block = |kind: u32, body: &[u8]| {
        let mut body = body.to_vec();
        body.resize(body.len().next_multiple_of(4), 0);
        let len = u32s(u32::try_from(body.len() + 12).unwrap());
        [&u32s(kind)[..], &len, &body, &len].concat()
    };
    let section = [&u32s(0x1a2b_3c4d)[..], &u16s(1), &u16s(0), &[0xff; 8]].concat();
    let mut interface = [&u16s(101)[..], &u16s(0), &u32s(0)].concat();
    for (code, value) in options {
        interface.extend_from_slice(&u16s(*code));
        interface.extend_from_slice(&u16s(u16::try_from(value.len()).unwrap()));
        interface.extend_from_slice(value);
        interface.resize(interface.len().next_multiple_of(4), 0);
    }
    interface.extend_from_slice(&[0; 4]);
    let len = u32s(u32::try_from(packet.len()).unwrap());
    let (high, low) = (u32::try_from(units >> 32).unwrap(), (units & 0xffff_ffff) as u32);
    let enhanced = [&u32s(0)[..], &u32s(high), &u32s(low), &len, &len, packet].concat();
    [block(0x0a0d_0d0a, &section), block(1, &interface), block(6, &enhanced)].concat()
}

#[test]
fn time_resolutions_and_offsets() {
    let packet = ip(Client, 1, Some(1), "", b"GET / HTTP/1.1\r\n");
    let offset = 1_700_000_000_i64;
    for big in [false, true] {
        let offset_bytes = if big { offset.to_be_bytes() } else { offset.to_le_bytes() };
        for (options, units, unix_ns) in [
            // Microseconds where nothing is said.
            (vec![], 1_500_000, 1_500_000_000),
            (vec![(9, &[9_u8][..])], 1_500_000_001, 1_500_000_001),
            (vec![(9, &[3][..])], 1_500, 1_500_000_000),
            // 2^-10 seconds.
            (vec![(9, &[0x8a][..])], 1_536, 1_500_000_000),
            (vec![(14, &offset_bytes[..])], 1_500_000, 1_700_000_001_500_000_000),
        ] {
            let capture = Capture::of(&pcapng(big, &options, units, &packet));
            assert_eq!(capture.error, None);
            assert_eq!(capture.seen[0], Seen::Clock(unix_ns), "{big} {options:?}");
            assert_eq!(received(&capture), "GET / HTTP/1.1\r\n");
        }
    }
}

#[test]
fn garbage_is_an_error() {
    let good = pcap(RAW_IP, &[ip(Client, 1, Some(1), "", b"abc")]);
    let huge = [good.as_slice(), &[0; 8], &[0xff; 8]].concat();
    let capture = Capture::of(&huge);
    assert_eq!(received(&capture), "abc");
    assert!(capture.error.unwrap().contains("4294967295 bytes; the file is damaged"));
    assert!(Capture::of(b"GET / HTTP/1.1\r\n").error.unwrap().contains("neither pcap nor pcapng"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Pieces that cover a stream, in any order, give the stream; without some, all but those.
    #[test]
    fn any_order_gives_the_stream(
        stream in prop::collection::vec(b'a'..=b'z', 1..200),
        pieces in prop::collection::vec((any::<prop::sample::Index>(), 1..40_usize), 0..60),
    ) {
        let piece = |start: usize, len: usize| {
            let end = (start + len).min(stream.len());
            ip(Client, 1 + u32::try_from(start).unwrap(), Some(1), "", &stream[start..end])
        };
        let mut covered = vec![false; stream.len()];
        let packets: Vec<_> = pieces.iter().map(|(at, len)| {
            let start = at.index(stream.len());
            covered[start..(start + len).min(stream.len())].fill(true);
            piece(start, *len)
        }).collect();
        let expected: String = stream.iter().zip(&covered)
            .map(|(&byte, &covered)| if covered { char::from(byte) } else { '_' }).collect();
        let capture = after_handshake(packets);
        prop_assert_eq!(received(&capture), expected.trim_end_matches('_'));
    }

    #[test]
    fn any_bytes_end(
        at in any::<prop::sample::Index>(),
        with in prop::collection::vec(any::<u8>(), 0..40),
        ng in any::<bool>(),
    ) {
        let packet = ip(Client, 1, Some(1), "", b"GET / HTTP/1.1\r\n");
        let mut file = if ng {
            pcapng(false, &[(9, &[9])], 5, &packet)
        } else {
            pcap(RAW_IP, &[packet.clone(), packet])
        };
        let at = at.index(file.len());
        let end = (at + with.len()).min(file.len());
        file.splice(at..end, with);
        Capture::of(&file);
    }
}
