//! `sensor doctor --btf FILE`: everything of the kernel's own that is relied on, looked up in a
//! kernel's type information. For those who look after the sensor: it can be asked of any kernel's.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use crate::capture::live::btf::{Btf, Field};
use crate::capture::live::offsets::{FIELDS, Found, Need, TRACEPOINTS, Tracepoint};
use crate::capture::live::programs::Engine;

use super::Failure;

/// The report, and whether one of the engines has all that it needs.
pub(super) fn check(file: &Path) -> Result<(String, bool), Failure> {
    let broken = |why: String| Failure::Broken(format!("{}: {why}", file.display()));
    let data = fs::read(file).map_err(|error| broken(error.to_string()))?;
    let btf = Btf::parse(&data).map_err(|error| broken(error.to_string()))?;
    Ok(report(&btf))
}

fn report(btf: &Btf<'_>) -> (String, bool) {
    let mut lines = Vec::new();
    for relied in FIELDS {
        let name = relied.names.first().copied().unwrap_or_default();
        let (there, what) = match relied.find(btf) {
            Found::At(at, field) if at == name => (true, place(&field)),
            Found::At(at, field) => (true, format!("{} as {at}", place(&field))),
            Found::Unfit(at, field) => {
                (false, format!("{at} is something else now: {}", place(&field)))
            }
            Found::Absent => (false, "absent".to_owned()),
        };
        lines.push(Line { need: relied.need, there, name: name.to_owned(), what });
    }
    for tracepoint in TRACEPOINTS {
        let Tracepoint { need, name, .. } = *tracepoint;
        let (there, what) = match tracepoint.fits(btf) {
            Some(true) => (true, "passes what is expected"),
            Some(false) => (false, "passes something else now"),
            None => (false, "absent"),
        };
        lines.push(Line { need, there, name: format!("tracepoint {name}"), what: what.to_owned() });
    }
    let width = lines.iter().map(|line| line.name.len()).max().unwrap_or(0);
    let mut text = String::new();
    for Line { need, there, name, what } in &lines {
        let mark = if *there { '✓' } else { '✗' };
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{mark} {:<8} {name:<width$} {what}", needs(*need));
    }
    let has = |engine| lines.iter().all(|line| line.there || !line.is_for(engine));
    for engine in [Engine::Socket, Engine::Syscall] {
        let word = if has(engine) { "has" } else { "has not" };
        let _ = writeln!(text, "engine {}: this kernel {word} all that it needs", engine.name());
    }
    let there = lines.iter().filter(|line| line.there).count();
    let _ = writeln!(text, "{there} of {} there", lines.len());
    (text, has(Engine::Socket) || has(Engine::Syscall))
}

struct Line {
    need: Need,
    there: bool,
    name: String,
    what: String,
}

impl Line {
    fn is_for(&self, engine: Engine) -> bool {
        match self.need {
            Need::Both => true,
            Need::Socket => engine == Engine::Socket,
            Need::Syscall => engine == Engine::Syscall,
            Need::Neither => false,
        }
    }
}

fn needs(need: Need) -> &'static str {
    match need {
        Need::Both => "both",
        Need::Socket => "socket",
        Need::Syscall => "syscall",
        Need::Neither => "optional",
    }
}

/// `at 24, 4 bytes`
fn place(field: &Field) -> String {
    let &Field { bit_offset, bits, size, .. } = field;
    let byte = bit_offset / 8;
    match (bits, size) {
        (Some(bits), _) => format!("at {byte}, bit {}, {bits} wide", bit_offset % 8),
        (None, Some(size)) => format!("at {byte}, {size} bytes"),
        (None, None) => format!("at {byte}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_without_anything() {
        let mut data = 0xeb9f_u16.to_ne_bytes().to_vec();
        data.extend([1, 0]);
        for word in [24_u32, 0, 0, 0, 1] {
            data.extend(word.to_ne_bytes());
        }
        data.push(0);
        let (text, works) = report(&Btf::parse(&data).unwrap());
        assert!(!works);
        assert!(text.contains("✗ both     sock sk_type "), "{text}");
        assert!(text.ends_with(&format!("0 of {} there\n", FIELDS.len() + TRACEPOINTS.len())));
        assert!(text.contains("engine syscall: this kernel has not all"), "{text}");
    }

    #[test]
    fn a_file_that_is_none() {
        let error = check(Path::new("/proc/version")).unwrap_err().to_string();
        assert_eq!(error, "/proc/version: it is not BTF of this machine's byte order");
        assert!(check(Path::new("/no/such/file")).is_err());
    }
}
