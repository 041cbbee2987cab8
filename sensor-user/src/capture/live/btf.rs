//! A reader of BTF, the kernel's own description of its types
//! (<https://docs.kernel.org/bpf/btf.html>), as far as it takes to find where a field is, and what a
//! tracepoint passes.

use std::collections::HashMap;

/// Type information of a kernel. Types are read where they are when somebody asks for them: there are
/// more than a hundred thousand.
pub struct Btf<'a> {
    types: &'a [u8],
    strings: &'a [u8],
    /// Where each type begins, by its number. Type 0 is void, and not there.
    starts: Vec<u32>,
    structs: HashMap<&'a str, u32>,
    typedefs: HashMap<&'a str, u32>,
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
    /// How long such a type is cannot be told, so nothing behind it can be found.
    #[error("it has a type of kind {0}, which is newer than this sensor")]
    Kind(u32),
}

/// Where a field is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// From the structure's beginning, in bits.
    pub bit_offset: u32,
    /// In bits, for a bit field.
    pub bits: Option<u32>,
    /// Of its type, in bytes, if it has a size; of all elements of an array.
    pub size: Option<u32>,
    /// Of an element, in bytes, if it is an array.
    pub element: Option<u32>,
}

/// An argument of a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Argument<'a> {
    /// A pointer to a structure of this name.
    Pointer(&'a str),
    /// An integer of this many bytes.
    Integer(u32),
    /// Anything else.
    Other,
}

/// The beginning of a type, which all kinds share.
#[derive(Clone, Copy)]
struct Type {
    name: u32,
    kind: u32,
    count: u32,
    /// Members have the sizes of bit fields in them.
    bit_fields: bool,
    size_or_type: u32,
    /// Where what is peculiar to its kind begins.
    body: usize,
}

struct Member<'a> {
    name: &'a str,
    type_id: u32,
    bit_offset: u32,
    bits: Option<u32>,
}

const KIND_INT: u32 = 1;
const KIND_PTR: u32 = 2;
const KIND_ARRAY: u32 = 3;
const KIND_STRUCT: u32 = 4;
const KIND_UNION: u32 = 5;
const KIND_ENUM: u32 = 6;
const KIND_FWD: u32 = 7;
const KIND_TYPEDEF: u32 = 8;
const KIND_VOLATILE: u32 = 9;
const KIND_CONST: u32 = 10;
const KIND_RESTRICT: u32 = 11;
const KIND_FUNC: u32 = 12;
const KIND_FUNC_PROTO: u32 = 13;
const KIND_VAR: u32 = 14;
const KIND_DATASEC: u32 = 15;
const KIND_FLOAT: u32 = 16;
const KIND_DECL_TAG: u32 = 17;
const KIND_TYPE_TAG: u32 = 18;
const KIND_ENUM64: u32 = 19;

/// Typedefs and qualifiers that are followed, and anonymous members that are searched: more means
/// a loop.
const DEPTH_MAX: u32 = 32;

/// A native-endian word.
fn word(data: &[u8], at: usize) -> Result<u32, BtfError> {
    data.get(at..at.saturating_add(4))
        .and_then(|bytes| bytes.try_into().ok())
        .map(u32::from_ne_bytes)
        .ok_or(BtfError::Damaged(at))
}

