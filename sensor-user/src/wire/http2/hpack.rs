//! HPACK, the compression of header fields (RFC 7541), for who listens rather than receives.
//!
//! A receiver decodes a connection from its first byte on, or not at all. This [`Decoder`] can also
//! begin in the middle, and again after a loss: it knows the entries of the dynamic table that it
//! saw inserted, and nothing of those before. A field that refers to one of those is unknown, or its
//! name is; every other field of the block is what it is. It never guesses: what a `Field` says is
//! what the receiver read, as long as the blocks are those of a valid encoder, none is left out
//! without [`Decoder::lose`], and they come in their order.
//!
//! ```text
//!   new_complete() --> complete ---- lose(), or an error -----> joining <-- joining()
//!                         ^                                        |
//!                         +-- what is unknown was evicted ---------+
//! ```

mod huffman;
pub mod infer;
mod reader;
mod statics;
mod table;

#[cfg(test)]
mod tests;

use reader::Reader;
use table::{Found, Name, OVERHEAD, Table};

/// Longest header block that is decoded, in bytes, with all its fragments.
pub const MAX_BLOCK: usize = 256 << 10;

/// How much of a block's list of fields is told, in bytes as RFC 7541 section 4.1 counts them (name,
/// value and 32). A byte can stand for a field of the size of the dynamic table, so that without a
/// bound a block of 64 KiB may be 256 MiB.
pub const MAX_LIST: u32 = 256 << 10;

/// A header field. What is unknown is `None`: a field whose name or all of which is an entry of the
/// dynamic table from before this decoder knew of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// The name, as sent: in lower case if the sender is right.
    pub name: Option<&'a [u8]>,
    /// The value. A name is never known without it.
    pub value: Option<&'a [u8]>,
    /// Whether it is never to be indexed (section 6.2.3): a value to be kept secret.
    pub sensitive: bool,
}

/// What there was in a block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Block {
    /// Fields, in all.
    pub fields: u32,
    /// Those of which only the value is known.
    pub unnamed: u32,
    /// Those of which nothing is known.
    pub unknown: u32,
    /// Those not told because of [`MAX_LIST`], known or not: the last ones of the block.
    pub withheld: u32,
}

/// Why a block cannot be decoded any further.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It ends within a field.
    #[error("the header block ends within a field")]
    Truncated,
    /// An integer of more than 32 bits, or in more bytes than these take (section 5.1).
    #[error("an integer of the header block is too large (RFC 7541 section 5.1)")]
    Integer,
    /// A string that is not Huffman-coded as it says (section 5.2).
    #[error("a string of the header block is not Huffman code (RFC 7541 section 5.2)")]
    Huffman,
    /// An index of nothing (sections 2.3.3 and 6.1).
    #[error("index {0} is not in the tables (RFC 7541 section 2.3.3)")]
    Index(u32),
    /// A size update after a field (section 4.2).
    #[error("a size update comes after a field (RFC 7541 section 4.2)")]
    LateSizeUpdate,
    /// A size update to more than the receiver allows (section 6.3).
    #[error("a size update to {size} bytes, of {max} allowed (RFC 7541 section 6.3)")]
    TableSize {
        /// What the encoder says.
        size: u32,
        /// What [`Decoder::set_max_size`] said.
        max: u32,
    },
    /// It is longer than [`MAX_BLOCK`].
    #[error("the header block is longer than {MAX_BLOCK} bytes")]
    BlockTooLong,
}

/// Where strings are decoded. One is enough for all decoders of a thread: nothing in it outlives a
/// call.
#[derive(Debug, Default)]
pub struct Scratch(Vec<u8>);

impl Scratch {
    /// Room for all the strings of a block.
    fn room(&mut self, block: usize) -> &mut [u8] {
        // Two strings of a field are here at a time.
        let room = huffman::room(block) + huffman::room(0);
        if self.0.len() < room {
            self.0.resize(room.next_power_of_two(), 0);
        }
        &mut self.0
    }
}

/// The decoder of a direction of a connection.
///
/// Its memory grows with the dynamic table: to twice the table's size, or 128 KiB, and to 12 bytes
/// for an entry.
#[derive(Debug)]
pub struct Decoder {
    table: Table,
    /// What the receiver allows for the table, if it was told.
    max_size: Option<u32>,
}

impl Decoder {
    /// Of a direction that is seen from its first byte.
    pub const fn new_complete() -> Self {
        Self { table: Table::new(), max_size: None }
    }

    /// Of a direction with header blocks that were not seen. The first block it gets is one from its
    /// first byte.
    pub const fn joining() -> Self {
        Self { table: Table::unknown(), max_size: None }
    }

    /// Tells of the receiver's SETTINGS_HEADER_TABLE_SIZE: size updates beyond it are errors from now
    /// on. Where this is not told, they are not: the receiver will see to it.
    ///
    /// The setting comes in the other direction and is in force when it is acknowledged in this one,
    /// so tell of a larger one at once, and of a smaller one after the acknowledgement.
    pub fn set_max_size(&mut self, bytes: u32) {
        self.max_size = Some(bytes);
        self.table.limit(bytes);
    }

    /// Forgets what is known of the dynamic table: a header block, or a part of one, was not seen.
    pub fn lose(&mut self) {
        self.table.lose();
    }

    /// Whether the whole dynamic table is known, names and values. Nothing is unknown then until a
    /// block is lost, or the encoder's table grows beyond the 64 KiB that are kept of it.
    pub fn is_complete(&self) -> bool {
        self.table.is_complete()
    }

    /// How many entries of the dynamic table are known, if perhaps without their names.
    pub fn entries(&self) -> usize {
        self.table.len()
    }

