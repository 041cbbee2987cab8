//! How the queue and the batches are shared.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::super::lanes::{Amount, Due, LaneKey, Lanes, OWNERS_MAX, STREAMS_MAX};
use super::super::{Grouping, Policy, Queue};
use crate::export::otlp::LEDGER;
use crate::export::testing::{assert_balanced, resource, span_of};
use crate::metrics::{Counter, Metrics};
use crate::model::{Attribute, Resource, Span};

fn queue(policy: Policy) -> (Queue<Arc<Span>>, Arc<Metrics>) {
    let metrics = Arc::new(Metrics::default());
    (Queue::new(Grouping::Mixed, policy, &LEDGER, Arc::clone(&metrics)), metrics)
}

/// `n` greedy services have `2 / (2n + 1)` of the queue each, and half of that is free for another
/// one.
#[tokio::test(start_paused = true)]
async fn greedy_services_leave_room_for_others() {
    for (services, each, refused) in
        [(&["a"][..], 200, "share"), (&["a", "b"], 120, "share"), (&["a", "b", "c"], 86, "share")]
    {
        let (queue, metrics) = queue(Policy { capacity: 300, ..Policy::default() });
        let spans: Vec<_> = services.iter().map(|it| Arc::new(span_of(&resource(it), 1))).collect();
        for _ in 0..1_000 {
            spans.iter().for_each(|span| queue.offer(Arc::clone(span)));
        }
        let all = queue.queued();
        assert!(all.abs_diff(each * services.len() as u64) <= 2, "{services:?}: {all}, {refused}");
        assert_eq!(metrics.get(Counter::OtlpLostQueueFull), 0);
        assert_eq!(metrics.get(Counter::OtlpLostShare), 1_000 * services.len() as u64 - all);
        // Another one has room, and as much of it as the rule gives to one more.
        let quiet = Arc::new(span_of(&resource("quiet"), 1));
        for _ in 0..20 {
            queue.offer(Arc::clone(&quiet));
        }
        assert_eq!(queue.queued(), all + 20);
        assert_balanced(&metrics, &LEDGER, queue.queued());
    }
}

/// A queue that is full is another reason, whoever asks.
#[tokio::test(start_paused = true)]
async fn a_full_queue_is_full_for_all() {
    let (queue, metrics) = queue(Policy { capacity: 3, ..Policy::default() });
    for service in ["a", "b", "c", "d"] {
        queue.offer(Arc::new(span_of(&resource(service), 1)));
    }
    assert_eq!(metrics.get(Counter::OtlpLostQueueFull), 1);
    assert_balanced(&metrics, &LEDGER, 3);
}

/// A container has one share, whatever its processes call themselves.
#[tokio::test(start_paused = true)]
async fn names_of_services_do_not_multiply_the_share_of_a_container() {
    let (queue, _) = queue(Policy { capacity: 300, ..Policy::default() });
    let in_container = |service: String| {
        let name = Attribute::new("service.name", service);
        let attributes = vec![name, Attribute::new("container.id", "0123456789abcdef")];
        Arc::new(span_of(&Arc::new(Resource { attributes, ..Resource::default() }), 1))
    };
    for n in 0..1_000 {
        queue.offer(in_container(format!("service-{n}")));
    }
    assert_eq!(queue.queued(), 200);
}

const AGE: Duration = Duration::from_secs(1);

fn lanes(grouping: Grouping, items: usize) -> Lanes<u64> {
    Lanes::new(grouping, Amount { items, bytes: 1_000_000 })
}

fn push(lanes: &mut Lanes<u64>, owner: u64, stream: u64, count: usize) {
    for _ in 0..count {
        lanes.push(LaneKey { owner, stream }, 100, owner, Instant::now);
    }
}

fn counts(items: &[u64]) -> BTreeMap<u64, usize> {
    let mut counts = BTreeMap::new();
    items.iter().for_each(|owner| *counts.entry(*owner).or_default() += 1);
    counts
}

/// Each owner has an equal part of a batch; what one does not need, the others have.
#[tokio::test(start_paused = true)]
async fn a_batch_is_shared_by_all_who_wait() {
    let mut lanes = lanes(Grouping::Mixed, 100);
    push(&mut lanes, 1, 0, 10_000);
    push(&mut lanes, 2, 0, 3);
    push(&mut lanes, 3, 0, 40);
    let batch = lanes.take(AGE, Instant::now()).unwrap();
    assert_eq!(counts(&batch.items), BTreeMap::from([(1, 57), (2, 3), (3, 40)]));
    assert_eq!(batch.ticket.sum(), Amount { items: 100, bytes: 10_000 });
    let batch = lanes.take(AGE, Instant::now()).unwrap();
    assert_eq!(counts(&batch.items), BTreeMap::from([(1, 100)]));
}

#[tokio::test(start_paused = true)]
async fn streams_have_their_turns() {
    let mut lanes = lanes(Grouping::Stream, 10);
    for stream in 1..=3 {
        push(&mut lanes, 1, stream, 25);
    }
    push(&mut lanes, 2, 1, 25);
    let mut tickets = Vec::new();
    let mut owners = Vec::new();
    while let Ok(batch) = lanes.take(AGE, Instant::now()) {
        assert_eq!(batch.items.len(), 10);
        owners.push(batch.items[0]);
        tickets.push(batch.ticket);
    }
    // One stream at a time of each, as none of them is settled.
    assert_eq!(owners, [1, 2, 1, 1]);
    assert_eq!(lanes.take(AGE, Instant::now()).unwrap_err(), Due::Never);
    assert_eq!(lanes.held_by(1).items, 75);
    tickets.into_iter().for_each(|ticket| lanes.release(ticket));
    assert_eq!(lanes.held_by(1).items, 45);
    for owner in [2, 1, 1, 1] {
        assert_eq!(lanes.take(AGE, Instant::now()).unwrap().items, [owner; 10]);
    }
}

/// However many names there are, what is remembered of them is bounded, and everything comes out.
#[tokio::test(start_paused = true)]
async fn lanes_are_bounded() {
    let mut many = lanes(Grouping::Mixed, 1_000_000);
    for owner in 1..=10_000 {
        push(&mut many, owner, 0, 1);
    }
    assert_eq!(many.owners(), OWNERS_MAX + 1);
    let batch = many.take(Duration::ZERO, Instant::now()).unwrap();
    assert_eq!(batch.items.len(), 10_000);
    many.release(batch.ticket);
    assert_eq!(many.owners(), 0);

    let mut many = lanes(Grouping::Stream, 1_000_000);
    for stream in 1..=10_000 {
        push(&mut many, 1, stream, 1);
    }
    let mut batches = Vec::new();
    while let Ok(batch) = many.take(Duration::ZERO, Instant::now()) {
        batches.push(batch);
    }
    assert_eq!(batches.len(), STREAMS_MAX + 1);
    assert_eq!(batches.iter().map(|batch| batch.items.len()).sum::<usize>(), 10_000);
    batches.into_iter().for_each(|batch| many.release(batch.ticket));
    assert_eq!(many.owners(), 0);
}
