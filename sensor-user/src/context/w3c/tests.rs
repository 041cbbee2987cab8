//! Cases of the specification and of the W3C test suite (`test/test.py` of w3c/trace-context).

use super::*;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

fn accepted(value: &str) -> Option<(String, String, u8)> {
    let parent = traceparent(value.as_bytes()).ok()?;
    Some((parent.trace_id.to_string(), parent.parent_id.to_string(), parent.flags.0))
}

#[test]
fn the_examples_of_the_specification() {
    for flags in [1, 0] {
        let value = format!("00-{TRACE}-00f067aa0ba902b7-0{flags}");
        let expected = (TRACE.to_owned(), "00f067aa0ba902b7".to_owned(), flags);
        assert_eq!(accepted(&value), Some(expected));
    }
}

#[test]
fn versions() {
    let common = "12345678901234567890123456789012-1234567890123456-01";
    for value in [
        format!("cc-{common}"),
        format!("cc-{common}-what-the-future-will-be-like"),
        format!("01-{common}-"),
        format!("fe-{common}"),
    ] {
        assert!(accepted(&value).is_some(), "{value}");
    }
    for value in [
        format!("ff-{common}"),
        format!("cc-{common}.what-the-future-will-not-be-like"),
        format!("00-{common}-"),
        format!("00-{common}-what-the-future-will-be-like"),
        format!("0-{common}"),
        format!(".0-{common}"),
        format!("000-{common}"),
        format!("0000-{common}"),
        format!("CC-{common}"),
    ] {
        assert_eq!(accepted(&value), None, "{value}");
    }
    // Flags that a later version gives a meaning are not ours to pass on.
    let later = accepted("cc-12345678901234567890123456789012-1234567890123456-ff");
    assert_eq!(later.map(|(.., flags)| flags), Some(1));
}

#[test]
fn identifiers_and_flags() {
    for value in [
        "00-00000000000000000000000000000000-1234567890123456-01",
        "00-12345678901234567890123456789012-0000000000000000-01",
        "00-.2345678901234567890123456789012-1234567890123456-01",
        "00-1234567890123456789012345678901.-1234567890123456-01",
        "00-1234567890123456789012345678901-1234567890123456-01",
        "00-123456789012345678901234567890123-1234567890123456-01",
        "00-12345678901234567890123456789012-.234567890123456-01",
        "00-12345678901234567890123456789012-123456789012345.-01",
        "00-12345678901234567890123456789012-123456789012345-01",
        "00-12345678901234567890123456789012-12345678901234567-01",
        "00-ABCDEFABCDEFABCDEFABCDEFABCDEFAB-1234567890123456-01",
        "00-12345678901234567890123456789012-ABCDEFABCDEFABCD-01",
        "00-12345678901234567890123456789012-1234567890123456-.0",
        "00-12345678901234567890123456789012-1234567890123456-0.",
        "00-12345678901234567890123456789012-1234567890123456-1",
        "00-12345678901234567890123456789012-1234567890123456-001",
        "00-12345678901234567890123456789012_1234567890123456-01",
        "00-12345678901234567890123456789012-1234567890123456",
        "",
    ] {
        assert_eq!(accepted(value), None, "{value}");
    }
}

fn state(values: &[&str]) -> Result<Option<String>, Malformed> {
    let values: Vec<_> = values.iter().map(|value| Cow::Borrowed(value.as_bytes())).collect();
    tracestate(&values).map(|state| state.map(String::from))
}

#[test]
fn members_of_all_fields_in_order() {
    assert_eq!(
        state(&["rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"]).unwrap().unwrap(),
        "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"
    );
    assert_eq!(state(&["foo=1,bar=2", "rojo=1"]).unwrap().unwrap(), "foo=1,bar=2,rojo=1");
    assert_eq!(state(&["foo=1 \t , \t bar=2, \t baz=3"]).unwrap().unwrap(), "foo=1,bar=2,baz=3");
    assert_eq!(state(&["foo=1,,", "", "bar=2"]).unwrap().unwrap(), "foo=1,bar=2");
    assert_eq!(state(&["", " ,"]).unwrap(), None);
}

#[test]
fn keys_and_values() {
    let z = |n: usize, c: &str| c.repeat(n);
    for good in [
        "foo=1".to_owned(),
        "0tenant@sys=1".to_owned(),
        "a_-*/0=v".to_owned(),
        format!("{}=1", z(256, "z")),
        format!("{}@{}=1", z(241, "t"), z(14, "v")),
        format!("foo={}", z(256, "v")),
        "foo=a b~!\"".to_owned(),
    ] {
        assert!(state(&[&good]).is_ok(), "{good}");
    }
    for bad in [
        "foo".to_owned(),
        "foo=".to_owned(),
        "=1".to_owned(),
        "foo =1".to_owned(),
        "FOO=1".to_owned(),
        "foo.bar=1".to_owned(),
        "foo@=1,bar=2".to_owned(),
        "@foo=1,bar=2".to_owned(),
        "foo@@bar=1,bar=2".to_owned(),
        "foo@bar@baz=1,bar=2".to_owned(),
        "0foo=1".to_owned(),
        "foo@0sys=1".to_owned(),
        "foo=bar=baz".to_owned(),
        "foo=b\u{e9}".to_owned(),
        "foo=a\tb".to_owned(),
        format!("{}=1", z(257, "z")),
        format!("{}@{}=1", z(242, "t"), "v"),
        format!("t@{}=1", z(15, "v")),
        format!("foo={}", z(257, "v")),
    ] {
        assert_eq!(state(&[&bad]), Err(Malformed), "{bad}");
    }
}

#[test]
fn bounds() {
    let members = |n: usize| (0..n).map(|i| format!("bar{i:02}=1")).collect::<Vec<_>>().join(",");
    assert_eq!(state(&[&members(32)]).unwrap().unwrap(), members(32));
    assert_eq!(state(&[&members(33)]), Err(Malformed));
    assert_eq!(state(&[&members(17), &members(16)]), Err(Malformed));

    // 512 characters stay; one more, and the member of more than 128 goes first.
    let long = format!("a={}", "l".repeat(127));
    let short = |n: usize| format!("b={}", "s".repeat(n));
    let fits = [long.clone(), short(124), short(124), short(124), "c=3".to_owned()].join(",");
    assert_eq!(fits.len(), 129 + 3 * 126 + 3 + 4);
    let shortened = [short(124), short(124), short(124), "c=3".to_owned()].join(",");
    assert_eq!(state(&[&fits]).unwrap().unwrap(), shortened);
    let even = [short(126), short(126), short(126), short(125)].join(",");
    assert_eq!(even.len(), 514);
    assert_eq!(state(&[&even]).unwrap().unwrap(), [short(126), short(126), short(126)].join(","));
}