    /// Decodes a header block: the fragments of HEADERS or PUSH_PROMISE and of its CONTINUATIONs put
    /// together, without padding and priority. Tells `field` of each field, in order.
    ///
    /// It wants every block of the direction, also those of streams that are refused, reset or of no
    /// interest: they all change the table.
    ///
    /// # Errors
    /// Where it is not HPACK. What was told until then is right; the rest of the block is not known
    /// and neither is the table, so the decoder is [`joining`](Self::joining) again. A block whose
    /// end was not seen can therefore be given as far as it was.
    pub fn decode(
        &mut self,
        block: &[u8],
        scratch: &mut Scratch,
        mut field: impl FnMut(Field<'_>),
    ) -> Result<Block, Error> {
        let mut told = Told { block: Block::default(), list: 0, field: &mut field };
        let done = self.fields(block, scratch, &mut told);
        if done.is_err() {
            self.lose();
        }
        done.map(|()| told.block)
    }

    fn fields<F: FnMut(Field<'_>)>(
        &mut self,
        block: &[u8],
        scratch: &mut Scratch,
        told: &mut Told<'_, F>,
    ) -> Result<(), Error> {
        if block.len() > MAX_BLOCK {
            return Err(Error::BlockTooLong);
        }
        let scratch = scratch.room(block.len());
        let mut reader = Reader::new(block);
        let mut begun = false;
        while let Some(first) = reader.byte() {
            // Section 6: the first bits say what it is.
            //
            //   1xxxxxxx  an indexed field
            //   01xxxxxx  a literal, to be inserted
            //   001xxxxx  a size update
            //   0001xxxx  a literal, never to be indexed
            //   0000xxxx  a literal
            if first & 0x80 != 0 {
                let index = reader.integer(first, 7)?;
                told.tell(self.indexed(index)?);
            } else if first & 0xe0 == 0x20 {
                let size = reader.integer(first, 5)?;
                if begun {
                    return Err(Error::LateSizeUpdate);
                }
                self.resize(size)?;
                continue;
            } else {
                let inserted = first & 0x40 != 0;
                self.literal(first, inserted, &mut reader, scratch, told)?;
            }
            begun = true;
        }
        Ok(())
    }

    /// Section 6.1.
    fn indexed(&self, index: u32) -> Result<Field<'_>, Error> {
        let sensitive = false;
        if let Some(&(name, value)) = statics::get(index) {
            return Ok(Field { name: Some(name), value: Some(value), sensitive });
        }
        let nth = index.checked_sub(statics::LEN + 1).ok_or(Error::Index(index))?;
        match self.table.get(nth) {
            Found::Known(entry) => {
                let name = entry.name.map(|(name, _)| name);
                Ok(Field { name, value: Some(entry.value), sensitive })
            }
            Found::Older => Ok(Field { name: None, value: None, sensitive }),
            Found::Nothing => Err(Error::Index(index)),
        }
    }

    /// Section 6.2.
    fn literal<F: FnMut(Field<'_>)>(
        &mut self,
        first: u8,
        inserted: bool,
        reader: &mut Reader<'_>,
        scratch: &mut [u8],
        told: &mut Told<'_, F>,
    ) -> Result<(), Error> {
        let index = reader.integer(first, if inserted { 6 } else { 4 })?;
        let (named, (name, scratch)) = if index == 0 {
            let (name, scratch) = reader.string(scratch)?;
            (Name::Bytes(name), (Some(name), scratch))
        } else {
            let (named, name) = self.name(index)?;
            (named, (name, scratch))
        };
        let (value, _) = reader.string(scratch)?;
        let sensitive = !inserted && first & 0x10 != 0;
        told.tell(Field { name, value: Some(value), sensitive });
        if inserted {
            self.table.insert(named, value);
        }
        Ok(())
    }

    /// The name that an index stands for.
    fn name(&self, index: u32) -> Result<(Name<'static>, Option<&[u8]>), Error> {
        if let Some(&(name, _)) = statics::get(index) {
            return Ok((Name::Bytes(name), Some(name)));
        }
        let nth = index.checked_sub(statics::LEN + 1).ok_or(Error::Index(index))?;
        match self.table.get(nth) {
            Found::Known(entry) => Ok(match entry.name {
                Some((name, span)) => (Name::Held(span), Some(name)),
                None => (Name::Unknown, None),
            }),
            Found::Older => Ok((Name::Unknown, None)),
            Found::Nothing => Err(Error::Index(index)),
        }
    }

    /// Section 6.3.
    fn resize(&mut self, size: u32) -> Result<(), Error> {
        if let Some(max) = self.max_size.filter(|&max| size > max) {
            return Err(Error::TableSize { size, max });
        }
        self.table.resize(size);
        Ok(())
    }
}

/// What a block's fields go through.
struct Told<'f, F> {
    block: Block,
    /// Size of the fields until now, for [`MAX_LIST`].
    list: u32,
    field: &'f mut F,
}

impl<F: FnMut(Field<'_>)> Told<'_, F> {
    fn tell(&mut self, field: Field<'_>) {
        let len = |text: Option<&[u8]>| text.map_or(0, <[u8]>::len);
        self.block.fields += 1;
        self.block.unnamed += u32::from(field.name.is_none() && field.value.is_some());
        self.block.unknown += u32::from(field.value.is_none());
        let size = u32::try_from(len(field.name) + len(field.value)).unwrap_or(u32::MAX);
        self.list = self.list.saturating_add(size.saturating_add(OVERHEAD));
        if self.list > MAX_LIST {
            self.block.withheld += 1;
        } else {
            (self.field)(field);
        }
    }
}
