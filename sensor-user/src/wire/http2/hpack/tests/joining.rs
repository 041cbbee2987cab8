//! Whatever an encoder does, and whichever blocks are not seen: what is told is right.

use proptest::prelude::*;

use super::super::table::{KEPT_MAX, KEPT_UNSIZED};
use super::encoder::{Encoder, How, Literal};
use super::{Decoder, Pair, Told, all, pair};

/// A block as the encoder writes it, and what of it is right.
#[derive(Debug)]
struct Written {
    block: Vec<u8>,
    fields: Vec<(Pair, bool)>,
    /// The encoder's table after it, and the most it may take.
    table: Vec<Pair>,
    max: usize,
}

/// What an encoder is told to write.
#[derive(Clone, Debug)]
struct Plan {
    sizes: Vec<usize>,
    fields: Vec<(Pair, How)>,
    lost: bool,
}

fn names() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        6 => "[a-c]".prop_map(String::into_bytes),
        2 => prop::sample::select(vec![":path", ":authority", "content-type", "traceparent", ""])
            .prop_map(|name| name.as_bytes().to_vec()),
        1 => (1_usize..6_000).prop_map(|len| vec![b'n'; len]),
    ]
}

fn values() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        6 => "[x-z]{0,2}".prop_map(String::into_bytes),
        2 => prop::collection::vec(any::<u8>(), 0..80),
        1 => (0_u8..4, 0_usize..9_000).prop_map(|(byte, len)| vec![byte + b'0'; len]),
    ]
}

fn how() -> impl Strategy<Value = How> {
    let literal = prop_oneof![
        5 => Just(Literal::Insert),
        1 => Just(Literal::Without),
        1 => Just(Literal::Never),
    ];
    (any::<[bool; 5]>(), literal).prop_map(|([whole, name, dynamic, a, b], literal)| How {
        whole,
        name,
        dynamic,
        literal,
        huffman: [a, b],
    })
}

fn plan() -> impl Strategy<Value = Plan> {
    let sizes = prop::sample::select(vec![0, 33, 64, 100, 300, 1_000, 4_096, 20_000, 100_000]);
    let sizes = prop_oneof![4 => Just(vec![]), 1 => prop::collection::vec(sizes, 1..3)];
    let fields = prop::collection::vec(((names(), values()), how()), 0..12);
    (sizes, fields, prop::bool::weighted(0.15)).prop_map(|(sizes, fields, lost)| Plan {
        sizes,
        fields,
        lost,
    })
}

fn write(encoder: &mut Encoder, plan: &Plan) -> Written {
    let mut block = Vec::new();
    for &size in &plan.sizes {
        encoder.resize(size, &mut block);
    }
    let mut fields = Vec::new();
    for (field, how) in &plan.fields {
        let before = block.len();
        encoder.field(field, *how, &mut block);
        fields.push((field.clone(), block[before] & 0xf0 == 0x10));
    }
    Written { block, fields, table: encoder.table(), max: encoder.max() }
}

/// Decodes a block, and checks that nothing that is told is wrong.
fn check(decoder: &mut Decoder, written: &Written) -> Vec<Told> {
    let (told, end) = all(decoder, &written.block);
    let block = end.unwrap();
    assert_eq!(told.len(), written.fields.len());
    assert_eq!(block.fields as usize, written.fields.len());
    let (mut unnamed, mut unknown) = (0, 0);
    for (told, ((name, value), sensitive)) in told.iter().zip(&written.fields) {
        assert!(told.name.as_ref().is_none_or(|told| told == name), "{told:?}");
        assert!(told.value.as_ref().is_none_or(|told| told == value), "{told:?}");
        assert_eq!(told.sensitive, *sensitive);
        assert!(told.value.is_some() || told.name.is_none());
        unnamed += u32::from(told.name.is_none() && told.value.is_some());
        unknown += u32::from(told.value.is_none());
    }
    assert_eq!((block.unnamed, block.unknown, block.withheld), (unnamed, unknown, 0));
    // All that the table has is bounded, and right: known entries are the encoder's newest ones, as
    // long as the encoder has them.
    let dump = decoder.table.dump();
    for ((name, value), right) in dump.iter().zip(&written.table) {
        assert!(value == &right.1 && (name.is_empty() || name == &right.0));
    }
    assert!(decoder.table.size() <= KEPT_MAX);
    assert!(decoder.table.allocated() <= 2 * KEPT_MAX as usize);
    told
}

