//! The same bytes, cut at any place: what a source may leave out is left out, what is lost is lost.

use proptest::prelude::*;

use super::super::*;
use super::world::{TestFlow, World};
use crate::capture::event::Direction;

/// Bytes that go one way at one time, and of each whether the kernel side may leave it out.
#[derive(Clone, Debug)]
pub(super) struct Message {
    pub(super) direction: Direction,
    pub(super) time: u64,
    pub(super) bytes: Vec<(u8, bool)>,
}

/// A segment of a message: how many bytes were left out before its own, and how many come after.
#[derive(Clone, Debug)]
pub(super) struct Cut {
    direction: Direction,
    time: u64,
    before: u64,
    bytes: Vec<u8>,
    after: u64,
    /// It begins with the message's first byte.
    first: bool,
}

/// Lengths, and whether what may be left out is left out.
pub(super) type Choice = (usize, bool);

/// Every message whole.
pub(super) const WHOLE: &[Choice] = &[(usize::MAX, false)];

pub(super) fn choices() -> impl Strategy<Value = Vec<Choice>> {
    prop::collection::vec((prop_oneof![3 => 1..8usize, 2 => 8..200usize], any::<bool>()), 1..60)
}

/// Cuts messages by `choices`, which go round.
pub(super) fn cut<'a>(
    messages: impl IntoIterator<Item = &'a Message>,
    choices: &[Choice],
) -> Vec<Cut> {
    let mut choices = choices.iter().cycle();
    let mut cuts = Vec::new();
    for &Message { direction, time, ref bytes } in messages {
        let mut rest = &bytes[..];
        let mut before = 0;
        while !rest.is_empty() {
            let &(length, skip) = choices.next().unwrap();
            let first = rest.len() == bytes.len();
            let (part, after) = rest.split_at(length.clamp(1, rest.len()));
            rest = after;
            if skip && part.iter().all(|&(_, body)| body) {
                before += part.len() as u64;
                continue;
            }
            // What is body at the end of a part may be left out too.
            let tail =
                if skip { part.iter().rev().take_while(|(_, body)| *body).count() } else { 0 };
            let bytes = part[..part.len() - tail].iter().map(|&(byte, _)| byte).collect();
            let after = tail as u64;
            cuts.push(Cut { direction, time, before, bytes, after, first });
            before = 0;
        }
        if before > 0 {
            let bytes = Vec::new();
            cuts.push(Cut { direction, time, before, bytes, after: 0, first: false });
        }
    }
    cuts
}

/// Hands over cuts, except the lost ones. With `marks` the source says which ones begin a message.
pub(super) fn feed(
    world: &mut World,
    flow: &TestFlow,
    cuts: &[Cut],
    marks: bool,
    lost: impl Fn(usize) -> bool,
) {
    let mut lost_records = [0; 2];
    for (i, cut) in cuts.iter().enumerate() {
        let records = &mut lost_records[cut.direction.index()];
        world.pass(flow, cut.direction, cut.before);
        if lost(i) {
            *records += 1;
            world.pass(flow, cut.direction, cut.bytes.len() as u64 + cut.after);
            continue;
        }
        let records = std::mem::take(records);
        world.segment(flow, cut.direction, cut.time, &cut.bytes, cut.after, |segment| {
            segment.skipped_before = cut.before;
            segment.lost_records = records;
            segment.frame_start = marks && cut.first;
        });
    }
}

/// Ends the connection: nothing is open afterwards.
pub(super) fn finish(mut world: World, flow: &TestFlow) -> (World, Vec<Span>) {
    world.end(flow, 1_000_000, false);
    assert_eq!(world.pipeline.open_exchanges(), 0);
    assert_eq!(world.pipeline.core.contexts.open_len(), 0);
    let spans = std::mem::take(&mut world.spans);
    (world, spans)
}
