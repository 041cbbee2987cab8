//! Reads a recording.

use std::borrow::Cow;
use std::io::{ErrorKind, Read};
use std::time::{Duration, Instant};

use super::codec::Take;
use super::item::{self, Item};
use super::{
    BLOCK_HEADER, BLOCK_MARK, BLOCK_MAX, END_LEN, END_MARK, FORMAT_OLDEST, FORMAT_VERSION,
    HEADER_MAX, Header, MAGIC, RecordingError, Totals, older,
};
use crate::capture::event::Monotonic;
use crate::capture::{CaptureError, Progress, Raw, RawSource, decode};

/// Reads a recording. Each poll delivers at most one block's items.
pub struct Reader<R> {
    name: String,
    input: R,
    header: Header,
    decompressor: zstd::bulk::Decompressor<'static>,
    compressed: Vec<u8>,
    block: Vec<u8>,
    /// Where the next item begins in `block`.
    next: usize,
    /// Items of `block` not yet delivered.
    items_left: u32,
    delivered: Totals,
    lost: Lost,
    pacer: Option<Pacer>,
    finished: bool,
}

/// What could not be delivered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Lost {
    blocks: u64,
    items: u64,
}

/// What [`Reader::read_block`] found.
enum Found {
    Block,
    End,
}

/// Why reading stops: what is wrong, and what is known to be missing because of it.
struct Stop {
    reason: String,
    lost: String,
}

impl<R: Read> Reader<R> {
    /// Reads the header of `input`, which errors call `name`.
    ///
    /// # Errors
    /// When it is not a recording, or one that this build cannot read; the text says why.
    pub fn new(name: String, mut input: R) -> Result<Self, RecordingError> {
        let header = match read_header(&mut input) {
            Ok(header) => header,
            Err(HeaderError::Read(source)) => return Err(RecordingError::Read { name, source }),
            Err(HeaderError::Reason(reason)) => {
                return Err(RecordingError::Header { name, reason });
            }
        };
        if let Some(reason) = header.unreadable() {
            return Err(RecordingError::Header { name, reason });
        }
        let decompressor = match zstd::bulk::Decompressor::new() {
            Ok(decompressor) => decompressor,
            Err(source) => return Err(RecordingError::Read { name, source }),
        };
        Ok(Self {
            name,
            input,
            header,
            decompressor,
            compressed: Vec::new(),
            block: Vec::new(),
            next: 0,
            items_left: 0,
            delivered: Totals::default(),
            lost: Lost::default(),
            pacer: None,
            finished: false,
        })
    }

    /// Where and when it was made.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Delivers items when as much time has passed since the first one as had when they were
    /// recorded; a poll before that says [`Progress::Idle`].
    pub fn real_time(&mut self, on: bool) {
        self.pacer = on.then(Pacer::default);
    }

    /// Makes the next block the current one, leaving out damaged ones.
    fn read_block(&mut self) -> Result<Found, Stop> {
        loop {
            let mut mark = [0; BLOCK_MARK.len()];
            let have = self.fill(&mut mark)?;
            if mark == END_MARK {
                return self.read_end().map(|()| Found::End);
            }
            if have == 0 {
                return Err(Stop::cut("it ends without its end mark", "what came after".into()));
            }
            if have == mark.len() && mark != BLOCK_MARK {
                return Err(self.lost_place(have));
            }

            let mut fields = [0; BLOCK_HEADER];
            fields[..mark.len()].copy_from_slice(&mark);
            let have = have + self.fill(&mut fields[have..])?;
            if have < fields.len() {
                return Err(Stop::cut(
                    "it ends within a block's header",
                    format!("{have} bytes, and what came after"),
                ));
            }
            let Some(lengths) = BlockLengths::decode(&fields) else {
                return Err(self.lost_place(have));
            };

            self.compressed.clear();
            self.input
                .by_ref()
                .take(lengths.compressed as u64)
                .read_to_end(&mut self.compressed)
                .map_err(|error| Stop::read(&error))?;
            if self.compressed.len() < lengths.compressed {
                return Err(Stop::cut(
                    "it ends within a block",
                    format!(
                        "a block of {} items, of which {} of {} bytes are there, and what came \
                         after",
                        lengths.items,
                        self.compressed.len(),
                        lengths.compressed
                    ),
                ));
            }
            self.block.clear();
            self.next = 0;
            self.block.reserve(lengths.raw);
            let sound = crc32fast::hash(&self.compressed) == lengths.crc
                && self
                    .decompressor
                    .decompress_to_buffer(&self.compressed, &mut self.block)
                    .is_ok_and(|len| len == lengths.raw);
            if sound {
                self.items_left = lengths.items;
                self.delivered.blocks += 1;
                self.delivered.raw_bytes += lengths.raw as u64;
                return Ok(Found::Block);
            }
            tracing::warn!(recording = self.name, items = lengths.items, "damaged block left out");
            self.block.clear();
            self.lost.blocks += 1;
            self.lost.items += u64::from(lengths.items);
        }
    }

