//! One direction of a connection as a stream of absolute positions: what came, what was passed
//! over on purpose, and what is missing, in order and without overlap.

#[cfg(test)]
mod tests;

/// What is next in a direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// These bytes. A segment gives at most one of these, so its first byte is where a call's
    /// copied bytes begin.
    Bytes(&'a [u8]),
    /// This many bytes of body, which the kernel side did not copy.
    Skip(u64),
    /// This many bytes of which nothing is known.
    Lost(u64),
}

impl Piece<'_> {
    /// How many bytes of the stream it stands for.
    #[must_use]
    pub fn length(&self) -> u64 {
        match *self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Skip(n) | Self::Lost(n) => n,
        }
    }
}

/// What a segment or an end event says of a direction.
#[derive(Clone, Copy, Debug, Default)]
pub struct Extent<'a> {
    /// Position of the first of `bytes`.
    pub position: u64,
    /// Body bytes passed over before `position`.
    pub skipped_before: u64,
    /// What was copied.
    pub bytes: &'a [u8],
    /// Bytes after those that were not copied.
    pub skipped_after: u64,
    /// Those are not known to be body.
    pub unreadable_after: bool,
    /// Records of this direction that were lost before this one.
    pub lost_records: u32,
}

/// How much went missing in one extent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Missing {
    /// Gaps: 0, 1 or 2.
    pub gaps: u64,
    /// Bytes in them.
    pub bytes: u64,
}

/// How far a direction has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Track {
    expected: u64,
}

impl Track {
    /// Lays an extent against the stream so far and hands its new pieces, each with the position
    /// of its first byte, to `each`. What was already seen is left out, so a source that repeats
    /// itself or goes back does no harm.
    ///
    /// Where anything is lost before the bytes, body bytes passed over in the same stretch cannot
    /// be placed, so all of it is [`Piece::Lost`]. The same where records were lost but no bytes:
    /// the time at which the bytes passed over went by was in those records.
    pub fn advance<'a>(
        &mut self,
        extent: &Extent<'a>,
        mut each: impl FnMut(u64, Piece<'a>),
    ) -> Missing {
        let mut missing = Missing::default();
        if extent.position > self.expected {
            let distance = extent.position - self.expected;
            let lost = distance.saturating_sub(extent.skipped_before);
            if lost > 0 {
                missing = Missing { gaps: 1, bytes: lost };
            }
            let known = lost == 0 && extent.lost_records == 0;
            let piece = if known { Piece::Skip(distance) } else { Piece::Lost(distance) };
            each(self.expected, piece);
            self.expected = extent.position;
        }

        // Here the extent begins at or before the expected position.
        let seen = self.expected - extent.position;
        let fresh = usize::try_from(seen).ok().and_then(|seen| extent.bytes.get(seen..));
        if let Some(fresh @ [_, ..]) = fresh {
            each(self.expected, Piece::Bytes(fresh));
            self.expected = self.expected.saturating_add(fresh.len() as u64);
        }

        let end = extent
            .position
            .saturating_add(extent.bytes.len() as u64)
            .saturating_add(extent.skipped_after);
        if end > self.expected {
            let distance = end - self.expected;
            if extent.unreadable_after {
                missing.gaps += 1;
                missing.bytes = missing.bytes.saturating_add(distance);
                each(self.expected, Piece::Lost(distance));
            } else {
                each(self.expected, Piece::Skip(distance));
            }
            self.expected = end;
        }
        missing
    }
}
