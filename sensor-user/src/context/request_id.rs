//! Identifiers of requests that have no span id, and which of them are evidence.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::LazyLock;

use siphasher::sip128::{Hasher128, SipHasher24};

/// Stands for a name and a value: two that are equal are the same identifier in the same field. A
/// keyed hash of 128 bits, so that identifiers cost no memory of their own, and so that no peer can
/// choose two that are equal, or many that meet in one bucket of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RequestId([u8; 16]);

/// The key of [`RequestId`], new in each run: the hashes never leave the process.
static KEY: LazyLock<[u64; 2]> = LazyLock::new(|| {
    let random = RandomState::new();
    [random.hash_one(0_u8), random.hash_one(1_u8)]
});

impl RequestId {
    /// Of the field `name`, in lower case.
    pub fn new(name: &str, value: &[u8]) -> Self {
        let [first, second] = *KEY;
        let mut hash = SipHasher24::new_with_keys(first, second);
        hash.write(name.as_bytes());
        // No name has it.
        hash.write(b":");
        hash.write(value);
        Self(hash.finish128().as_bytes())
    }
}

/// Longest identifier that is looked at, in bytes: the longest in use has some 100.
const LONGEST: usize = 128;

/// An identifier has at least this many letters and digits: as hexadecimal digits, 64 bits.
const SHORTEST: usize = 16;

/// Of these, so many are left without the zeros at the front. Three zeros there are one random
/// number in 4,096; a counter that is padded to 16 digits has more of them.
const SIGNIFICANT: usize = SHORTEST - 3;

/// Fewer different characters than this are a pattern: one random number in 28,000.
const DISTINCT: usize = 6;

/// A shorter piece that has letters and digits is a name (`shop-v2`, `step3b`).
const PIECE: usize = 8;

/// Whether two requests that have this identifier, or a request and a line, belong together: it has
/// to have the shape of at least 64 random bits. Else two strangers may have it by chance
/// (`None`, `test-1`), or one of them may guess that of the other (`order-1042`).
///
/// The shape is looked for in the pieces between separators, in two ways:
///
/// - hexadecimal digits, over several pieces: UUID, X-Ray, trace ids, `C5E2:3B2C:1A2B3C4:…`;
/// - pieces of at least [`PIECE`] that mix letters and digits: ULID, KSUID, base 32, 36, 58 and 62.
///
/// Either has to have [`SHORTEST`] characters that look random ([`looks_random`]). All the rest of the
/// value may be anything (`req_`, `-fra`, `#3`), as the whole value is compared. A value that begins
/// with `test` is no evidence whatever follows.
///
/// What has no letter is no evidence: decimal numbers are times and counters. So one random number
/// of 16 hexadecimal digits in 450 is left out, and next to none of 32.
pub fn is_evidence(value: &[u8]) -> bool {
    let fits = (SHORTEST..=LONGEST).contains(&value.len())
        && value.iter().all(u8::is_ascii_graphic)
        && !value.get(..4).is_some_and(|start| start.eq_ignore_ascii_case(b"test"));
    if !fits {
        return false;
    }
    let mut hex = Piece::default();
    let mut mixed = Piece::default();
    for piece in value.split(|byte| !byte.is_ascii_alphanumeric()).filter(|it| !it.is_empty()) {
        if piece.iter().all(u8::is_ascii_hexdigit) {
            hex.extend(piece);
        } else if hex.looks_random() {
            return true;
        } else {
            hex = Piece::default();
        }
        if piece.len() >= PIECE && is_mixed(piece) {
            mixed.extend(piece);
        }
    }
    hex.looks_random() || mixed.looks_random()
}

/// Letters and digits, and more than a word and a number.
fn is_mixed(piece: &[u8]) -> bool {
    piece.iter().any(u8::is_ascii_digit)
        && piece.iter().any(u8::is_ascii_alphabetic)
        && changes(piece) >= piece.len().div_ceil(8)
}

/// How often digits, small and capital letters take turns.
fn changes(piece: &[u8]) -> usize {
    let class = |byte: u8| (byte.is_ascii_digit(), byte.is_ascii_uppercase());
    piece.windows(2).filter(|pair| class(pair[0]) != class(pair[1])).count()
}

/// Letters and digits, joined from pieces.
struct Piece {
    bytes: [u8; LONGEST],
    len: usize,
}

impl Default for Piece {
    fn default() -> Self {
        Self { bytes: [0; LONGEST], len: 0 }
    }
}

impl Piece {
    /// The pieces of one value, which has no more bytes than there is room for.
    fn extend(&mut self, piece: &[u8]) {
        if let Some(room) = self.bytes.get_mut(self.len..self.len + piece.len()) {
            room.copy_from_slice(piece);
            self.len += piece.len();
        }
    }

    fn looks_random(&self) -> bool {
        self.bytes.get(..self.len).is_some_and(looks_random)
    }
}

/// Letters and digits that are not padded, repeated or counted up (`00000000-0000-…-0000002a`,
/// `aaaaaaaaaaaaaaaa`, `0123456789abcdef`), and no word with a number behind it.
fn looks_random(all: &[u8]) -> bool {
    let zeros = all.iter().take_while(|&&byte| byte == b'0').count();
    let rest = all.get(zeros..).unwrap_or_default();
    if all.len() < SHORTEST || rest.len() < SIGNIFICANT {
        return false;
    }
    let pairs = rest.len() - 1;
    // The same character again, or the next one in the alphabet: one pair in six, if they are random.
    let steps = rest.windows(2).filter(|pair| pair[0].abs_diff(pair[1]) <= 1).count();
    let mut seen = [false; 256];
    rest.iter().for_each(|&byte| seen[usize::from(byte)] = true);
    let distinct = seen.iter().filter(|&&is| is).count();
    changes(rest) >= rest.len().div_ceil(8) && 3 * steps <= 2 * pairs && distinct >= DISTINCT
}

#[cfg(test)]
mod tests;
