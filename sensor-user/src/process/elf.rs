//! ELF files of 64 bits, read with a budget.
//!
//! An executable is written by its user, so every count and size in it is a claim. Nothing is read
//! whole: tables are walked in windows of [`WINDOW`] bytes, and one file costs at most
//! [`BYTES`] read and [`STEPS`] entries looked at. A file that wants more is an error
//! ([`ElfError::Budget`]), never a partial answer.

mod reader;

use std::io;

pub use reader::{BYTES, READ_MIN, Range, Reader, STEPS, Source, WINDOW, Window};

/// The most program headers that are read: linkers write a dozen.
const PROGRAM_HEADERS: u16 = 128;

/// The most sections that are read: linkers write some dozens.
const SECTIONS: u64 = 4096;

/// The longest name of a section that can be looked up, with its final zero.
const SECTION_NAME: usize = 24;

/// The most places in a string table that may hold a symbol's name.
const NAMESAKES: usize = 64;

/// Why an executable cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ElfError {
    /// It is not an ELF file of 64 bits, or a damaged one.
    #[error("not an ELF file of 64 bits, or a damaged one: {0}")]
    Malformed(&'static str),
    /// It is for another machine.
    #[error("for another machine (e_machine {0})")]
    Machine(u16),
    /// It is larger than a look at an executable may cost.
    #[error("reading it costs too much: {0}")]
    Budget(&'static str),
    /// The file cannot be read.
    #[error("cannot be read: {0}")]
    Read(#[from] io::Error),
}

/// Fields of the file's header, and their sizes (elf(5), `Elf64_Ehdr`).
mod header {
    pub(super) const SIZE: usize = 64;
    pub(super) const MAGIC: [u8; 4] = *b"\x7fELF";
    /// `ELFCLASS64`, `ELFDATA2LSB`.
    pub(super) const IDENT: [u8; 2] = [2, 1];
    pub(super) const MACHINE: usize = 18;
    pub(super) const PHOFF: usize = 32;
    pub(super) const SHOFF: usize = 40;
    pub(super) const PHENTSIZE: usize = 54;
    pub(super) const PHNUM: usize = 56;
    pub(super) const SHENTSIZE: usize = 58;
    pub(super) const SHNUM: usize = 60;
    pub(super) const SHSTRNDX: usize = 62;
}

/// Machines (`e_machine`).
const EM_X86_64: u16 = 62;
const EM_AARCH64: u16 = 183;

/// A program header (`Elf64_Phdr`).
mod program_header {
    pub(super) const SIZE: u16 = 56;
    pub(super) const PT_LOAD: u32 = 1;
    pub(super) const PT_TLS: u32 = 7;
    pub(super) const PF_X: u32 = 1;
}

/// A section header (`Elf64_Shdr`).
mod section_header {
    pub(super) const SIZE: u16 = 64;
    pub(super) const SHT_SYMTAB: u32 = 2;
    pub(super) const SHT_NOBITS: u32 = 8;
}

/// A symbol (`Elf64_Sym`).
const SYMBOL: u64 = 24;

/// What a symbol costs in steps: there may be a million.
const SYMBOL_STEPS: u64 = 4;

/// A segment of the file that becomes executable memory (`PT_LOAD` with `PF_X`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Its bytes in the file.
    pub range: Range,
    /// The address of its first byte, before the program is loaded anywhere.
    pub address: u64,
}

/// Thread-local storage (`PT_TLS`).
#[derive(Clone, Copy, Debug)]
struct Storage {
    address: u64,
    size: u64,
    align: u64,
}

/// A section.
#[derive(Clone, Copy, Debug)]
pub struct Section {
    name: [u8; SECTION_NAME],
    kind: u32,
    link: u32,
    /// Its address in memory, before the program is loaded anywhere.
    pub address: u64,
    /// Its bytes in the file; none where it has none (`SHT_NOBITS`).
    pub range: Option<Range>,
}

/// An executable: its header and segments.
pub struct Elf<'a> {
    reader: Reader<'a>,
    header: [u8; header::SIZE],
    machine: u16,
    code: Vec<Segment>,
    storage: Option<Storage>,
}

