//! nghttp2's HPACK, by way of its C functions: the reference of the bench and of a fuzz target.

use std::ptr;

use libnghttp2_sys as c;

/// Its decoder: a connection from its first byte.
#[derive(Debug)]
pub struct Inflater(ptr::NonNull<c::nghttp2_hd_inflater>);

/// The block is not HPACK; the connection ends here.
#[derive(Debug, PartialEq, Eq)]
pub struct Malformed;

impl Inflater {
    /// Of a receiver that allows a table of 4,096 bytes.
    ///
    /// # Panics
    /// Out of memory.
    #[expect(clippy::new_without_default, reason = "like the C function")]
    #[expect(clippy::expect_used, reason = "there is no test without it")]
    pub fn new() -> Self {
        let mut made = ptr::null_mut();
        // SAFETY: it writes the pointer, or says that it failed.
        let failed = unsafe { c::nghttp2_hd_inflate_new(&raw mut made) };
        Self(ptr::NonNull::new(made).filter(|_| failed == 0).expect("memory for an inflater"))
    }

    /// The receiver's SETTINGS_HEADER_TABLE_SIZE, from now on.
    pub fn set_max_size(&mut self, bytes: usize) {
        // SAFETY: the inflater is alive.
        unsafe { c::nghttp2_hd_inflate_change_table_size(self.0.as_ptr(), bytes) };
    }

    /// Decodes a whole block, and tells `field` of names, values, and whether they are never indexed.
    ///
    /// # Errors
    /// See [`Malformed`]. What was told until then is right.
    pub fn decode(
        &mut self,
        mut block: &[u8],
        mut field: impl FnMut(&[u8], &[u8], bool),
    ) -> Result<(), Malformed> {
        loop {
            let mut pair = c::nghttp2_nv {
                name: ptr::null_mut(),
                value: ptr::null_mut(),
                namelen: 0,
                valuelen: 0,
                flags: 0,
            };
            let mut flags = 0;
            // SAFETY: the inflater is alive, and the block is as long as is said.
            let taken = unsafe {
                let (at, len) = (block.as_ptr(), block.len());
                let inflater = self.0.as_ptr();
                c::nghttp2_hd_inflate_hd3(inflater, &raw mut pair, &raw mut flags, at, len, 1)
            };
            block = usize::try_from(taken).ok().and_then(|at| block.get(at..)).ok_or(Malformed)?;
            let flags = flags.cast_unsigned();
            if flags & c::NGHTTP2_HD_INFLATE_EMIT != 0 {
                // SAFETY: strings of these lengths until the next call, says the manual. An empty one
                // has an address too: there is a zero byte at the end of each.
                let (name, value) = unsafe {
                    let name = std::slice::from_raw_parts(pair.name, pair.namelen);
                    (name, std::slice::from_raw_parts(pair.value, pair.valuelen))
                };
                field(name, value, u32::from(pair.flags) & c::NGHTTP2_NV_FLAG_NO_INDEX != 0);
            }
            if flags & c::NGHTTP2_HD_INFLATE_FINAL != 0 {
                // SAFETY: the inflater is alive.
                unsafe { c::nghttp2_hd_inflate_end_headers(self.0.as_ptr()) };
                return Ok(());
            }
        }
    }

    /// Entries of both tables.
    pub fn entries(&self) -> usize {
        // SAFETY: the inflater is alive.
        unsafe { c::nghttp2_hd_inflate_get_num_table_entries(self.0.as_ptr()) }
    }
}

impl Drop for Inflater {
    fn drop(&mut self) {
        // SAFETY: it is alive, and nobody has it any more.
        unsafe { c::nghttp2_hd_inflate_del(self.0.as_ptr()) };
    }
}

/// Its encoder.
#[derive(Debug)]
pub struct Deflater(ptr::NonNull<c::nghttp2_hd_deflater>);

impl Deflater {
    /// With a table of 4,096 bytes.
    ///
    /// # Panics
    /// Out of memory.
    #[expect(clippy::new_without_default, reason = "like the C function")]
    #[expect(clippy::expect_used, reason = "there is no test without it")]
    pub fn new() -> Self {
        let mut made = ptr::null_mut();
        // SAFETY: it writes the pointer, or says that it failed.
        let failed = unsafe { c::nghttp2_hd_deflate_new(&raw mut made, 4_096) };
        Self(ptr::NonNull::new(made).filter(|_| failed == 0).expect("memory for a deflater"))
    }

    /// The block of these fields.
    ///
    /// # Panics
    /// Out of memory.
    #[expect(clippy::expect_used, reason = "there is no test without it")]
    pub fn encode(&mut self, fields: &[(String, String)]) -> Vec<u8> {
        let pair = |(name, value): &(String, String)| c::nghttp2_nv {
            name: name.as_ptr().cast_mut(),
            value: value.as_ptr().cast_mut(),
            namelen: name.len(),
            valuelen: value.len(),
            flags: 0,
        };
        let pairs: Vec<_> = fields.iter().map(pair).collect();
        // SAFETY: the deflater and the strings are alive, and only read; the room is as much as the
        // first function says that the second one needs.
        let (mut block, len) = unsafe {
            let (deflater, at, len) = (self.0.as_ptr(), pairs.as_ptr(), pairs.len());
            let mut block = vec![0; c::nghttp2_hd_deflate_bound(deflater, at, len)];
            let (to, room) = (block.as_mut_ptr(), block.len());
            let len = c::nghttp2_hd_deflate_hd2(deflater, to, room, at, len);
            (block, len)
        };
        block.truncate(usize::try_from(len).expect("the room that was asked for"));
        block
    }
}

impl Drop for Deflater {
    fn drop(&mut self) {
        // SAFETY: it is alive, and nobody has it any more.
        unsafe { c::nghttp2_hd_deflate_del(self.0.as_ptr()) };
    }
}
