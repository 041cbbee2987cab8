//! RFC 7541 appendix C, byte for byte, with the dynamic table after each block, and appendix B.

use super::super::huffman;
use super::super::reader::Reader;
use super::{Decoder, Error, Pair, all, hex, pair, pairs};

/// A block, its fields, and the dynamic table after it with its size.
struct Example<'a> {
    block: &'a str,
    fields: &'a [(&'a str, &'a str)],
    table: &'a [(&'a str, &'a str)],
    size: u32,
}

#[track_caller]
fn check(decoder: &mut Decoder, example: &Example<'_>) {
    let owned = |pairs: &[(&str, &str)]| -> Vec<Pair> {
        pairs.iter().map(|(name, value)| pair(name, value)).collect()
    };
    assert_eq!(pairs(decoder, &hex(example.block)), owned(example.fields));
    assert_eq!(decoder.table.dump(), owned(example.table));
    assert_eq!(decoder.table.size(), example.size);
    assert!(decoder.is_complete());
}

/// C.1: integers.
#[test]
fn integers() {
    let integer = |bytes: &[u8], prefix| {
        let mut reader = Reader::new(bytes);
        let first = reader.byte().unwrap();
        reader.integer(first, prefix)
    };
    assert_eq!(integer(&[0b0000_1010], 5), Ok(10));
    assert_eq!(integer(&[0b0001_1111, 0b1001_1010, 0b0000_1010], 5), Ok(1337));
    assert_eq!(integer(&[0b0010_1010], 8), Ok(42));
    // Section 5.1: at the edge of the prefix, and where it ends.
    assert_eq!(integer(&[0b1111_1110], 5), Ok(30));
    assert_eq!(integer(&[0b1111_1111, 0], 5), Ok(31));
    assert_eq!(integer(&[0x1f], 5), Err(Error::Truncated));
    assert_eq!(integer(&[0x1f, 0x80], 5), Err(Error::Truncated));
    // 2^32 - 1, and one more; zeroes for nothing, as many as there may be, and one more.
    assert_eq!(integer(&[0x1f, 0xe0, 0xff, 0xff, 0xff, 0x0f], 5), Ok(u32::MAX));
    assert_eq!(integer(&[0x1f, 0xe1, 0xff, 0xff, 0xff, 0x0f], 5), Err(Error::Integer));
    assert_eq!(integer(&[0x1f, 0x80, 0x80, 0x80, 0x80, 0x00], 5), Ok(31));
    assert_eq!(integer(&[0x1f, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00], 5), Err(Error::Integer));
}

/// C.2: each representation.
#[test]
fn representations() {
    let fields = [("custom-key", "custom-header")];
    let example = Example {
        block: "400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572",
        fields: &fields,
        table: &fields,
        size: 55,
    };
    check(&mut Decoder::new_complete(), &example);

    let example = Example {
        block: "040c 2f73 616d 706c 652f 7061 7468",
        fields: &[(":path", "/sample/path")],
        table: &[],
        size: 0,
    };
    check(&mut Decoder::new_complete(), &example);

    let mut decoder = Decoder::new_complete();
    let (told, _) = all(&mut decoder, &hex("1008 7061 7373 776f 7264 0673 6563 7265 74"));
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].name.as_deref(), Some(&b"password"[..]));
    assert_eq!(told[0].value.as_deref(), Some(&b"secret"[..]));
    assert!(told[0].sensitive);
    assert_eq!(decoder.table.size(), 0);

    let example = Example { block: "82", fields: &[(":method", "GET")], table: &[], size: 0 };
    check(&mut Decoder::new_complete(), &example);
}

const AUTHORITY: (&str, &str) = (":authority", "www.example.com");
const NO_CACHE: (&str, &str) = ("cache-control", "no-cache");
const CUSTOM: (&str, &str) = ("custom-key", "custom-value");
const GET: (&str, &str) = (":method", "GET");
const HTTP: (&str, &str) = (":scheme", "http");
const HTTPS: (&str, &str) = (":scheme", "https");
const PATH: (&str, &str) = (":path", "/");
const INDEX: (&str, &str) = (":path", "/index.html");