impl<'a> Btf<'a> {
    /// Reads the contents of `/sys/kernel/btf/vmlinux`.
    ///
    /// # Errors
    /// When `data` is something else, cut, or newer than what is known here.
    pub fn parse(data: &'a [u8]) -> Result<Self, BtfError> {
        let magic = data.get(..2).ok_or(BtfError::Damaged(0))?;
        if magic != 0xeb9f_u16.to_ne_bytes() {
            return Err(BtfError::Magic);
        }
        let number = |index: usize| Ok(word(data, 4 + 4 * index)? as usize);
        let header_len = number(0)?;
        let section = |offset: usize, len: usize| {
            let start = header_len.checked_add(offset)?;
            data.get(start..start.checked_add(len)?)
        };
        let types = section(number(1)?, number(2)?).ok_or(BtfError::Damaged(data.len()))?;
        let strings = section(number(3)?, number(4)?).ok_or(BtfError::Damaged(data.len()))?;
        let mut btf = Self {
            types,
            strings,
            starts: vec![0],
            structs: HashMap::new(),
            typedefs: HashMap::new(),
        };
        let mut at = 0;
        while at < types.len() {
            at = btf.add(at)?;
        }
        Ok(btf)
    }

    /// Takes note of the type that begins at `at`; says where the next one does.
    fn add(&mut self, at: usize) -> Result<usize, BtfError> {
        let it = self.read(at)?;
        let words = match it.kind {
            KIND_PTR | KIND_FWD | KIND_TYPEDEF | KIND_VOLATILE | KIND_CONST | KIND_RESTRICT
            | KIND_FUNC | KIND_FLOAT | KIND_TYPE_TAG => 0,
            KIND_INT | KIND_VAR | KIND_DECL_TAG => 1,
            KIND_ARRAY => 3,
            KIND_ENUM | KIND_FUNC_PROTO => 2 * it.count as usize,
            KIND_STRUCT | KIND_UNION | KIND_DATASEC | KIND_ENUM64 => 3 * it.count as usize,
            kind => return Err(BtfError::Kind(kind)),
        };
        let end = it.body + 4 * words;
        if end > self.types.len() {
            return Err(BtfError::Damaged(at));
        }
        let id = u32::try_from(self.starts.len()).map_err(|_| BtfError::Damaged(at))?;
        self.starts.push(u32::try_from(at).map_err(|_| BtfError::Damaged(at))?);
        let name = self.text(it.name);
        match it.kind {
            KIND_STRUCT if !name.is_empty() => {
                self.structs.entry(name).or_insert(id);
            }
            KIND_TYPEDEF => {
                self.typedefs.entry(name).or_insert(id);
            }
            _ => {}
        }
        Ok(end)
    }

    fn read(&self, at: usize) -> Result<Type, BtfError> {
        let info = word(self.types, at + 4)?;
        Ok(Type {
            name: word(self.types, at)?,
            kind: info >> 24 & 0x1f,
            count: info & 0xffff,
            bit_fields: info >> 31 != 0,
            size_or_type: word(self.types, at + 8)?,
            body: at + 12,
        })
    }

    /// A type, but for typedefs and qualifiers: what they stand for. None for void.
    fn resolve(&self, mut id: u32) -> Option<Type> {
        for _ in 0..DEPTH_MAX {
            if id == 0 {
                return None;
            }
            let it = self.read(*self.starts.get(id as usize)? as usize).ok()?;
            match it.kind {
                KIND_TYPEDEF | KIND_VOLATILE | KIND_CONST | KIND_RESTRICT | KIND_TYPE_TAG => {
                    id = it.size_or_type;
                }
                _ => return Some(it),
            }
        }
        None
    }

    /// A word of what is peculiar to a type's kind.
    fn body(&self, it: Type, index: usize) -> Option<u32> {
        word(self.types, it.body + 4 * index).ok()
    }

    /// Of a type, in bytes; and of an element, if it is an array.
    fn size(&self, id: u32, depth: u32) -> (Option<u32>, Option<u32>) {
        let Some(it) = self.resolve(id) else { return (None, None) };
        match it.kind {
            KIND_INT | KIND_STRUCT | KIND_UNION | KIND_ENUM | KIND_ENUM64 | KIND_FLOAT => {
                (Some(it.size_or_type), None)
            }
            // Of this machine's: the programs run in this kernel.
            KIND_PTR => (u32::try_from(size_of::<usize>()).ok(), None),
            KIND_ARRAY if depth < DEPTH_MAX => {
                let element = self.body(it, 0).and_then(|id| self.size(id, depth + 1).0);
                let all = element.zip(self.body(it, 2)).and_then(|(a, b)| a.checked_mul(b));
                (all, element)
            }
            _ => (None, None),
        }
    }

