//! Access to the bytes under examination, in a shape that the verifier can follow.

/// Bytes `0..len` of a stream's part, in memory of a fixed size.
pub trait Window {
    /// The byte at `at`; any value beyond the window's memory.
    fn byte(&self, at: u32) -> u8;
    /// The eight bytes from `at & !7`, little endian; any value beyond the window's memory.
    fn word(&self, at: u32) -> u64;

    /// The eight bytes from `at` on, the first one lowest.
    #[inline(always)]
    fn eight(&self, at: u32) -> u64 {
        let shift = u64::from(at & 7) * 8;
        let low = self.word(at) >> shift;
        // Two shifts, because one by 64 is not defined.
        let high = (self.word(at.wrapping_add(8)) << 1) << (63 - shift);
        low | high
    }
}

/// A window over a slice, for the host.
#[cfg(any(test, feature = "user"))]
pub struct SliceWindow<'a>(pub &'a [u8]);

#[cfg(any(test, feature = "user"))]
impl Window for SliceWindow<'_> {
    fn byte(&self, at: u32) -> u8 {
        self.0.get(at as usize).copied().unwrap_or(0xa5)
    }

    fn word(&self, at: u32) -> u64 {
        let at = at & !7;
        u64::from_le_bytes(core::array::from_fn(|i| self.byte(at + i as u32)))
    }
}