    fn read_end(&mut self) -> Result<(), Stop> {
        let mut mark = [0; END_LEN];
        mark[..END_MARK.len()].copy_from_slice(&END_MARK);
        let have = END_MARK.len() + self.fill(&mut mark[END_MARK.len()..])?;
        if have < mark.len() {
            return Err(Stop::cut("it ends within its end mark", "nothing else".into()));
        }
        let totals = decode_end(&mark).ok_or_else(|| {
            Stop::cut("its end mark is damaged", "at most what the mark would have told of".into())
        })?;

        let Lost { blocks, items } = self.lost;
        let seen = (self.delivered.blocks + blocks, self.delivered.items + items);
        if seen != (totals.blocks, totals.items) {
            return Err(Stop::cut(
                "blocks are missing in the middle",
                format!(
                    "{} blocks with {} items",
                    totals.blocks.saturating_sub(self.delivered.blocks),
                    totals.items.saturating_sub(self.delivered.items)
                ),
            ));
        }
        if self.lost != Lost::default() {
            return Err(Stop::cut(
                "blocks or items in it are damaged",
                format!("{blocks} blocks, and {items} items in all"),
            ));
        }
        match self.drain()? {
            0 => Ok(()),
            rest => Err(Stop::cut("something follows its end mark", format!("{rest} bytes"))),
        }
    }

    /// Where the next block begins is not known: what is left can only be counted.
    fn lost_place(&mut self, have: usize) -> Stop {
        match self.drain() {
            Ok(rest) => Stop::cut(
                "a block's header is damaged",
                format!("{} bytes from there to the end", have as u64 + rest),
            ),
            Err(stop) => stop,
        }
    }

    fn drain(&mut self) -> Result<u64, Stop> {
        std::io::copy(&mut self.input, &mut std::io::sink()).map_err(|error| Stop::read(&error))
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<usize, Stop> {
        fill(&mut self.input, bytes).map_err(|error| Stop::read(&error))
    }

    fn stopped(&mut self, stop: Stop) -> CaptureError {
        let Stop { reason, mut lost } = stop;
        if self.lost != Lost::default() {
            let Lost { blocks, items } = self.lost;
            lost = format!("{lost}; damaged before that: {blocks} blocks, {items} items in all");
        }
        let Totals { blocks, items, raw_bytes: _ } = self.delivered;
        RecordingError::Incomplete { name: self.name.clone(), reason, blocks, items, lost }.into()
    }
}

impl<R: Read> RawSource for Reader<R> {
    fn poll_raw(&mut self, sink: &mut dyn FnMut(Raw<'_>)) -> Result<Progress, CaptureError> {
        if self.finished {
            return Ok(Progress::Finished);
        }
        if self.items_left == 0 {
            let found = self.read_block();
            self.finished = !matches!(found, Ok(Found::Block));
            match found {
                Ok(Found::Block) => {}
                Ok(Found::End) => return Ok(Progress::Finished),
                Err(stop) => return Err(self.stopped(stop)),
            }
        }

        let mut delivered = 0;
        while self.items_left > 0 {
            let mut rest = Take(self.block.get(self.next..).unwrap_or_default());
            let Ok(mut item) = item::take(&mut rest) else {
                self.lost.items += u64::from(self.items_left);
                self.items_left = 0;
                break;
            };
            if self.header.abi_version == older::ABI_OLDER
                && let Item::Record(Cow::Borrowed(record)) = item
            {
                item = Item::Record(older::upgraded(record));
            }
            if let Some(pacer) = &mut self.pacer
                && let Some(time) = time(&item)
                && !pacer.due(time)
            {
                break;
            }
            self.next = self.block.len() - rest.0.len();
            self.items_left -= 1;
            self.delivered.items += 1;
            delivered += 1;
            sink(item.raw());
        }
        Ok(if delivered == 0 { Progress::Idle } else { Progress::Delivered(delivered) })
    }
}

impl Stop {
    fn cut(reason: &str, lost: String) -> Self {
        Self { reason: reason.to_owned(), lost }
    }