fn requests(blocks: [&str; 3]) {
    let decoder = &mut Decoder::new_complete();
    let [first, second, third] = blocks;
    check(
        decoder,
        &Example {
            block: first,
            fields: &[GET, HTTP, PATH, AUTHORITY],
            table: &[AUTHORITY],
            size: 57,
        },
    );
    check(
        decoder,
        &Example {
            block: second,
            fields: &[GET, HTTP, PATH, AUTHORITY, NO_CACHE],
            table: &[NO_CACHE, AUTHORITY],
            size: 110,
        },
    );
    check(
        decoder,
        &Example {
            block: third,
            fields: &[GET, HTTPS, INDEX, AUTHORITY, CUSTOM],
            table: &[CUSTOM, NO_CACHE, AUTHORITY],
            size: 164,
        },
    );
}

/// C.3: requests without Huffman.
#[test]
fn plain_requests() {
    requests([
        "8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
        "8286 84be 5808 6e6f 2d63 6163 6865",
        "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
    ]);
}

/// C.4: requests with Huffman.
#[test]
fn huffman_requests() {
    requests([
        "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff",
        "8286 84be 5886 a8eb 1064 9cbf",
        "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
    ]);
}

const STATUS_302: (&str, &str) = (":status", "302");
const STATUS_307: (&str, &str) = (":status", "307");
const STATUS_200: (&str, &str) = (":status", "200");
const PRIVATE: (&str, &str) = ("cache-control", "private");
const DATE_21: (&str, &str) = ("date", "Mon, 21 Oct 2013 20:13:21 GMT");
const DATE_22: (&str, &str) = ("date", "Mon, 21 Oct 2013 20:13:22 GMT");
const LOCATION: (&str, &str) = ("location", "https://www.example.com");
const GZIP: (&str, &str) = ("content-encoding", "gzip");
const COOKIE: (&str, &str) =
    ("set-cookie", "foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1");

/// The examples set the size of 256 out of band, so that there is no size update in their blocks.
fn responses(blocks: [&str; 3]) {
    let decoder = &mut Decoder::new_complete();
    assert_eq!(pairs(decoder, &hex("3fe101")), []);
    let [first, second, third] = blocks;
    check(
        decoder,
        &Example {
            block: first,
            fields: &[STATUS_302, PRIVATE, DATE_21, LOCATION],
            table: &[LOCATION, DATE_21, PRIVATE, STATUS_302],
            size: 222,
        },
    );
    check(
        decoder,
        &Example {
            block: second,
            fields: &[STATUS_307, PRIVATE, DATE_21, LOCATION],
            table: &[STATUS_307, LOCATION, DATE_21, PRIVATE],
            size: 222,
        },
    );
    check(
        decoder,
        &Example {
            block: third,
            fields: &[STATUS_200, PRIVATE, DATE_22, LOCATION, GZIP, COOKIE],
            table: &[COOKIE, GZIP, DATE_22],
            size: 215,
        },
    );
}

/// C.5: responses without Huffman, and evictions.
#[test]
fn plain_responses() {
    responses([
        "4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133
         2032 303a 3133 3a32 3120 474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70
         6c65 2e63 6f6d",
        "4803 3330 37c1 c0bf",
        "88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d
         54c0 5a04 677a 6970 7738 666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049
         5541 5851 5745 4f49 553b 206d 6178 2d61 6765 3d33 3630 303b 2076 6572 7369 6f6e
         3d31",
    ]);
}

/// C.6: responses with Huffman, and evictions.
#[test]
fn huffman_responses() {
    responses([
        "4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6
         2d1b ff6e 919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3",
        "4883 640e ffc1 c0bf",
        "88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab
         77ad 94e7 821d d7f2 e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f
         9587 3160 65c0 03ed 4ee5 b106 3d50 07",
    ]);
}

