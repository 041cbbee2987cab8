//! Integers and strings (RFC 7541 section 5).

use super::{Error, huffman};

/// What is left of a block.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn new(block: &'a [u8]) -> Self {
        Self { rest: block }
    }

    /// The next byte, if there is one.
    #[inline]
    pub(super) fn byte(&mut self) -> Option<u8> {
        let (&byte, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(byte)
    }

    /// An integer that begins in the lowest `prefix` bits of `first` (section 5.1).
    ///
    /// ```text
    ///   0   1   2   3   4   5   6   7
    /// +---+---+---+---+---+---+---+---+
    /// | ? | ? | ? | 1   1   1   1   1 |   or less than that: the integer
    /// +---+---+---+-------------------+
    /// | 1 |    integer - (2^N - 1)    |   the lowest seven bits first
    /// +---+---------------------------+
    ///                ...
    /// ```
    #[inline]
    pub(super) fn integer(&mut self, first: u8, prefix: u32) -> Result<u32, Error> {
        let most = u8::MAX >> (8 - prefix);
        let value = first & most;
        if value < most { Ok(u32::from(value)) } else { self.integer_rest(most) }
    }

    fn integer_rest(&mut self, prefix: u8) -> Result<u32, Error> {
        let mut value = 0_u64;
        // Five bytes have the 32 bits, and an integer in more has zeroes for nothing.
        for shift in [0, 7, 14, 21, 28] {
            let byte = self.byte().ok_or(Error::Truncated)?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return u32::try_from(value + u64::from(prefix)).map_err(|_| Error::Integer);
            }
        }
        Err(Error::Integer)
    }

    /// A string (section 5.2), decoded into `scratch` if it has to be, and what is left of that.
    ///
    /// ```text
    ///   0   1   2   3   4   5   6   7
    /// +---+---+---+---+---+---+---+---+
    /// | H |    String Length (7+)     |
    /// +---+---------------------------+
    /// |  String Data (Length octets)  |
    /// +-------------------------------+
    /// ```
    #[inline]
    pub(super) fn string<'s>(
        &mut self,
        scratch: &'s mut [u8],
    ) -> Result<(&'s [u8], &'s mut [u8]), Error>
    where
        'a: 's,
    {
        let first = self.byte().ok_or(Error::Truncated)?;
        let len = self.integer(first, 7)? as usize;
        let (string, rest) = self.rest.split_at_checked(len).ok_or(Error::Truncated)?;
        self.rest = rest;
        if first & 0x80 == 0 {
            return Ok((string, scratch));
        }
        let len = huffman::decode(string, scratch).map_err(|_| Error::Huffman)?;
        let (decoded, scratch) = scratch.split_at_mut(len);
        Ok((decoded, scratch))
    }
}
