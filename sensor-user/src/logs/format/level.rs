//! Words and numbers for how severe a record is.
//!
//! Ranges by appendix B of the OpenTelemetry log data model, where it has the logger; else by what the logger's own
//! documentation compares its level with.

use crate::model::Severity;

/// The severity of a word that all loggers use in one way, in any case.
pub(super) fn word(text: &str) -> Option<Severity> {
    let mut lower = [0; 11];
    let bytes = text.as_bytes();
    let lower = lower.get_mut(..bytes.len())?;
    for (to, from) in lower.iter_mut().zip(bytes) {
        *to = from.to_ascii_lowercase();
    }
    Some(match &*lower {
        // zerolog: TRC; logrus: TRAC; .NET: trce; Serilog: VRB, its lowest; java.util.logging:
        // FINEST; winston: silly.
        b"trace" | b"trc" | b"trac" | b"trce" | b"vrb" | b"finest" | b"silly" => Severity::Trace,
        b"debug" | b"dbg" | b"debu" | b"verbose" | b"fine" | b"finer" | b"config" => {
            Severity::Debug
        }
        b"info" | b"inf" | b"information" | b"notice" | b"success" => Severity::Info,
        b"warn" | b"warning" | b"wrn" => Severity::Warn,
        // syslog's critical and alert are ERROR2 and ERROR3; SEVERE is java.util.logging's.
        b"error" | b"err" | b"erro" | b"eror" | b"severe" | b"crit" | b"alert" => Severity::Error,
        // Python's CRITICAL; Zap's DPANIC and PANIC, as its OpenTelemetry bridge has them.
        b"fatal" | b"ftl" | b"fata" | b"critical" | b"panic" | b"pnc" | b"pani" | b"dpanic"
        | b"emerg" | b"emergency" => Severity::Fatal,
        _ => return None,
    })
}

/// The severity of a field's value. Words and marks that mean a level nowhere but in such a field:
/// one letter, slog's `INFO+2`, Zap's `Level(-4)`, winston's `http`, Nest's and PostgreSQL's `LOG`,
/// .NET's `dbug`, PostgreSQL's `DEBUG2`.
pub(super) fn field(text: &str) -> Option<Severity> {
    word(text).or_else(|| letter(text)).or_else(|| {
        Some(match text {
            // winston's, between info and verbose; elsewhere it is a protocol.
            "http" | "dbug" | "D1" | "D2" | "D3" | "D4" | "D5" | "DEBUG1" | "DEBUG2" | "DEBUG3"
            | "DEBUG4" | "DEBUG5" => Severity::Debug,
            "log" | "LOG" => Severity::Info,
            _ => return zap(text).or_else(|| slog(text)),
        })
    })
}

/// Zap's levels without a name are `Level(-4)`, or `LEVEL(-4)` in capitals: -1 is debug, and logr's
/// V(4) is -4.
fn zap(text: &str) -> Option<Severity> {
    let number = text.strip_prefix("Level(").or_else(|| text.strip_prefix("LEVEL("))?;
    match number.strip_suffix(')')?.parse::<i8>().ok()? {
        ..0 => Some(Severity::Debug),
        // Each of 0 to 5 has a name.
        _ => None,
    }
}

/// slog writes a level that has no name as the one below it, and the distance. Its levels are
/// OpenTelemetry's, less 9.
fn slog(text: &str) -> Option<Severity> {
    let (name, by) = text.split_at(text.find(['+', '-'])?);
    if !by.get(1..)?.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let base = match name {
        "DEBUG" => -4,
        "INFO" => 0,
        "WARN" => 4,
        "ERROR" => 8,
        _ => return None,
    };
    Some(match by.parse::<i64>().ok()?.checked_add(base)? {
        ..-4 => Severity::Trace,
        -4..0 => Severity::Debug,
        0..4 => Severity::Info,
        4..8 => Severity::Warn,
        8..12 => Severity::Error,
        12.. => Severity::Fatal,
    })
}

/// One letter, as many loggers shorten their levels.
pub(super) fn letter(text: &str) -> Option<Severity> {
    Some(match text {
        "T" | "V" => Severity::Trace,
        "D" => Severity::Debug,
        "I" | "N" => Severity::Info,
        "W" => Severity::Warn,
        "E" => Severity::Error,
        "F" | "C" => Severity::Fatal,
        _ => return None,
    })
}

