//! Where events come from.
//!
//! Two kinds of source. A *raw* source ([`RawSource`]) hands over records as the kernel made them:
//! the live ring and recordings do; [`Decoding`] turns one into a [`Source`] and can let a
//! [`Tee`] (a recording being written) see everything first. A packet capture has no such records
//! and is a [`Source`] by itself.

use std::fs::File;
use std::io::{BufReader, Cursor, Read};
use std::path::Path;
use std::sync::Arc;

use crate::metrics::Metrics;

pub mod decode;
mod decoding;
pub mod event;
pub mod live;
pub mod pcap;
pub mod recording;

pub use decoding::{Decoding, Tee};

use event::{ClockSync, Event, FileId, ProcessKey};

use crate::model::Resource;

/// A source of events: the live kernel, a recording, a packet capture.
pub trait Source {
    /// Delivers what is there now, in order, and returns; never blocks for more.
    ///
    /// # Errors
    /// When the source cannot go on: a cut or damaged file, a failing ring. What came before the
    /// fault has been delivered by then, and the next call says [`Progress::Finished`].
    fn poll(&mut self, sink: &mut dyn FnMut(Event<'_>)) -> Result<Progress, CaptureError>;

    /// What the kernel side counted, as last told by the source (name, value); final once the
    /// source is finished. Empty where there is no kernel side.
    fn kernel_counters(&self) -> &[(String, u64)] {
        &[]
    }
}

/// What a source that can be recorded delivers before decoding.
#[derive(Clone, Copy, Debug)]
pub enum Raw<'a> {
    /// One record of the ring, see [`sensor_ebpf::abi`].
    Record(&'a [u8]),
    /// Who a process is. Comes before the first record that names it, and again after an exec.
    Process {
        /// The process.
        process: ProcessKey,
        /// It runs another program than before: the old program's state ends here. Otherwise this
        /// only says who it is, for the first time or again.
        exec: bool,
        /// Its identity.
        resource: &'a Arc<Resource>,
    },
    /// See [`Event::LogFile`].
    LogFile {
        /// The file.
        file: FileId,
        /// Its path.
        path: &'a Arc<str>,
    },
    /// The two clocks at one moment. The first comes before all records.
    Clock(ClockSync),
    /// The kernel side's counters, by name; the last one of a capture is final.
    Counters(&'a [(String, u64)]),
    /// See [`Event::Missed`].
    Missed,
}

/// A source of [`Raw`] items: the live kernel, a recording.
pub trait RawSource {
    /// Like [`Source::poll`], before decoding.
    ///
    /// # Errors
    /// As [`Source::poll`].
    fn poll_raw(&mut self, sink: &mut dyn FnMut(Raw<'_>)) -> Result<Progress, CaptureError>;
}

/// What came of one [`Source::poll`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// This many events were delivered; there may be more.
    Delivered(usize),
    /// Nothing was there.
    Idle,
    /// There will never be more.
    Finished,
}

/// Why a source cannot go on. The text names what to do next.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct CaptureError(pub String);

impl<S: Source + ?Sized> Source for Box<S> {
    fn poll(&mut self, sink: &mut dyn FnMut(Event<'_>)) -> Result<Progress, CaptureError> {
        (**self).poll(sink)
    }

    fn kernel_counters(&self) -> &[(String, u64)] {
        (**self).kernel_counters()
    }
}

impl<S: RawSource + ?Sized> RawSource for Box<S> {
    fn poll_raw(&mut self, sink: &mut dyn FnMut(Raw<'_>)) -> Result<Progress, CaptureError> {
        (**self).poll_raw(sink)
    }
}

/// Bytes of a file that are read at once: packets are much smaller.
const READ_AHEAD: usize = 256 * 1024;

/// How a file is replayed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pace {
    /// As fast as it can be read.
    #[default]
    Full,
    /// As it happened. Recordings only: a packet capture is always read at full speed.
    RealTime,
}

/// Opens a file for replay: a recording of ours, a pcap or a pcapng file, told apart by their first
/// bytes. Reads forward only, so pipes will do.
///
/// # Errors
/// When the file cannot be read, or is none of these; the text names what is accepted.
pub fn open(
    path: &Path,
    pace: Pace,
    metrics: &Arc<Metrics>,
) -> Result<Box<dyn Source + Send>, CaptureError> {
    let unreadable = |error: std::io::Error| {
        CaptureError(format!("cannot read {}: {error}; give a readable file", path.display()))
    };
    let mut file = File::open(path).map_err(unreadable)?;
    let mut magic = Vec::with_capacity(recording::MAGIC.len());
    file.by_ref()
        .take(recording::MAGIC.len() as u64)
        .read_to_end(&mut magic)
        .map_err(unreadable)?;

    let kind = Kind::of(&magic);
    let input = Cursor::new(magic).chain(BufReader::with_capacity(READ_AHEAD, file));
    let name = path.display().to_string();
    match kind {
        Kind::Recording => {
            let mut reader = recording::Reader::new(name, input)?;
            reader.real_time(pace == Pace::RealTime);
            Ok(Box::new(Decoding::new(reader, Arc::clone(metrics))))
        }
        Kind::Packets => Ok(Box::new(pcap::Pcap::new(name, input, Arc::clone(metrics))?)),
        Kind::Compressed(tool) => Err(CaptureError(format!(
            "{name} is compressed: unpack it first ({tool} < {name} > capture), then replay that"
        ))),
        Kind::Unknown => Err(CaptureError(format!(
            "{name} is neither a recording of `sensor record` nor a pcap or pcapng file: \
             replay reads only those"
        ))),
    }
}

/// What a file is, by its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Recording,
    Packets,
    /// By the named tool.
    Compressed(&'static str),
    Unknown,
}

impl Kind {
    fn of(magic: &[u8]) -> Self {
        match magic {
            _ if *magic == recording::MAGIC => Self::Recording,
            _ if pcap::is_capture(magic) => Self::Packets,
            [0x1f, 0x8b, ..] => Self::Compressed("gzip -dc"),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Compressed("zstd -dc"),
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Self::Compressed("xz -dc"),
            _ => Self::Unknown,
        }
    }
}

#[cfg(test)]
mod tests;
