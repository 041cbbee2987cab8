//! Puts one direction of a TCP connection in order.
//!
//! Offsets count the direction's bytes since it was first seen, in 64 bits; sequence numbers
//! (RFC 9293 section 3.4) are taken relative to where the direction stands.

use std::collections::BTreeMap;

use crate::capture::event::Monotonic;

/// Bytes of one direction that wait for a hole before them to be filled. A hole that holds back
/// more is taken for a loss: receive windows in use are not much larger.
pub(super) const WAITING_MAX: usize = 1024 * 1024;

/// Pieces that wait, however small.
const PIECES_MAX: usize = 4096;

/// One direction's place.
#[derive(Debug, Default)]
pub(super) struct Assembly {
    /// Sequence number of the byte at `position`, once known.
    next_seq: Option<u32>,
    position: u64,
    /// Pieces beyond a hole, by offset. They do not overlap, nor begin before `position`.
    waiting: BTreeMap<u64, Waiting>,
    waiting_bytes: usize,
    /// The peer has everything before this.
    acked: u64,
    /// The direction ends here.
    end: Option<u64>,
}

#[derive(Debug)]
struct Waiting {
    time: Monotonic,
    data: Box<[u8]>,
    cut: u64,
}

/// The next bytes of a direction, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece<'a> {
    pub(super) time: Monotonic,
    /// Beyond where the piece before ended if something is missing.
    pub(super) position: u64,
    pub(super) seq: u32,
    pub(super) data: &'a [u8],
    /// Bytes after `data` that were not captured.
    pub(super) cut: u64,
}

