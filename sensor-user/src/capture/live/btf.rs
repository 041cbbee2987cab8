//! A reader of BTF, the kernel's own description of its types
//! (<https://docs.kernel.org/bpf/btf.html>), as far as it takes to find where a field is.

use std::collections::{HashMap, HashSet};

/// Type information of a kernel.
pub struct Btf<'a> {
    types: Vec<Type<'a>>,
    structs: HashMap<&'a str, u32>,
    typedefs: HashSet<&'a str>,
}

/// What is wrong with type information.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum BtfError {
    /// It does not begin with the magic number in this machine's byte order.
    #[error("it is not BTF of this machine's byte order")]
    Magic,
    /// It ends, or points, where it should not.
    #[error("it is cut or damaged at byte {0}")]
    Damaged(usize),
}

/// Where a field is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// From the structure's beginning, in bits.
    pub bit_offset: u32,
    /// In bits, for a bit field.
    pub bits: Option<u32>,
}

enum Type<'a> {
    /// A structure or a union.
    Members(Vec<Member<'a>>),
    /// A typedef, or a qualifier of another type.
    Alias(u32),
    Other,
}

struct Member<'a> {
    name: &'a str,
    type_id: u32,
    bit_offset: u32,
    bits: Option<u32>,
}

const KIND_INT: u32 = 1;
const KIND_ARRAY: u32 = 3;
const KIND_STRUCT: u32 = 4;
const KIND_UNION: u32 = 5;
const KIND_ENUM: u32 = 6;
const KIND_TYPEDEF: u32 = 8;
const KIND_VOLATILE: u32 = 9;
const KIND_CONST: u32 = 10;
const KIND_RESTRICT: u32 = 11;
const KIND_FUNC_PROTO: u32 = 13;
const KIND_VAR: u32 = 14;
const KIND_DATASEC: u32 = 15;
const KIND_DECL_TAG: u32 = 17;
const KIND_TYPE_TAG: u32 = 18;
const KIND_ENUM64: u32 = 19;

/// Typedefs and qualifiers that are followed, and anonymous members that are searched: more means
/// a loop.
const DEPTH_MAX: u32 = 32;

/// A cursor over native-endian words.
struct Words<'a> {
    data: &'a [u8],
    at: usize,
}

impl Words<'_> {
    fn next(&mut self) -> Result<u32, BtfError> {
        let bytes = self
            .data
            .get(self.at..self.at + 4)
            .and_then(|bytes| bytes.try_into().ok())
            .ok_or(BtfError::Damaged(self.at))?;
        self.at += 4;
        Ok(u32::from_ne_bytes(bytes))
    }
}

impl<'a> Btf<'a> {
    /// Reads the contents of `/sys/kernel/btf/vmlinux`.
    ///
    /// # Errors
    /// When `data` is something else, or cut.
    pub fn parse(data: &'a [u8]) -> Result<Self, BtfError> {
        let magic = data.get(..2).ok_or(BtfError::Damaged(0))?;
        if magic != 0xeb9f_u16.to_ne_bytes() {
            return Err(BtfError::Magic);
        }
        let mut header = Words { data, at: 4 };
        let header_len = header.next()? as usize;
        let [type_off, type_len] = [header.next()? as usize, header.next()? as usize];
        let [str_off, str_len] = [header.next()? as usize, header.next()? as usize];
        let section = |offset: usize, len: usize| {
            let start = header_len.checked_add(offset)?;
            data.get(start..start.checked_add(len)?)
        };
        let strings = section(str_off, str_len).ok_or(BtfError::Damaged(data.len()))?;
        let types = section(type_off, type_len).ok_or(BtfError::Damaged(data.len()))?;
        let mut words = Words { data: types, at: 0 };
        // Type 0 is void.
        let mut btf =
            Self { types: vec![Type::Other], structs: HashMap::new(), typedefs: HashSet::new() };
        while words.at < types.len() {
            btf.read_type(&mut words, strings)?;
        }
        Ok(btf)
    }

    fn read_type(&mut self, words: &mut Words<'a>, strings: &'a [u8]) -> Result<(), BtfError> {
        let name = text(strings, words.next()?);
        let info = words.next()?;
        let size_or_type = words.next()?;
        let (kind, count, bit_fields) = (info >> 24 & 0x1f, info & 0xffff, info >> 31 != 0);
        let read = match kind {
            KIND_STRUCT | KIND_UNION => {
                let mut members = Vec::with_capacity(count as usize);
                for _ in 0..count {
                    let name = text(strings, words.next()?);
                    let type_id = words.next()?;
                    let offset = words.next()?;
                    // With the flag, the top byte is a bit field's size.
                    let (bit_offset, bits) = if bit_fields {
                        (offset & 0x00ff_ffff, (offset >> 24 != 0).then_some(offset >> 24))
                    } else {
                        (offset, None)
                    };
                    members.push(Member { name, type_id, bit_offset, bits });
                }
                if kind == KIND_STRUCT && !name.is_empty() {
                    let id = u32::try_from(self.types.len()).unwrap_or(u32::MAX);
                    self.structs.entry(name).or_insert(id);
                }
                Type::Members(members)
            }
            KIND_TYPEDEF | KIND_VOLATILE | KIND_CONST | KIND_RESTRICT | KIND_TYPE_TAG => {
                if kind == KIND_TYPEDEF {
                    self.typedefs.insert(name);
                }
                Type::Alias(size_or_type)
            }
            _ => {
                words.at += 4 * match kind {
                    KIND_INT | KIND_VAR | KIND_DECL_TAG => 1,
                    KIND_ARRAY => 3,
                    KIND_ENUM | KIND_FUNC_PROTO => 2 * count as usize,
                    KIND_DATASEC | KIND_ENUM64 => 3 * count as usize,
                    _ => 0,
                };
                Type::Other
            }
        };
        self.types.push(read);
        Ok(())
    }

