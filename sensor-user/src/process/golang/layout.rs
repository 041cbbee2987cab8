//! Where releases of Go keep what is read of them, on machines of 64 bits. Each was built, and its debug
//! information read (`dwarf.StructType` of the first and the last minor release there was): a release that
//! has no line is not known, and none is guessed.

/// Offsets within Go's runtime and standard library, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Go {
    /// `runtime.g.goid` (runtime/runtime2.go).
    pub(super) goid: u16,
    /// `runtime.g.parentGoid`, or 0: there is none before 1.21.
    pub(super) parent_goid: u16,
}

/// Of a version as the linker writes it.
pub(super) fn of_go(version: &str) -> Option<Go> {
    let go = |goid, parent_goid| Some(Go { goid, parent_goid });
    match minor(version)? {
        18..=20 => go(152, 0),
        21 | 22 => go(152, 272),
        // gobuf.bp and syscallbp came, then gobuf.ret went.
        23 | 24 => go(160, 280),
        25 => go(152, 272),
        26 | 27 => go(152, 280),
        _ => None,
    }
}

/// `N` of a release `go1.N` or `go1.N.M`, whatever its builder has appended after a blank or a hyphen. A
/// beta, a release candidate or a development version is none.
fn minor(version: &str) -> Option<u32> {
    let rest = version.strip_prefix("go1.")?;
    let end = rest.find([' ', '-', '+']).unwrap_or(rest.len());
    let mut numbers = rest.get(..end)?.split('.');
    let minor = numbers.next()?.parse().ok()?;
    let patch = numbers.next().is_none_or(|patch| patch.parse::<u32>().is_ok());
    (patch && numbers.next().is_none()).then_some(minor)
}
