//! HPACK against nghttp2's decoder: the same blocks give the same fields, or both refuse. And who
//! joins at any block, or loses any, is told nothing that is wrong.
//!
//! The first byte says what is lost, and every block has its length before it, in two bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sensor::wire::http2::hpack::{Decoder, Field, Scratch};

#[path = "../../tests/src/hpack/nghttp2.rs"]
#[allow(dead_code, reason = "the bench uses the rest of it")]
mod nghttp2;

/// Longest block: nghttp2 takes no string of more than 64 KiB, which this is decoded to at most.
const BLOCK_MAX: usize = 32 << 10;

/// Name, value, and whether it is never indexed.
type Told = (Vec<u8>, Vec<u8>, bool);

/// Decodes a block of which all is known, and gives the fields and whether that was all of it.
fn complete(decoder: &mut Decoder, scratch: &mut Scratch, block: &[u8]) -> (Vec<Told>, bool) {
    let mut told = Vec::new();
    let end = decoder.decode(block, scratch, |Field { name, value, sensitive }| {
        let (name, value) = (name.expect("all is known"), value.expect("all is known"));
        told.push((name.to_vec(), value.to_vec(), sensitive));
    });
    if let Ok(block) = end {
        assert_eq!(told.len() + block.withheld as usize, block.fields as usize);
        assert!(decoder.is_complete());
    } else {
        assert!(!decoder.is_complete());
    }
    (told, end.is_ok())
}

/// Decodes a block in the middle of a connection: what is known of it is right.
fn joined(decoder: &mut Decoder, scratch: &mut Scratch, block: &[u8], right: &[Told]) {
    let mut right = right.iter();
    let end = decoder.decode(block, scratch, |field| {
        let (name, value, sensitive) = right.next().expect("no more fields than there are");
        assert!(field.name.is_none_or(|told| told == name));
        assert!(field.value.is_none_or(|told| told == value));
        assert_eq!(field.sensitive, *sensitive);
    });
    let withheld = end.expect("a block that others can decode").withheld;
    assert_eq!(right.len(), withheld as usize);
}

fuzz_target!(|data: &[u8]| {
    let Some((&fate, mut rest)) = data.split_first() else { return };
    let mut reference = nghttp2::Inflater::new();
    let mut decoder = Decoder::new_complete();
    decoder.set_max_size(4_096);
    let mut scratch = Scratch::default();
    // One that joins at each block (as many as there are bits), and one with losses.
    let mut joining: Vec<Decoder> = Vec::new();
    let mut lossy = Decoder::new_complete();
    let mut number = 0_u32;
    while let Some((length, after)) = rest.split_first_chunk() {
        let length = usize::from(u16::from_be_bytes(*length)).min(after.len()).min(BLOCK_MAX);
        let (block, after) = after.split_at(length);
        rest = after;

        let mut right = Vec::new();
        let end = reference.decode(block, |name, value, sensitive| {
            right.push((name.to_vec(), value.to_vec(), sensitive));
        });
        let (told, whole) = complete(&mut decoder, &mut scratch, block);
        assert_eq!(whole, end.is_ok());
        assert!(told.len() <= right.len() && told == right[..told.len()]);
        // All but what is beyond the list's bound.
        let size = |told: &Told| told.0.len() + told.1.len() + 32;
        if right.iter().map(size).sum::<usize>() <= sensor::wire::http2::hpack::MAX_LIST as usize {
            assert_eq!(told.len(), right.len());
        }
        if !whole {
            return;
        }
        assert_eq!(decoder.entries() + 61, reference.entries());

        if joining.len() < 8 {
            joining.push(Decoder::joining());
        }
        for decoder in &mut joining {
            joined(decoder, &mut scratch, block, &right);
        }
        if fate >> (number % 8) & 1 == 1 {
            lossy.lose();
        } else {
            joined(&mut lossy, &mut scratch, block, &right);
        }
        number += 1;
    }
});