impl<'a> Elf<'a> {
    /// Reads the header and the program headers.
    ///
    /// # Errors
    /// When it is not an executable of this machine, damaged, or has too many segments.
    pub fn parse(source: &'a dyn Source) -> Result<Self, ElfError> {
        let reader = Reader::new(source);
        let header: [u8; header::SIZE] = reader.array(0)?;
        if !header.starts_with(&header::MAGIC) || header[4..6] != header::IDENT {
            return Err(ElfError::Malformed("its header"));
        }
        let machine = u16_at(&header, header::MACHINE);
        if machine != (if cfg!(target_arch = "aarch64") { EM_AARCH64 } else { EM_X86_64 }) {
            return Err(ElfError::Machine(machine));
        }
        let mut elf = Self { reader, header, machine, code: Vec::new(), storage: None };
        elf.read_segments()?;
        Ok(elf)
    }

    fn read_segments(&mut self) -> Result<(), ElfError> {
        let count = u16_at(&self.header, header::PHNUM);
        if count == 0 {
            return Ok(());
        }
        if u16_at(&self.header, header::PHENTSIZE) != program_header::SIZE {
            return Err(ElfError::Malformed("the size of its program headers"));
        }
        if count > PROGRAM_HEADERS {
            return Err(ElfError::Budget("more than 128 program headers"));
        }
        let mut table = vec![0; usize::from(count) * usize::from(program_header::SIZE)];
        self.reader.fill(u64_at(&self.header, header::PHOFF), &mut table)?;
        for entry in table.chunks_exact(program_header::SIZE.into()) {
            let (kind, flags) = (u32_at(entry, 0), u32_at(entry, 4));
            let range = Range { offset: u64_at(entry, 8), len: u64_at(entry, 32) };
            let address = u64_at(entry, 16);
            if kind == program_header::PT_LOAD && flags & program_header::PF_X != 0 {
                self.code.push(Segment { range, address });
            } else if kind == program_header::PT_TLS && self.storage.is_none() {
                let (size, align) = (u64_at(entry, 40), u64_at(entry, 48));
                self.storage = Some(Storage { address, size, align });
            }
        }
        Ok(())
    }

