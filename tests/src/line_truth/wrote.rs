//! What a service wrote, read from its log itself.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};

use super::Place;
use crate::traces::Sent;

/// A line: no other is the same.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Wrote {
    /// Of the request.
    pub(super) marker: String,
    pub(super) place: Place,
    /// Of the lines of that request, from 1.
    pub(super) number: u32,
}

/// What is said of lines in a text: `working on MARKER: PLACE.NUMBER`, whatever is around it.
pub(super) fn lines_in(text: &str) -> impl Iterator<Item = Wrote> + '_ {
    text.split("working on ").skip(1).filter_map(|rest| {
        let (marker, rest) = rest.split_once(": ")?;
        let (place, rest) = rest.split_once('.')?;
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let number = rest.get(..digits)?.parse().ok()?;
        Some(Wrote { marker: marker.to_owned(), place: Place::named(place)?, number })
    })
}

/// The lines of a log. Each is there once; of each request those from the first to the one before the answer are
/// there, and none of other requests.
///
/// # Errors
/// It is not so: the service does not do what it is for.
pub(super) fn all(log: &str, sent: &[Sent]) -> Result<Vec<Wrote>> {
    let all: Vec<_> = log.lines().flat_map(lines_in).collect();
    let mut requests: BTreeMap<&str, Vec<&Wrote>> = BTreeMap::new();
    for wrote in &all {
        requests.entry(&wrote.marker).or_default().push(wrote);
    }
    ensure!(requests.len() == sent.len(), "{} requests in the log", requests.len());
    for sent in sent {
        let mut of = requests.remove(&*sent.marker).unwrap_or_default();
        of.sort_by_key(|wrote| wrote.number);
        let numbers = of.iter().map(|wrote| wrote.number);
        ensure!(numbers.eq((1..).take(of.len())), "not once each: {of:?}");
        let at = |place: Place| of.iter().filter(|wrote| wrote.place == place).count();
        ensure!(at(Place::Begin) == 1 && at(Place::End) == 1, "not begun, or no end: {of:?}");
        let first = of.first().map(|wrote| wrote.place);
        ensure!(first == Some(Place::Begin), "something before the beginning: {of:?}");
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::{Place, Wrote, lines_in};

    #[test]
    fn lines_are_found_in_every_format() {
        let wrote = |number| Wrote { marker: "none-8-3".to_owned(), place: Place::Begin, number };
        for (text, numbers) in [
            ("2026/11/21 13:00:00 working on none-8-3: begin.1", &[1][..]),
            (r#"{"level":"INFO","msg":"working on none-8-3: begin.12"}"#, &[12]),
            ("working on none-8-3: begin.1\nworking on none-8-3: begin.2", &[1, 2]),
            ("working on none-8-3: nowhere.1", &[]),
            ("working on none-8-3", &[]),
            ("working on none-8-3: begin.x", &[]),
        ] {
            let expected: Vec<_> = numbers.iter().map(|number| wrote(*number)).collect();
            assert_eq!(lines_in(text).collect::<Vec<_>>(), expected, "{text}");
        }
    }
}
