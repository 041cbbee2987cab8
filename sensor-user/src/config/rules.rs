//! Rules for spans and records of logs: what is dropped, sampled, limited, classified and redacted.

use super::flags::RuleFlags;
use super::{Env, Problems};
use crate::govern::expr::class;
use crate::govern::records::{self, Sample};
use crate::govern::redact::{self, Action, BuiltIn, Glob, Key, Rule, Target};
use crate::govern::{Expr, Pattern, Rate, Ratio};
use crate::model::Class;

/// Rules of one kind. Each is tried on every span or record.
const RULES_MAX: usize = 64;

const KEY: &str = "SENSOR_REDACT_KEY";
const KEY_DIGITS: &str = "32 hexadecimal digits, for example from `openssl rand -hex 16`";

/// All of them.
pub(super) struct Rules {
    pub(super) drop: Vec<Expr>,
    pub(super) records: records::Settings,
    pub(super) redact: redact::Settings,
}

pub(super) fn rules(flags: &RuleFlags, env: Env<'_>, problems: &mut Problems) -> Rules {
    let RuleFlags { drop, log_sample, log_rate, log_class, redact, redact_defaults, redact_email } =
        flags;
    let drop = each("--drop", drop, problems, expression);
    let samples = each("--log-sample", log_sample, problems, sample);
    let rate = log_rate.as_deref().and_then(|text| problems.take("--log-rate", text, rate(text)));
    let classes = each("--log-class", log_class, problems, class_rule);
    let redact = redaction(redact, redact_defaults.as_deref(), *redact_email, env, problems);
    Rules { drop, records: records::Settings { classes, samples, rate }, redact }
}

/// Reads all of them, and notes what is wrong with any.
fn each<T>(
    setting: &str,
    texts: &[String],
    problems: &mut Problems,
    read: impl Fn(&str) -> Result<T, String>,
) -> Vec<T> {
    if texts.len() > RULES_MAX {
        problems.push(setting, &format!("{} of them", texts.len()), format!("at most {RULES_MAX}"));
    }
    let read = |text: &String| problems.take(setting, text, read(text));
    texts.iter().take(RULES_MAX).filter_map(read).collect()
}

fn expression(text: &str) -> Result<Expr, String> {
    Expr::parse(text).map_err(|error| error.to_string())
}

/// `RATIO` or `EXPR=RATIO`.
fn sample(text: &str) -> Result<Sample, String> {
    let (of, ratio) = match text.rsplit_once('=') {
        Some((of, ratio)) => (Some(of), ratio),
        None => (None, text),
    };
    let ratio = ratio.trim().parse().ok().and_then(Ratio::new).ok_or(
        "a ratio from 0 to 1, for example 0.1, or an expression and a ratio, for example \
         'level = debug=0.1'",
    )?;
    Ok(Sample { of: of.map(expression).transpose()?, ratio })
}

/// `N`, `N/s`, `N/m:BURST`.
fn rate(text: &str) -> Result<Rate, String> {
    const EXPECTED: &str = "records in a second (/s, which may be left out), a minute (/m) or an hour (/h), and \
                            how many of them at once if that differs, for example 100/s:500";
    const SECOND: u64 = 1_000_000_000;
    let read = || {
        let (rate, burst) =
            text.split_once(':').map_or((text, None), |(rate, burst)| (rate, Some(burst)));
        let (count, unit) = rate.split_once('/').unwrap_or((rate, "s"));
        let period = match unit.trim() {
            "s" => SECOND,
            "m" => 60 * SECOND,
            "h" => 3600 * SECOND,
            _ => return None,
        };
        let count: f64 = count.trim().parse().ok()?;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "saturates; Rate says what is too much"
        )]
        let at_once = count.max(1.0) as u64;
        let burst = burst.map_or(Some(at_once), |burst| burst.trim().parse().ok())?;
        Rate::new(count, period, burst)
    };
    read().ok_or_else(|| EXPECTED.to_owned())
}

