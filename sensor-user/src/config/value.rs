//! One parser per kind of value. Each error is what would have been accepted.

use std::time::Duration;

/// Largest process id that Linux gives out (`PID_MAX_LIMIT`, include/linux/threads.h).
const PID_MAX: u32 = 4 * 1024 * 1024;

/// Longest run, so that a deadline can always be represented.
const DURATION_MAX: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// `20s`, `500ms`, `1h 30m`: more than nothing.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text.trim()) {
        Ok(duration) if !duration.is_zero() && duration <= DURATION_MAX => Ok(duration),
        _ => Err("a duration above zero with its unit, for example 500ms, 20s, 5m or 1h".into()),
    }
}

/// Whole milliseconds, as OpenTelemetry's variables have them.
pub(super) fn milliseconds(text: &str) -> Result<Duration, String> {
    match text.trim().parse() {
        Ok(ms @ 1..=86_400_000) => Ok(Duration::from_millis(ms)),
        _ => Err("milliseconds from 1 to 86400000, without a unit".into()),
    }
}

/// Bytes: `65536`, `512KiB`, `16MiB`, `1GiB`; units in any case. A power of two in `min..=max`.
pub(super) fn power_of_two_size(text: &str, min: usize, max: usize) -> Result<usize, String> {
    let size = size(text);
    match size {
        Some(size) if size.is_power_of_two() && (min..=max).contains(&size) => Ok(size),
        Some(size) if (min..max).contains(&size) => {
            let above = size.next_power_of_two();
            Err(format!("a power of two, such as {} or {}", show(above / 2), show(above)))
        }
        _ => Err(format!("a power of two from {} to {}, for example 16MiB", show(min), show(max))),
    }
}

fn size(text: &str) -> Option<usize> {
    let text = text.trim();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let factor: usize = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        "g" | "gib" => 1 << 30,
        _ => return None,
    };
    number.parse::<usize>().ok()?.checked_mul(factor)
}

fn show(bytes: usize) -> String {
    match bytes {
        _ if bytes.is_multiple_of(1 << 30) => format!("{}GiB", bytes >> 30),
        _ if bytes.is_multiple_of(1 << 20) => format!("{}MiB", bytes >> 20),
        _ => format!("{}KiB", bytes >> 10),
    }
}

/// A process id.
pub(super) fn pid(text: &str) -> Result<u32, String> {
    match text.trim().parse() {
        Ok(pid @ 1..=PID_MAX) => Ok(pid),
        _ => Err(format!("a process id from 1 to {PID_MAX}")),
    }
}

/// A TCP port.
pub(super) fn port(text: &str) -> Result<u16, String> {
    match text.trim().parse() {
        Ok(port @ 1..) => Ok(port),
        _ => Err("a port from 1 to 65535".into()),
    }
}

/// Something to match; what it means, the selection says.
pub(super) fn glob(text: &str) -> Result<String, String> {
    if text.is_empty() { Err("a glob, for example 'nginx*'".into()) } else { Ok(text.to_owned()) }
}

/// A service, by its name.
pub(super) fn service(text: &str) -> Result<String, String> {
    if text.is_empty() { Err("a service's name".into()) } else { Ok(text.to_owned()) }
}

/// Full paths to match.
pub(super) fn path_glob(text: &str) -> Result<String, String> {
    let wanted = "a glob of full paths, for example '/var/log/app/*.log'";
    if !text.starts_with('/') {
        return Err(wanted.into());
    }
    match globset::GlobBuilder::new(text).literal_separator(true).build() {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(format!("{wanted}; {}", error.kind())),
    }
}

/// How many, at least one.
pub(super) fn count(text: &str, max: usize) -> Result<usize, String> {
    match text.trim().parse() {
        Ok(count) if (1..=max).contains(&count) => Ok(count),
        _ => Err(format!("a number from 1 to {max}")),
    }
}
