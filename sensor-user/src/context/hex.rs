//! Hexadecimal digits.

use super::Malformed;

/// Exactly two digits for each byte, in lower case (`HEXDIGLC` of W3C Trace Context).
pub(super) fn lower<const N: usize>(text: &[u8]) -> Result<[u8; N], Malformed> {
    let mut bytes = [0; N];
    let mut wrong = 0;
    let pairs: &[[u8; 2]; N] = text.as_chunks().0.try_into().map_err(|_| Malformed)?;
    if text.len() != 2 * N {
        return Err(Malformed);
    }
    for (byte, &[high, low]) in bytes.iter_mut().zip(pairs) {
        let (high, low) = (DIGITS[usize::from(high)], DIGITS[usize::from(low)]);
        wrong |= high | low;
        *byte = high << 4 | low & 15;
    }
    if wrong & NO_DIGIT == 0 { Ok(bytes) } else { Err(Malformed) }
}

/// A number of at least one digit and at most two for each byte, in either case; what is shorter has
/// zeros on its left.
pub(super) fn number<const N: usize>(text: &[u8]) -> Result<[u8; N], Malformed> {
    if text.is_empty() || text.len() > 2 * N {
        return Err(Malformed);
    }
    let mut bytes = [0; N];
    for (place, pair) in bytes.iter_mut().rev().zip(text.rchunks(2)) {
        for digit in pair {
            let value = DIGITS[usize::from(digit.to_ascii_lowercase())];
            if value == NO_DIGIT {
                return Err(Malformed);
            }
            *place = *place << 4 | value;
        }
    }
    Ok(bytes)
}

const NO_DIGIT: u8 = 0x80;

/// The value of each digit; [`NO_DIGIT`] for other bytes.
static DIGITS: [u8; 256] = {
    let mut table = [NO_DIGIT; 256];
    let digits = b"0123456789abcdef";
    let mut value = 0;
    while value < 16 {
        table[digits[value as usize] as usize] = value;
        value += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_and_nothing_else() {
        assert_eq!(lower(b"00ff"), Ok([0, 255]));
        assert_eq!(number(b"F"), Ok([0, 15]));
        assert_eq!(number(b"aBc"), Ok([0x0a, 0xbc]));
        assert_eq!(number(b"fedc"), Ok([0xfe, 0xdc]));
        for bad in [&b"00fF"[..], b"00f", b"00ff0", b"0 ff", b"", b"\xff\xff\xff\xff"] {
            assert_eq!(lower::<2>(bad), Err(Malformed), "{bad:?}");
        }
        for bad in [&b""[..], b"00000", b"g", b"+1", b" 1", b"0x1", b"\xe9"] {
            assert_eq!(number::<2>(bad), Err(Malformed), "{bad:?}");
        }
    }
}
