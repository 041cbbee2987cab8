//! What is not HPACK, and what is too much.

use super::super::table::{KEPT_MAX, KEPT_UNSIZED};
use super::super::{MAX_BLOCK, MAX_LIST};
use super::encoder::{integer, string};
use super::{Block, Decoder, Error, all, hex, pairs};

/// `a: b`, to be inserted.
const INSERT_AB: &str = "40 0161 0162";

/// A literal to be inserted, of a name and value of so many bytes.
fn insert(name: usize, value: usize) -> Vec<u8> {
    let mut block = vec![0x40];
    string(&mut block, &vec![b'n'; name], false);
    string(&mut block, &vec![b'v'; value], false);
    block
}

fn resize(size: usize) -> Vec<u8> {
    let mut block = Vec::new();
    integer(&mut block, 0x20, 5, size);
    block
}

#[track_caller]
fn fails(decoder: &mut Decoder, block: &str, error: Error) {
    assert_eq!(all(decoder, &hex(block)).1, Err(error));
    // Nothing is known any more: index 62 may be anything.
    assert!(!decoder.is_complete());
    let unknown = Block { fields: 1, unknown: 1, ..Block::default() };
    assert_eq!(all(decoder, &hex("be")).1, Ok(unknown));
}

#[test]
fn indexes() {
    // Section 6.1: zero is an error.
    fails(&mut Decoder::new_complete(), "80", Error::Index(0));
    fails(&mut Decoder::joining(), "80", Error::Index(0));
    // Section 2.3.3: beyond both tables, as a field and as a name.
    fails(&mut Decoder::new_complete(), "be", Error::Index(62));
    fails(&mut Decoder::new_complete(), "7e 0162", Error::Index(62));
    let mut decoder = Decoder::new_complete();
    pairs(&mut decoder, &hex(INSERT_AB));
    assert_eq!(pairs(&mut decoder, &hex("be")), [(b"a".to_vec(), b"b".to_vec())]);
    fails(&mut decoder, "bf", Error::Index(63));
}

/// Where the size is known, so is how many entries there can be at most, and when there is nothing
/// older.
#[test]
fn indexes_after_joining() {
    // 128 bytes are at most four entries.
    let mut decoder = Decoder::joining();
    let (_, end) = all(&mut decoder, &[resize(128), hex("be bf c0 c1")].concat());
    assert_eq!(end, Ok(Block { fields: 4, unknown: 4, ..Block::default() }));
    fails(&mut decoder, "c2", Error::Index(66));

    let mut decoder = Decoder::joining();
    all(&mut decoder, &[resize(68), hex(INSERT_AB), hex(INSERT_AB)].concat()).1.unwrap();
    assert!(decoder.is_complete());
    fails(&mut decoder, "c0", Error::Index(64));

    let mut decoder = Decoder::joining();
    all(&mut decoder, &resize(0)).1.unwrap();
    assert!(decoder.is_complete());
    fails(&mut decoder, "be", Error::Index(62));

    // An entry larger than the table empties it (section 4.4).
    let mut decoder = Decoder::joining();
    all(&mut decoder, &[resize(200), insert(1, 200)].concat()).1.unwrap();
    assert!(decoder.is_complete());
    fails(&mut decoder, "be", Error::Index(62));
}

#[test]
fn ends_and_strings() {
    for block in
        ["40", "40 01", "40 0161", "40 0161 02 62", "00 7f", "ff", "ff 80", "3f", "41 82 64"]
    {
        fails(&mut Decoder::new_complete(), block, Error::Truncated);
    }
    fails(&mut Decoder::new_complete(), "ff ff ff ff ff ff 01", Error::Integer);
    fails(&mut Decoder::new_complete(), "00 7f ff ff ff ff 7f", Error::Integer);
    fails(&mut Decoder::new_complete(), "41 81 00", Error::Huffman);
    fails(&mut Decoder::new_complete(), "00 84 ff ff ff ff 0162", Error::Huffman);
}

/// A field that came whole is told, whatever comes after it; what it inserted is lost with the rest.
#[test]
fn until_the_error() {
    let mut decoder = Decoder::new_complete();
    let (told, end) = all(&mut decoder, &hex("82 40 0161 0162 40 0163"));
    assert_eq!(end, Err(Error::Truncated));
    assert_eq!(told.len(), 2);
    assert_eq!(told[1].name.as_deref(), Some(&b"a"[..]));
    assert_eq!(decoder.table.dump(), []);
}

