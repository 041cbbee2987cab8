use super::*;

fn world(settings: adaptive::Settings) -> World {
    World::new(Settings { sampler: Sampler::Adaptive(settings), ..Settings::default() })
}

/// Of `service`, called by another process of this node.
fn inside(at: u64, service: &str, status: Status) -> Span {
    let mut span = Span { status, resource: process(7, service), ..server(at) };
    for key in ["network.local.address", "network.peer.address"] {
        span.attributes.push(Attribute::new(key, "10.0.0.7"));
    }
    span
}

/// The part of traces that are kept, by where the decision changes.
fn rate(world: &mut World, span: &Span) -> f64 {
    let (mut kept, mut not) = (0u64, u64::MAX);
    while not - kept > 1 {
        let middle = kept + (not - kept) / 2;
        let trace_id = trace(1 << 64 | u128::from(middle));
        match world.governor.shows(&Span { trace_id, ..span.clone() }) {
            true => kept = middle,
            false => not = middle,
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "that is fine here")]
    let rate = not as f64 / u64::MAX as f64;
    rate
}

#[test]
fn what_enters_is_kept() {
    let mut world = world(adaptive::Settings { min: 0.0, ..adaptive::Settings::default() });
    let inside = inside(1, "shop", Status::Unset);
    assert!(!world.keeps(inside.clone()));
    let mut outside = inside.clone();
    outside.attributes.pop();
    outside.attributes.push(Attribute::new("network.peer.address", "192.0.2.1"));
    assert!(world.keeps(outside.clone()), "from an address that is none of this node's");
    assert!(!world.keeps(Span { kind: SpanKind::Client, ..outside.clone() }));
    assert!(world.keeps(Span { parent_span_id: None, ..inside.clone() }));
    assert!(!world.keeps(Span { remote_sampled: Some(false), ..outside }));
    for local in ["127.0.0.1", "::1"] {
        let mut span = inside.clone();
        span.attributes.pop();
        span.attributes.push(Attribute::new("network.peer.address", local));
        assert!(!world.keeps(span));
    }
}

#[test]
fn the_rate_follows_the_errors_of_the_service() {
    let mut world = world(adaptive::Settings::default());
    let ok = inside(1000, "shop", Status::Unset);
    let error = inside(1000, "shop", Status::Error);
    let near = |rate: f64, expected: f64| assert!((rate - expected).abs() < 1e-6, "{rate}");
    (0..95).for_each(|_| drop(world.govern(ok.clone())));
    near(rate(&mut world, &ok), 0.01);
    (0..5).for_each(|_| drop(world.govern(error.clone())));
    // 5 % of errors is half of what is many: halfway from 1 % to 20 %.
    near(rate(&mut world, &ok), 0.105);
    (0..50).for_each(|_| drop(world.govern(error.clone())));
    near(rate(&mut world, &ok), 0.2);
    // Another service has no part in them.
    let other = inside(1000, "cart", Status::Unset);
    near(rate(&mut world, &other), 0.01);
    // One that comes late counts where it belongs; after a minute, they count no more.
    let later = inside(1055, "shop", Status::Unset);
    drop(world.govern(later.clone()));
    near(rate(&mut world, &later), 0.2);
    drop(world.govern(inside(1060, "shop", Status::Unset)));
    drop(world.govern(error));
    near(rate(&mut world, &later), 0.01);
}

#[test]
fn many_services_are_bounded() {
    let mut world = world(adaptive::Settings::default());
    for n in 0..3000 {
        drop(world.govern(inside(1000, &format!("s{n}"), Status::Error)));
    }
    let one_more = inside(1000, "more", Status::Unset);
    drop(world.govern(one_more.clone()));
    assert!(rate(&mut world, &one_more) > 0.19, "with the others");
    // Later there is room again.
    let later = inside(2000, "more", Status::Unset);
    drop(world.govern(later.clone()));
    assert!(rate(&mut world, &later) < 0.011);
}
