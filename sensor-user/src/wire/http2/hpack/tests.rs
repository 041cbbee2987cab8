//! The decoder against RFC 7541's examples, the public stories, and an encoder that knows what it wrote.

mod encoder;
mod errors;
mod infer;
mod joining;
mod rfc7541;
mod stories;

use super::{Block, Decoder, Error, Field, Scratch};

/// Name and value.
type Pair = (Vec<u8>, Vec<u8>);

/// What came of a field, owned.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Told {
    name: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    sensitive: bool,
}

impl From<Field<'_>> for Told {
    fn from(field: Field<'_>) -> Self {
        let Field { name, value, sensitive } = field;
        Self { name: name.map(Into::into), value: value.map(Into::into), sensitive }
    }
}

/// What a block's fields are, and how it ended.
fn all(decoder: &mut Decoder, block: &[u8]) -> (Vec<Told>, Result<Block, Error>) {
    let mut fields = Vec::new();
    let end = decoder.decode(block, &mut Scratch::default(), |field| fields.push(field.into()));
    (fields, end)
}

/// The fields of a block of which all is known.
fn pairs(decoder: &mut Decoder, block: &[u8]) -> Vec<Pair> {
    let (fields, end) = all(decoder, block);
    let count = u32::try_from(fields.len()).unwrap();
    assert_eq!(end, Ok(Block { fields: count, ..Block::default() }));
    fields.into_iter().map(|field| (field.name.unwrap(), field.value.unwrap())).collect()
}

fn pair(name: &str, value: &str) -> Pair {
    (name.into(), value.into())
}

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<_> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}
