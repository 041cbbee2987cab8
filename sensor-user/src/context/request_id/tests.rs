//! Identifiers of real proxies, frameworks and platforms, and what people and programs write where
//! they have none.

use super::*;

/// In the shapes that their makers document.
const EVIDENCE: &[(&str, &str)] = &[
    ("nginx, $request_id", "444535f9378a3dfa1b8604bc9e05a303"),
    ("Envoy and Istio", "0f3d2a1b-4c5d-9e7f-8091-a2b3c4d5e6f7"),
    ("Heroku and Rails", "01234567-89ab-4def-9123-f56789ab0de4"),
    ("UUID, version 7", "018f4e2a-7c3b-7d21-9a5e-3f1b2c4d5e60"),
    ("UUID in capitals, in braces", "{3F2504E0-4F89-41D3-9A0C-0305E82C3301}"),
    ("GitHub", "C5E2:3B2C:1A7B3C4:1D2E9F4:65A1B2C3"),
    ("AWS load balancer", "Root=1-65a8f3c2-3e1d0b7a4c6f9e82d5b07143"),
    ("AWS X-Ray", "1-5759e988-bd862e3fe1be46a994272793"),
    ("AWS S3", "4442587FB7D0A2F9"),
    ("Spring Cloud Sleuth, 64 bits", "5c224b1b0d9e4a17"),
    ("Micrometer Tracing", "803b448a0489f84084905d3093480352"),
    ("64 bits in 32 digits", "0000000000000000a3ce929d0e0e4736"),
    (".NET Activity, W3C", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"),
    (".NET Activity, hierarchical", "|7dd138b6-4b5e3f0f2a1c0d9e.1."),
    ("Cloudflare cf-ray", "7d1f2e3a4b5c6d7e-FRA"),
    ("Kong, uuid#counter", "3c6b0e2e-8d1f-4f0a-9c57-2f4f1f0f7a11#3"),
    ("Kong, X-Kong-Request-Id", "62e4711eab5d1b1d7c0dd02e3a4b7f19"),
    ("Google Cloud", "105445aa7843bc8bf206b12000100000/1;o=1"),
    ("HAProxy, the documented format", "7F000001:8296_7F00001E:1F90_4F7B0A69_0003:790E"),
    ("Fly.io: ULID and region", "01HKX3Y7Z8ARZ3NDEKTSV4RRFF-fra"),
    ("ULID", "01ARZ3NDEKTSV4RRFFQ69G5FAV"),
    ("KSUID", "2StGOYzzAFwXkCJdG4lOD7g1Vxs"),
    ("xid", "9m4e2mr0ui3e8a215n4g"),
    ("MongoDB ObjectId", "507f1f77bcf86cd799439011"),
    ("Phoenix", "FzzTXtyS3OWyZ20AAABk"),
    ("nanoid", "V1StGXR8_Z5jdHi6B-myT"),
    ("Vercel: a time and 48 random bits", "fra1::iad1::x7k2p-1700000000123-4f7b0a690c3e"),
    ("Twilio", "RQ7d1f2e3a4b5c6d7e8f90a1b2c3d4e5f6"),
    ("with a prefix", "req-0af7651916cd43dd8448eb211c80319c"),
];

/// No evidence, and why.
const NONE: &[(&str, &str)] = &[
    // A word for nothing.
    ("shorter than 64 bits", "None"),
    ("shorter than 64 bits", "null"),
    ("shorter than 64 bits", "nil"),
    ("shorter than 64 bits", "undefined"),
    ("shorter than 64 bits", "unknown"),
    ("shorter than 64 bits", "-"),
    ("shorter than 64 bits", "n/a"),
    ("shorter than 64 bits", "anonymous"),
    ("shorter than 64 bits", ""),
    ("a word", "undefinedundefinedundefined"),
    ("test", "test-0af7651916cd43dd8448eb211c80319c"),
    ("test", "TEST0af7651916cd43dd8448eb211c80319c"),
    // Patterns.
    ("all zero", "00000000-0000-0000-0000-000000000000"),
    ("all ones", "ffffffff-ffff-ffff-ffff-ffffffffffff"),
    ("one character", "0000000000000000"),
    ("one character", "aaaaaaaaaaaaaaaa"),
    ("two characters", "a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1"),
    ("a template", "xxxxxxxx-xxxx-4xxx-yxxx-xxxxxxxxxxxx"),
    ("counts up", "0123456789abcdef0123456789abcdef"),
    ("counts up", "12345678-1234-1234-1234-123456789abc"),
    ("words", "deadbeef-dead-beef-dead-beefdeadbeef"),
    // Counters and times.
    ("a padded counter", "00000000-0000-0000-0000-0000000003e9"),
    ("a padded counter", "0000000000a3ce92"),
    ("a padded counter", "a000000000000001"),
    ("a padded counter", "c0ffee00-0000-0000-0000-000000000001"),
    ("a word and a counter", "payments-0000000000000123"),
    ("a word and a counter", "healthcheck0000000000000042"),
    ("a word and a date", "decade-20240115123045123"),
    ("words and numbers", "payments2024order00000001"),
    ("a time", "1700000000123456789"),
    ("a time", "2024-01-15T12:30:45.123456789Z"),
    ("decimal", "17293822569102704640"),
    ("names", "checkout-service-v2-step3b-retry4"),
    // Real ones.
    (
        ".NET Kestrel: a start time and two counters; it names its own connection",
        "0HMVD9FGQ1A2B:00000001",
    ),
    ("Spring WebFlux: 32 bits and a counter", "5fa8b7c3-1"),
    ("Tomcat: a counter", "1f"),
    ("Kong, tracker: addresses, counters and a time", "127.0.0.1-8000-26-1-1-1700000000.123"),
    ("chi for Go: 60 bits of the process, and a counter", "host-1/6Wb4xTzqPN-000001"),
    ("Stripe: 14 characters", "req_8KxZ3mPq2Rt5Vw"),
    ("Akamai: 32 bits", "1b2c3d4e"),
    // Not an identifier at all.
    ("with spaces", "0af7651916cd43dd 8448eb211c80319c"),
    ("not ASCII", "0af7651916cd43dd8448eb211c80319cé"),
];

#[test]
fn what_is_evidence() {
    let all = EVIDENCE.iter().map(|it| (it, true)).chain(NONE.iter().map(|it| (it, false)));
    let wrong: Vec<_> = all.filter(|((_, id), is)| is_evidence(id.as_bytes()) != *is).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    let long = "0af7651916cd43dd8448eb211c80319c".repeat(5);
    assert!(is_evidence(&long.as_bytes()[..LONGEST]) && !is_evidence(long.as_bytes()));
}

/// SplitMix64: <https://prng.di.unimi.it/splitmix64.c>.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    fn text(&mut self, alphabet: &[u8], length: usize) -> String {
        let any = |random: &mut Self| {
            let at = random.next() % alphabet.len() as u64;
            char::from(alphabet[usize::try_from(at).unwrap()])
        };
        (0..length).map(|_| any(self)).collect()
    }
}

