use proptest::prelude::*;
use zerocopy::IntoBytes;

use super::super::event::SocketId;
use super::*;

fn ident() -> FlowIdent {
    let mut local = [0; 16];
    local[..4].copy_from_slice(&[192, 0, 2, 1]);
    let mut remote = [0; 16];
    remote[..4].copy_from_slice(&[198, 51, 100, 7]);
    FlowIdent {
        flow: 9,
        cookie: 77,
        local,
        remote,
        local_port: 8080,
        remote_port: 51_000,
        netns: 4_026_531_840,
        inode: 5,
        family: 1,
        from_start: 1,
        reserved: [0; 6],
    }
}

fn segment_record() -> SegmentRecord {
    SegmentRecord {
        kind: 1,
        flags: segment_flag::HAS_SEQ,
        time_ns: 1_000,
        ident: ident(),
        tgid: 42,
        tid: 43,
        start_ns: 90_000_000,
        execs: 3,
        padding: 0,
        position: 100,
        skipped_before: 10,
        skipped_after: 20,
        copied: 5,
        tcp_seq: 4_000_000_000,
        lost_records: 2,
        direction: 1,
        reserved: [0; 3],
        goroutine: 0,
        goroutine_parent: 0,
        cause_flow: 0,
        cause_position: 0,
    }
}

fn end_record() -> EndRecord {
    EndRecord {
        kind: 2,
        flags: end_flag::RECEIVE_EOF | end_flag::CLOSED,
        time_ns: 2_000,
        ident: ident(),
        tgid: 42,
        execs: 3,
        start_ns: 90_000_000,
        position: [7, 8],
        skipped: [1, 2],
        last_ns: [0, 1_500],
        lost_records: [3, 4],
    }
}

fn process_record() -> ProcessRecord {
    let mut comm = [0; 16];
    comm[..4].copy_from_slice(b"curl");
    ProcessRecord {
        kind: 4,
        flags: process_flag::EXEC | process_flag::ENV_CUT,
        time_ns: 3_000,
        tgid: 42,
        parent: 7,
        start_ns: 90_000_000,
        parent_start_ns: 80_000_000,
        execs: 3,
        padding: 0,
        cgroup: 11,
        comm,
        args_len: 7,
        env_len: 4,
    }
}

fn bytes(record: &(impl IntoBytes + Immutable), after: &[u8]) -> Vec<u8> {
    [record.as_bytes(), after].concat()
}

fn segment_of(record: &[u8]) -> Segment<'_> {
    match decode(record) {
        Ok(Decoded::Event(Event::Segment(segment))) => segment,
        other => panic!("{other:?}"),
    }
}

fn error(record: &[u8]) -> DecodeError {
    decode(record).map(|_| ()).unwrap_err()
}

#[test]
fn a_segment() {
    // The ring hands over more than the record says it uses.
    let record = bytes(&segment_record(), b"hello, and what was there before");
    let segment = segment_of(&record);
    assert_eq!(segment.bytes, b"hello");
    assert_eq!(
        segment.bytes.as_ptr(),
        record[size_of::<SegmentRecord>()..].as_ptr(),
        "borrowed, not copied"
    );
    assert_eq!(
        segment.flow,
        Flow {
            id: FlowId(9),
            endpoints: Endpoints::Tcp {
                local: ("192.0.2.1".parse().unwrap(), 8080),
                remote: ("198.51.100.7".parse().unwrap(), 51_000),
            },
            netns: Some(4_026_531_840),
            cookie: Some(77),
            inode: NonZeroU64::new(5),
            from_start: true,
            unix_connection: None,
        }
    );
    assert_eq!(segment.direction, Direction::Send);
    assert_eq!(segment.time, Monotonic(1_000));
    assert_eq!((segment.process, segment.caller.tid), (process_key(42, 90_000_000), 43));
    assert_eq!((segment.position, segment.skipped_before, segment.skipped_after), (100, 10, 20));
    assert_eq!((segment.tcp_seq, segment.lost_records), (Some(4_000_000_000), 2));
    assert!(!segment.time_is_start && !segment.unreadable_after && !segment.head_too_large);
}

