//! Finding line ends eight bytes at a time.

use super::Window;

const ONES: u64 = 0x0101_0101_0101_0101;
const LOW7: u64 = 0x7f7f_7f7f_7f7f_7f7f;

/// How many words [`line_feed`] looks at in one call.
const WORDS: u32 = 6;

/// A bit at the top of each byte of `word` that is a line feed; exact for every byte.
#[inline(always)]
const fn line_feeds(word: u64) -> u64 {
    let x = word ^ (ONES * 0x0a);
    !(((x & LOW7) + LOW7) | x | LOW7)
}

/// Looks for a line feed from `from` on, for up to [`WORDS`] words. Returns the position after it
/// and true, or the first position not looked at and false; neither goes beyond `len`.
#[inline(always)]
pub(super) fn line_feed<W: Window>(window: &W, from: u32, len: u32) -> (u32, bool) {
    let mut at = from & !7;
    // The first word's bytes before `from` do not count.
    let mut mask = u64::MAX << (u64::from(from & 7) * 8);
    let mut words = 0;
    while words < WORDS {
        let found = line_feeds(window.word(at)) & mask;
        if found != 0 {
            // The bits below the lowest one set cover all bytes up to and including it; count them.
            let below = found.wrapping_sub(1) & !found;
            let count = (below & ONES).wrapping_mul(ONES) >> 56;
            let after = at.wrapping_add(count as u32);
            return if after <= len { (after, true) } else { (len, false) };
        }
        at = at.wrapping_add(8);
        if at >= len {
            return (len, false);
        }
        mask = u64::MAX;
        words += 1;
    }
    (at, false)
}

/// Whether `byte` may stand in a token (RFC 9110 section 5.6.2).
#[inline(always)]
pub const fn is_token(byte: u8) -> bool {
    // Bits 0x21..=0x7e of the table in two words.
    const fn table(from: u8) -> u64 {
        let mut bits = 0;
        let mut i = 0;
        while i < 64 {
            let b = from + i;
            let token = b.is_ascii_alphanumeric()
                || matches!(
                    b,
                    b'!' | b'#'
                        | b'$'
                        | b'%'
                        | b'&'
                        | b'\''
                        | b'*'
                        | b'+'
                        | b'-'
                        | b'.'
                        | b'^'
                        | b'_'
                        | b'`'
                        | b'|'
                        | b'~'
                );
            if token {
                bits |= 1 << i;
            }
            i += 1;
        }
        bits
    }
    const LOW: u64 = table(0);
    const HIGH: u64 = table(64);
    if byte < 64 {
        LOW >> byte & 1 != 0
    } else if byte < 128 {
        HIGH >> (byte & 63) & 1 != 0
    } else {
        false
    }
}