/// Writes one more block: every entry of the table, by its index.
fn references(encoder: &Encoder) -> Written {
    let mut block = Vec::new();
    let table = encoder.table();
    let fields = (1..=table.len()).map(|nth| (encoder.reference(nth, &mut block), false)).collect();
    Written { block, fields, table, max: encoder.max() }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 96 } else { 4_096 }))]

    /// With all blocks, all is known, and the table is the encoder's.
    #[test]
    fn complete(plans in prop::collection::vec(plan(), 1..12)) {
        let (mut encoder, mut decoder) = (Encoder::new(), Decoder::new_complete());
        let mut exact = true;
        for plan in &plans {
            let written = write(&mut encoder, plan);
            let told = check(&mut decoder, &written);
            // What does not fit into what is kept of a table is unknown.
            exact &= written.max <= KEPT_MAX as usize;
            if exact {
                prop_assert!(told.iter().all(|told| told.name.is_some()));
                prop_assert_eq!(decoder.table.dump(), written.table);
                prop_assert!(decoder.is_complete());
            }
        }
    }

    /// From every block on: nothing is wrong; and what was inserted since then is known.
    #[test]
    fn joined(plans in prop::collection::vec(plan(), 1..12)) {
        let mut encoder = Encoder::new();
        let blocks: Vec<_> = plans.iter().map(|plan| write(&mut encoder, plan)).collect();
        for first in 0..blocks.len() {
            let mut decoder = Decoder::joining();
            for written in &blocks[first..] {
                check(&mut decoder, written);
            }
            check(&mut decoder, &references(&encoder));
            recover(&mut encoder.clone(), &mut decoder);
        }
    }

    /// With blocks that are lost, wherever: nothing is wrong.
    #[test]
    fn lossy(plans in prop::collection::vec(plan(), 1..24), joining: bool, cut: prop::sample::Index) {
        let mut encoder = Encoder::new();
        let mut decoder = if joining { Decoder::joining() } else { Decoder::new_complete() };
        for plan in &plans {
            let written = write(&mut encoder, plan);
            if !plan.lost {
                check(&mut decoder, &written);
                continue;
            }
            // Lost from some byte on: what came before that is right. Cut between two fields, it is
            // only the one who cut it that knows.
            let seen = &written.block[..cut.index(written.block.len() + 1)];
            let (told, _) = all(&mut decoder, seen);
            for (told, ((name, value), _)) in told.iter().zip(&written.fields) {
                prop_assert!(told.name.as_ref().is_none_or(|told| told == name));
                prop_assert!(told.value.as_ref().is_none_or(|told| told == value));
            }
            decoder.lose();
            prop_assert!(!decoder.is_complete());
        }
        recover(&mut encoder, &mut decoder);
    }

    /// Any bytes end in fields or an error, which forgets everything; and never in more memory.
    #[test]
    fn garbage(blocks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 1..20), joining: bool) {
        let mut decoder = if joining { Decoder::joining() } else { Decoder::new_complete() };
        for block in blocks {
            let (told, end) = all(&mut decoder, &block);
            match end {
                Ok(end) => assert_eq!(end.fields as usize, told.len()),
                Err(_) => {
                    assert_eq!(decoder.table.dump(), []);
                    assert!(!decoder.is_complete());
                }
            }
            prop_assert!(decoder.table.allocated() <= 2 * KEPT_MAX as usize);
        }
    }
}

/// Once everything in the encoder's table was inserted before the decoder's eyes, all is known again.
fn recover(encoder: &mut Encoder, decoder: &mut Decoder) {
    let max = encoder.max();
    if max > KEPT_UNSIZED as usize {
        return;
    }
    let how = How {
        whole: false,
        name: false,
        dynamic: false,
        literal: Literal::Insert,
        huffman: [true, false],
    };
    for round in 0..=max / 40 {
        let fields = vec![(pair(&format!("k{round:03}"), &format!("v{round:03}")), how)];
        check(decoder, &write(encoder, &Plan { sizes: vec![], fields, lost: false }));
    }
    let told = check(decoder, &references(encoder));
    assert!(told.iter().all(|told| told.name.is_some() && told.value.is_some()));
    // The size is all that may be missing, and the encoder may say it at any time.
    let plan = Plan { sizes: vec![max], fields: vec![], lost: false };
    check(decoder, &write(encoder, &plan));
    assert!(decoder.is_complete());
    assert_eq!(decoder.table.dump(), encoder.table());
}