/// How many random identifiers of a shape are left out, in a million, at most.
#[test]
fn hardly_any_random_identifier_is_left_out() {
    const HEX: &[u8] = b"0123456789abcdef";
    const CROCKFORD: &[u8] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    const BASE_62: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    const URL: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_-";
    let mut random = Random(7);
    for (shape, alphabet, length, most) in [
        ("64 bits", HEX, 16, 3_000),
        ("UUID", HEX, 32, 100),
        ("ULID", CROCKFORD, 26, 5_000),
        ("xid", CROCKFORD, 20, 15_000),
        ("KSUID", BASE_62, 27, 12_000),
        ("base 62", BASE_62, 22, 30_000),
        // Half of them are in pieces.
        ("nanoid", URL, 21, 400_000),
    ] {
        let all = 100_000;
        let out = (0..all).filter(|_| !is_evidence(random.text(alphabet, length).as_bytes()));
        let share = out.count() * 1_000_000 / all;
        assert!(share <= most, "{shape}: {share} in a million");
        println!("{shape}: {share} in a million");
    }
}

#[test]
fn the_field_counts_too() {
    let of = |name| RequestId::new(name, b"0af7651916cd43dd8448eb211c80319c");
    assert_eq!(of("x-request-id"), of("x-request-id"));
    assert_ne!(of("x-request-id"), of("x-trace-id"));
}
