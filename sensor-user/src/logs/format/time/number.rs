//! Units since the epoch.

/// What a number of seconds, milliseconds, microseconds or nanoseconds since the epoch is in nanoseconds. Which
/// of them is told by its size: each covers the years 1973 to 5138, but nanoseconds, which end in 2554.
///
/// Digit by digit: a double has not enough of them for nanoseconds.
pub(in super::super) fn epoch(text: &str) -> Option<u64> {
    let (mantissa, exponent) = match text.find(['e', 'E']) {
        Some(at) => (text.get(..at)?, text.get(at + 1..)?.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = whole.len() + fraction.len();
    let all = whole.bytes().chain(fraction.bytes());
    if whole.is_empty() || digits > 36 || !(-36..=36).contains(&exponent) {
        return None;
    }
    let mut value = 0_u128;
    for byte in all {
        value = value * 10 + u128::from(byte.is_ascii_digit().then(|| byte - b'0')?);
    }
    // `value` times ten to the power of `scale`.
    let scale = exponent - i32::try_from(fraction.len()).ok()?;
    let units = scaled(value, scale)?;
    let to_ns = match units {
        100_000_000..100_000_000_000 => 9,
        100_000_000_000..100_000_000_000_000 => 6,
        100_000_000_000_000..100_000_000_000_000_000 => 3,
        100_000_000_000_000_000.. => 0,
        _ => return None,
    };
    u64::try_from(scaled(value, scale + to_ns)?).ok()
}

fn scaled(value: u128, scale: i32) -> Option<u128> {
    let power = 10_u128.checked_pow(scale.unsigned_abs());
    if scale < 0 { Some(value / power?) } else { value.checked_mul(power?) }
}
