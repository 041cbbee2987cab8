//! Connections that are older than the sensor, and what is known after a loss.

use super::*;

/// A connection on which this went by before it was seen. Its endpoints' tables are filled.
fn older(is_client: bool) -> Talk {
    let mut world = World::new();
    let mut flow = world.flow(is_client);
    flow.from_start = false;
    let mut talk = Talk::on(world, flow, is_client);
    let traceparent = format!("00-{T}-aaaaaaaaaaaaaaaa-01");
    let mut before = GET.to_vec();
    before.extend([("traceparent", &*traceparent), ("x-first", "1")]);
    talk.client.block(&before);
    talk.server.block(&[(":status", "201"), ("server", "x"), ("x-status", "1")]);
    talk
}

fn with_context(path: &'static str, traceparent: &str) -> Vec<(&'static str, String)> {
    let mut fields: Vec<_> = GET.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    fields[2].1 = path.to_owned();
    fields.push(("traceparent", traceparent.to_owned()));
    fields
}

fn borrowed<'a>(fields: &'a [(&'static str, String)]) -> Vec<(&'a str, &'a str)> {
    fields.iter().map(|(name, value)| (*name, &**value)).collect()
}

/// The client's preface is in a gap, and the server's first frame is not.
#[test]
fn a_connection_whose_preface_is_lost_is_older_too() {
    for settings_first in [true, false] {
        let mut world = World::new();
        let flow = world.flow(SERVER);
        let mut talk = Talk::on(world, flow, SERVER);
        let lost = |talk: &mut Talk| {
            talk.world.pass(&talk.flow.clone(), Direction::Receive, preface().len() as u64);
        };
        if !settings_first {
            lost(&mut talk);
        }
        talk.answer(&settings());
        if settings_first {
            lost(&mut talk);
        }
        talk.ask(&frame(8, 0, 0, &[0, 0, 1, 0]));
        talk.request(1, true, &GET);
        talk.response(1, true, &OK);
        assert_eq!(talk.world.spans.len(), 1);
        assert_eq!(talk.count(Counter::ConnectionsNotHttp), 0);
        talk.end(false);
    }
}

#[test]
fn streams_that_begin_after_joining_are_right() {
    for is_client in [true, false] {
        let mut talk = older(is_client);
        // Of streams from before: data, trailers, a response.
        talk.answer(&data(9, false, b"abc"));
        talk.response(9, true, &[("grpc-status", "0")]);
        talk.response(11, true, &[(":status", "200"), ("x", "y")]);
        let asked = with_context("/new", &format!("00-{T}-00f067aa0ba902b7-01"));
        talk.request(101, true, &borrowed(&asked));
        talk.response(101, true, &[(":status", "201"), ("server", "x")]);
        talk.request(103, true, &borrowed(&asked));
        talk.response(103, true, &[(":status", "202"), ("server", "x")]);
        let [first, second] = &talk.world.spans[..] else { panic!("{:?}", talk.world.spans) };
        assert_eq!(first.trace_id.to_string(), T);
        // The name is known by its shape alone the first time, and inserted as unknown: so it is the
        // second time, too.
        assert_eq!(text(first, "sensor.link"), Some("inferred"));
        assert_eq!(text(second, "sensor.link"), Some("inferred"));
        assert_eq!(text(first, "url.path"), Some("/new"));
        assert_eq!(text(first, "http.request.method"), Some("GET"));
        // Indexed before: unknown, and not the socket's address in its place.
        assert_eq!(text(first, "server.address"), None);
        assert_eq!(text(first, "user_agent.original"), None);
        assert_eq!(int(first, "http.response.status_code"), None);
        assert_eq!(int(second, "http.response.status_code"), Some(202));
        assert_eq!(first.status, Status::Unset);
        assert_eq!(talk.count(Counter::Http2Joined), 1);
        assert!(talk.count(Counter::Http2FieldsUnknown) > 0);
        talk.end(false);
    }
}

/// The client's reader overtakes its writer, and the status was indexed before.
#[test]
fn a_hidden_head_may_come_before_its_request() {
    let mut talk = older(CLIENT);
    let hidden = [(":status", "201"), ("server", "x")];
    let status = |talk: &Talk| int(talk.world.spans.last().unwrap(), "http.response.status_code");
    // Where responses were not followed yet, this may be trailers.
    talk.request(101, true, &GET);
    talk.response(101, true, &OK);
    talk.response(103, true, &hidden);
    talk.request(103, true, &GET);
    assert_eq!(talk.count(Counter::ExchangesLostGap), 1);
    assert_eq!(status(&talk), Some(200));
    // Now they are.
    talk.response(105, false, &hidden);
    talk.answer(&data(105, true, b"abc"));
    talk.request(105, true, &GET);
    assert_eq!(talk.world.spans.len(), 2);
    assert_eq!(status(&talk), None);
    assert_eq!(int(&talk.world.spans[1], "http.response.body.size"), Some(3));
    // After a loss they are not: the head may be in it.
    lose(&mut talk, Direction::Receive, 60);
    talk.answer(&settings());
    talk.response(107, true, &hidden);
    talk.request(107, true, &GET);
    talk.end(false);
    assert_eq!(talk.world.spans.len(), 2);
    assert_eq!(talk.count(Counter::ExchangesLostGap), 2);
}

#[test]
fn what_may_be_hidden_is_not_said_to_be_absent() {
    let mut talk = older(SERVER);
    // Everything but the path was indexed before, the context too.
    let asked = with_context("/new", &format!("00-{T}-aaaaaaaaaaaaaaaa-01"));
    talk.request(101, true, &borrowed(&asked));
    talk.response(101, true, &OK);
    let span = talk.world.one();
    assert_eq!(text(&span, "sensor.link"), Some("unknown"));
    assert_ne!(span.trace_id.to_string(), T);
    assert_eq!(span.parent_span_id, None);
}

#[test]
fn two_values_of_the_same_shape_are_ambiguous() {
    let mut talk = older(SERVER);
    talk.client.block(&[("traceparent-of-another", "x")]);
    let mut asked = with_context("/new", &format!("00-{T}-00f067aa0ba902b7-01"));
    asked.push(("traceparent-of-another", format!("00-{T}-00f067aa0ba902b8-01")));
    talk.request(101, true, &borrowed(&asked));
    talk.response(101, true, &OK);
    let span = talk.world.one();
    assert_eq!(text(&span, "sensor.link"), Some("unknown"));
    assert_eq!(span.parent_span_id, None);
}

#[test]
fn calls_are_recognised_by_either_side() {
    // `content-type` was indexed before, on the client's side; on the server's, it is new.
    let mut world = World::new();
    let mut flow = world.flow(SERVER);
    flow.from_start = false;
    let mut talk = Talk::on(world, flow, SERVER);
    talk.client.block(&grpc("/shop.v1.Cart/Get"));
    talk.request(7, false, &grpc(METHOD));
    talk.ask(&data(7, true, &message(false, b"abc")));
    talk.response(7, false, &GRPC);
    talk.answer(&data(7, false, &message(false, b"abc")));
    talk.response(7, true, &[("grpc-status", "0")]);
    let span = talk.world.one();
    assert_eq!((&*span.name, text(&span, "rpc.method")), ("shop.v1.Cart/Add", Some("Add")));
    assert_eq!(int(&span, "sensor.grpc.request.messages"), Some(1));
    assert_eq!(int(&span, "sensor.grpc.response.messages"), Some(1));
    assert_eq!(int(&span, "rpc.grpc.status_code"), Some(0));

    // Whether there was a deadline is hidden.
    talk.request(9, true, &grpc(METHOD));
    talk.response(9, false, &GRPC);
    talk.ask(&reset(9, 8));
    let span = talk.world.one();
    assert_eq!(text(&span, "rpc.system"), Some("grpc"));
    assert_eq!(text(&span, "error.type"), Some("CANCEL"));
    assert_eq!(text(&span, "sensor.grpc.cancelled_by"), None);

    // And a request that is none, though it might be.
    talk.request(
        11,
        false,
        &[(":method", "POST"), (":scheme", "http"), (":path", METHOD), ("te", "trailers")],
    );
    talk.ask(&data(11, true, b"{\"json\": true}"));
    talk.response(11, true, &[(":status", "200"), ("content-type", "application/json")]);
    let span = talk.world.one();
    assert_eq!((&*span.name, text(&span, "rpc.system")), ("POST", None));
}

#[test]
fn a_path_under_an_unknown_name_is_known_by_its_shape() {
    let mut talk = older(SERVER);
    // An encoder that takes the name from its dynamic table.
    let mut block = talk.client.block(&[(":method", "POST"), (":scheme", "http")]);
    let traceparents = 62;
    block.extend([0x40 | traceparents, 17]);
    block.extend(METHOD.as_bytes());
    talk.ask(&frame(1, 5, 101, &block));
    talk.response(101, true, &OK);
    let span = talk.world.one();
    assert_eq!(text(&span, "url.path"), Some(METHOD));
    let inferred = span.attributes.iter().find(|it| it.key == "sensor.inferred").unwrap();
    assert_eq!(inferred.value, vec!["url.path".to_owned()].into());
}

#[test]
fn the_kernel_side_may_say_where_a_frame_begins() {
    let mut talk = older(SERVER);
    // Nothing in it could be recognised by itself.
    let window = frame(8, 0, 0, b"\0\0\0\x01");
    talk.world.segment(&talk.flow, Direction::Receive, 1, &window, 0, |segment| {
        segment.frame_start = true;
    });
    talk.request(101, true, &GET);
    // Whoever marks frames marks all: this is none, though it looks like one.
    talk.response(101, true, &[(":status", "404")]);
    let answer = talk.server.headers(101, true, &OK);
    talk.time += 10;
    talk.world.segment(&talk.flow, Direction::Send, talk.time, &answer, 0, |segment| {
        segment.frame_start = true;
    });
    assert_eq!(int(&talk.world.one(), "http.response.status_code"), Some(200));
    assert_eq!(talk.count(Counter::Http2Joined), 1);
}

#[test]
fn http1_on_an_older_connection_is_http1() {
    let mut world = World::new();
    let mut flow = world.flow(SERVER);
    flow.from_start = false;
    world.receive(&flow, 1, "GET / HTTP/1.1\r\n\r\n");
    // An answer that holds HTTP/2.
    let mut server = Endpoint::default();
    let body = [server.headers(1, true, &OK), server.headers(3, true, &OK)].concat();
    world.send(&flow, 2, &format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()));
    world.segment(&flow, Direction::Send, 3, &body, 0, |_| {});
    assert_eq!(text(&world.one(), "network.protocol.version"), Some("1.1"));
    assert_eq!(world.count(Counter::Http2Connections), 0);
}

