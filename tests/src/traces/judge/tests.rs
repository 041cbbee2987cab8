use super::super::{Cell, Context, PassOn, Pattern, Sent};
use super::{Judgement, Tally, Told};

const TRACE: &str = "trace";

fn sent(pass_on: PassOn, pattern: Pattern) -> Sent {
    Sent {
        marker: "m".to_owned(),
        cell: Cell { pass_on, at_once: 1, pattern },
        told: pass_on,
        context: Some(Context { trace_id: TRACE.to_owned(), span_id: "driver".to_owned() }),
    }
}

fn told(client: bool, path: &str, span: &str, parent: Option<&str>) -> Told {
    Told {
        client,
        path: path.to_owned(),
        trace: TRACE.to_owned(),
        span: span.to_owned(),
        parent: parent.map(str::to_owned),
        start: if client { 12 } else { 10 },
        end: if client { 18 } else { 20 },
        evidence: parent.filter(|_| client).map(|_| "thread".to_owned()),
        missing: None,
        links: Vec::new(),
    }
}

/// One request with one call, all of it right.
fn right() -> Vec<Told> {
    vec![
        told(false, "/work/one/m", "s", Some("driver")),
        told(true, "/leaf/m.1", "c", Some("s")),
        told(false, "/leaf/m.1", "l", Some("c")),
    ]
}

fn judged(change: impl FnOnce(&mut Vec<Told>)) -> (Tally, u64) {
    let mut told = right();
    change(&mut told);
    let judgement = Judgement::of_told(&[sent(PassOn::None, Pattern::One)], &told);
    assert_eq!(judgement.words.is_empty(), judgement.sum(|_| true).wrong == 0);
    (judgement.sum(|_| true), judgement.lost_spans)
}

#[test]
fn a_call_in_its_callers_span_is_right() {
    let (tally, lost) = judged(|_| {});
    assert_eq!(tally.right["thread"], 1);
    let found = (tally.calls, tally.right(), tally.paired, tally.whole, tally.wrong, lost);
    assert_eq!(found, (1, 1, 1, 1, 0, 0));
    assert_eq!(tally.share(), Some(100.0));
}

#[test]
fn no_parent_is_missing_where_one_could_contain_it() {
    let orphan = |told: &mut Vec<Told>| {
        told[1].parent = None;
        told[1].trace = "own".to_owned();
        told[1].missing = Some("several".to_owned());
        told[1].links = vec![(TRACE.to_owned(), "s".to_owned())];
        told[2].trace = "own".to_owned();
    };
    let (tally, _) = judged(orphan);
    assert_eq!(tally.missing["several"], 1);
    assert_eq!((tally.linked, tally.paired, tally.whole, tally.wrong), (1, 1, 0, 0));
    let (tally, _) = judged(|told| {
        orphan(told);
        told[1].end = 21;
    });
    assert_eq!((tally.outlived, tally.missing(), tally.wrong), (1, 0, 0));
    assert_eq!(tally.share(), None);
}

#[test]
fn all_else_is_wrong() {
    let changes: [fn(&mut Vec<Told>); 9] = [
        |told| told[0].parent = None,
        |told| told[0].trace = "other".to_owned(),
        |told| told[1].parent = Some("other".to_owned()),
        |told| told[1].trace = "other".to_owned(),
        |told| told[1].end = 21,
        |told| told[1].start = 9,
        |told| told[2].parent = Some("other".to_owned()),
        |told| told[2].trace = "other".to_owned(),
        |told| told.push(told[1].clone()),
    ];
    for (number, change) in changes.into_iter().enumerate() {
        assert!(judged(change).0.wrong > 0, "change {number}");
    }
}

#[test]
fn what_has_no_span_is_lost() {
    for (gone, calls_lost) in [(0, 1), (1, 1), (2, 0)] {
        let (tally, lost) = judged(|told| {
            told.remove(gone);
        });
        assert_eq!((tally.lost, lost, tally.wrong, tally.whole), (calls_lost, 1, 0, 0));
    }
}

#[test]
fn a_context_that_is_passed_on_says_the_trace() {
    let other = |told: &mut Vec<Told>| {
        told[1].parent = None;
        told[1].trace = "own".to_owned();
        told[2].trace = "own".to_owned();
    };
    for (pass_on, wrong) in [(PassOn::None, 0), (PassOn::Forwarded, 1), (PassOn::Fresh, 1)] {
        let mut told = right();
        other(&mut told);
        let judgement = Judgement::of_told(&[sent(pass_on, Pattern::One)], &told);
        assert_eq!(judgement.sum(|_| true).wrong, wrong, "{pass_on}");
    }
    // The serving end may have the parent that was on the wire, where it was only forwarded.
    for (pass_on, wrong) in [(PassOn::Forwarded, 0), (PassOn::Fresh, 1)] {
        let mut told = right();
        told[2].parent = Some("driver".to_owned());
        let tally = Judgement::of_told(&[sent(pass_on, Pattern::One)], &told).sum(|_| true);
        assert_eq!((tally.wrong, tally.unpaired), (wrong, 1 - wrong), "{pass_on}");
    }
}

#[test]
fn a_request_without_a_context_has_no_parent() {
    let mut sent = sent(PassOn::None, Pattern::One);
    sent.context = None;
    let mut told = right();
    assert_eq!(Judgement::of_told(std::slice::from_ref(&sent), &told).sum(|_| true).wrong, 1);
    told[0].parent = None;
    assert_eq!(Judgement::of_told(&[sent], &told).sum(|_| true).wrong, 0);
}

#[test]
fn an_identifier_that_came_in_is_somebody_elses() {
    let (tally, _) = judged(|told| {
        told[1].span = "driver".to_owned();
        told[2].parent = Some("driver".to_owned());
    });
    assert_eq!((tally.reused, tally.wrong), (1, 0));
    assert_eq!(judged(|_| {}).0.reused, 0);
}
