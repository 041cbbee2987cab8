use super::*;

const STRINGS: &[u8] = b"\0outer\0a\0b\0c\0d\0e\0f\0g\0h\0int\0word\0btf_trace_it\0";

fn at(name: &str) -> u32 {
    let needle = format!("\0{name}\0");
    let found = STRINGS.windows(needle.len()).position(|window| window == needle.as_bytes());
    u32::try_from(found.unwrap() + 1).unwrap()
}

fn with_types(types: &[u32]) -> Vec<u8> {
    let mut data = Vec::new();
    data.extend(0xeb9f_u16.to_ne_bytes());
    data.extend([1, 0]);
    let len = u32::try_from(types.len() * 4).unwrap();
    let strings = u32::try_from(STRINGS.len()).unwrap();
    for word in [24, 0, len, len, strings].into_iter().chain(types.iter().copied()) {
        data.extend(word.to_ne_bytes());
    }
    data.extend(STRINGS);
    data
}

/// By hand: `typedef int word; struct outer { int a; union { int b; struct { int c, d; }; }; int e:3,
/// f:1; const word g[5]; struct outer *h; }; typedef void (*btf_trace_it)(void *, struct outer *,
/// word, int[5]);`
fn sample() -> Vec<u8> {
    let mut types = vec![];
    types.extend([at("int"), 1 << 24, 4, 32]); // 1
    types.extend([0, 4 << 24 | 2, 4, at("c"), 1, 0, at("d"), 1, 16]); // 2: anonymous struct
    types.extend([0, 5 << 24 | 2, 4, at("b"), 1, 0, 0, 2, 0]); // 3: anonymous union
    types.extend([at("outer"), 1 << 31 | 4 << 24 | 6, 48]); // 4
    types.extend([at("a"), 1, 0, 0, 3, 64, at("e"), 1, 3 << 24 | 96, at("f"), 1, 1 << 24 | 99]);
    types.extend([at("g"), 7, 128, at("h"), 8, 320]);
    types.extend([at("word"), 8 << 24, 1]); // 5: typedef
    types.extend([0, 10 << 24, 5]); // 6: const
    types.extend([0, 3 << 24, 0, 6, 1, 5]); // 7: array
    types.extend([0, 2 << 24, 4]); // 8: pointer
    types.extend([0, 2 << 24, 0]); // 9: void pointer
    types.extend([0, 13 << 24 | 4, 0, 0, 9, 0, 8, 0, 6, 0, 7]); // 10: function
    types.extend([0, 2 << 24, 10]); // 11: pointer to it
    types.extend([at("btf_trace_it"), 8 << 24, 11]); // 12
    with_types(&types)
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
    assert_eq!(offset("x"), None);
    assert_eq!(btf.field("inner", "a"), None);
}

#[test]
fn sizes_are_of_what_names_stand_for() {
    let data = sample();
    let btf = Btf::parse(&data).unwrap();
    let size = |path| btf.field("outer", path).map(|field| (field.size, field.element)).unwrap();
    assert_eq!(size("a"), (Some(4), None));
    assert_eq!(size("g"), (Some(20), Some(4)));
    assert_eq!(size("h"), (Some(8), None));
}

#[test]
fn tracepoints_without_what_is_the_kernels_own() {
    let data = sample();
    let btf = Btf::parse(&data).unwrap();
    let wanted = vec![Argument::Pointer("outer"), Argument::Integer(4), Argument::Other];
    assert_eq!(btf.tracepoint("it"), Some(wanted));
    assert_eq!(btf.tracepoint("word"), None);
    assert!(btf.has_typedef("btf_trace_it") && !btf.has_typedef("btf_trace_other"));
}

#[test]
fn every_prefix_is_an_error_or_a_smaller_whole() {
    let data = sample();
    for len in 0..data.len() {
        // No panic; all are errors, because the string section is cut.
        assert!(Btf::parse(&data[..len]).is_err(), "{len}");
    }
    assert_eq!(Btf::parse(&[0; 64]).err(), Some(BtfError::Magic));
}

#[test]
fn types_that_point_anywhere() {
    // A typedef of itself, an array of itself, a structure within itself, and numbers that are
    // nobody's.
    let types = [
        [at("word"), 8 << 24, 1].as_slice(),
        &[0, 3 << 24, 0, 2, 1, 2],
        &[at("outer"), 4 << 24 | 3, 8, 0, 3, 0, at("a"), 2, 0, at("b"), 99, 0],
        &[at("btf_trace_it"), 8 << 24, 77],
    ]
    .concat();
    let data = with_types(&types);
    let btf = Btf::parse(&data).unwrap();
    assert_eq!(btf.field("outer", "x"), None);
    assert_eq!(btf.field("outer", "a").unwrap().size, None);
    assert_eq!(btf.field("outer", "b").unwrap().size, None);
    assert_eq!(btf.tracepoint("it"), None);
}

#[test]
fn a_kind_that_is_newer_than_this() {
    let data = with_types(&[0, 20 << 24, 0]);
    assert_eq!(Btf::parse(&data).err(), Some(BtfError::Kind(20)));
}

#[test]
fn members_that_end_behind_the_end() {
    let data = with_types(&[at("outer"), 4 << 24 | 2, 8, at("a"), 1, 0]);
    assert_eq!(Btf::parse(&data).err(), Some(BtfError::Damaged(0)));
}
