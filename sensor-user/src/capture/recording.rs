//! Recordings: the kernel's records as they came, with what is needed to name processes.
//!
//! Layout (integers little-endian; the records within keep the byte order of the machine that made
//! them, which the header names). It is written and read forward only, so pipes will do.
//!
//! ```text
//! file   = header, block*, end
//! header = MAGIC (8), format version (u32), body length (u32), crc32 of the body (u32), body
//! block  = "BLK1", compressed length (u32), raw length (u32), items (u32),
//!          crc32 of the compressed bytes (u32), crc32 of the five fields before (u32), zstd frame
//! end    = "END1", blocks (u64), items (u64), raw bytes (u64), crc32 of the fields before (u32)
//! item   = tag (u8), length (u32), payload
//! ```
//!
//! A file without its end mark was cut. The reader delivers every whole block and then says how
//! much is missing. A block that fails its checksum is left out, and so reported; the blocks after
//! it are delivered (positions in the streams make the hole visible). Nothing is allocated on a
//! length's word alone: the raw and compressed sizes of a block are bounded.

mod codec;
mod header;
mod item;
mod older;
mod reader;
mod writer;

pub use header::Header;
pub use reader::Reader;
pub use writer::{Totals, Writer};

use super::CaptureError;

/// The first bytes of every recording. The first is not ASCII and the last is a line feed, so that
/// transfers that alter text are noticed.
pub const MAGIC: [u8; 8] = *b"\x8aSNSREC\n";

/// Counts up with every change of the layout above.
/// (2: items that say that something was missed. 3: processes with the time of their start.)
pub const FORMAT_VERSION: u32 = 3;

/// The oldest version that can be read.
const FORMAT_OLDEST: u32 = 1;

/// A block is written when its items come to this many bytes. Larger blocks compress better, and
/// more is lost when the writer is killed.
const BLOCK_TARGET: usize = 256 * 1024;

/// The longest item: the longest record is a segment or an exec of less than 16 KiB, the longest
/// resource is bounded by [`crate::process`] well below this.
const ITEM_MAX: usize = 256 * 1024;

/// The most that a block's items come to.
const BLOCK_MAX: usize = BLOCK_TARGET + ITEM_MAX + item::PREFIX;

/// The longest header body.
const HEADER_MAX: usize = 64 * 1024;

const BLOCK_MARK: [u8; 4] = *b"BLK1";
const END_MARK: [u8; 4] = *b"END1";
/// Length of what precedes a block's compressed bytes.
const BLOCK_HEADER: usize = 24;
/// Length of the end mark.
const END_LEN: usize = 32;

/// Why a recording cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum RecordingError {
    /// Its file cannot be created, or cannot take its place.
    #[error(transparent)]
    File(#[from] crate::system::private_file::PrivateFileError),
    /// It cannot be written.
    #[error(
        "cannot write the recording {name}: {source}; what was written before can be replayed \
         (make room, or record to another file)"
    )]
    Write {
        /// The file.
        name: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// Something before this failed; nothing more is taken.
    #[error("the recording {name} failed before, and takes no more")]
    Failed {
        /// The file.
        name: String,
    },
    /// An item too long to be read back.
    #[error("an item of {len} bytes is longer than a recording takes ({ITEM_MAX}); it is left out")]
    TooLong {
        /// Its length.
        len: usize,
    },
    /// It cannot be read.
    #[error("cannot read the recording {name}: {source}")]
    Read {
        /// The file.
        name: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// Not a recording, or one whose header is damaged.
    #[error("{name} is not a recording that can be read: {reason}")]
    Header {
        /// The file.
        name: String,
        /// What is wrong, and what to do.
        reason: String,
    },
    /// Parts are missing. Everything else was delivered.
    #[error(
        "the recording {name} is incomplete: {reason}. Delivered: {blocks} blocks with {items} \
         items; lost: {lost}"
    )]
    Incomplete {
        /// The file.
        name: String,
        /// What is wrong.
        reason: String,
        /// Blocks delivered.
        blocks: u64,
        /// Items delivered.
        items: u64,
        /// What is known of what is missing.
        lost: String,
    },
}

impl From<RecordingError> for CaptureError {
    fn from(error: RecordingError) -> Self {
        Self(error.to_string())
    }
}

#[cfg(test)]
mod tests;