    /// What reads the file.
    pub fn reader(&self) -> &Reader<'a> {
        &self.reader
    }

    /// The executable segments.
    pub fn code(&self) -> &[Segment] {
        &self.code
    }

    /// Where the code at an address is in the file, and up to `N` bytes of it: fewer at the end of
    /// its segment. None for an address outside the executable segments.
    ///
    /// # Errors
    /// When the file cannot be read there.
    pub fn code_at<const N: usize>(
        &self,
        address: u64,
    ) -> Result<Option<(u64, Vec<u8>)>, ElfError> {
        let place = self.code.iter().find_map(|segment| {
            let within = address.checked_sub(segment.address)?;
            let left = segment.range.len.checked_sub(within).filter(|&left| left > 0)?;
            Some((segment.range.offset.checked_add(within)?, left))
        });
        let Some((offset, left)) = place else { return Ok(None) };
        let mut bytes = vec![0; usize::try_from(left).map_or(N, |left| left.min(N))];
        self.reader.fill(offset, &mut bytes)?;
        Ok(Some((offset, bytes)))
    }

    /// The table of sections.
    ///
    /// # Errors
    /// When it is damaged, or too long.
    pub fn sections(&self) -> Result<Sections, ElfError> {
        let at = u64_at(&self.header, header::SHOFF);
        if at == 0 {
            return Ok(Sections(Vec::new()));
        }
        if u16_at(&self.header, header::SHENTSIZE) != section_header::SIZE {
            return Err(ElfError::Malformed("the size of its section headers"));
        }
        let size = u64::from(section_header::SIZE);
        let mut count = u64::from(u16_at(&self.header, header::SHNUM));
        if count == 0 {
            // Section 0 has the count that does not fit into the header, in `sh_size`.
            let first: [u8; section_header::SIZE as usize] = self.reader.array(at)?;
            count = u64_at(&first, 32);
        }
        if count > SECTIONS {
            return Err(ElfError::Budget("more than 4096 sections"));
        }
        let table = Range { offset: at, len: count * size };
        let mut headers = Window::new(&self.reader, table);
        let mut sections = Vec::new();
        let mut names = Vec::new();
        for index in 0..count {
            let Some(entry) = headers.array::<{ section_header::SIZE as usize }>(index * size)?
            else {
                return Err(ElfError::Malformed("its table of sections"));
            };
            let kind = u32_at(&entry, 4);
            let range = Range { offset: u64_at(&entry, 24), len: u64_at(&entry, 32) };
            names.push(u32_at(&entry, 0));
            sections.push(Section {
                name: [0; SECTION_NAME],
                kind,
                link: u32_at(&entry, 40),
                address: u64_at(&entry, 16),
                range: (kind != section_header::SHT_NOBITS).then_some(range),
            });
        }
        let table = usize::from(u16_at(&self.header, header::SHSTRNDX));
        if let Some(range) = sections.get(table).and_then(|table| table.range) {
            let mut text = Window::new(&self.reader, range);
            for (section, &name) in sections.iter_mut().zip(&names) {
                // A name that is cut is none that is looked for.
                let found = text.up_to(name.into(), SECTION_NAME)?;
                let end = found.iter().position(|&byte| byte == 0).unwrap_or(0);
                section.name[..end].copy_from_slice(&found[..end]);
            }
        }
        Ok(Sections(sections))
    }

    /// Where a thread has the address of its current goroutine, from its thread pointer (x86-64).
    ///
    /// A program that is linked by Go alone has it 8 bytes below: at the end of its thread-local
    /// storage, which holds nothing else, and which it often does not even declare. One with C
    /// inside may have other variables there, and then only the symbol tells; without it, nothing
    /// is known.
    ///
    /// # Errors
    /// When the table of symbols is damaged, or too long.
    pub fn thread_g(&self, sections: &Sections) -> Result<Option<i32>, ElfError> {
        if self.machine != EM_X86_64 {
            return Ok(None);
        }
        let Some(Storage { address, size, align }) = self.storage else { return Ok(Some(-8)) };
        let align = align.max(1);
        if !align.is_power_of_two() || align > 4096 || !address.is_multiple_of(align) {
            return Ok(None);
        }
        // The storage ends at the thread pointer, and begins so that it is aligned ("variant II" in
        // U. Drepper, ELF Handling For Thread-Local Storage, section 3.4.6).
        let begin = size.checked_next_multiple_of(align).and_then(|it| i64::try_from(it).ok());
        let Some(begin) = begin else { return Ok(None) };
        if size == 8 && begin == 8 {
            return Ok(Some(-8));
        }
        let symbol = self.symbol(sections, "runtime.tlsg")?;
        Ok(symbol
            .and_then(|at| i64::try_from(at).ok()?.checked_sub(begin))
            .and_then(|at| i32::try_from(at).ok())
            .filter(|&at| at < 0))
    }

    /// The value of a symbol, if there is a table of them: of its first definition.
    ///
    /// # Errors
    /// When the table is damaged, or too long.
    pub fn symbol(&self, sections: &Sections, name: &str) -> Result<Option<u64>, ElfError> {
        let Sections(all) = sections;
        let Some(table) = all.iter().find(|it| it.kind == section_header::SHT_SYMTAB) else {
            return Ok(None);
        };
        let names = all.get(table.link as usize).and_then(|names| names.range);
        let (Some(symbols), Some(names)) = (table.range, names) else { return Ok(None) };
        let places = self.reader.find_strings(names, &[name], NAMESAKES)?;
        if places.is_empty() {
            return Ok(None);
        }
        let mut window = Window::new(&self.reader, symbols);
        for index in 0..symbols.len / SYMBOL {
            self.reader.step(SYMBOL_STEPS)?;
            let Some(symbol) = window.array::<{ SYMBOL as usize }>(index * SYMBOL)? else { break };
            let defined = u16_at(&symbol, 6) != 0;
            let name = u64::from(u32_at(&symbol, 0));
            if defined && places.iter().any(|&(_, place)| place == name) {
                return Ok(Some(u64_at(&symbol, 8)));
            }
        }
        Ok(None)
    }
}

/// The sections of a file.
pub struct Sections(Vec<Section>);

impl Sections {
    /// The section of this name, of at most 23 bytes; of two with one name, the first.
    pub fn named(&self, name: &str) -> Option<&Section> {
        let is = |section: &&Section| {
            section.name.strip_prefix(name.as_bytes()).is_some_and(|rest| rest.first() == Some(&0))
        };
        self.0.iter().find(is)
    }
}

/// A field of a header that is an array, at an offset that is within it.
fn field<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).copied().unwrap_or([0; N])
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(field(bytes, at))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(field(bytes, at))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(field(bytes, at))
}
