//! Takes DWARF out of the BPF object. The linker makes BTF from it and leaves it in, at four times
//! the size of everything the loader reads.

use anyhow::Result;
use object::build::elf::{Builder, SectionData};
use object::elf::SHT_STRTAB;

/// The object without `.debug_*` sections, their relocations and their symbols. Programs, maps,
/// `.BTF`, `.BTF.ext` and the symbol table stay.
///
/// # Errors
/// It is not an ELF file.
pub(super) fn debug_sections(linked: &[u8]) -> Result<Vec<u8>> {
    let mut object = Builder::read(linked)?;
    let mut has_section_names = false;
    for section in &mut object.sections {
        let name = section.name.as_slice();
        section.delete = [".debug_", ".rel.debug_", ".rela.debug_"]
            .iter()
            .any(|prefix| name.starts_with(prefix.as_bytes()));
        has_section_names |= matches!(section.data, SectionData::SectionString);
    }
    object.delete_orphans();
    // LLVM puts the names of sections and symbols into one table; the writer wants two.
    if !has_section_names {
        let section = object.sections.add();
        section.name = b".shstrtab"[..].into();
        section.sh_type = SHT_STRTAB;
        section.sh_addralign = 1;
        section.data = SectionData::SectionString;
    }
    let mut stripped = Vec::new();
    object.write(&mut stripped)?;
    Ok(stripped)
}