type Sink<'s> = &'s mut dyn FnMut(Piece<'_>);

impl Assembly {
    /// The direction begins at `seq`, if nothing is known yet.
    pub(super) fn begin(&mut self, seq: u32) {
        self.next_seq.get_or_insert(seq);
    }

    /// Where the direction stands.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// Bytes that wait.
    pub(super) fn waiting_bytes(&self) -> usize {
        self.waiting_bytes
    }

    /// All bytes up to the FIN have gone by.
    pub(super) fn ended(&self) -> bool {
        self.end.is_some_and(|end| self.position >= end)
    }

    /// Takes the data of one packet. Where it overlaps what came before, the first wins.
    pub(super) fn data(
        &mut self,
        time: Monotonic,
        seq: u32,
        data: &[u8],
        cut: usize,
        sink: Sink<'_>,
    ) {
        self.begin(seq);
        let Some(start) = self.offset(seq) else {
            return;
        };
        let end = start + (data.len() + cut) as i128;
        let position = i128::from(self.position);
        if end <= position {
            return;
        }
        let begun = usize::try_from(position - start).unwrap_or(0);
        let piece = Unplaced { time, data, cut: cut as u64 }.after(begun);
        // Not before `position` now, and offsets stay within 2^31 of it.
        let start = u64::try_from(start.max(position)).unwrap_or(self.position);
        if start == self.position {
            self.deliver_until_next(piece, sink);
            self.deliver_ready(sink);
        } else {
            self.wait(start, piece);
            self.enforce_bounds(sink);
        }
        self.pass_holes(sink);
    }

    /// Whether data at `seq` reach beyond the position.
    pub(super) fn adds(&self, seq: u32, len: usize) -> bool {
        let end = self.offset(seq).map(|start| start + len as i128);
        len > 0 && end.is_none_or(|end| end > i128::from(self.position))
    }

    /// The direction's FIN stands at `seq`.
    pub(super) fn fin(&mut self, seq: u32) {
        self.begin(seq);
        let end = self.offset(seq).and_then(|end| u64::try_from(end).ok());
        self.end = self.end.or(end);
    }

    /// The peer says that it has everything before `seq`.
    pub(super) fn ack(&mut self, seq: u32, sink: Sink<'_>) {
        let acked = self.offset(seq).and_then(|acked| u64::try_from(acked).ok());
        self.acked = self.acked.max(acked.unwrap_or(0));
        self.pass_holes(sink);
    }

    /// Nothing more will fill a hole: delivers all that waits, with the holes.
    pub(super) fn flush(&mut self, sink: Sink<'_>) {
        while let Some(&start) = self.waiting.keys().next() {
            self.jump(start);
            self.deliver_ready(sink);
        }
        if let Some(end) = self.end {
            self.jump(end);
        }
    }

    /// A hole that the peer has acknowledged will not be filled: the capture missed it. Only once
    /// something beyond it has come, because an acknowledgement can be captured before what it
    /// acknowledges.
    fn pass_holes(&mut self, sink: Sink<'_>) {
        while let Some(&start) = self.waiting.keys().next()
            && start <= self.acked
        {
            self.jump(start);
            self.deliver_ready(sink);
        }
        // The FIN itself counts as one.
        if let Some(end) = self.end
            && self.acked > end
            && self.waiting.is_empty()
        {
            self.jump(end);
        }
    }

    /// Places a piece among those that wait, without what is there already.
    fn wait(&mut self, start: u64, mut piece: Unplaced<'_>) {
        let mut start = start;
        if let Some((&before, waiting)) = self.waiting.range(..=start).next_back() {
            let covered = (before + waiting.len()).saturating_sub(start);
            piece = piece.after(usize::try_from(covered).unwrap_or(usize::MAX));
            start += covered;
        }
        while piece.len() > 0 {
            let next = self.waiting.range(start..).next();
            let next = next.map(|(&next, waiting)| (next, next + waiting.len()));
            let room = next.map_or(u64::MAX, |(next, _)| next - start);
            let placed = piece.before(room);
            if placed.len() > 0 {
                self.waiting_bytes += placed.data.len();
                let Unplaced { time, data, cut } = placed;
                self.waiting.insert(start, Waiting { time, data: data.into(), cut });
            }
            let Some((_, resume)) = next else { break };
            piece = piece.after(usize::try_from(resume - start).unwrap_or(usize::MAX));
            start = resume;
        }
    }

    fn enforce_bounds(&mut self, sink: Sink<'_>) {
        while self.waiting_bytes > WAITING_MAX || self.waiting.len() > PIECES_MAX {
            let Some(&start) = self.waiting.keys().next() else {
                break;
            };
            self.jump(start);
            self.deliver_ready(sink);
        }
    }

    /// Delivers what waits at the position.
    fn deliver_ready(&mut self, sink: Sink<'_>) {
        while let Some(first) = self.waiting.first_entry()
            && *first.key() <= self.position
        {
            let Waiting { time, data, cut } = first.remove();
            self.waiting_bytes -= data.len();
            self.deliver(Unplaced { time, data: &data, cut }, sink);
        }
    }

    /// Delivers a piece, less what waits already and came first.
    fn deliver_until_next(&mut self, piece: Unplaced<'_>, sink: Sink<'_>) {
        let start = self.position;
        let room = self.waiting.keys().next().map_or(u64::MAX, |next| next - start);
        if piece.len() <= room {
            self.deliver(piece, sink);
            return;
        }
        let rest = piece.after(usize::try_from(room).unwrap_or(usize::MAX));
        self.wait(start + room, rest);
        self.deliver(piece.before(room), sink);
    }

    fn deliver(&mut self, piece: Unplaced<'_>, sink: Sink<'_>) {
        let Unplaced { time, data, cut } = piece;
        let seq = self.next_seq.unwrap_or_default();
        sink(Piece { time, position: self.position, seq, data, cut });
        self.jump(self.position + piece.len());
    }

    fn jump(&mut self, position: u64) {
        let forward = position.saturating_sub(self.position);
        self.position += forward;
        // Sequence numbers wrap around.
        #[expect(clippy::cast_possible_truncation, reason = "sequence numbers are modulo 2^32")]
        let forward = forward as u32;
        self.next_seq = self.next_seq.map(|seq| seq.wrapping_add(forward));
    }

    /// The offset of `seq`: the one within 2^31 of the position.
    fn offset(&self, seq: u32) -> Option<i128> {
        let distance = seq.wrapping_sub(self.next_seq?).cast_signed();
        Some(i128::from(self.position) + i128::from(distance))
    }
}

impl Waiting {
    fn len(&self) -> u64 {
        self.data.len() as u64 + self.cut
    }
}

/// Bytes, then `cut` that are not there.
#[derive(Clone, Copy)]
struct Unplaced<'a> {
    time: Monotonic,
    data: &'a [u8],
    cut: u64,
}

impl Unplaced<'_> {
    fn len(&self) -> u64 {
        self.data.len() as u64 + self.cut
    }

    /// Without the first `n`.
    fn after(self, n: usize) -> Self {
        let (_, data) = self.data.split_at(n.min(self.data.len()));
        let cut = self.cut.saturating_sub((n - n.min(self.data.len())) as u64);
        Self { time: self.time, data, cut }
    }

    /// Only the first `n`.
    fn before(self, n: u64) -> Self {
        let data = usize::try_from(n).ok().and_then(|n| self.data.get(..n)).unwrap_or(self.data);
        let cut = self.cut.min(n.saturating_sub(data.len() as u64));
        Self { time: self.time, data, cut }
    }
}
