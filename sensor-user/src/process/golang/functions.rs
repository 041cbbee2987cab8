//! Where functions are, by the table that Go's runtime needs for its stack traces and that no stripping
//! removes (runtime/symtab.go, `pcHeader`; cmd/link/internal/ld/pcln.go), as Go 1.18 and newer write it.

use std::ops::ControlFlow;

use memchr::memmem::Finder;

use super::{Elf, ElfError};
use crate::process::elf::{Range, Sections, Window};

/// `go118PCLnTabMagic` and `go120PCLnTabMagic`.
const MAGIC: [u32; 2] = [0xffff_fff0, 0xffff_fff1];

/// The header of the table, in bytes: the magic number and what follows it, then eight words.
const HEADER: usize = 72;

/// The most places of the table of names that are remembered: each name has one.
const NAMES_FOUND: usize = 64;

/// What a function costs in steps: there may be two million.
const FUNCTION_STEPS: u64 = 2;

/// How far from its beginning a table is looked for in `.data.rel.ro`, in bytes: what is in front of it
/// there is less than a tenth of a program.
const SEARCHED: u64 = 48 << 20;

/// Offset of `text` in `runtime.moduledata` (Go 1.18 to 1.27), which has a section of its own since 1.26.
const MODULEDATA_TEXT: u64 = 176;

/// The longest beginning of a function that [`prologue`] recognises, in bytes.
const PROLOGUE: usize = 18;

/// Code that was looked at, by its place in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// Where it begins in the file, in bytes: an instruction begins there.
    pub file_offset: u64,
    /// The instructions that prove it: what has to be there.
    pub bytes: Vec<u8>,
}

/// A function's place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Function {
    /// Its address, before the program is loaded anywhere.
    pub(super) address: u64,
    /// Its first instructions; none are recognised where `bytes` is empty.
    pub(super) site: Site,
}

/// How long the beginning of a function that may have to grow its stack is: two or three instructions
/// (cmd/internal/obj/x86/obj6.go, `stacksplit`). None where the bytes are not one.
///
/// ```text
/// 49 3b 66 10                CMPQ SP, 16(R14)        a small frame
/// 4c 8d 64 24 disp8          LEAQ disp8(SP), R12     a larger one:
/// 4c 8d a4 24 disp32         LEAQ disp32(SP), R12
/// 4d 3b 66 10                CMPQ R12, 16(R14)
/// 76 rel8, 0f 86 rel32       JLS                     to the end of the function
/// ```
fn prologue(bytes: &[u8]) -> Option<usize> {
    let compare = match *bytes {
        [0x49, 0x3b, 0x66, 0x10, ..] => 4,
        [0x4c, 0x8d, 0x64, 0x24, _, 0x4d, 0x3b, 0x66, 0x10, ..] => 9,
        [0x4c, 0x8d, 0xa4, 0x24, _, _, _, _, 0x4d, 0x3b, 0x66, 0x10, ..] => 12,
        _ => return None,
    };
    let len = compare
        + match *bytes.get(compare..)? {
            [0x76, ..] => 2,
            [0x0f, 0x86, ..] => 6,
            _ => return None,
        };
    (len <= bytes.len()).then_some(len)
}

/// Finds functions by their names, in the order in which they are asked for. None for those that are
/// not there: the linker has left them out, or the compiler has put them into all their callers.
///
/// The table has their distances from the beginning of all that Go has compiled. Three places may say
/// where that is: the table itself, the runtime's data, and, if no C is in front, the header of the
/// section. The first that fits is taken: where the first `probed` functions begin as functions do.
/// (Others may be a mere jump.) Without one there are no functions, because a probe in the middle of an
/// instruction would break the program.
///
/// # Errors
/// When the file is damaged, cannot be read, or reading it costs too much.
pub(super) fn find(
    elf: &Elf<'_>,
    sections: &Sections,
    names: &[&str],
    probed: usize,
) -> Result<Vec<Option<Function>>, ElfError> {
    let nothing = vec![None; names.len()];
    let Some(table) = Table::read(elf, sections)? else { return Ok(nothing) };
    let distances = table.distances(elf, names)?;
    if distances.iter().take(probed).all(Option::is_none) {
        return Ok(nothing);
    }
    let module = match sections.named(".go.module").and_then(|module| module.range) {
        Some(range) => Window::new(elf.reader(), range).array(MODULEDATA_TEXT)?,
        None => None,
    };
    let section = sections.named(".text").map(|section| section.address);
    let texts = [Some(table.text), module.map(u64::from_le_bytes), section];
    for text in texts.into_iter().flatten().filter(|&text| text != 0) {
        let mut functions = Vec::with_capacity(names.len());
        for &distance in &distances {
            let address = distance.and_then(|distance| text.checked_add(distance));
            functions.push(match address {
                Some(address) => function(elf, address)?,
                None => None,
            });
        }
        if functions.iter().take(probed).flatten().all(|function| !function.site.bytes.is_empty())
            && functions.iter().map(Option::is_some).eq(distances.iter().map(Option::is_some))
        {
            return Ok(functions);
        }
    }
    Ok(nothing)
}