/// Bytes of a direction go by without a segment.
fn lose(talk: &mut Talk, direction: Direction, n: u64) {
    talk.world.pass(&talk.flow, direction, n);
}

#[test]
fn a_loss_costs_what_may_be_in_it_and_no_more() {
    let mut talk = Talk::new(SERVER);
    for id in [1, 3, 5] {
        talk.request(id, true, &GET);
    }
    talk.response(1, false, &OK);
    lose(&mut talk, Direction::Send, 40);
    // A head that nobody indexed, so that the frames are recognised.
    talk.response(7, true, &[(":status", "404")]);
    // What is complete, with a time that was seen, is told.
    talk.answer(&data(1, true, b"abc"));
    talk.response(3, true, &[(":status", "204")]);
    let told: Vec<_> = talk
        .world
        .spans
        .iter()
        .map(|span| (int(span, "http.response.status_code"), int(span, "http.response.body.size")))
        .collect();
    assert_eq!(told, [(Some(200), None), (Some(204), None)]);
    // What may have ended in the gap is not.
    talk.end(false);
    assert_eq!(talk.world.spans.len(), 2);
    assert_eq!(talk.count(Counter::ExchangesLostGap), 1);
    assert_eq!(talk.count(Counter::Http2PlacesLost), 1);
    assert_eq!(talk.count(Counter::ResponsesOrphaned), 1);
}

