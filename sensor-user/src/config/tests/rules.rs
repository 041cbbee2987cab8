//! Rules for spans and records.

use super::*;
use crate::govern::records::Sample;
use crate::govern::redact::{Action, BuiltIn, Glob, Key, Rule, Target};
use crate::govern::{Expr, Pattern, Rate, records, redact};
use crate::model::Class;

const KEY: &str = "000102030405060708090a0b0c0d0e0f";

fn read(rules: RuleFlags, vars: &[(&str, &str)]) -> Result<Run, Vec<Problem>> {
    with_env(&RunFlags { rules, ..RunFlags::default() }, vars)
}

fn redacting(rules: &[&str]) -> RuleFlags {
    RuleFlags { redact: texts(rules), ..RuleFlags::default() }
}

#[test]
fn every_flag_means_something() {
    let flags = RuleFlags {
        drop: texts(&["url.path ~ ^/health", "level < info"]),
        log_sample: texts(&["level = debug=0.01", "0.5"]),
        log_rate: Some("100/s:500".into()),
        log_class: texts(&["middleware: caller ~ ^gorm: ", "business:has order"]),
        redact: texts(&[
            "name:*_pin=drop",
            "pattern:a=b=hash",
            "session=keep",
            "name:user.name=keep",
        ]),
        redact_defaults: Some("off".into()),
        redact_email: true,
    };
    let config = read(flags, &[("SENSOR_REDACT_KEY", &format!(" {KEY}\n"))]).unwrap();
    let expr = |text| Expr::parse(text).unwrap();
    let ratio = |ratio| Ratio::new(ratio).unwrap();
    let rule = |target, action| Rule { target, action };
    let expected = Govern {
        drop: vec![expr("url.path ~ ^/health"), expr("level < info")],
        records: records::Settings {
            samples: vec![
                Sample { of: Some(expr("level = debug")), ratio: ratio(0.01) },
                Sample { of: None, ratio: ratio(0.5) },
            ],
            rate: Rate::new(100.0, 1_000_000_000, 500),
            classes: vec![
                (Class::Middleware, expr("caller ~ ^gorm:")),
                (Class::Business, expr("has order")),
            ],
        },
        redact: redact::Settings {
            defaults: false,
            rules: vec![
                rule(Target::Name(Glob::new("*_pin").unwrap()), Action::Drop),
                rule(Target::Pattern(Pattern::new("a=b").unwrap()), Action::Hash),
                rule(Target::BuiltIn(BuiltIn::Session), Action::Keep),
                rule(Target::Name(Glob::new("user.name").unwrap()), Action::Keep),
                rule(Target::BuiltIn(BuiltIn::Email), Action::Mask),
            ],
            key: Key::parse(KEY),
        },
        ..Govern::default()
    };
    assert_eq!(config.govern, expected);
}

#[test]
fn a_replay_has_the_same_rules() {
    let rules = RuleFlags { drop: texts(&["level < info"]), ..redacting(&["session=keep"]) };
    let flags = ReplayFlags { rules: rules.clone(), ..ReplayFlags::default() };
    let replayed = replay(&flags, &no_env).unwrap().govern;
    assert_eq!(replayed, read(rules, &[]).unwrap().govern);
}