fn function(elf: &Elf<'_>, address: u64) -> Result<Option<Function>, ElfError> {
    let Some((file_offset, mut bytes)) = elf.code_at::<PROLOGUE>(address)? else {
        return Ok(None);
    };
    bytes.truncate(prologue(&bytes).unwrap_or(0));
    Ok(Some(Function { address, site: Site { file_offset, bytes } }))
}

/// The parts of the table that lead from a name to a function.
struct Table {
    /// `textStart`; 0 where it is not told.
    text: u64,
    /// Names, each ended by a zero byte.
    names: Range,
    /// A table of two u32 for each function, its distance and where its description is; the
    /// descriptions follow.
    functions: Range,
    count: u64,
}

impl Table {
    fn read(elf: &Elf<'_>, sections: &Sections) -> Result<Option<Self>, ElfError> {
        let Some(place) = place(elf, sections)? else { return Ok(None) };
        let Some(header) = Window::new(elf.reader(), place).array::<HEADER>(0)? else {
            return Ok(None);
        };
        let (words, _) = header[8..].as_chunks();
        let magic = u32::from_le_bytes([header[0], header[1], header[2], header[3]]);
        if !MAGIC.contains(&magic) || header[7] != 8 {
            return Ok(None);
        }
        let field = |index: usize| words.get(index).copied().map_or(0, u64::from_le_bytes);
        // In this order, one behind the other: names, compilation units, files, lines, functions.
        let parts = place.part(field(3), field(4)).zip(place.part(field(7), place.len));
        let count = field(0);
        Ok(parts
            .filter(|(_, functions)| count <= functions.len / 8)
            .map(|(names, functions)| Self { text: field(2), names, functions, count }))
    }

    /// How far the functions of these names are from the beginning: one pass over the names, one over
    /// the functions, whose descriptions are in their order.
    fn distances(&self, elf: &Elf<'_>, names: &[&str]) -> Result<Vec<Option<u64>>, ElfError> {
        let mut at = vec![None; names.len()];
        for (which, place) in elf.reader().find_strings(self.names, names, NAMES_FOUND)? {
            let place = u32::try_from(place).ok();
            at[which] = at[which].or(place);
        }
        let mut distances = vec![None; names.len()];
        let mut left = at.iter().flatten().count();
        let mut table = Window::new(elf.reader(), self.functions);
        let mut descriptions = Window::new(elf.reader(), self.functions);
        for index in 0..self.count {
            if left == 0 {
                break;
            }
            elf.reader().step(FUNCTION_STEPS)?;
            let Some(place) = table.array(8 * index + 4)? else { break };
            // `_func.entryOff`, `_func.nameOff`.
            let Some(description) = descriptions.array::<8>(u32::from_le_bytes(place).into())?
            else {
                continue;
            };
            let [a, b, c, d, name @ ..] = description;
            let name = Some(u32::from_le_bytes(name));
            if let Some(which) = at.iter().position(|&it| it == name)
                && distances[which].is_none()
            {
                distances[which] = Some(u32::from_le_bytes([a, b, c, d]).into());
                left -= 1;
            }
        }
        Ok(distances)
    }
}

/// Where the table is. It has a section of its own, unless another linker than Go's has put it among
/// the data that need relocation: then its first bytes tell, which are followed by two zeros, the size
/// of the smallest instruction (1 on x86) and that of a pointer.
fn place(elf: &Elf<'_>, sections: &Sections) -> Result<Option<Range>, ElfError> {
    if let Some(own) = sections.named(".gopclntab") {
        return Ok(own.range);
    }
    let Some(data) = sections.named(".data.rel.ro").and_then(|section| section.range) else {
        return Ok(None);
    };
    let beginnings = MAGIC.map(|magic| {
        let [a, b, c, d] = magic.to_le_bytes();
        [a, b, c, d, 0, 0, 1, 8]
    });
    let finders = beginnings.each_ref().map(Finder::new);
    let mut found = [None; MAGIC.len()];
    let searched = Range { len: data.len.min(SEARCHED), ..data };
    elf.reader().scan(searched, 7, |at, bytes| {
        for (found, finder) in found.iter_mut().zip(&finders) {
            if found.is_none() {
                *found = finder.find(bytes).map(|within| at + within as u64);
            }
        }
        Ok(if found[0].is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    })?;
    match found.into_iter().flatten().next() {
        Some(at) => Ok(data.part(at, data.len)),
        None if data.len > SEARCHED => Err(ElfError::Budget("more than 48 MiB of .data.rel.ro")),
        None => Ok(None),
    }
}