/// `CLASS: EXPR`.
fn class_rule(text: &str) -> Result<(Class, Expr), String> {
    let (name, expr) = text.split_once(':').unwrap_or((text, ""));
    let class = class(name.trim()).ok_or(
        "business, middleware or infrastructure, a colon and an expression, for example \
         'middleware: caller ~ ^gorm'",
    )?;
    Ok((class, expression(expr)?))
}

fn redaction(
    flags: &[String],
    defaults: Option<&str>,
    email: bool,
    env: Env<'_>,
    problems: &mut Problems,
) -> redact::Settings {
    const RULES: &str = "SENSOR_REDACT";
    const DEFAULTS: [&str; 2] = ["--redact-defaults", "SENSOR_REDACT_DEFAULTS"];
    let read = |name: &str| env(name).filter(|text| !text.trim().is_empty());
    let (setting, texts) = match read(RULES) {
        Some(text) if flags.is_empty() => {
            let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
            (RULES, lines.map(str::to_owned).collect())
        }
        _ => ("--redact", flags.to_vec()),
    };
    let mut rules = each(setting, &texts, problems, redact_rule);
    if email {
        let target = Target::BuiltIn(BuiltIn::Email);
        rules.push(Rule { target, action: Action::Mask });
    }
    let [flag, variable] = DEFAULTS;
    let defaults = match defaults {
        Some(text) => Some((flag, text.to_owned())),
        None => read(variable).map(|text| (variable, text.trim().to_owned())),
    };
    let defaults = defaults.and_then(|(setting, text)| {
        let parsed = match text.as_str() {
            "on" => Ok(true),
            "off" => Ok(false),
            _ => Err("on or off".to_owned()),
        };
        problems.take(setting, &text, parsed)
    });
    let key = read(KEY).and_then(|text| {
        let key = Key::parse(&text);
        if key.is_none() {
            // What it is must not be read over somebody's shoulder.
            let length = format!("{} characters", text.trim().chars().count());
            problems.push(KEY, &length, KEY_DIGITS);
        }
        key
    });
    let hash = texts.iter().find(|text| text.ends_with("=hash"));
    if let (Some(rule), None, None) = (hash, key, read(KEY)) {
        let expected = format!(
            "{KEY} to be set, to {KEY_DIGITS}; or SENSOR_REDACT_KEY_FILE, to a file with them that can be read"
        );
        problems.push(setting, rule, expected);
    }
    redact::Settings { defaults: defaults.unwrap_or(true), rules, key }
}

/// `name:GLOB=ACTION`, `pattern:REGEX=ACTION`, `KNOWN=ACTION`.
fn redact_rule(text: &str) -> Result<Rule, String> {
    let (what, action) = text.rsplit_once('=').unwrap_or((text, ""));
    let wrong = || {
        let known: Vec<_> = BuiltIn::ALL.iter().map(|rule| rule.name()).collect();
        format!(
            "name:GLOB=ACTION, pattern:REGEX=ACTION or KNOWN=ACTION, where ACTION is mask, hash, drop or keep, and KNOWN \
             one of {}",
            known.join(", ")
        )
    };
    let action = Action::named(action.trim()).ok_or_else(wrong)?;
    let target = if let Some(glob) = what.strip_prefix("name:") {
        let expected =
            "name: and a glob of at most 64 letters, digits, * and ?, for example name:*_pin=mask";
        Target::Name(Glob::new(glob.trim()).ok_or(expected)?)
    } else if let Some(pattern) = what.strip_prefix("pattern:") {
        if action == Action::Keep {
            return Err("mask, hash or drop for a pattern".to_owned());
        }
        let pattern = Pattern::new(pattern)
            .map_err(|why| format!("a regular expression after pattern: ({why})"))?;
        if pattern.is_match("") {
            return Err("a pattern that does not match the empty text".to_owned());
        }
        Target::Pattern(pattern)
    } else {
        Target::BuiltIn(BuiltIn::named(what.trim()).ok_or_else(wrong)?)
    };
    Ok(Rule { target, action })
}
