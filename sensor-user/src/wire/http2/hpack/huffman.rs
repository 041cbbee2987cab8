//! The Huffman code of string literals (RFC 7541 section 5.2 and appendix B).
//!
//! The code is canonical, so its lengths say it all: [`LENGTHS`] is appendix B, and the tables are
//! made from it when this is compiled. One look-up of [`BITS`] bits gives up to two symbols, which
//! are most of what headers hold; a longer code takes a walk over the lengths.

/// Bits of a look-up. Twelve hold two symbols of the commonest lengths, and the table is 16 KiB.
const BITS: u32 = 12;

/// The longest code.
const LONGEST: usize = 30;

/// The end of a string, which may not be in one (section 5.2).
const EOS: usize = 256;

/// Appendix B: bits of the code of each symbol.
#[rustfmt::skip]
pub(super) static LENGTHS: [u8; 257] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28,
    28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
    6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6,
    5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
    13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5,
    6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
    20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23,
    24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23,
    21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25,
    19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
    20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23,
    26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
    30,
];

/// The codes in their order: by length, then by symbol.
struct Canonical {
    symbols: [u16; 257],
    /// Of each length, the first code.
    first: [u32; LONGEST + 1],
    /// Of each length, where its first symbol is in `symbols`.
    offset: [u16; LONGEST + 1],
    /// Of each length, the first 32 bits of a stream that begin with no code of it, nor of a
    /// shorter one.
    limit: [u64; LONGEST + 1],
}

static CANONICAL: Canonical = canonical();

#[expect(clippy::cast_possible_truncation, reason = "symbols and their places are below 258")]
const fn canonical() -> Canonical {
    let mut made = Canonical {
        symbols: [0; 257],
        first: [0; LONGEST + 1],
        offset: [0; LONGEST + 1],
        limit: [0; LONGEST + 1],
    };
    let (mut code, mut place, mut length) = (0_u32, 0_usize, 1_usize);
    while length <= LONGEST {
        code <<= 1;
        made.first[length] = code;
        made.offset[length] = place as u16;
        let mut symbol = 0;
        while symbol < LENGTHS.len() {
            if LENGTHS[symbol] as usize == length {
                made.symbols[place] = symbol as u16;
                place += 1;
                code += 1;
            }
            symbol += 1;
        }
        made.limit[length] = (code as u64) << (32 - length);
        length += 1;
    }
    made
}

/// What a look-up gives, in one word: from the lowest bit, the `bits` of all of its symbols (6), how
/// many there are (2), the bits of the first one (8), and the symbols (16). Zero where the first code
/// is longer than a look-up.
#[derive(Clone, Copy)]
struct Entry(u32);

impl Entry {
    const LONGER: Self = Self(0);

    const fn new(first: u8, first_bits: u32, second: Option<(u8, u32)>) -> Self {
        let (second, bits, count) = match second {
            Some((symbol, bits)) => (symbol, first_bits + bits, 2),
            None => (0, first_bits, 1),
        };
        let symbols = first as u32 | (second as u32) << 8;
        Self(bits | count << 6 | first_bits << 8 | symbols << 16)
    }

    fn symbols(self) -> u64 {
        u64::from(self.0 >> 16)
    }

    fn bits(self) -> u32 {
        self.0 & 0x3f
    }

    fn count(self) -> u32 {
        self.0 >> 6 & 3
    }

    fn first_bits(self) -> u32 {
        self.0 >> 8 & 0xff
    }
}

static TABLE: [Entry; 1 << BITS] = table();

const fn table() -> [Entry; 1 << BITS] {
    let codes = canonical();
    let mut made = [Entry::LONGER; 1 << BITS];
    let mut index = 0;
    while index < made.len() {
        #[expect(clippy::cast_possible_truncation, reason = "it has twelve bits")]
        let window = (index as u32) << (32 - BITS);
        if let Some((first, bits)) = short(&codes, window, BITS) {
            let second = short(&codes, window << bits, BITS - bits);
            made[index] = Entry::new(first, bits, second);
        }
        index += 1;
    }
    made
}

/// The symbol at the front of `window` and the bits of its code, if that is within `most` bits.
const fn short(codes: &Canonical, window: u32, most: u32) -> Option<(u8, u32)> {
    let mut length = 5;
    while length <= most {
        if (window as u64) < codes.limit[length as usize] {
            let (symbol, _) = symbol(codes, window, length);
            #[expect(
                clippy::cast_possible_truncation,
                reason = "only EOS is not a byte, and long"
            )]
            return Some((symbol as u8, length));
        }
        length += 1;
    }
    None
}

