//! Whose trace contexts count.

use super::Problems;
use super::flags::CallerFlags;
use crate::trace::{Callers, ForeignTrace, NotANetwork};

pub(super) fn callers(flags: &CallerFlags, problems: &mut Problems) -> Callers {
    let CallerFlags { trusted_peer, foreign_trace } = flags;
    let network = |text: &String| {
        let parsed = text.trim().parse().map_err(|wrong: NotANetwork| wrong.to_string());
        problems.take("--trusted-peer", text, parsed)
    };
    let trusted = trusted_peer.iter().filter_map(network).collect();
    let foreign_trace = foreign_trace.as_deref().and_then(|text| {
        let parsed = match text {
            "keep" => Ok(ForeignTrace::Keep),
            "restart" => Ok(ForeignTrace::Restart),
            _ => Err("keep or restart".to_owned()),
        };
        problems.take("--foreign-trace", text, parsed)
    });
    Callers { trusted, foreign_trace: foreign_trace.unwrap_or_default() }
}
