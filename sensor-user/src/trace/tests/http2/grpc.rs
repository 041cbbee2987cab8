//! gRPC and gRPC-Web: messages, status, deadlines; and what is told of an exchange before it ends.

use super::*;

#[test]
fn a_unary_call() {
    for is_client in [true, false] {
        let mut talk = Talk::new(is_client);
        talk.request(1, false, &grpc(METHOD));
        talk.ask(&data(1, true, &message(false, b"abc")));
        talk.response(1, false, &GRPC);
        talk.answer(&data(1, false, &message(true, b"de")));
        talk.response(1, true, &[("grpc-status", "0"), ("grpc-message", "")]);
        let span = talk.world.one();
        assert_eq!((&*span.name, span.status), ("shop.v1.Cart/Add", Status::Unset));
        for (key, value) in [
            ("rpc.system", "grpc"),
            ("rpc.service", "shop.v1.Cart"),
            ("rpc.method", "Add"),
            ("http.request.method", "POST"),
            ("url.path", METHOD),
            ("server.address", "shop.example"),
            ("network.protocol.version", "2"),
        ] {
            assert_eq!(text(&span, key), Some(value), "{key}");
        }
        for (key, value) in [
            ("rpc.grpc.status_code", Some(0)),
            ("http.response.status_code", Some(200)),
            ("sensor.grpc.request.messages", Some(1)),
            ("sensor.grpc.request.compressed_messages", None),
            ("sensor.grpc.response.messages", Some(1)),
            ("sensor.grpc.response.compressed_messages", Some(1)),
            ("http.request.body.size", Some(8)),
            ("http.response.body.size", Some(7)),
        ] {
            assert_eq!(int(&span, key), value, "{key}");
        }
        assert_eq!(text(&span, "sensor.grpc.message"), None);
    }
}

#[test]
fn a_stream_of_messages_both_ways() {
    let mut talk = Talk::new(SERVER);
    talk.request(1, false, &grpc("/shop.v1.Cart/Chat"));
    talk.response(1, false, &GRPC);
    for n in 0..5 {
        talk.ask(&data(1, false, &message(false, &vec![0; n])));
        // Two messages in one frame, one in two.
        let both = [message(false, b"abc"), message(false, &[1; 20])].concat();
        talk.answer(&data(1, false, &both[..12]));
        talk.answer(&data(1, false, &both[12..]));
    }
    talk.ask(&data(1, true, b""));
    talk.response(1, true, &[("grpc-status", "0")]);
    let span = talk.world.one();
    assert_eq!(int(&span, "sensor.grpc.request.messages"), Some(5));
    assert_eq!(int(&span, "sensor.grpc.response.messages"), Some(10));
}

#[test]
fn a_trailers_only_answer_and_its_message() {
    for (is_client, status, expected) in [
        (true, "5", Some("NOT_FOUND")),
        (false, "5", None),
        (false, "13", Some("INTERNAL")),
        (true, "99", Some("99")),
    ] {
        let mut talk = Talk::new(is_client);
        talk.request(1, true, &grpc(METHOD));
        let fields =
            [GRPC[0], GRPC[1], ("grpc-status", status), ("grpc-message", "no%20such%20%E2%98%83")];
        talk.response(1, true, &fields);
        let span = talk.world.one();
        assert_eq!(text(&span, "error.type"), expected);
        assert_eq!(span.status == Status::Error, expected.is_some());
        assert_eq!(int(&span, "rpc.grpc.status_code"), status.parse().ok());
        assert_eq!(text(&span, "sensor.grpc.message"), Some("no such \u{2603}"));
    }
}

/// How a call ends that is not answered: by the client, at its deadline or before; with the
/// connection.
#[test]
fn cancelled_timed_out_and_cut_off() {
    let mut fields = grpc(METHOD);
    fields.push(("grpc-timeout", "100m"));
    for (after, code, expected, why) in [
        // It may have been under way for the rest of the time.
        (50_000_000, 8, "CANCEL", None),
        (99_999_000, 8, "CANCEL", None),
        (100_000_000, 8, "CANCEL", Some("deadline")),
        (150_000_000, 8, "CANCEL", Some("deadline")),
        (150_000_000, 2, "INTERNAL_ERROR", None),
    ] {
        let mut talk = Talk::new(CLIENT);
        talk.request(1, true, &fields);
        talk.response(1, false, &GRPC);
        talk.time += after;
        talk.ask(&reset(1, code));
        // On its way already.
        talk.response(1, true, &[GRPC[0], GRPC[1], ("grpc-status", "4")]);
        assert_eq!(talk.count(Counter::ResponsesOrphaned), 0);
        let span = talk.world.one();
        assert_eq!(text(&span, "error.type"), Some(expected), "{after}");
        assert_eq!(int(&span, "sensor.grpc.timeout_ns"), Some(100_000_000));
        assert_eq!(int(&span, "rpc.grpc.status_code"), None);
        assert_eq!(text(&span, "sensor.grpc.cancelled_by"), why, "{after}");
    }
    // The server says so itself.
    let mut talk = Talk::new(SERVER);
    talk.request(1, true, &fields);
    talk.response(1, true, &[GRPC[0], GRPC[1], ("grpc-status", "4")]);
    let span = talk.world.one();
    assert_eq!(text(&span, "error.type"), Some("DEADLINE_EXCEEDED"));
    assert_eq!(int(&span, "rpc.grpc.status_code"), Some(4));
    // The connection is gone.
    for (error, expected) in [(true, "connection_reset"), (false, "connection_closed")] {
        let mut talk = Talk::new(SERVER);
        talk.request(1, true, &fields);
        talk.response(1, false, &GRPC);
        talk.end(error);
        let span = talk.world.one();
        assert_eq!(text(&span, "error.type"), Some(expected));
        assert_eq!(text(&span, "rpc.system"), Some("grpc"));
    }
}