#[test]
fn rates() {
    const SECOND: u64 = 1_000_000_000;
    let rate = |text: &str| {
        let rules = RuleFlags { log_rate: Some(text.into()), ..RuleFlags::default() };
        read(rules, &[]).map(|config| config.govern.records.rate.unwrap())
    };
    for (text, count, period, burst) in [
        ("100", 100.0, SECOND, 100),
        ("100/s", 100.0, SECOND, 100),
        (" 100 / s : 7 ", 100.0, SECOND, 7),
        ("100:7", 100.0, SECOND, 7),
        ("6000/m", 6000.0, 60 * SECOND, 6000),
        ("1/h:2", 1.0, 3600 * SECOND, 2),
        ("0.5", 0.5, SECOND, 1),
    ] {
        assert_eq!(rate(text).unwrap(), Rate::new(count, period, burst).unwrap(), "{text}");
    }
    for wrong in
        ["", "0", "-1", "x", "1/d", "1/", "1:", "1:0", "1:x", "NaN", "inf", "1e99", "1/s/s"]
    {
        assert!(rate(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn variables_count_where_no_flag_does() {
    let vars = [("SENSOR_REDACT", "name:a=mask\n\n  jwt=drop "), ("SENSOR_REDACT_DEFAULTS", "off")];
    let redact = |rules| read(rules, &vars).unwrap().govern.redact;
    let set = redact(RuleFlags::default());
    assert_eq!((set.rules.len(), set.defaults), (2, false));
    let set = redact(RuleFlags { redact_defaults: Some("on".into()), ..redacting(&["ssn=keep"]) });
    assert_eq!((set.rules.len(), set.defaults), (1, true));
    let empty = [("SENSOR_REDACT", " "), ("SENSOR_REDACT_DEFAULTS", ""), ("SENSOR_REDACT_KEY", "")];
    assert_eq!(read(RuleFlags::default(), &empty).unwrap().govern, Govern::default());
    let vars = [("SENSOR_REDACT", "jwt=x"), ("SENSOR_REDACT_DEFAULTS", "no")];
    let said = lines(read(RuleFlags::default(), &vars));
    assert!(said[0].starts_with(r#"SENSOR_REDACT "jwt=x": expected name:GLOB=ACTION"#), "{said:?}");
    assert_eq!(said[1], r#"SENSOR_REDACT_DEFAULTS "no": expected on or off"#);
}

/// And the key is not told.
#[test]
fn hashes_need_a_key() {
    let said = lines(read(redacting(&["jwt=hash"]), &[]));
    let expected =
        r#"--redact "jwt=hash": expected SENSOR_REDACT_KEY to be set, to 32 hexadecimal digits"#;
    assert!(said.len() == 1 && said[0].starts_with(expected), "{said:?}");
    let said = lines(read(redacting(&["jwt=hash"]), &[("SENSOR_REDACT_KEY", "secret")]));
    let expected = "SENSOR_REDACT_KEY \"6 characters\": expected 32 hexadecimal digits, for example from \
                    `openssl rand -hex 16`";
    assert_eq!(said, [expected]);
    assert!(read(redacting(&["jwt=hash"]), &[("SENSOR_REDACT_KEY", KEY)]).is_ok());
    assert!(read(redacting(&["jwt=mask"]), &[]).is_ok());
}

#[test]
fn rules_that_cannot_be_used() {
    for (rule, expected) in [
        ("", "name:GLOB=ACTION"),
        ("name:x", "name:GLOB=ACTION"),
        ("name:x=hide", "name:GLOB=ACTION"),
        ("unheard=mask", "and KNOWN one of authorization, cookie, api_key"),
        ("name:=mask", "name: and a glob"),
        ("name:-_.=mask", "name: and a glob"),
        ("pattern:a=keep", "mask, hash or drop for a pattern"),
        ("pattern:=mask", "a pattern that does not match the empty text"),
        ("pattern:x*=mask", "a pattern that does not match the empty text"),
        ("pattern:(=mask", "a regular expression after pattern: (unclosed group)"),
    ] {
        let said = lines(read(redacting(&[rule]), &[]));
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(said[0].starts_with(&format!("--redact {rule:?}: expected ")), "{said:?}");
        assert!(said[0].contains(expected), "{said:?}");
    }
    for (sample, expected) in [
        ("", "a ratio from 0 to 1"),
        ("1.5", "a ratio from 0 to 1"),
        ("level = debug", "a ratio from 0 to 1"),
        ("level = loud=0.1", "a level (debug, info, warn, error or fatal) at column 9"),
        ("=0.1", "a field, `not`, `has` or `(` at column 1"),
    ] {
        let rules = RuleFlags { log_sample: texts(&[sample]), ..RuleFlags::default() };
        let said = lines(read(rules, &[]));
        assert!(said[0].contains(expected), "{said:?}");
    }
    let many: Vec<String> = (0..65).map(|n| format!("a = {n}")).collect();
    let said = lines(read(RuleFlags { drop: many, ..RuleFlags::default() }, &[]));
    assert_eq!(said, [r#"--drop "65 of them": expected at most 64"#]);
}
