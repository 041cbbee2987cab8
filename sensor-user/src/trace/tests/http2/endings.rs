//! How streams end otherwise than by their answer: with the connection, at a bound, in a gap; and what is pushed.

use super::*;

#[test]
fn what_was_not_answered_ends_with_the_connection() {
    for (error, expected) in [(false, "connection_closed"), (true, "connection_reset")] {
        let mut talk = Talk::new(CLIENT);
        talk.request(1, true, &GET);
        talk.request(3, true, &GET);
        talk.response(3, false, &OK);
        talk.end(error);
        let errors: Vec<_> =
            talk.world.spans.iter().map(|span| text(span, "error.type").unwrap()).collect();
        assert_eq!(errors, [expected, "incomplete_response"]);
        assert!(talk.world.spans.iter().all(|span| span.end_unix_ns % 1000 == 60));
    }
}

/// What was cut in the middle of a frame never arrived.
#[test]
fn a_frame_that_is_cut_by_the_end() {
    let mut talk = Talk::new(SERVER);
    talk.request(1, true, &GET);
    talk.request(3, false, &GET);
    talk.ask(&data(3, true, b"abc")[..10]);
    talk.response(1, false, &OK);
    talk.response(3, true, &OK);
    talk.answer(&data(1, true, b"abc")[..11]);
    talk.end(true);
    let told: Vec<_> = talk.world.spans.iter().map(|span| text(span, "error.type")).collect();
    assert_eq!(told, [None, Some("incomplete_response")]);
    assert_eq!(int(&talk.world.spans[0], "http.request.body.size"), None);
}

#[test]
fn a_frame_that_the_state_does_not_allow_costs_its_stream() {
    let cases: [fn(&mut Talk); 6] = [
        |talk| talk.answer(&data(1, false, b"before the head")),
        |talk| {
            talk.response(1, false, &OK);
            talk.response(1, false, &OK);
        },
        |talk| {
            talk.response(1, false, &OK);
            talk.response(1, false, &[("not", "the end")]);
        },
        |talk| talk.response(1, false, &[("no", "status")]),
        |talk| talk.ask(&data(1, false, b"after the end")),
        |talk| talk.request(1, true, &GET),
    ];
    for case in cases {
        let mut talk = Talk::new(SERVER);
        talk.request(1, true, &GET);
        talk.request(3, true, &GET);
        case(&mut talk);
        talk.response(3, true, &OK);
        assert_eq!(talk.world.spans.len(), 1);
        assert_eq!(talk.count(Counter::ExchangesLostUndecodable), 1);
        talk.end(false);
    }
    // A request that is none.
    for fields in
        [&[("no", "pseudo"), (":method", "GET")][..], &[(":method", "GET"), (":status", "200")]]
    {
        let mut talk = Talk::new(SERVER);
        talk.request(1, true, fields);
        assert_eq!(talk.count(Counter::ExchangesLostUndecodable), 1);
        talk.end(false);
    }
}

#[test]
fn a_client_whose_reader_overtakes_its_writer() {
    let mut talk = Talk::new(CLIENT);
    talk.response(1, false, &OK);
    talk.answer(&data(1, true, b"abc"));
    talk.answer(&reset(3, 7));
    talk.request(1, true, &GET);
    talk.request(3, true, &GET);
    talk.response(5, true, &OK);
    talk.request(7, true, &GET);
    talk.response(7, true, &OK);
    let told: Vec<_> = talk.world.spans.iter().map(|span| text(span, "error.type")).collect();
    assert_eq!(told, [None, Some("REFUSED_STREAM"), None]);
    let first = &talk.world.spans[0];
    assert_eq!(int(first, "http.response.body.size"), Some(3));
    assert!(first.start_unix_ns <= first.end_unix_ns);
    // The request of stream 5 did not come before that of 7, so it never will.
    assert_eq!(talk.count(Counter::ResponsesOrphaned), 1);
    talk.end(false);
}

#[test]
fn bounds_lose_and_count() {
    let limits = Limits { streams: 2, exchanges: 3, ..Limits::default() };
    let mut world = World::with(limits);
    let flow = world.flow(SERVER);
    let mut talk = Talk::on(world, flow, SERVER);
    talk.ask(&preface());
    for id in [1, 3, 5, 7] {
        talk.request(id, true, &GET);
    }
    assert_eq!(talk.count(Counter::ExchangesLostStreamsFull), 2);
    for id in [1, 3, 5, 7] {
        talk.response(id, true, &OK);
    }
    assert_eq!(talk.world.spans.len(), 2);
    assert_eq!(talk.count(Counter::ResponsesOrphaned), 2);
    // Over all connections.
    for _ in 0..4 {
        let flow = talk.world.flow(SERVER);
        talk = Talk::on(talk.world, flow, SERVER);
        talk.ask(&preface());
        talk.request(1, true, &GET);
    }
    assert_eq!(talk.world.pipeline.open_exchanges(), 3);
    assert_eq!(talk.count(Counter::ExchangesLostStreamsFull), 3);
}