#[test]
fn flags_of_a_segment() {
    let with = |flags| bytes(&SegmentRecord { flags, ..segment_record() }, b"hello");
    let record = with(segment_flag::TIME_IS_START | segment_flag::UNSEEN_BEFORE);
    let segment = segment_of(&record);
    assert!(segment.time_is_start && segment.tcp_seq.is_none());
    let record = with(segment_flag::UNREADABLE_AFTER | segment_flag::HEAD_TOO_LARGE);
    let segment = segment_of(&record);
    assert!(segment.unreadable_after && segment.head_too_large);
    assert_eq!(error(&with(1024)), DecodeError::Value { field: "segment flags", value: 1024 });
}

#[test]
fn addresses_are_canonical_and_zero_is_unknown() {
    let flow_with = |change: fn(&mut FlowIdent)| {
        let mut ident = ident();
        change(&mut ident);
        let record = bytes(&SegmentRecord { ident, ..segment_record() }, b"hello");
        segment_of(&record).flow
    };
    let mapped = flow_with(|ident| {
        ident.family = 2;
        // ::ffff:192.0.2.1 and 2001:db8::1
        ident.local = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 1];
        ident.remote = [0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    });
    assert_eq!(
        mapped.endpoints,
        Endpoints::Tcp {
            local: ("192.0.2.1".parse().unwrap(), 8080),
            remote: ("2001:db8::1".parse().unwrap(), 51_000),
        }
    );
    let unix = flow_with(|ident| {
        ident.family = 3;
        ident.cookie = 0;
        ident.netns = 0;
        ident.from_start = 0;
        ident.reserved = [0xff; 6];
    });
    assert_eq!(unix.endpoints, Endpoints::Unix);
    assert_eq!((unix.cookie, unix.netns, unix.from_start), (None, None, false));
    assert_eq!(unix.socket(), NonZeroU64::new(5).map(SocketId::Inode));
}

#[test]
fn an_end() {
    let record = bytes(&end_record(), b"");
    let Ok(Decoded::Event(Event::End(end))) = decode(&record) else { panic!("an end") };
    assert_eq!((end.time, end.process), (Monotonic(2_000), process_key(42, 90_000_000)));
    assert!(end.receive_eof && !end.send_eof && end.closed && !end.error);
    assert_eq!((end.position, end.skipped), ([7, 8], [1, 2]));
    assert_eq!(end.last, [None, Some(Monotonic(1_500))]);
    assert_eq!(end.lost_records, [3, 4]);
}