#[test]
fn size_updates() {
    fails(&mut Decoder::new_complete(), "82 20", Error::LateSizeUpdate);
    fails(&mut Decoder::joining(), "40 0161 0162 20", Error::LateSizeUpdate);
    let mut decoder = Decoder::new_complete();
    decoder.set_max_size(256);
    assert_eq!(all(&mut decoder, &resize(256)).1, Ok(Block::default()));
    fails(&mut decoder, "3fe201", Error::TableSize { size: 257, max: 256 });
    // Down to evict, up again: two updates in a block (section 4.2).
    let mut decoder = Decoder::new_complete();
    pairs(&mut decoder, &hex(INSERT_AB));
    pairs(&mut decoder, &[resize(0), resize(4_096)].concat());
    fails(&mut decoder, "be", Error::Index(62));
    // As large as an integer can be: there is no more to keep for it.
    let mut decoder = Decoder::new_complete();
    all(&mut decoder, &resize(u32::MAX as usize)).1.unwrap();
    for _ in 0..20 {
        all(&mut decoder, &insert(1, 8_000)).1.unwrap();
        assert!(decoder.table.size() <= KEPT_MAX);
    }
    // The older ones are unknown, not errors.
    assert!(!decoder.is_complete());
    let (told, _) = all(&mut decoder, &hex("be c4 c5 ca"));
    let known: Vec<_> = told.iter().map(|told| told.value.is_some()).collect();
    assert_eq!(known, [true, true, true, false]);
}

/// An entry of more than is kept of a table is there, and unknown, and so are those before it.
#[test]
fn larger_than_kept() {
    let large = KEPT_MAX as usize + 1;
    for max in [large + 100, large * 10] {
        let mut decoder = Decoder::new_complete();
        let block = [resize(max), hex(INSERT_AB), insert(1, large), hex(INSERT_AB)].concat();
        assert_eq!(all(&mut decoder, &block).1.map(|block| block.fields), Ok(3));
        assert_eq!(all(&mut decoder, &hex("be bf")).1.map(|block| block.unknown), Ok(1));
    }
    let mut decoder = Decoder::joining();
    all(&mut decoder, &insert(1, KEPT_UNSIZED as usize)).1.unwrap();
    assert_eq!(all(&mut decoder, &hex("be")).1.map(|block| block.unknown), Ok(1));
    decoder.set_max_size(KEPT_MAX);
    all(&mut decoder, &insert(1, KEPT_UNSIZED as usize)).1.unwrap();
    assert_eq!(all(&mut decoder, &hex("be")).1.map(|block| block.unknown), Ok(0));
}

/// A large entry, and a byte for each time it is sent: told until it is too much, counted in all.
#[test]
fn bombs() {
    let mut decoder = Decoder::new_complete();
    pairs(&mut decoder, &insert(1_000, 3_000));
    let (told, end) = all(&mut decoder, &[0xbe; 60_000]);
    let expected = MAX_LIST / 4_032;
    assert_eq!(told.len(), expected as usize);
    let withheld = 60_000 - expected;
    assert_eq!(end, Ok(Block { fields: 60_000, withheld, ..Block::default() }));

    assert_eq!(all(&mut decoder, &vec![0x82; MAX_BLOCK]).1.map(|_| ()), Ok(()));
    assert_eq!(all(&mut decoder, &vec![0x82; MAX_BLOCK + 1]).1, Err(Error::BlockTooLong));
}

/// A name that is taken from the entry that goes for it (section 4.4).
#[test]
fn name_of_the_evicted() {
    let mut decoder = Decoder::new_complete();
    let mut right = Vec::new();
    pairs(&mut decoder, &[resize(1_000), insert(400, 100)].concat());
    for round in 0..50_u8 {
        // The index of the only entry there is room for.
        let mut block = hex("7e");
        string(&mut block, &[round; 400], false);
        right.push((vec![b'n'; 400], vec![round; 400]));
        assert_eq!(pairs(&mut decoder, &block), right[right.len() - 1..]);
        assert_eq!(decoder.table.dump(), right[right.len() - 1..]);
        assert!(decoder.table.allocated() <= 2_000);
    }
}