    /// Finds `path` (`member.member`) in the structure `name`; members of anonymous structures and
    /// unions count as the outer one's. `None` if the kernel has no such field.
    pub fn field(&self, name: &str, path: &str) -> Option<Field> {
        let mut type_id = *self.structs.get(name)?;
        let mut found = Field { bit_offset: 0, bits: None };
        for part in path.split('.') {
            let (offset, member) = self.member(type_id, part, 0)?;
            found = Field { bit_offset: found.bit_offset + offset, bits: member.bits };
            type_id = member.type_id;
        }
        Some(found)
    }

    /// Whether the kernel has the type `name` (`btf_trace_…` for a tracepoint).
    pub fn has_typedef(&self, name: &str) -> bool {
        self.typedefs.contains(name)
    }

    fn member(&self, type_id: u32, name: &str, depth: u32) -> Option<(u32, &Member<'a>)> {
        if depth > DEPTH_MAX {
            return None;
        }
        match self.types.get(type_id as usize)? {
            Type::Alias(target) => self.member(*target, name, depth + 1),
            Type::Members(members) => members.iter().find_map(|member| {
                if member.name == name {
                    Some((member.bit_offset, member))
                } else if member.name.is_empty() {
                    let (offset, found) = self.member(member.type_id, name, depth + 1)?;
                    Some((member.bit_offset + offset, found))
                } else {
                    None
                }
            }),
            Type::Other => None,
        }
    }
}

/// The string at `offset`, or an empty one where it is not text.
fn text(strings: &[u8], offset: u32) -> &str {
    let rest = strings.get(offset as usize..).unwrap_or_default();
    let end = rest.iter().position(|&byte| byte == 0).unwrap_or(rest.len());
    std::str::from_utf8(&rest[..end]).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `struct outer { u64 a; union { u32 b; struct { u16 c, d; }; }; u8 e:3, f:1; };` by hand.
    fn sample() -> Vec<u8> {
        let strings = b"\0outer\0a\0b\0c\0d\0e\0f\0int\0";
        let at = |name: &str| {
            let needle = format!("\0{name}\0");
            (strings.windows(needle.len()).position(|w| w == needle.as_bytes()).unwrap() + 1) as u32
        };
        let int = |words: &mut Vec<u32>| words.extend([at("int"), 1 << 24, 4, 32]);
        let mut types = Vec::new();
        int(&mut types); // 1
        types.extend([0, 4 << 24 | 2, 4, at("c"), 1, 0, at("d"), 1, 16]); // 2: anonymous struct
        types.extend([0, 5 << 24 | 2, 4, at("b"), 1, 0, 0, 2, 0]); // 3: anonymous union
        types.extend([at("outer"), 1 << 31 | 4 << 24 | 4, 16]); // 4
        types.extend([at("a"), 1, 0, 0, 3, 64, at("e"), 1, 3 << 24 | 96, at("f"), 1, 1 << 24 | 99]);
        let mut data = Vec::new();
        data.extend(0xeb9f_u16.to_ne_bytes());
        data.extend([1, 0]);
        let len = types.len() as u32 * 4;
        for word in [24, 0, len, len, strings.len() as u32].into_iter().chain(types) {
            data.extend(word.to_ne_bytes());
        }
        data.extend(strings);
        data
    }

    #[test]
    fn finds_fields_through_anonymous_members_and_bit_fields() {
        let data = sample();
        let btf = Btf::parse(&data).unwrap();
        let offset = |path| btf.field("outer", path).map(|field| (field.bit_offset, field.bits));
        assert_eq!(offset("a"), Some((0, None)));
        assert_eq!(offset("b"), Some((64, None)));
        assert_eq!(offset("d"), Some((80, None)));
        assert_eq!(offset("f"), Some((99, Some(1))));
        assert_eq!(offset("g"), None);
        assert_eq!(btf.field("inner", "a"), None);
    }

    #[test]
    fn every_prefix_is_an_error_or_a_smaller_whole() {
        let data = sample();
        for len in 0..data.len() {
            // No panic; most are errors, because the string section is cut.
            assert!(Btf::parse(&data[..len]).is_err(), "{len}");
        }
        assert_eq!(Btf::parse(&[0; 64]).err(), Some(BtfError::Magic));
    }
}
