use std::sync::mpsc::{self, SyncSender};

use super::*;

const LIMITS: Limits = Limits { queue: 8, each: 4, patience: Duration::from_millis(50), stuck: 2 };

/// Longer than any look-up that is not stuck.
const LONG: Duration = Duration::from_secs(20);

/// A question with an immediate answer, or one that blocks until the other end is dropped.
enum Question {
    Now(u32),
    Held(Receiver<()>),
}

/// A look-up that blocks until the first value is dropped.
fn held() -> (SyncSender<()>, Question) {
    let (hold, held) = mpsc::sync_channel(0);
    (hold, Question::Held(held))
}

fn looker(limits: Limits) -> Looker<u32, Question, u32> {
    Looker::new("test", limits, || {
        |_: &u32, question: Question| match question {
            Question::Now(number) => number,
            Question::Held(held) => {
                let _ = held.recv();
                u32::MAX
            }
        }
    })
}

fn next(looker: &Looker<u32, Question, u32>) -> (u32, u32) {
    looker.wait(Instant::now() + LONG).expect("an answer")
}

/// Waits until a look-up has begun.
fn wait_until_busy(looker: &Looker<u32, Question, u32>) {
    let deadline = Instant::now() + LONG;
    while looker.shared.lock().busy.is_none() {
        assert!(Instant::now() < deadline);
        thread::yield_now();
    }
}

/// A time by which every look-up is late.
fn later() -> Instant {
    Instant::now() + LONG
}

#[test]
fn keys_take_turns_and_each_keeps_its_order() {
    let looker = looker(LIMITS);
    let (hold, question) = held();
    looker.ask(0, question).unwrap();
    wait_until_busy(&looker);
    for (key, number) in [(1, 10), (1, 11), (1, 12), (2, 20), (3, 30), (2, 21)] {
        looker.ask(key, Question::Now(number)).unwrap();
    }
    drop(hold);
    assert_eq!(next(&looker), (0, u32::MAX));
    let order: Vec<u32> = (0..6).map(|_| next(&looker).1).collect();
    assert_eq!(order, [10, 20, 30, 11, 21, 12]);
    assert_eq!(looker.answer(), None);
}

#[test]
fn a_key_has_a_share_of_the_queue() {
    let looker = looker(LIMITS);
    let (hold, question) = held();
    looker.ask(0, question).unwrap();
    wait_until_busy(&looker);
    let taken = |key| (0..10).filter(|&n| looker.ask(key, Question::Now(n)).is_ok()).count();
    assert_eq!([taken(1), taken(2), taken(3)], [4, 4, 0]);
    drop(hold);
    let answers: Vec<u32> = (0..9).map(|_| next(&looker).0).collect();
    assert_eq!(answers, [0, 1, 2, 1, 2, 1, 2, 1, 2]);
}

#[test]
fn another_thread_takes_over_from_one_that_is_stuck() {
    let looker = looker(LIMITS);
    let (hold, question) = held();
    looker.ask(1, question).unwrap();
    wait_until_busy(&looker);
    looker.ask(1, Question::Now(10)).unwrap();
    looker.ask(2, Question::Now(20)).unwrap();
    assert_eq!(looker.tend(Instant::now()), None, "not late yet");
    assert_eq!(looker.tend(later()), Some(1));
    assert_eq!(next(&looker), (2, 20));
    // Questions of the same key would be the next to get stuck.
    assert_eq!(looker.ask(1, Question::Now(11)), Err(Refused));
    drop(hold);
    assert_eq!(next(&looker), (1, u32::MAX));
    looker.ask(1, Question::Now(12)).unwrap();
    assert_eq!(next(&looker), (1, 12));
}

#[test]
fn all_questions_are_refused_while_all_threads_are_stuck() {
    let looker = looker(LIMITS);
    let mut holds = Vec::new();
    for key in [1, 2] {
        let (hold, question) = held();
        looker.ask(key, question).unwrap();
        wait_until_busy(&looker);
        assert_eq!(looker.tend(later()), Some(key));
        holds.push(hold);
    }
    assert_eq!(looker.ask(3, Question::Now(30)), Err(Refused));
    holds.remove(0);
    assert_eq!(next(&looker), (1, u32::MAX));
    looker.ask(3, Question::Now(31)).unwrap();
    assert_eq!(next(&looker), (3, 31));
    assert_eq!(looker.ask(2, Question::Now(20)), Err(Refused));
    holds.clear();
    assert_eq!(next(&looker), (2, u32::MAX));
    // One of the two threads has ended.
    looker.ask(2, Question::Now(21)).unwrap();
    assert_eq!(next(&looker), (2, 21));
}

#[test]
fn a_panic_costs_one_answer() {
    let looker: Looker<u32, u32, u32> = Looker::new("test", LIMITS, || {
        |_: &u32, number: u32| {
            assert_ne!(number, 13, "on purpose");
            number
        }
    });
    looker.ask(1, 13).unwrap();
    let deadline = Instant::now() + LONG;
    // A question that arrives before the panic is not answered.
    let answer = loop {
        assert!(Instant::now() < deadline);
        let _ = looker.ask(2, 20);
        looker.tend(Instant::now());
        if let Some(answer) = looker.wait(Instant::now() + Duration::from_millis(20)) {
            break answer;
        }
    };
    assert_eq!(answer, (2, 20));
}

/// The look-up ends only after the looker: a drop that waits for it would never return.
#[test]
fn drop_does_not_wait() {
    let looker = looker(LIMITS);
    let (hold, question) = held();
    looker.ask(1, question).unwrap();
    wait_until_busy(&looker);
    drop(looker);
    drop(hold);
}