/// The symbol whose code is the first `length` bits of `window`.
const fn symbol(codes: &Canonical, window: u32, length: u32) -> (usize, u32) {
    let at = (window >> (32 - length)) - codes.first[length as usize];
    (codes.symbols[codes.offset[length as usize] as usize + at as usize] as usize, length)
}

/// A code longer than a look-up, at the front of `window`.
#[cold]
fn long(window: u32) -> (usize, u32) {
    let length = (BITS + 1..LONGEST as u32)
        .find(|&length| u64::from(window) < CANONICAL.limit[length as usize])
        .unwrap_or(LONGEST as u32);
    symbol(&CANONICAL, window, length)
}

/// The string is not the code of one: it has EOS in it, or ends in what is not padding.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// Bytes that [`decode`] wants for a string of `encoded` bytes: the shortest code has five bits,
/// and eight bytes are written at a time.
pub(super) const fn room(encoded: usize) -> usize {
    encoded * 8 / 5 + 8
}

/// Decodes `encoded` into `out`, of at least [`room`] bytes, and gives the length.
///
/// # Errors
/// See [`Malformed`].
pub(super) fn decode(encoded: &[u8], out: &mut [u8]) -> Result<usize, Malformed> {
    // The bits to come, the first one highest. Below the lowest of the `have` that count, there
    // are zeroes or bits that come again with the next bytes.
    let (mut bits, mut have) = (0_u64, 0_u32);
    let mut rest = encoded;
    let mut written = 0;

    loop {
        let next = match (rest.first_chunk::<8>(), encoded.last_chunk::<8>()) {
            (Some(next), _) => u64::from_be_bytes(*next),
            // The last bytes, and zeroes for those before them.
            (None, Some(last)) => {
                let gone = 64 - 8 * rest.len() as u32;
                u64::from_be_bytes(*last).checked_shl(gone).unwrap_or(0)
            }
            (None, None) => {
                rest.iter().rev().fold(0, |next, &byte| next >> 8 | u64::from(byte) << 56)
            }
        };
        bits |= next >> have;
        let taken = rest.len().min(((63 - have) >> 3) as usize);
        rest = &rest[taken..];
        have += 8 * taken as u32;
        // 48 bits are four look-ups, of eight symbols at most. One that meets a longer code adds and
        // takes nothing, and nor do those after it.
        if have < 48 {
            break;
        }
        let (mut symbols, mut count) = (0, 0);
        for _ in 0..4 {
            let entry = TABLE[(bits >> (64 - BITS)) as usize];
            symbols |= entry.symbols() << (count << 3);
            count += entry.count();
            bits <<= entry.bits();
            have -= entry.bits();
        }
        if count == 0 {
            let (symbol, length) = long((bits >> 32) as u32);
            symbols = u64::try_from(symbol).ok().filter(|_| symbol != EOS).ok_or(Malformed)?;
            count = 1;
            bits <<= length;
            have -= length;
        }
        let room = out.get_mut(written..).and_then(<[u8]>::first_chunk_mut).ok_or(Malformed)?;
        *room = symbols.to_le_bytes();
        written += count as usize;
    }

    loop {
        let entry = TABLE[(bits >> (64 - BITS)) as usize];
        let (symbols, count, length) = if entry.count() == 0 {
            let (symbol, length) = long((bits >> 32) as u32);
            if length > have {
                break;
            }
            if symbol == EOS {
                return Err(Malformed);
            }
            (symbol as u64, 1, length)
        } else if entry.bits() <= have {
            (entry.symbols(), entry.count(), entry.bits())
        } else if entry.first_bits() <= have {
            (entry.symbols(), 1, entry.first_bits())
        } else {
            break;
        };
        let room = out.get_mut(written..).and_then(<[u8]>::first_chunk_mut).ok_or(Malformed)?;
        #[expect(clippy::cast_possible_truncation, reason = "two symbols of a byte each")]
        let symbols = symbols as u16;
        *room = symbols.to_le_bytes();
        written += count as usize;
        bits <<= length;
        have -= length;
    }
    // Section 5.2: the padding is less than a byte, and the beginning of EOS, which is all ones.
    if have < 8 && bits.leading_ones() >= have { Ok(written) } else { Err(Malformed) }
}
