//! Programs written in Go: recognised by what Go's linker leaves in every executable, stripped or not,
//! and where they keep what the kernel side reads of them. Pure: bytes in, facts out.
//!
//! What is not known for certain is left out: a release of Go (or gRPC) that is not in the tables of
//! [`layout`], a build of Go's development branch, a thread pointer whose use cannot be told.

mod buildinfo;
mod elf;
mod layout;

use object::read::ReadRef;
use sensor_ebpf::abi::GoProgram;

pub use buildinfo::BuildInfo;
pub use elf::ElfError;

use elf::Elf;

/// What is known of a program written in Go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// Go's version, as its linker wrote it (`go1.26.8`).
    pub version: String,
    /// For the kernel side; none where this version, or this way of linking, is not known.
    pub layout: Option<GoProgram>,
}

/// Looks at an executable, of which only what is needed is read. None where it is not written in Go.
///
/// # Errors
/// When it is not an ELF executable of this machine, or a damaged one.
pub fn program<'data>(data: impl ReadRef<'data>) -> Result<Option<Program>, ElfError> {
    let elf = Elf::parse(data)?;
    let Some(info) = elf.section(".go.buildinfo").and_then(BuildInfo::parse) else {
        return Ok(None);
    };
    let layout = layout::of_go(info.version).zip(elf.thread_g()).map(|(go, thread_g)| GoProgram {
        thread_g,
        goid: go.goid,
        parent_goid: go.parent_goid,
    });
    Ok(Some(Program { version: info.version.to_owned(), layout }))
}

#[cfg(test)]
mod tests;