    /// Finds `path` (`member.member`) in the structure `name`; members of anonymous structures and
    /// unions count as the outer one's. `None` if the kernel has no such field.
    pub fn field(&self, name: &str, path: &str) -> Option<Field> {
        let mut type_id = *self.structs.get(name)?;
        let mut found = Field { bit_offset: 0, bits: None, size: None, element: None };
        for part in path.split('.') {
            let (offset, member) = self.member(type_id, part, 0)?;
            found.bit_offset = found.bit_offset.checked_add(offset)?;
            found.bits = member.bits;
            type_id = member.type_id;
        }
        (found.size, found.element) = self.size(type_id, 0);
        Some(found)
    }

    fn member(&self, type_id: u32, name: &str, depth: u32) -> Option<(u32, Member<'a>)> {
        if depth > DEPTH_MAX {
            return None;
        }
        let it = self.resolve(type_id)?;
        if it.kind != KIND_STRUCT && it.kind != KIND_UNION {
            return None;
        }
        (0..it.count as usize).find_map(|index| {
            let offset = self.body(it, 3 * index + 2)?;
            // With the flag, the top byte is a bit field's size.
            let (bit_offset, bits) = if it.bit_fields {
                (offset & 0x00ff_ffff, (offset >> 24 != 0).then_some(offset >> 24))
            } else {
                (offset, None)
            };
            let member = Member {
                name: self.text(self.body(it, 3 * index)?),
                type_id: self.body(it, 3 * index + 1)?,
                bit_offset,
                bits,
            };
            if member.name == name {
                Some((bit_offset, member))
            } else if member.name.is_empty() {
                let (offset, found) = self.member(member.type_id, name, depth + 1)?;
                Some((member.bit_offset.checked_add(offset)?, found))
            } else {
                None
            }
        })
    }

    /// Whether the kernel has the type `name` (`btf_trace_…` for a tracepoint).
    pub fn has_typedef(&self, name: &str) -> bool {
        self.typedefs.contains_key(name)
    }

    /// What the tracepoint `name` passes to a program. `None` if the kernel has no such tracepoint.
    pub fn tracepoint(&self, name: &str) -> Option<Vec<Argument<'a>>> {
        // typedef void (*btf_trace_NAME)(void *, …), include/trace/bpf_probe.h
        let pointer = self.resolve(*self.typedefs.get(format!("btf_trace_{name}").as_str())?)?;
        let function = self.resolve(pointer.size_or_type)?;
        if pointer.kind != KIND_PTR || function.kind != KIND_FUNC_PROTO {
            return None;
        }
        let argument = |index| self.argument(self.body(function, 2 * index + 1)?);
        let arguments =
            (1..function.count as usize).map(|i| argument(i).unwrap_or(Argument::Other));
        Some(arguments.collect())
    }

    fn argument(&self, id: u32) -> Option<Argument<'a>> {
        let it = self.resolve(id)?;
        match it.kind {
            KIND_INT | KIND_ENUM | KIND_ENUM64 => Some(Argument::Integer(it.size_or_type)),
            KIND_PTR => {
                let target = self.resolve(it.size_or_type)?;
                (target.kind == KIND_STRUCT).then(|| Argument::Pointer(self.text(target.name)))
            }
            _ => None,
        }
    }

    /// The string at `offset`, or an empty one where it is not text.
    fn text(&self, offset: u32) -> &'a str {
        let rest = self.strings.get(offset as usize..).unwrap_or_default();
        let end = rest.iter().position(|&byte| byte == 0).unwrap_or(rest.len());
        std::str::from_utf8(&rest[..end]).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
