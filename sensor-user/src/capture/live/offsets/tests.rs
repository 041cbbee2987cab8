use std::collections::BTreeSet;

use super::*;

#[test]
fn each_line_has_a_place_of_its_own() {
    let mut offsets = Offsets::NONE;
    let slots: BTreeSet<_> =
        FIELDS.iter().map(|relied| std::ptr::from_mut((relied.slot)(&mut offsets))).collect();
    assert_eq!(slots.len(), FIELDS.len());
    // And each place has a line.
    assert_eq!(slots.len() * size_of::<u32>(), size_of::<Offsets>());
}

#[test]
fn names_are_of_a_structure_and_a_path() {
    for relied in FIELDS {
        assert!(!relied.names.is_empty());
        for name in relied.names {
            assert_eq!(name.split(' ').count(), 2, "{name}");
        }
    }
}

fn field(bit_offset: u32, bits: Option<u32>, size: u32, element: Option<u32>) -> Field {
    Field { bit_offset, bits, size: Some(size), element }
}

/// `sk_protocol` was 8 bits of an integer until Linux 5.5, and is a u16 since
/// (include/net/sock.h): to read two bytes there would be wrong.
#[test]
fn a_field_of_another_shape_does_not_fit() {
    assert!(Bytes(2).fits(&field(4256, None, 2, None)));
    assert!(!Bytes(2).fits(&field(4256, Some(8), 4, None)));
    assert!(!Bytes(2).fits(&field(4256, None, 4, None)));
    // u64 regs[31]
    assert!(Bytes(8).fits(&field(0, None, 248, Some(8))));
    assert!(Number.fits(&field(960, None, 8, None)) && Number.fits(&field(960, None, 4, None)));
    assert!(!Number.fits(&field(960, None, 2, None)));
    let bit = field(4243, Some(1), 1, None);
    assert!(ByteOfBit.fits(&bit) && !ByteOfBit.fits(&field(4243, Some(2), 1, None)));
    assert_eq!((ByteOfBit.value(&bit), BitInByte.value(&bit)), (530, 3));
}

/// Where the tests run there is a kernel, and mostly it describes its types.
#[test]
fn the_running_kernel_has_what_is_needed() {
    let Ok(data) = std::fs::read(super::super::programs::VMLINUX) else { return };
    let btf = Btf::parse(&data).unwrap();
    let (_, missing) = resolve(&btf);
    let missing: Vec<_> = missing.iter().filter(|(need, _)| *need != Need::Neither).collect();
    assert!(missing.is_empty(), "{missing:?}");
    for tracepoint in TRACEPOINTS.iter().filter(|it| it.need == Need::Both) {
        assert_eq!(tracepoint.fits(&btf), Some(true), "{}", tracepoint.name);
    }
}