/// Appendix B: every byte value, in order, as PyPI's hpack 4.2.0 encodes it.
const EVERY_BYTE: &str = "
    ffc7fffd8fffffe2fffffe3fffffe4fffffe5fffffe6fffffe7fffffe8ffffeafffffff3fffffa7fffffabffffff
    dfffffebfffffecfffffedfffffeefffffefffffff0ffffff1ffffff2fffffffbfffffcffffffd3fffffd7fffffd
    bfffffdffffffe3fffffe7fffffebfffffed4fe3f9ffaffcabf1febfafefe7fdfd2cbb00089969b71d79fb9f7fff
    20ffbff3ff50ddbd7f061c58f265cd9f469d5af66dddbf871e5f9cff7ff7fffc3ff9ffe45fff4719242cb34e6e9d
    68a6a3d7dac426defe3cfaf7fffbfe7ffbffdffffffcfffe6ffff4bfff9ffffa3fffd3ffff53fffd5ffffb3fffeb
    7fffdaffffb7ffff73fffeeffffdeffffebffffbfffffd9ffffdbfffebffffe0ffffeeffffc3ffff8bffff1ffffe
    4fffee7fffb1ffff97fffd9ffffcdffff9fffffbffffdafffeeffff4ffffb7fffee7fffe8ffffd3fffdeffffd5ff
    feeffffbdffffe1fffdfffff7fffff5ffffecffff07fff87fffe0ffff17fffedffff87ffff77fffeffffeaffff8b
    fffe3ffff93ffff87fffcbffff37ffff1fffff83ffffe1fffebfffe3ffff3fffff2ffffa3ffffd9fffff17ffffc7
    fffff27ffffdefffffbffffff2fffff8fffffb7fff97fff8fffffe6fffffc1fffff87ffffe7fffffc5ffffe5fffe
    4ffff2fffffd1fffff4ffffffefffffe3fffffc9fffff97fffb3ffffcffffb7fffcdffff4ffff9ffffd1ffffcfff
    feaffffafffffddffffeffffff4fffff5fffffabffffa7ffffd7fffff9bffffecfffffb7fffff3fffffe8fffffd3
    fffffabfffff5fffffff7ffffecfffffdbfffffbbfffff7ffffff0fffffbbf";

#[test]
fn every_symbol() {
    let every: Vec<u8> = (0..=255).collect();
    assert_eq!(decoded(&hex(EVERY_BYTE)), Some(every.clone()));
    assert_eq!(super::encoder::huffman(&every), hex(EVERY_BYTE));
    // Each alone, and at each place of the bits, with what comes before and after it.
    for symbol in every {
        for before in 0..24 {
            for after in 0..12 {
                let mut text = vec![b'a'; before];
                text.push(symbol);
                text.extend(vec![b'X'; after]);
                assert_eq!(decoded(&super::encoder::huffman(&text)), Some(text));
            }
        }
    }
}

fn decoded(encoded: &[u8]) -> Option<Vec<u8>> {
    let mut out = vec![0; huffman::room(encoded.len())];
    let len = huffman::decode(encoded, &mut out).ok()?;
    out.truncate(len);
    Some(out)
}

/// Section 5.2: padding is up to seven ones, and EOS is no symbol.
#[test]
fn padding() {
    assert_eq!(decoded(&[]), Some(vec![]));
    // "a" is 00011, and then three bits of padding.
    assert_eq!(decoded(&[0b0001_1111]), Some(b"a".to_vec()));
    for wrong in 0..7 {
        assert_eq!(decoded(&[0b0001_1000 | wrong]).filter(|text| text == b"a"), None);
    }
    // A whole byte of padding, and of nothing but padding; EOS; EOS after a symbol and before one.
    assert_eq!(decoded(&[0b0001_1111, 0xff]), None);
    assert_eq!(decoded(&[0xff]), None);
    assert_eq!(decoded(&[0xff; 4]), None);
    assert_eq!(decoded(&hex("1fffffffff")), None);
    assert_eq!(decoded(&hex("fffffffc63ffffffffffffffffffffffff")), None);
    // The same where many symbols came before: padding after 8 symbols of 5 bits, 0 to 7 bits.
    for len in 1..64 {
        let text = vec![b'a'; len];
        let mut encoded = super::encoder::huffman(&text);
        assert_eq!(decoded(&encoded), Some(text));
        encoded.push(0xff);
        assert_eq!(decoded(&encoded), None, "{len}");
    }
    // '0' is 00000: its last bits as padding.
    assert_eq!(decoded(&[0]), None);
}