    fn read(error: &std::io::Error) -> Self {
        Self { reason: format!("it cannot be read on: {error}"), lost: "what comes after".into() }
    }
}

/// The fields before a block's bytes.
struct BlockLengths {
    compressed: usize,
    raw: usize,
    items: u32,
    crc: u32,
}

impl BlockLengths {
    /// `None` where the checksum is wrong, or a length is beyond its bound.
    fn decode(fields: &[u8; BLOCK_HEADER]) -> Option<Self> {
        let (covered, crc) = fields.split_last_chunk::<4>()?;
        let mut take = Take(covered.get(BLOCK_MARK.len()..)?);
        let lengths = Self {
            compressed: take.len().ok()?,
            raw: take.len().ok()?,
            items: take.u32().ok()?,
            crc: take.u32().ok()?,
        };
        let bounded = lengths.raw <= BLOCK_MAX
            && lengths.compressed <= zstd::zstd_safe::compress_bound(BLOCK_MAX);
        (bounded && crc32fast::hash(covered) == u32::from_le_bytes(*crc)).then_some(lengths)
    }
}

fn decode_end(mark: &[u8; END_LEN]) -> Option<Totals> {
    let (covered, crc) = mark.split_last_chunk::<4>()?;
    if crc32fast::hash(covered) != u32::from_le_bytes(*crc) {
        return None;
    }
    let mut take = Take(covered.get(END_MARK.len()..)?);
    Some(Totals { blocks: take.u64().ok()?, items: take.u64().ok()?, raw_bytes: take.u64().ok()? })
}

enum HeaderError {
    Read(std::io::Error),
    Reason(String),
}

impl HeaderError {
    fn reason(text: &str) -> Self {
        Self::Reason(text.to_owned())
    }
}

fn read_header(input: &mut impl Read) -> Result<Header, HeaderError> {
    const FIXED: usize = MAGIC.len() + 12;
    let damaged = || HeaderError::reason("its header is damaged; record again");
    let cut = || HeaderError::reason("it ends within its header; record again");

    let mut fixed = [0; FIXED];
    let have = fill(input, &mut fixed).map_err(HeaderError::Read)?;
    let (magic, fields) = fixed.split_at(MAGIC.len());
    if magic != MAGIC {
        return Err(HeaderError::reason("it does not begin like a recording of `sensor record`"));
    }
    if have < FIXED {
        return Err(cut());
    }
    let mut take = Take(fields);
    let version = take.u32().map_err(|_| damaged())?;
    if !(FORMAT_OLDEST..=FORMAT_VERSION).contains(&version) {
        return Err(HeaderError::Reason(format!(
            "its format is of version {version}, and this build reads those up to \
             {FORMAT_VERSION}; replay it with the release of sensor that made it"
        )));
    }
    let len = take.len().map_err(|_| damaged())?;
    let crc = take.u32().map_err(|_| damaged())?;
    if len > HEADER_MAX {
        return Err(damaged());
    }
    let mut body = Vec::new();
    input.take(len as u64).read_to_end(&mut body).map_err(HeaderError::Read)?;
    if body.len() < len {
        return Err(cut());
    }
    if crc32fast::hash(&body) != crc {
        return Err(damaged());
    }
    Header::decode(&body).map_err(|_| damaged())
}

/// Reads until `bytes` are full or the input ends; how many there were.
fn fill(input: &mut impl Read, bytes: &mut [u8]) -> std::io::Result<usize> {
    let mut have = 0;
    while have < bytes.len() {
        match input.read(&mut bytes[have..]) {
            Ok(0) => break,
            Ok(n) => have += n,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(have)
}

/// When the item happened; items without a time of their own are due at once.
fn time(item: &Item<'_>) -> Option<Monotonic> {
    match item {
        Item::Record(record) => decode::time(record),
        Item::Clock(clock) => Some(clock.monotonic),
        Item::Process(..) | Item::Counters(_) | Item::Missed | Item::LogFile(..) => None,
    }
}

/// Holds items back until they are due.
#[derive(Default)]
struct Pacer {
    /// The first item's time, and when it was delivered.
    origin: Option<(Monotonic, Instant)>,
}

impl Pacer {
    fn due(&mut self, time: Monotonic) -> bool {
        let &mut (first, began) = self.origin.get_or_insert_with(|| (time, Instant::now()));
        began.elapsed() >= Duration::from_nanos(time.0.saturating_sub(first.0))
    }
}