/// What is lost of the responses is not waited for when there is no room: else nothing would ever be
/// seen again.
#[test]
fn streams_in_doubt_make_room() {
    let limits = Limits { streams: 2, ..Limits::default() };
    let mut world = World::with(limits);
    let mut flow = world.flow(SERVER);
    flow.from_start = false;
    let mut talk = Talk::on(world, flow, SERVER);
    for id in [1, 3, 5, 7] {
        talk.request(id, true, &GET);
    }
    // The responses of 1 and 3 may have gone by; where the server's frames begin is not known.
    assert_eq!(talk.count(Counter::ExchangesLostGap), 2);
    talk.answer(&[0xff; 20]);
    talk.response(7, true, &OK);
    assert_eq!(talk.world.spans.len(), 1);
    // 5 may have been answered before that.
    for id in [9, 11] {
        talk.request(id, true, &GET);
    }
    assert_eq!(talk.count(Counter::ExchangesLostGap), 3);
    // These have not been.
    talk.request(13, true, &GET);
    assert_eq!(talk.count(Counter::ExchangesLostStreamsFull), 1);
    talk.response(9, true, &OK);
    talk.response(11, true, &OK);
    assert_eq!(talk.world.spans.len(), 3);
    talk.end(false);
}

#[test]
fn streams_whose_end_is_in_a_gap_make_room() {
    let limits = Limits { streams: 3, ..Limits::default() };
    let mut world = World::with(limits);
    let flow = world.flow(SERVER);
    let mut talk = Talk::on(world, flow, SERVER);
    talk.ask(&preface());
    talk.answer(&settings());
    talk.request(1, false, &GET);
    talk.request(3, true, &GET);
    talk.world.pass(&talk.flow, Direction::Send, 60);
    talk.response(1, false, &[(":status", "404")]);
    for id in [5, 7] {
        talk.request(id, true, &GET);
    }
    // 3 may be over; what 1 asks for goes on.
    assert_eq!(talk.count(Counter::ExchangesLostGap), 1);
    for id in [5, 7] {
        talk.response(id, true, &[(":status", "404")]);
    }
    talk.answer(&data(1, true, b""));
    talk.ask(&data(1, true, b""));
    assert_eq!(talk.world.spans.len(), 3);
    for id in [9, 11, 13, 15] {
        talk.request(id, true, &GET);
    }
    // None of these is in doubt.
    assert_eq!(talk.count(Counter::ExchangesLostStreamsFull), 1);
    assert_eq!(talk.count(Counter::ExchangesLostGap), 1);
}

#[test]
fn pushed_responses_are_exchanges_of_their_own() {
    for is_client in [true, false] {
        let mut talk = Talk::new(is_client);
        let traceparent = format!("00-{T}-00f067aa0ba902b7-01");
        let mut fields = GET.to_vec();
        fields.push(("traceparent", &traceparent));
        talk.request(1, true, &fields);
        let block = talk.server.block(&[
            (":method", "GET"),
            (":scheme", "http"),
            (":path", "/style.css"),
            (":authority", "a"),
        ]);
        talk.answer(&frame(5, 4, 1, &[&2u32.to_be_bytes()[..], &block].concat()));
        talk.response(1, true, &OK);
        talk.response(2, false, &OK);
        talk.answer(&data(2, true, b"css"));
        let [asked, pushed] = &talk.world.spans[..] else { panic!("two spans") };
        assert_eq!(text(pushed, "url.path"), Some("/style.css"));
        assert_eq!(int(pushed, "http.response.body.size"), Some(3));
        assert!(attributes_bool(pushed, "sensor.http2.pushed"));
        assert_eq!(pushed.trace_id, asked.trace_id);
        assert_eq!(pushed.parent_span_id, Some(asked.span_id));
        talk.end(false);
    }
}

fn attributes_bool(span: &Span, key: &str) -> bool {
    let value = span.attributes.iter().find(|it| it.key == key).map(|it| &it.value);
    value == Some(&crate::model::Value::Bool(true))
}