#[test]
fn requests_that_were_not_seen_are_counted_by_their_numbers() {
    // The first ones of a connection, and two in the middle.
    let mut talk = Talk::new(SERVER);
    lose(&mut talk, Direction::Receive, 90);
    for id in [7, 9, 15] {
        talk.request(id, true, &GET);
        if id == 9 {
            lose(&mut talk, Direction::Receive, 60);
        }
    }
    assert_eq!(talk.count(Counter::Http2RequestsUnseen), 3 + 2);
    // A gap in what the server sends hides none, and what a client leaves out was not lost.
    lose(&mut talk, Direction::Send, 60);
    talk.request(21, true, &GET);
    assert_eq!(talk.count(Counter::Http2RequestsUnseen), 5);

    // What was before the sensor is not missing.
    let mut talk = older(SERVER);
    talk.request(101, true, &GET);
    lose(&mut talk, Direction::Receive, 60);
    talk.request(105, true, &GET);
    assert_eq!(talk.count(Counter::Http2RequestsUnseen), 1);
}

#[test]
fn a_response_whose_head_is_lost_has_no_status() {
    let mut talk = Talk::new(CLIENT);
    talk.request(1, false, &grpc(METHOD));
    talk.ask(&data(1, true, &message(false, b"abc")));
    let head = talk.server.headers(1, false, &GRPC);
    let (all, flow) = (head.len() as u64, &talk.flow);
    // Its frame's header was seen, so the place is known.
    talk.time += 10;
    talk.world.segment(flow, Direction::Receive, talk.time, &head[..9], all - 9, |segment| {
        segment.unreadable_after = true;
    });
    talk.answer(&data(1, false, &message(false, b"abc")));
    talk.response(1, true, &[("grpc-status", "7")]);
    let span = talk.world.one();
    assert_eq!(int(&span, "http.response.status_code"), None);
    assert_eq!(int(&span, "rpc.grpc.status_code"), Some(7));
    assert_eq!(names(&span), ["http.request.body.end"]);
    assert_eq!(talk.count(Counter::Http2PlacesLost), 0);
}

