//! An encoder that does whatever an encoder may do, as it is told. It keeps its table in its own way:
//! what it wrote is what the tests expect.

use std::collections::VecDeque;
use std::sync::LazyLock;

use super::super::huffman::LENGTHS;
use super::super::statics;
use super::Pair;

/// What happens to the table with a literal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Literal {
    Insert,
    Without,
    Never,
}

/// How a field is written.
#[derive(Clone, Copy, Debug)]
pub(super) struct How {
    /// As an index, where the tables have it.
    pub(super) whole: bool,
    /// With the name's index, where the tables have it; the newest of the dynamic table is preferred.
    pub(super) name: bool,
    /// Look at the dynamic table first.
    pub(super) dynamic: bool,
    pub(super) literal: Literal,
    pub(super) huffman: [bool; 2],
}

/// An encoder's end of a connection.
#[derive(Clone, Debug)]
pub(super) struct Encoder {
    /// The newest first.
    table: VecDeque<Pair>,
    size: usize,
    max: usize,
}

impl Encoder {
    pub(super) fn new() -> Self {
        Self { table: VecDeque::new(), size: 0, max: 4_096 }
    }

    pub(super) fn table(&self) -> Vec<Pair> {
        self.table.iter().cloned().collect()
    }

    pub(super) fn max(&self) -> usize {
        self.max
    }

    pub(super) fn resize(&mut self, max: usize, block: &mut Vec<u8>) {
        integer(block, 0x20, 5, max);
        self.max = max;
        self.shrink(max);
    }

    /// An index of the dynamic table, 1 for the newest.
    pub(super) fn reference(&self, nth: usize, block: &mut Vec<u8>) -> Pair {
        integer(block, 0x80, 7, 61 + nth);
        self.table[nth - 1].clone()
    }

    pub(super) fn field(&mut self, (name, value): &Pair, how: How, block: &mut Vec<u8>) {
        let whole = |pair: (&[u8], &[u8])| pair == (name, value);
        let named = |pair: (&[u8], &[u8])| pair.0 == name;
        if let Some(index) = self.find(how.dynamic, whole).filter(|_| how.whole) {
            return integer(block, 0x80, 7, index);
        }
        let index = self.find(how.dynamic, named).filter(|_| how.name).unwrap_or(0);
        match how.literal {
            Literal::Insert => integer(block, 0x40, 6, index),
            Literal::Without => integer(block, 0, 4, index),
            Literal::Never => integer(block, 0x10, 4, index),
        }
        if index == 0 {
            string(block, name, how.huffman[0]);
        }
        string(block, value, how.huffman[1]);
        if how.literal == Literal::Insert {
            let size = name.len() + value.len() + 32;
            self.shrink(self.max.saturating_sub(size));
            if size <= self.max {
                self.size += size;
                self.table.push_front((name.clone(), value.clone()));
            }
        }
    }

    fn find(&self, dynamic: bool, want: impl Fn((&[u8], &[u8])) -> bool) -> Option<usize> {
        let fixed = (1..=61).find(|&index| statics::get(index).is_some_and(|pair| want(*pair)));
        let fixed = fixed.map(|index| index as usize);
        let held = self.table.iter().position(|(name, value)| want((name, value)));
        let held = held.map(|place| place + 62);
        if dynamic { held.or(fixed) } else { fixed.or(held) }
    }

    fn shrink(&mut self, size: usize) {
        while self.size > size {
            let (name, value) = self.table.pop_back().unwrap();
            self.size -= name.len() + value.len() + 32;
        }
    }
}

pub(super) fn integer(block: &mut Vec<u8>, first: u8, prefix: u32, value: usize) {
    let most = (1 << prefix) - 1;
    if value < most {
        return block.push(first | value as u8);
    }
    block.push(first | most as u8);
    let mut rest = value - most;
    while rest >= 128 {
        block.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    block.push(rest as u8);
}

pub(super) fn string(block: &mut Vec<u8>, text: &[u8], coded: bool) {
    let coded = coded.then(|| huffman(text));
    integer(
        block,
        if coded.is_some() { 0x80 } else { 0 },
        7,
        coded.as_deref().unwrap_or(text).len(),
    );
    block.extend_from_slice(coded.as_deref().unwrap_or(text));
}

/// The Huffman code of a text, bit by bit.
pub(super) fn huffman(text: &[u8]) -> Vec<u8> {
    static CODES: LazyLock<Vec<(u32, u8)>> = LazyLock::new(codes);
    let mut bits: Vec<bool> = Vec::new();
    for &byte in text {
        let (code, len) = CODES[usize::from(byte)];
        bits.extend((0..len).rev().map(|bit| code >> bit & 1 == 1));
    }
    bits.resize(bits.len().next_multiple_of(8), true);
    bits.chunks(8).map(|byte| byte.iter().fold(0, |byte, &bit| byte << 1 | u8::from(bit))).collect()
}

fn codes() -> Vec<(u32, u8)> {
    let mut symbols: Vec<usize> = (0..LENGTHS.len()).collect();
    symbols.sort_by_key(|&symbol| (LENGTHS[symbol], symbol));
    let mut codes = vec![(0, 0); LENGTHS.len()];
    let (mut code, mut len) = (0_u32, LENGTHS[symbols[0]]);
    for symbol in symbols {
        code <<= LENGTHS[symbol] - len;
        len = LENGTHS[symbol];
        codes[symbol] = (code, len);
        code = code.wrapping_add(1);
    }
    codes
}
