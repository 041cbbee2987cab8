//! Finding line ends eight bytes at a time.

use super::Window;

const ONES: u64 = 0x0101_0101_0101_0101;
const LOW7: u64 = 0x7f7f_7f7f_7f7f_7f7f;

/// The bit that tells upper from lower case in ASCII letters.
pub(super) const CASE: u64 = ONES * 0x20;

/// How many words [`line_feed`] looks at in one call.
const WORDS: u32 = 6;

/// A bit at the top of each byte of `word` that is a line feed; exact for every byte.
#[inline(always)]
const fn line_feeds(word: u64) -> u64 {
    equal(word, b'\n')
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
            let after = at.wrapping_add(first(found)).wrapping_add(1);
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

/// How many words [`pass_lines`] looks at in one call: most heads are done in one.
const LINE_WORDS: u32 = 40;

/// A bit at the top of each byte of `word` that is `byte`; exact for every byte.
#[inline(always)]
const fn equal(word: u64, byte: u8) -> u64 {
    let x = word ^ (ONES * byte as u64);
    !(((x & LOW7) + LOW7) | x | LOW7)
}

/// Whether there is a line feed in `word`. Cheaper than to tell where.
#[inline(always)]
const fn has_line_feed(word: u64) -> bool {
    let x = word ^ (ONES * 0x0a);
    x.wrapping_sub(ONES) & !x & !LOW7 != 0
}

/// Whether a line that begins with one of the bytes that matter still may, by its ninth: `Content-Type`
/// and `Connection` are in most heads. A `Content-Type` may by the `g` of `application/grpc`, behind no blank
/// or one. Where that is not at hand, it may.
#[inline(always)]
fn may_matter<W: Window>(window: &W, at: u32, len: u32) -> bool {
    if at.wrapping_add(9) > len {
        return true;
    }
    let byte = window.byte(at) | 0x20;
    let ninth = window.byte(at.wrapping_add(8)) | 0x20;
    if byte == b'c' && ninth == b't' {
        let (blank, none) = (at.wrapping_add(26), at.wrapping_add(25));
        return blank >= len
            || window.byte(blank) | 0x20 == b'g'
            || window.byte(none) | 0x20 == b'g';
    }
    // "content-l", "transfer-"; a CR has become 0x2d, and a LF 0x2a.
    (byte != b'c' || ninth == b'l') && (byte != b't' || ninth == b'-')
}

/// The index of the byte whose top bit is the lowest one set in `bits`.
#[inline(always)]
const fn first(bits: u64) -> u32 {
    let below = bits.wrapping_sub(1) & !bits;
    // Seven bits below the first byte's, fifteen below the second's: count whole bytes.
    (((below >> 7) & ONES).wrapping_mul(ONES) >> 56) as u32
}

/// Passes over header lines that cannot matter, from `from` on, which begins a line if `begins`.
///
/// Stops at the first byte of a line that may end the section or frame a body (CR, LF, and the
/// letters that `Content-Length` and `Transfer-Encoding` begin with), at `len`, or when it has
/// looked at enough. Returns the position, and whether a line begins there.
#[inline(always)]
pub(super) fn pass_lines<W: Window>(window: &W, from: u32, len: u32, begins: bool) -> (u32, bool) {
    let skip = u64::from(from & 7) * 8;
    let mut at = from & !7;
    // The first word's bytes before `from` do not count.
    let mut counts = u64::MAX << skip;
    let mut begin = if begins { 0x80 << skip } else { 0 };
    let mut words = 0;
    while words < LINE_WORDS {
        let word = window.word(at);
        let next = at.wrapping_add(8);
        // Most words hold no line feed, and nothing begins in them.
        if begin != 0 || has_line_feed(word) || next >= len {
            let feeds = line_feeds(word) & counts;
            begin |= feeds << 8;
            let lower = word | CASE;
            let hits = begin
                & (equal(lower, b'c') | equal(lower, b't') | equal(word, b'\r') | line_feeds(word));
            if hits != 0 {
                let hit = at.wrapping_add(first(hits));
                if hit < len && may_matter(window, hit, len) {
                    return (hit, true);
                }
                let others = hits & (hits - 1);
                if others != 0 {
                    let hit = at.wrapping_add(first(others));
                    if hit < len {
                        return (hit, true);
                    }
                }
            }
            if next > len {
                // The bytes behind the end are not the stream's; the one at the end may begin a line.
                let end = 0x80 << (u64::from(len & 7) * 8);
                return (len, begin & end != 0);
            }
            begin = feeds >> 56;
            if next == len {
                return (len, begin != 0);
            }
        }
        at = next;
        counts = u64::MAX;
        words += 1;
    }
    (at, begin != 0)
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