#[test]
fn a_unix_path() {
    let path_of = |name: &[u8], len: u32| {
        let mut path = [b'x'; 128];
        path[..name.len()].copy_from_slice(name);
        let record = bytes(&UnixPathRecord { kind: 3, len, flow: 9, path }, b"");
        match decode(&record) {
            Ok(Decoded::Event(Event::UnixPath { flow: FlowId(9), path })) => Ok(path.to_string()),
            Err(error) => Err(error),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(path_of(b"/run/a.sock\0", 12).as_deref(), Ok("/run/a.sock"));
    assert_eq!(path_of(b"/run/a.sock", 11).as_deref(), Ok("/run/a.sock"));
    assert_eq!(path_of(b"\0name", 5).as_deref(), Ok("@name"));
    assert_eq!(path_of(b"\0a\0b", 4).as_deref(), Ok("@a@b"));
    assert_eq!(path_of(b"/a\xff", 3).as_deref(), Ok("/a\u{fffd}"));
    for len in [0, 129, u32::MAX] {
        let value = u64::from(len);
        assert_eq!(
            path_of(b"/a", len),
            Err(DecodeError::Value { field: "unix path length", value })
        );
    }
}

#[test]
fn a_process() {
    let record = bytes(&process_record(), b"curl\0-v\0A=b");
    let short = decode(&record).map(|_| ());
    assert_eq!(short, Ok(()), "args and environment fit");
    let record = bytes(&process_record(), b"curl\0x\0A=b\0");
    let Ok(Decoded::Process(process)) = decode(&record) else { panic!("a process") };
    assert_eq!(
        process,
        ProcessRecordView {
            change: ProcessChange::Exec,
            time: Monotonic(3_000),
            process: process_key(42, 90_000_000),
            parent: process_key(7, 80_000_000),
            execs: 3,
            cgroup: 11,
            comm: b"curl",
            args: b"curl\0x\0",
            args_cut: false,
            env: b"A=b\0",
            env_cut: true,
        }
    );
    for flags in [0, process_flag::FORK | process_flag::EXIT, process_flag::ENV_CUT, 1 << 20] {
        let record = bytes(&ProcessRecord { flags, ..process_record() }, b"curl\0x\0A=b\0");
        let value = u64::from(flags);
        assert_eq!(error(&record), DecodeError::Value { field: "process flags", value });
    }
}

fn go_stream_record() -> GoStreamRecord {
    GoStreamRecord {
        kind: 5,
        stream: 7,
        time_ns: 4_000,
        flow: 9,
        goroutine: 34,
        goroutine_parent: 0,
        tgid: 42,
        execs: 3,
        start_ns: 90_000_000,
    }
}

/// On whose behalf it says that a segment went by.
fn caller(change: fn(&mut SegmentRecord)) -> Caller {
    let mut record = segment_record();
    change(&mut record);
    let record = bytes(&record, b"hello");
    let Ok(Decoded::Event(Event::Segment(segment))) = decode(&record) else { panic!("a segment") };
    segment.caller
}

#[test]
fn on_whose_behalf() {
    let nobody = Caller { tid: 43, ..Caller::default() };
    assert_eq!(caller(|_| ()), nobody);
    assert_eq!(caller(|record| record.flags = 64), Caller { nonblocking: true, ..nobody });
    assert_eq!(caller(|record| record.flags = 128), Caller { multiplexes: true, ..nobody });
    let cause = |alone| Some(Cause { flow: FlowId(8), position: 300, alone });
    let caused = |record: &mut SegmentRecord| {
        (record.cause_flow, record.cause_position) = (8, 300);
    };
    assert_eq!(caller(caused), Caller { cause: cause(false), ..nobody });
    let alone = |record: &mut SegmentRecord| {
        (record.cause_flow, record.cause_position, record.flags) = (8, 300, 256 | 128);
    };
    assert_eq!(caller(alone), Caller { cause: cause(true), multiplexes: true, ..nobody });
    // Without a flow there is no cause, whatever else is there.
    let none = |record: &mut SegmentRecord| (record.cause_position, record.flags) = (300, 256);
    assert_eq!(caller(none), nobody);
}

#[test]
fn a_goroutine_and_the_one_that_started_it() {
    let id = |id| NonZeroU64::new(id).unwrap();
    let goroutine = |parent| Some(Goroutine { id: id(19), parent });
    assert_eq!(caller(|record| record.goroutine = 19).goroutine, goroutine(None));
    let of_parent =
        caller(|record| (record.goroutine, record.goroutine_parent, record.flags) = (19, 3, 512));
    assert_eq!((of_parent.goroutine, of_parent.asked), (goroutine(Some(id(3))), true));
    assert_eq!(caller(|record| record.goroutine_parent = 3).goroutine, None);
}

#[test]
fn a_stream_of_a_goroutine() {
    let stream = |record: &GoStreamRecord| match decode(&bytes(record, b"")) {
        Ok(Decoded::Event(Event::GoStream(stream))) => Ok(stream),
        other => Err(other.map(drop)),
    };
    let expected = GoStream {
        time: Monotonic(4_000),
        process: process_key(42, 90_000_000),
        flow: FlowId(9),
        stream: 7,
        goroutine: Goroutine { id: NonZeroU64::new(34).unwrap(), parent: None },
    };
    assert_eq!(stream(&go_stream_record()), Ok(expected));
    let undefined = |field| Err(Err(DecodeError::Value { field, value: 0 }));
    let nobody = GoStreamRecord { goroutine: 0, ..go_stream_record() };
    assert_eq!(stream(&nobody), undefined("goroutine"));
    assert_eq!(stream(&GoStreamRecord { flow: 0, ..go_stream_record() }), undefined("flow"));
}

fn line_record() -> LineRecord {
    LineRecord {
        kind: 6,
        flags: 0,
        time_ns: 5_000,
        tgid: 42,
        tid: 43,
        start_ns: 90_000_000,
        execs: 3,
        padding: 0,
        fd: 1,
        stream: 1,
        inode: 77,
        device: 8,
        generation: 3,
        copied: 5,
        lost_after: 0,
        lost_records: 0,
        goroutine: 0,
        goroutine_parent: 0,
        cause_flow: 0,
        cause_position: 0,
    }
}

fn written_of(record: &[u8]) -> Written<'_> {
    match decode(record) {
        Ok(Decoded::Event(Event::Written(written))) => written,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_was_written_to_a_log() {
    let record = bytes(&line_record(), b"line\nand what was there before");
    let written = written_of(&record);
    assert_eq!(written.bytes, b"line\n");
    assert_eq!((written.time, written.process), (Monotonic(5_000), process_key(42, 90_000_000)));
    assert_eq!(written.caller, Caller { tid: 43, ..Caller::default() });
    assert_eq!(written.file, FileId { device: 8, inode: 77, generation: 3 });
    assert_eq!(written.stream, LogStream::Stdout);
    assert_eq!((written.continues, written.lost_after, written.lost_records), (false, 0, 0));

    let record = LineRecord {
        flags: line_flag::CONTINUES | line_flag::UNDECIDED | 256 | 128,
        stream: 3,
        copied: 0,
        lost_after: u32::MAX,
        lost_records: 1 << 40,
        goroutine: 19,
        goroutine_parent: 3,
        cause_flow: 8,
        cause_position: 300,
        ..line_record()
    };
    let record = bytes(&record, b"");
    let written = written_of(&record);
    let id = |id| NonZeroU64::new(id).unwrap();
    let caller = Caller {
        tid: 43,
        goroutine: Some(Goroutine { id: id(19), parent: Some(id(3)) }),
        multiplexes: true,
        cause: Some(Cause { flow: FlowId(8), position: 300, alone: true }),
        ..Caller::default()
    };
    assert_eq!((written.caller, written.stream), (caller, LogStream::File));
    assert!(written.continues && written.bytes.is_empty());
    assert_eq!((written.lost_after, written.lost_records), (u32::MAX, 1 << 40));
}

#[test]
fn what_is_no_write_to_a_log() {
    let with = |change: fn(&mut LineRecord)| {
        let mut record = line_record();
        change(&mut record);
        error(&bytes(&record, b"line\n"))
    };
    let value = |field, value| DecodeError::Value { field, value };
    assert_eq!(with(|record| record.stream = 0), value("stream", 0));
    assert_eq!(with(|record| record.stream = 4), value("stream", 4));
    // A flag of segments.
    assert_eq!(with(|record| record.flags = 512), value("line flags", 512));
    assert_eq!(with(|record| record.copied = 6), DecodeError::Short { have: 117, need: 118 });
    let all = u64::from(u32::MAX);
    let need = 112 + usize::try_from(all).unwrap();
    assert_eq!(with(|record| record.copied = u32::MAX), DecodeError::Short { have: 117, need });
}

#[test]
fn the_name_of_a_unix_connection() {
    let name = |family, local: u64| {
        let mut record = segment_record();
        record.ident.family = family;
        record.ident.local = [0xff; 16];
        record.ident.local[..8].copy_from_slice(&local.to_ne_bytes());
        let record = bytes(&record, b"hello");
        let Ok(Decoded::Event(Event::Segment(segment))) = decode(&record) else { panic!() };
        segment.flow.unix_connection.map(NonZeroU64::get)
    };
    assert_eq!(name(Family::Unix as u8, 0x1234_5678_9abc_def0), Some(0x1234_5678_9abc_def0));
    assert_eq!(name(Family::Unix as u8, 0), None);
    assert_eq!(name(Family::Inet as u8, 1), None, "that is an address");
}

#[test]
fn what_is_not_defined_is_an_error() {
    let with = |change: fn(&mut SegmentRecord)| {
        let mut record = segment_record();
        change(&mut record);
        error(&bytes(&record, b"hello"))
    };
    let value = |field, value| DecodeError::Value { field, value };
    assert_eq!(with(|record| record.kind = 7), value("kind", 7));
    assert_eq!(with(|record| record.flags = 1 << 10), value("segment flags", 1 << 10));
    assert_eq!(with(|record| record.direction = 2), value("direction", 2));
    assert_eq!(with(|record| record.ident.family = 0), value("address family", 0));
    assert_eq!(with(|record| record.ident.family = 4), value("address family", 4));
    assert_eq!(with(|record| record.ident.flow = 0), value("flow", 0));
    assert_eq!(with(|record| record.ident.from_start = 2), value("from_start", 2));
    assert_eq!(with(|record| record.copied = 6), DecodeError::Short { have: 189, need: 190 });
    let position = u64::MAX - 24;
    assert_eq!(with(|record| record.position = u64::MAX - 24), DecodeError::Position { position });
}

#[test]
fn every_prefix_is_too_short() {
    let all = [
        bytes(&segment_record(), b"hello"),
        bytes(&end_record(), b""),
        bytes(&UnixPathRecord { kind: 3, len: 1, flow: 1, path: [b'/'; 128] }, b""),
        bytes(&process_record(), b"curl\0x\0A=b\0"),
        bytes(&go_stream_record(), b""),
        bytes(&line_record(), b"line\n"),
    ];
    for record in &all {
        assert!(decode(record).is_ok());
        for len in 0..record.len() {
            assert!(
                matches!(error(&record[..len]), DecodeError::Short { have, .. } if have == len)
            );
        }
    }
}

#[test]
fn the_time_is_found_without_decoding() {
    assert_eq!(time(&bytes(&segment_record(), b"hello")), Some(Monotonic(1_000)));
    assert_eq!(time(&bytes(&end_record(), b"")), Some(Monotonic(2_000)));
    assert_eq!(time(&bytes(&process_record(), b"")), Some(Monotonic(3_000)));
    assert_eq!(time(&bytes(&go_stream_record(), b"")), Some(Monotonic(4_000)));
    assert_eq!(time(&bytes(&line_record(), b"")), Some(Monotonic(5_000)));
    assert_eq!(time(&[3, 0, 0, 0, 1, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0]), None);
    assert_eq!(time(&[1, 0, 0, 0]), None);
}

proptest! {
    #[test]
    fn any_bytes_are_a_record_or_an_error(
        kind in 0..8_u32,
        rest in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let record = [&kind.to_ne_bytes(), rest.as_slice()].concat();
        if let Ok(Decoded::Event(Event::Segment(segment))) = decode(&record) {
            prop_assert!(segment.bytes.len() <= rest.len());
        }
        if let Ok(Decoded::Event(Event::Written(written))) = decode(&record) {
            prop_assert!(written.bytes.len() <= rest.len());
        }
        let _ = time(&record);
    }
}
