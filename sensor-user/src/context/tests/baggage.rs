use super::*;
use crate::context::baggage::{baggage, uber};

fn settings(keys: &[&str]) -> Settings {
    let keys: Vec<String> = keys.iter().map(|&key| key.to_owned()).collect();
    Settings::new(None, &keys).unwrap()
}

fn kept(keys: &[&str], values: &[&str]) -> Result<Vec<String>, Malformed> {
    let pairs = baggage(values.iter().map(|value| value.as_bytes()), &settings(keys))?;
    Ok(pairs.into_iter().map(|(at, value)| format!("{}={value}", keys[at])).collect())
}

/// The examples of the specification (sections 3.2.1.3 and 3.4).
#[test]
fn the_examples() {
    let keys = ["key1", "key2", "key3", "userId", "serverNode", "isProduction", "SomeKey"];
    assert_eq!(
        kept(
            &keys,
            &[
                "key1=value1;property1;property2, key2 = value2, key3=value3; propertyKey=propertyValue"
            ]
        ),
        Ok(vec!["key1=value1".into(), "key2=value2".into(), "key3=value3".into()])
    );
    assert_eq!(
        kept(&keys, &["userId=Am%C3%A9lie,serverNode=DF%2028,isProduction=false"]),
        Ok(vec!["userId=Amélie".into(), "serverNode=DF 28".into(), "isProduction=false".into()])
    );
    assert_eq!(
        kept(&keys, &["userId=alice", "serverNode=DF%2028", "isProduction=false"]),
        Ok(vec!["userId=alice".into(), "serverNode=DF 28".into(), "isProduction=false".into()])
    );
    assert_eq!(
        kept(&keys, &["SomeKey=SomeValue;ValueProp=PropVal"]),
        Ok(vec!["SomeKey=SomeValue".into()])
    );
}

#[test]
fn only_what_is_asked_for_and_certain() {
    assert_eq!(kept(&[], &["a=1,b=2"]), Ok(vec![]));
    assert_eq!(kept(&["b"], &["a=1,b=2,B=3"]), Ok(vec!["b=2".into()]));
    // A key has one value.
    assert_eq!(kept(&["a"], &["a=1", "a=1"]), Ok(vec!["a=1".into()]));
    assert_eq!(kept(&["a"], &["a=1,a=2", "a=1"]), Ok(vec![]));
    // `%` that says nothing stays; what is no UTF-8 is replaced.
    assert_eq!(kept(&["a"], &["a=5%,"]), Err(Malformed));
    assert_eq!(kept(&["a"], &["a=5%"]), Ok(vec!["a=5%".into()]));
    assert_eq!(kept(&["a"], &["a=%zz%4"]), Ok(vec!["a=%zz%4".into()]));
    assert_eq!(kept(&["a"], &["a=%ff"]), Ok(vec!["a=\u{fffd}".into()]));
    assert_eq!(kept(&["a"], &["a="]), Ok(vec!["a=".into()]));
    assert_eq!(kept(&["a"], &["a=b=c"]), Ok(vec!["a=b=c".into()]));

    for bad in [
        "", "a", "=1", "a b=1", "a=1 2", "a=\"1\"", "a=1\\", "a=1,,b=2", "a=1;", "a=1;p q",
        "a=1;p=\"", "a=\u{e9}", "a@b=1", "a=1,b",
    ] {
        assert_eq!(kept(&["a"], &[bad]), Err(Malformed), "{bad:?}");
    }
    let members = |n: usize| vec!["b=1"; n].join(",");
    assert!(kept(&["a"], &[&members(64)]).is_ok());
    assert_eq!(kept(&["a"], &[&members(65)]), Err(Malformed));
    let long = format!("a={}", "x".repeat(8190));
    assert!(kept(&["b"], &[&long]).is_ok());
    assert_eq!(kept(&["b"], &[&long, "b=1"]), Err(Malformed));
}

#[test]
fn jaegers_is_a_field_for_each_key() {
    let settings = settings(&["User-Id", "tier"]);
    let name = |name: &str| settings.request(name.as_bytes());
    assert_eq!(name("uberctx-user-id"), Some(Name::UberBaggage(0)));
    assert_eq!(name("UberCtx-Tier"), Some(Name::UberBaggage(1)));
    for other in ["uberctx-", "uberctx-other", "uberctx", "tier", "uberctx_tier"] {
        assert_eq!(name(other), None);
    }
    let pair = |key, value: &'static str| (key, value.as_bytes());
    let read = |pairs: &[(usize, &'static [u8])]| uber(pairs.iter().copied());
    assert_eq!(
        read(&[pair(0, "a%20b"), pair(1, "x")]),
        Ok(vec![(0, "a b".to_owned()), (1, "x".to_owned())])
    );
    assert_eq!(read(&[pair(0, "1"), pair(0, "2")]), Ok(vec![]));
}
