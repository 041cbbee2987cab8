//! Says where two BPF objects differ.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use object::read::elf::ElfFile64;
use object::{Endianness, Object as _, ObjectSection as _};

/// One line per section that differs.
///
/// # Errors
/// One of them is not an ELF file.
pub(super) fn objects(old: &[u8], new: &[u8]) -> Result<Vec<String>> {
    let old = sections(old).context("the checked-in object")?;
    let new = sections(new).context("the rebuilt object")?;
    let mut lines = Vec::new();
    for (name, was) in &old {
        match new.get(name) {
            None => lines.push(format!("{name}: {} bytes, gone", was.len())),
            Some(is) if is != was => lines.push(difference(name, was, is)),
            Some(_) => {}
        }
    }
    for (name, is) in &new {
        if !old.contains_key(name) {
            lines.push(format!("{name}: {} bytes, new", is.len()));
        }
    }
    if lines.is_empty() {
        lines.push("the sections are the same; their order or the headers differ".to_owned());
    }
    Ok(lines)
}

fn difference(name: &str, was: &[u8], is: &[u8]) -> String {
    let same = was.iter().zip(is).take_while(|(was, is)| was == is).count();
    format!("{name}: {} -> {} bytes, different from offset {same:#x}", was.len(), is.len())
}

fn sections(object: &[u8]) -> Result<BTreeMap<String, Vec<u8>>> {
    let object = ElfFile64::<Endianness>::parse(object)?;
    let mut sections = BTreeMap::new();
    for section in object.sections() {
        sections.insert(section.name()?.to_owned(), section.data()?.to_owned());
    }
    Ok(sections)
}

#[cfg(test)]
mod tests {
    use super::difference;

    #[test]
    fn the_first_differing_byte_is_named() {
        assert_eq!(
            difference(".text", b"abcd", b"abXd"),
            ".text: 4 -> 4 bytes, different from offset 0x2"
        );
        assert_eq!(
            difference(".text", b"ab", b"abc"),
            ".text: 2 -> 3 bytes, different from offset 0x2"
        );
    }
}
