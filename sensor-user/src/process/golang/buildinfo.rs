//! What Go's linker says of a program in its section `.go.buildinfo` (debug/buildinfo/buildinfo.go, since
//! Go 1.18): the version of Go, and those of the modules.

const MAGIC: &[u8] = b"\xff Go buildinf:";
/// A flag in the byte after the pointers' size: the texts follow here, each with its length in front.
const INLINE: u8 = 2;
const HEADER: usize = 32;
/// Go's own mark before and behind the text on modules (cmd/go/internal/modload/build.go).
const MARK: usize = 16;

/// The versions in a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BuildInfo<'a> {
    /// Of Go: `go1.26.8`, perhaps with more behind a blank.
    pub version: &'a str,
    modules: &'a str,
}

impl<'a> BuildInfo<'a> {
    /// Reads a section. None where it is not one, or that of a Go before 1.18.
    pub fn parse(section: &'a [u8]) -> Option<Self> {
        let flags = *section.get(MAGIC.len() + 1)?;
        if !section.starts_with(MAGIC) || flags & INLINE == 0 {
            return None;
        }
        let (version, rest) = text(section.get(HEADER..)?)?;
        let version = str::from_utf8(version).ok()?;
        // A program need not have any.
        let modules = text(rest)
            .and_then(|(modules, _)| modules.get(MARK..modules.len().checked_sub(MARK)?))
            .and_then(|modules| str::from_utf8(modules).ok())
            .unwrap_or_default();
        Some(Self { version, modules })
    }

    /// The version of a module that the program depends on (`v1.84.0`). None where it has none, or is
    /// replaced by another or by a directory: that may be anything.
    pub fn module(&self, path: &str) -> Option<&'a str> {
        let mut lines = self.modules.lines();
        let version = lines.by_ref().find_map(|line| {
            let mut fields = line.strip_prefix("dep\t")?.split('\t');
            (fields.next()? == path).then(|| fields.next()).flatten()
        })?;
        let replaced = lines.next().is_some_and(|line| line.starts_with("=>\t"));
        (!replaced).then_some(version)
    }
}

/// A text with its length in front, as an unsigned LEB128 of at most four bytes (256 MiB).
fn text(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut len = 0;
    for (i, &byte) in bytes.iter().enumerate().take(4) {
        len |= usize::from(byte & 0x7f) << (7 * i);
        if byte < 0x80 {
            return bytes.get(i + 1..)?.split_at_checked(len);
        }
    }
    None
}
