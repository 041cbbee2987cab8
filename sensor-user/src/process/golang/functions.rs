//! Where functions are, by the table that Go's runtime needs for its stack traces and that no stripping
//! removes (runtime/symtab.go, `pcHeader`; cmd/link/internal/ld/pcln.go), as Go 1.18 and newer write it.

use memchr::memmem::Finder;
use object::ReadRef;

use super::elf::Elf;

/// `go118PCLnTabMagic` and `go120PCLnTabMagic`.
const MAGIC: [u32; 2] = [0xffff_fff0, 0xffff_fff1];

/// The most that is read of the names, and of the functions: some millions of functions.
const PART_MAX: u64 = 128 << 20;

/// Offset of `text` in `runtime.moduledata` (Go 1.18 to 1.27), which has a section of its own since 1.26.
const MODULEDATA_TEXT: usize = 176;

/// How functions begin that may have to grow their stack (cmd/internal/obj/x86/obj6.go, `stacksplit`).
const PROLOGUES: [&[u8]; 3] = [
    &[0x49, 0x3b, 0x66, 0x10], // CMPQ SP, 16(R14)
    &[0x4c, 0x8d, 0x64, 0x24], // LEAQ -8-bit(SP), R12
    &[0x4c, 0x8d, 0xa4, 0x24], // LEAQ -32-bit(SP), R12
];

/// A function's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Function {
    /// Its address, before the program is loaded anywhere.
    pub(super) address: u64,
    /// The same in the file.
    pub(super) file_offset: u64,
    /// It begins as functions do that can be probed there.
    pub(super) may_be_probed: bool,
}

/// Finds functions by their names, in the order in which they are asked for. None for those that are not
/// there: the linker has left them out, or the compiler has put them into all their callers.
///
/// The table has their distances from the beginning of all that Go has compiled. Where that is, is told
/// by the table itself, or the runtime's data, or it is that of the section, if no C is in front: what
/// fits with how functions begin is taken (the first `probed` of them; others may be a mere jump), and nothing else, because a probe in the middle of an instruction
/// would break the program.
pub(super) fn find<'data, R: ReadRef<'data>>(
    elf: &Elf<'data, R>,
    names: &[&str],
    probed: usize,
) -> Vec<Option<Function>> {
    let nothing = || vec![None; names.len()];
    let Some(table) = Table::read(elf) else { return nothing() };
    let distances: Vec<_> = names.iter().map(|name| table.distance(name)).collect();
    if distances.iter().take(probed).all(Option::is_none) {
        return nothing();
    }
    let module = elf.section(".go.module").and_then(|module| word(module, MODULEDATA_TEXT));
    let section = elf.section_address(".text");
    let texts = [Some(table.text), module, section];
    for text in texts.into_iter().flatten().filter(|&text| text != 0) {
        let functions: Vec<_> = distances
            .iter()
            .map(|distance| {
                let address = text.checked_add((*distance)?)?;
                let (file_offset, bytes) = elf.code(address, 4)?;
                Some(Function { address, file_offset, may_be_probed: PROLOGUES.contains(&bytes) })
            })
            .collect();
        if functions.iter().take(probed).flatten().all(|function| function.may_be_probed)
            && functions.iter().map(Option::is_some).eq(distances.iter().map(Option::is_some))
        {
            return functions;
        }
    }
    nothing()
}

/// The parts of the table that lead from a name to a function.
struct Table<'data> {
    /// `textStart`; 0 where it is not told.
    text: u64,
    /// Names, each ended by a zero byte.
    names: &'data [u8],
    /// A table of two u32 for each function, its distance and where its description is; the descriptions
    /// follow.
    functions: &'data [u8],
    count: usize,
}

impl<'data> Table<'data> {
    fn read<R: ReadRef<'data>>(elf: &Elf<'data, R>) -> Option<Self> {
        let (offset, size) = place(elf)?;
        let header = elf.read(offset, 72.min(size))?;
        if !MAGIC.contains(&half(header, 0)?) || *header.get(7)? != 8 {
            return None;
        }
        let field = |index: usize| word(header, 8 + 8 * index);
        // In this order, one behind the other: names, compilation units, files, lines, functions.
        let (names, names_end, functions) = (field(3)?, field(4)?, field(7)?);
        let part = |begin: u64, end: u64| {
            let len = end.checked_sub(begin).filter(|&len| len <= PART_MAX && end <= size)?;
            elf.read(offset.checked_add(begin)?, len)
        };
        let functions = part(functions, size)?;
        let count =
            usize::try_from(field(0)?).ok().filter(|&count| count <= functions.len() / 8)?;
        Some(Self { text: field(2)?, names: part(names, names_end)?, functions, count })
    }

    /// How far the function of this name is from the beginning.
    fn distance(&self, name: &str) -> Option<u64> {
        // The name as a whole: between two zero bytes. (The first of all is that of no function.)
        let whole = [b"\0", name.as_bytes(), b"\0"].concat();
        let at = Finder::new(&whole).find(self.names)? + 1;
        let at = u32::try_from(at).ok()?;
        (0..self.count).find_map(|index| {
            let description = usize::try_from(half(self.functions, 8 * index + 4)?).ok()?;
            // `_func.entryOff`, `_func.nameOff`.
            (half(self.functions, description.checked_add(4)?)? == at)
                .then(|| half(self.functions, description).map(u64::from))
                .flatten()
        })
    }
}

/// Where the table is. It has a section of its own, unless another linker than Go's has put it among the
/// data that need relocation: then its first bytes tell, which are followed by two zeros, the size of the
/// smallest instruction (1 on x86) and that of a pointer.
fn place<'data, R: ReadRef<'data>>(elf: &Elf<'data, R>) -> Option<(u64, u64)> {
    if let Some(own) = elf.section_range(".gopclntab") {
        return Some(own);
    }
    let (offset, size) = elf.section_range(".data.rel.ro").filter(|&(_, size)| size <= PART_MAX)?;
    let data = elf.read(offset, size)?;
    let at = MAGIC.iter().find_map(|magic| {
        let [a, b, c, d] = magic.to_le_bytes();
        Finder::new(&[a, b, c, d, 0, 0, 1, 8]).find(data)
    })?;
    let at = u64::try_from(at).ok()?;
    Some((offset.checked_add(at)?, size.checked_sub(at)?))
}

fn half(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|chunk| u32::from_le_bytes(*chunk))
}

fn word(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().map(|chunk| u64::from_le_bytes(*chunk))
}
