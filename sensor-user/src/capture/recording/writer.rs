//! Writes a recording.

use std::io::Write;
use std::path::Path;

use super::codec::Put as _;
use super::{
    BLOCK_HEADER, BLOCK_MARK, BLOCK_TARGET, END_LEN, END_MARK, FORMAT_VERSION, Header, MAGIC,
    RecordingError, item,
};
use crate::capture::{CaptureError, Raw, Tee};
use crate::system::private_file::{Existing, PrivateFile};

/// zstd's fastest level: a recording must keep up with the kernel.
const LEVEL: i32 = 1;

/// Writes a recording. Items are held until a block is full or [`Writer::flush`] is called.
pub struct Writer<W: Write> {
    name: String,
    output: W,
    compressor: zstd::bulk::Compressor<'static>,
    block: Vec<u8>,
    items: u32,
    totals: Totals,
    failed: bool,
}

/// What a recording holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Blocks.
    pub blocks: u64,
    /// Items in them.
    pub items: u64,
    /// Bytes of the items before compression.
    pub raw_bytes: u64,
}

impl Writer<PrivateFile> {
    /// Creates the file `path`. It is removed again where not even the header can be written.
    ///
    /// # Errors
    /// When it cannot be created or written; the text names it.
    pub fn create(path: &Path, existing: Existing) -> Result<Self, RecordingError> {
        let file = PrivateFile::create(path, existing)?;
        let mut writer = Self::new(path.display().to_string(), file, &Header::here())?;
        writer.output.keep();
        Ok(writer)
    }

    /// The file.
    pub fn file(&self) -> &PrivateFile {
        &self.output
    }
}

impl<W: Write> Writer<W> {
    /// Writes to `output`, which errors call `name`. Each block is written in one call.
    ///
    /// # Errors
    /// When the header cannot be written.
    pub fn new(name: String, output: W, header: &Header) -> Result<Self, RecordingError> {
        let body = header.encode();
        let mut bytes = Vec::from(MAGIC);
        bytes.put_u32(FORMAT_VERSION);
        bytes.put_len(body.len());
        bytes.put_u32(crc32fast::hash(&body));
        bytes.extend_from_slice(&body);

        let compressor = match zstd::bulk::Compressor::new(LEVEL) {
            Ok(compressor) => compressor,
            Err(source) => return Err(RecordingError::Write { name, source }),
        };
        let mut writer = Self {
            name,
            output,
            compressor,
            block: Vec::with_capacity(BLOCK_TARGET),
            items: 0,
            totals: Totals::default(),
            failed: false,
        };
        writer.write(&bytes)?;
        Ok(writer)
    }

    /// Adds one item.
    ///
    /// # Errors
    /// [`RecordingError::TooLong`] leaves the item out, and the recording as it was. With any other
    /// the recording takes no more; what was written before can be replayed.
    pub fn append(&mut self, raw: Raw<'_>) -> Result<(), RecordingError> {
        if self.failed {
            return Err(RecordingError::Failed { name: self.name.clone() });
        }
        item::put(&mut self.block, raw)?;
        self.items += 1;
        if self.block.len() >= BLOCK_TARGET { self.flush() } else { Ok(()) }
    }

    /// Writes what is held as a block. Worth calling now and then on a quiet system: what is held
    /// is lost if the process is killed.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn flush(&mut self) -> Result<(), RecordingError> {
        if self.items == 0 {
            return Ok(());
        }
        let compressed = match self.compressor.compress(&self.block) {
            Ok(compressed) => compressed,
            Err(source) => return Err(self.fail(source)),
        };
        let mut bytes = Vec::with_capacity(BLOCK_HEADER + compressed.len());
        bytes.extend_from_slice(&BLOCK_MARK);
        bytes.put_len(compressed.len());
        bytes.put_len(self.block.len());
        bytes.put_u32(self.items);
        bytes.put_u32(crc32fast::hash(&compressed));
        bytes.put_u32(crc32fast::hash(&bytes));
        bytes.extend_from_slice(&compressed);
        self.write(&bytes)?;

        self.totals.blocks += 1;
        self.totals.items += u64::from(self.items);
        self.totals.raw_bytes += self.block.len() as u64;
        self.block.clear();
        self.items = 0;
        Ok(())
    }

    /// Writes what is held and the end mark.
    ///
    /// # Errors
    /// When they cannot be written, or something could not be before.
    pub fn finish(mut self) -> Result<(W, Totals), RecordingError> {
        if self.failed {
            return Err(RecordingError::Failed { name: self.name });
        }
        self.flush()?;
        let Totals { blocks, items, raw_bytes } = self.totals;
        let mut bytes = Vec::with_capacity(END_LEN);
        bytes.extend_from_slice(&END_MARK);
        bytes.put_u64(blocks);
        bytes.put_u64(items);
        bytes.put_u64(raw_bytes);
        bytes.put_u32(crc32fast::hash(&bytes));
        self.write(&bytes)?;
        match self.output.flush() {
            Ok(()) => Ok((self.output, self.totals)),
            Err(source) => Err(self.fail(source)),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), RecordingError> {
        self.output.write_all(bytes).map_err(|source| self.fail(source))
    }

    fn fail(&mut self, source: std::io::Error) -> RecordingError {
        self.failed = true;
        RecordingError::Write { name: self.name.clone(), source }
    }
}

/// A writer that a capture and the one who will finish it share.
impl<W: Write> Tee for std::sync::Arc<std::sync::Mutex<Writer<W>>> {
    fn raw(&mut self, raw: Raw<'_>) -> Result<(), CaptureError> {
        let mut writer = self.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        Ok(writer.append(raw)?)
    }
}
