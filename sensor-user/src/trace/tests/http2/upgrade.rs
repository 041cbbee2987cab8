//! From HTTP/1.1 to HTTP/2 by Upgrade.

use super::*;

pub(super) const UPGRADE: &str = "GET /up HTTP/1.1\r\nHost: shop.example\r\nConnection: Upgrade, HTTP2-Settings\r\n\
    Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n\r\n";
pub(super) const SWITCH: &str =
    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n";

#[test]
fn an_upgrade_goes_on_as_stream_1() {
    let mut whole = SWITCH.as_bytes().to_vec();
    let mut server = Endpoint::default();
    whole.extend(settings());
    whole.extend(server.headers(1, false, &OK));
    whole.extend(data(1, true, b"abc"));
    for cut in [whole.len(), SWITCH.len(), SWITCH.len() + 4, 20] {
        let mut world = World::new();
        let flow = world.flow(SERVER);
        let mut talk = Talk::on(world, flow, SERVER);
        talk.ask(UPGRADE.as_bytes());
        for part in [&whole[..cut], &whole[cut..]] {
            if !part.is_empty() {
                talk.answer(part);
            }
        }
        let span = talk.world.one();
        assert_eq!(text(&span, "url.path"), Some("/up"));
        assert_eq!(int(&span, "http.response.status_code"), Some(200));
        assert_eq!(int(&span, "http.response.body.size"), Some(3));
        // As it was asked for.
        assert_eq!(text(&span, "network.protocol.version"), Some("1.1"));
        // The connection goes on.
        talk.server = server.clone();
        talk.ask(&preface());
        talk.request(3, true, &GET);
        talk.response(3, true, &OK);
        assert_eq!(text(&talk.world.one(), "url.path"), Some("/items"));
        assert_eq!(talk.count(Counter::Http2Upgraded), 1);
        assert_eq!(talk.count(Counter::ConnectionsUpgraded), 0);
        assert_eq!(talk.count(Counter::Http2PlacesLost), 0);
        talk.end(false);
    }
}

#[test]
fn an_upgrade_may_have_a_body() {
    let mut world = World::new();
    let flow = world.flow(SERVER);
    let mut talk = Talk::on(world, flow, SERVER);
    talk.ask(format!("{}Content-Length: 3\r\n\r\nabc", &UPGRADE[..UPGRADE.len() - 2]).as_bytes());
    talk.answer(SWITCH.as_bytes());
    talk.answer(&settings());
    talk.response(1, true, &OK);
    let span = talk.world.one();
    assert_eq!(int(&span, "http.request.body.size"), Some(3));
    assert_eq!(names(&span), ["http.request.body.end", "http.response.first_byte"]);
}

#[test]
fn an_upgrade_that_was_not_asked_for_is_opaque() {
    for asked in ["", "HTTP2-Settings: ?\r\n", "HTTP2-Settings: AA\r\nHTTP2-Settings: AA\r\n"] {
        let mut world = World::new();
        let flow = world.flow(SERVER);
        let request =
            format!("GET / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n{asked}\r\n");
        world.receive(&flow, 1, &request);
        world.send(&flow, 2, SWITCH);
        world.segment(&flow, Direction::Receive, 3, &preface(), 0, |_| {});
        assert_eq!(int(&world.one(), "http.response.status_code"), Some(101));
        assert_eq!(world.count(Counter::ConnectionsUpgraded), 1);
    }
}