#[test]
fn what_operators_call_is_told_apart() {
    for (path, class) in [
        ("/grpc.health.v1.Health/Check", Some("health_check")),
        ("/grpc.health.v1.Health/Watch", Some("health_check")),
        ("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", Some("reflection")),
        (METHOD, None),
    ] {
        let mut talk = Talk::new(SERVER);
        talk.request(1, true, &grpc(path));
        talk.response(1, true, &[GRPC[0], GRPC[1], ("grpc-status", "0")]);
        assert_eq!(text(&talk.world.one(), "sensor.grpc.class"), class);
    }
}

#[test]
fn grpc_web() {
    let body = [message(false, b"abc"), b"\x80\0\0\0\x0fgrpc-status:5\r\n".to_vec()].concat();
    // Over HTTP/2.
    let mut talk = Talk::new(CLIENT);
    let mut fields = grpc(METHOD);
    fields[4] = ("content-type", "application/grpc-web+proto");
    talk.request(1, false, &fields);
    talk.ask(&data(1, true, &message(false, b"abc")));
    talk.response(1, false, &[(":status", "200"), ("content-type", "application/grpc-web+proto")]);
    talk.answer(&data(1, true, &body));
    let h2 = talk.world.one();
    // Over HTTP/1.1, with a length and in chunks, and as text.
    let mut spans = vec![h2];
    let text_body = "AAAAAANhYmOAAAAAD2dycGMtc3RhdHVzOjUNCg==";
    let head = "POST /shop.v1.Cart/Add HTTP/1.1\r\nHost: shop.example\r\nContent-Type: application/grpc-web";
    for (kind, sent, response) in [
        (
            "",
            b"\0\0\0\0\x03abc".to_vec(),
            [
                format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()).into_bytes(),
                body.clone(),
            ]
            .concat(),
        ),
        (
            "",
            b"\0\0\0\0\x03abc".to_vec(),
            [
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n8\r\n".to_vec(),
                body[..8].to_vec(),
                b"\r\n14\r\n".to_vec(),
                body[8..].to_vec(),
                b"\r\n0\r\n\r\n".to_vec(),
            ]
            .concat(),
        ),
        (
            "-text",
            b"AAAAAANhYmM=".to_vec(),
            format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{text_body}", text_body.len())
                .into_bytes(),
        ),
    ] {
        let mut world = World::new();
        let flow = world.flow(CLIENT);
        let request =
            [format!("{head}{kind}\r\nContent-Length: {}\r\n\r\n", sent.len()).into_bytes(), sent]
                .concat();
        for (direction, bytes) in [(Direction::Send, request), (Direction::Receive, response)] {
            for part in bytes.chunks(7) {
                world.segment(&flow, direction, 5, part, 0, |_| {});
            }
        }
        spans.push(world.one());
    }
    for span in spans {
        assert_eq!(
            (&*span.name, text(&span, "error.type")),
            ("shop.v1.Cart/Add", Some("NOT_FOUND"))
        );
        assert_eq!(int(&span, "rpc.grpc.status_code"), Some(5));
        assert_eq!(int(&span, "sensor.grpc.request.messages"), Some(1));
        assert_eq!(int(&span, "sensor.grpc.response.messages"), Some(1));
        assert_eq!(text(&span, "rpc.service"), Some("shop.v1.Cart"));
    }
}

#[test]
fn a_long_exchange_is_visible_before_it_ends() {
    use crate::capture::event::ClockSync;
    let mut talk = Talk::new(SERVER);
    let seen = |talk: &Talk, age| {
        let mut seen = Vec::new();
        let wanted = |_, old| old >= Duration::from_nanos(age);
        talk.world.pipeline.open_now(wanted, &mut |span| seen.push(span));
        seen
    };
    talk.request(1, false, &grpc(METHOD));
    talk.response(1, false, &GRPC);
    talk.answer(&data(1, false, &message(false, b"abc")));
    assert_eq!(seen(&talk, 1).len(), 0, "the clock was not read since");
    let sync = ClockSync { monotonic: Monotonic(1030), unix_ns: 3_600_000_001_030 };
    talk.world.handle(&Event::Clock(sync));
    assert_eq!(seen(&talk, 1001).len(), 0);
    let open = seen(&talk, 1000).remove(0);
    assert_eq!(text(&open, "rpc.method"), Some("Add"));
    assert_eq!(int(&open, "sensor.grpc.response.messages"), Some(1));
    assert_eq!((text(&open, "error.type"), open.status), (None, Status::Unset));
    assert_eq!(open.end_unix_ns - open.start_unix_ns, 1000);
    talk.ask(&data(1, true, b""));
    talk.response(1, true, &[("grpc-status", "0")]);
    let span = talk.world.one();
    assert_eq!((open.trace_id, open.span_id), (span.trace_id, span.span_id));
    assert_eq!(seen(&talk, 0).len(), 0);
}
