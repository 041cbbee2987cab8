//! Integers and texts as a recording holds them: little-endian, lengths first.

/// The bytes end too early, a length is too long, or a text is not UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// Appends to a buffer.
pub(super) trait Put {
    fn put_u32(&mut self, value: u32);
    fn put_u64(&mut self, value: u64);
    /// Texts of 4 GiB and more do not occur: items are bounded far below.
    fn put_text(&mut self, text: &str);
    /// As [`Put::put_text`]: a count.
    fn put_len(&mut self, len: usize);
}

impl Put for Vec<u8> {
    fn put_u32(&mut self, value: u32) {
        self.extend_from_slice(&value.to_le_bytes());
    }

    fn put_u64(&mut self, value: u64) {
        self.extend_from_slice(&value.to_le_bytes());
    }

    fn put_text(&mut self, text: &str) {
        self.put_len(text.len());
        self.extend_from_slice(text.as_bytes());
    }

    fn put_len(&mut self, len: usize) {
        // Saturated, it exceeds every bound that is checked before the buffer is used.
        self.put_u32(u32::try_from(len).unwrap_or(u32::MAX));
    }
}

/// Takes from the front of bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Take<'a>(pub(super) &'a [u8]);

impl<'a> Take<'a> {
    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (first, rest) = self.0.split_first_chunk::<N>().ok_or(Malformed)?;
        self.0 = rest;
        Ok(*first)
    }

    pub(super) fn u8(&mut self) -> Result<u8, Malformed> {
        self.array().map(u8::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, Malformed> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, Malformed> {
        self.array().map(u64::from_le_bytes)
    }

    pub(super) fn len(&mut self) -> Result<usize, Malformed> {
        self.u32().and_then(|len| usize::try_from(len).map_err(|_| Malformed))
    }

    pub(super) fn bytes(&mut self, len: usize) -> Result<&'a [u8], Malformed> {
        let (bytes, rest) = self.0.split_at_checked(len).ok_or(Malformed)?;
        self.0 = rest;
        Ok(bytes)
    }

    pub(super) fn text(&mut self) -> Result<&'a str, Malformed> {
        let len = self.len()?;
        str::from_utf8(self.bytes(len)?).map_err(|_| Malformed)
    }

    /// Everything has been taken.
    pub(super) fn finish(self) -> Result<(), Malformed> {
        if self.0.is_empty() { Ok(()) } else { Err(Malformed) }
    }
}