#[test]
fn a_cancellation_that_is_lost_is_not_a_closed_connection() {
    let mut talk = Talk::new(SERVER);
    talk.request(1, true, &GET);
    lose(&mut talk, Direction::Receive, 13);
    talk.request(3, true, &GET);
    talk.end(false);
    // What began after the loss was not cancelled in it.
    assert_eq!(talk.world.one().start_unix_ns % 1000, 40);
    assert_eq!(talk.count(Counter::ExchangesLostGap), 1);
}

/// Whoever passes over bytes where a frame begins has lost its place, or takes them for none.
#[test]
fn what_was_passed_over_between_frames_may_have_been_an_answer() {
    for direction in [Direction::Send, Direction::Receive] {
        let mut talk = Talk::new(SERVER);
        talk.request(1, true, &GET);
        talk.time += 10;
        talk.world.skip(&talk.flow.clone(), direction, talk.time, 48);
        talk.end(false);
        assert_eq!(talk.world.spans.len(), 0);
        assert_eq!(talk.count(Counter::ExchangesLostGap), 1);
        assert_eq!(talk.count(Counter::Http2PlacesLost), 1);
    }
}

#[test]
fn an_end_in_a_gap_has_no_time() {
    let mut talk = Talk::new(SERVER);
    talk.request(1, true, &GET);
    talk.response(1, false, &OK);
    let body = data(1, true, b"abc");
    talk.time += 10;
    talk.world.segment(&talk.flow, Direction::Send, talk.time, &body[..9], 3, |segment| {
        segment.unreadable_after = true;
    });
    assert_eq!(talk.count(Counter::ExchangesLostGap), 1);
    assert_eq!(talk.count(Counter::Http2PlacesLost), 0);
    talk.request(3, true, &GET);
    talk.response(3, true, &OK);
    assert_eq!(talk.world.spans.len(), 1);
}

#[test]
fn an_end_that_was_passed_over_has_the_time_of_its_mark() {
    let mut talk = Talk::new(SERVER);
    talk.request(1, true, &GET);
    talk.response(1, false, &OK);
    talk.answer(&data(1, true, b"abc")[..9]);
    talk.time += 10;
    talk.world.skip(&talk.flow.clone(), Direction::Send, talk.time, 3);
    let span = talk.world.one();
    assert_eq!(span.end_unix_ns % 1000, 60);
    assert_eq!(int(&span, "http.response.body.size"), Some(3));
}
