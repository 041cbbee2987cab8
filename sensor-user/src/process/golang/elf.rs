//! The little that is needed of ELF files.

use object::elf::{
    EM_AARCH64, EM_X86_64, FileHeader64, PF_X, PT_LOAD, PT_TLS, SHN_UNDEF, SHT_NOBITS, SHT_SYMTAB,
};
use object::read::elf::{FileHeader, ProgramHeader, SectionHeader, SectionTable, Sym};
use object::{Endianness, ReadRef};

/// Why an executable cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ElfError {
    /// It is no ELF file of 64 bits, or damaged.
    #[error("no ELF file of 64 bits, or a damaged one: {0}")]
    Malformed(#[from] object::read::Error),
    /// It is for another machine.
    #[error("for another machine (e_machine {0})")]
    Machine(u16),
}

type Header = FileHeader64<Endianness>;

/// An executable.
pub(super) struct Elf<'data, R: ReadRef<'data>> {
    data: R,
    endian: Endianness,
    header: &'data Header,
    sections: SectionTable<'data, Header, R>,
}

impl<'data, R: ReadRef<'data>> Elf<'data, R> {
    pub(super) fn parse(data: R) -> Result<Self, ElfError> {
        let header = Header::parse(data)?;
        let endian = header.endian()?;
        let machine = if cfg!(target_arch = "aarch64") { EM_AARCH64 } else { EM_X86_64 };
        if header.e_machine(endian) != machine {
            return Err(ElfError::Machine(header.e_machine(endian).0));
        }
        let sections = header.sections(endian, data)?;
        Ok(Self { data, endian, header, sections })
    }

    /// What a section holds. Of two with one name, the first.
    pub(super) fn section(&self, name: &str) -> Option<&'data [u8]> {
        let (_, section) = self.sections.section_by_name(self.endian, name.as_bytes())?;
        if section.sh_type(self.endian) == SHT_NOBITS {
            return None;
        }
        section.data(self.endian, self.data).ok()
    }

    /// Where a section's bytes are in the file, and how many.
    pub(super) fn section_range(&self, name: &str) -> Option<(u64, u64)> {
        let (_, section) = self.sections.section_by_name(self.endian, name.as_bytes())?;
        section.file_range(self.endian)
    }

    /// Where a section will be in memory.
    pub(super) fn section_address(&self, name: &str) -> Option<u64> {
        let (_, section) = self.sections.section_by_name(self.endian, name.as_bytes())?;
        Some(section.sh_addr(self.endian))
    }

    /// A part of the file.
    pub(super) fn read(&self, offset: u64, len: u64) -> Option<&'data [u8]> {
        self.data.read_bytes_at(offset, len).ok()
    }

    /// Where the code at an address is in the file, and its first bytes.
    pub(super) fn code(&self, address: u64, len: u64) -> Option<(u64, &'data [u8])> {
        let headers = self.header.program_headers(self.endian, self.data).ok()?;
        let segment = headers.iter().find(|segment| {
            let begin = segment.p_vaddr(self.endian);
            segment.p_type(self.endian) == PT_LOAD
                && segment.p_flags(self.endian).0 & PF_X.0 != 0
                && address >= begin
                && address - begin < segment.p_filesz(self.endian)
        })?;
        let within = address - segment.p_vaddr(self.endian);
        let offset = segment.p_offset(self.endian).checked_add(within)?;
        Some((offset, self.read(offset, len)?))
    }

    /// Where a thread has the address of its current goroutine, from its thread pointer (x86-64).
    ///
    /// A program that is linked by Go alone has it 8 bytes below: at the end of its thread-local storage,
    /// which holds nothing else, and which it often does not even declare. One with C inside may have other
    /// variables there, and then only the symbol tells; without it, nothing is known.
    pub(super) fn thread_g(&self) -> Option<i32> {
        if self.header.e_machine(self.endian) != EM_X86_64 {
            return None;
        }
        let headers = self.header.program_headers(self.endian, self.data).ok()?;
        let Some(storage) = headers.iter().find(|it| it.p_type(self.endian) == PT_TLS) else {
            return Some(-8);
        };
        let (size, align) = (storage.p_memsz(self.endian), storage.p_align(self.endian).max(1));
        if !align.is_power_of_two() || align > 4096 || storage.p_vaddr(self.endian) % align != 0 {
            return None;
        }
        // The storage ends at the thread pointer, and begins so that it is aligned ("variant II" in
        // U. Drepper, ELF Handling For Thread-Local Storage, section 3.4.6).
        let begin = i64::try_from(size.checked_next_multiple_of(align)?).ok()?;
        if size == 8 && begin == 8 {
            return Some(-8);
        }
        let at = i64::try_from(self.symbol("runtime.tlsg")?).ok()?;
        i32::try_from(at.checked_sub(begin)?).ok().filter(|&at| at < 0)
    }

    /// The value of a symbol, if there is a table of them.
    pub(super) fn symbol(&self, name: &str) -> Option<u64> {
        let table = self.sections.symbols(self.endian, self.data, SHT_SYMTAB).ok()?;
        let symbol = table.iter().find(|symbol| {
            symbol.st_shndx(self.endian) != SHN_UNDEF
                && symbol.name(self.endian, table.strings()) == Ok(name.as_bytes())
        })?;
        Some(symbol.st_value(self.endian))
    }
}