/// Whose numbers they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scale {
    /// pino and bunyan: 10 (trace) to 60 (fatal), as `level`.
    Pino,
    /// GELF: syslog's severities, 0 (emergency) to 7 (debug), as `level`.
    Syslog,
    /// Python: 10 (debug) to 50 (critical), as `levelno` or `level_number`.
    Python,
    /// Logback: 5000 (trace) to 40000 (error), as `level_value`.
    Logback,
    /// OpenTelemetry: 1 to 24, as `severity_number`.
    OpenTelemetry,
    /// funcr: logr's verbosity, 0 (info) and more, as `level`.
    Verbosity,
}

/// What a number says. pino and Python have levels of one's own between theirs.
pub(super) fn number(scale: Scale, number: i64) -> Option<Severity> {
    use Severity::{Debug, Error, Fatal, Info, Trace, Warn};
    Some(match (scale, number) {
        (Scale::Pino, 10..20) | (Scale::Python, 1..10) => Trace,
        (Scale::Pino, 20..30) | (Scale::Python, 10..20) => Debug,
        (Scale::Pino, 30..40) | (Scale::Python, 20..30) => Info,
        (Scale::Pino, 40..50) | (Scale::Python, 30..40) => Warn,
        (Scale::Pino, 50..60) | (Scale::Python, 40..50) => Error,
        (Scale::Pino, 60..=100) | (Scale::Python, 50..=100) => Fatal,
        (Scale::Logback, 5000) => Trace,
        (Scale::Syslog, 7) | (Scale::Logback, 10_000) => Debug,
        (Scale::Syslog, 5 | 6) | (Scale::Logback, 20_000) => Info,
        (Scale::Syslog, 4) | (Scale::Logback, 30_000) => Warn,
        (Scale::Syslog, 1..=3) | (Scale::Logback, 40_000) => Error,
        (Scale::Syslog, 0) => Fatal,
        (Scale::OpenTelemetry, 1..=4) => Trace,
        (Scale::OpenTelemetry, 5..=8) => Debug,
        (Scale::OpenTelemetry, 9..=12) => Info,
        (Scale::OpenTelemetry, 13..=16) => Warn,
        (Scale::OpenTelemetry, 17..=20) => Error,
        (Scale::OpenTelemetry, 21..=24) => Fatal,
        (Scale::Verbosity, 0) => Info,
        (Scale::Verbosity, 1..=9) => Debug,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words() {
        for (text, severity) in [
            ("TRACE", Some(Severity::Trace)),
            ("Debug", Some(Severity::Debug)),
            ("WARNING", Some(Severity::Warn)),
            ("ERRO", Some(Severity::Error)),
            ("CRITICAL", Some(Severity::Fatal)),
            ("emerg", Some(Severity::Fatal)),
            ("E", Some(Severity::Error)),
            ("INFO+2", Some(Severity::Info)),
            ("INFO-2", Some(Severity::Debug)),
            ("DEBUG-4", Some(Severity::Trace)),
            ("DEBUG+1", Some(Severity::Debug)),
            ("Level(-4)", Some(Severity::Debug)),
            ("LEVEL(-2)", Some(Severity::Debug)),
            ("Level(7)", None),
            ("Level()", None),
            ("LOG", Some(Severity::Info)),
            ("dbug", Some(Severity::Debug)),
            ("WARN+1", Some(Severity::Warn)),
            ("ERROR+4", Some(Severity::Fatal)),
            ("INFO+", None),
            ("INFO+99999999999999999999", None),
            ("order", None),
            ("informational!", None),
            ("", None),
        ] {
            assert_eq!(field(text), severity, "{text}");
        }
        assert_eq!(word("E"), None);
    }

    #[test]
    fn numbers() {
        for (scale, value, severity) in [
            (Scale::Pino, 30, Some(Severity::Info)),
            (Scale::Python, 30, Some(Severity::Warn)),
            (Scale::Pino, 10, Some(Severity::Trace)),
            (Scale::Verbosity, 0, Some(Severity::Info)),
            (Scale::Verbosity, 4, Some(Severity::Debug)),
            (Scale::Syslog, 3, Some(Severity::Error)),
            (Scale::Logback, 20_000, Some(Severity::Info)),
            (Scale::OpenTelemetry, 17, Some(Severity::Error)),
            (Scale::Pino, 3, None),
            (Scale::OpenTelemetry, 0, None),
            (Scale::OpenTelemetry, 25, None),
        ] {
            assert_eq!(number(scale, value), severity, "{scale:?} {value}");
        }
    }
}
