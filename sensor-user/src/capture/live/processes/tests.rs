use super::*;
use crate::capture::event::StartTime;
use crate::model::Attribute;

fn key(pid: u32) -> ProcessKey {
    ProcessKey { tgid: Tgid(pid), start: StartTime(u64::from(pid)) }
}

fn named(name: &str, complete: bool) -> Identified {
    let attributes =
        vec![Attribute::new("service.name", name.to_owned()), Attribute::new("process.pid", 1i64)];
    Identified { resource: Resource { attributes, ..Resource::default() }, complete }
}

fn fork(processes: &mut Processes, child: u32, parent: u32, execs: u32) {
    processes.forked(key(child), Origin { parent: key(parent), execs });
}

fn decided(processes: &mut Processes, pid: u32, traced: bool, execs: u32) {
    processes.entry(key(pid)).verdict = Some(Decided { traced, execs });
}

/// A `/proc` that has nobody in it.
fn gone<T>(_: ProcessKey) -> Option<T> {
    None
}

#[test]
fn counts_of_execs_go_round() {
    assert!(is_newer(1, 0) && is_newer(0, u32::MAX) && is_newer(5, u32::MAX - 5));
    assert!(!is_newer(0, 0) && !is_newer(0, 1) && !is_newer(u32::MAX, 0));
}

#[test]
fn a_verdict_is_inherited_by_copies_only() {
    let mut processes = Processes::default();
    decided(&mut processes, 1, false, 4);
    fork(&mut processes, 2, 1, 4);
    assert_eq!(processes.decide(key(2), 4, &mut gone), Some(false));
    // It has run another program, of whose exec nothing was seen.
    fork(&mut processes, 3, 1, 4);
    assert_eq!(processes.decide(key(3), 5, &mut gone), None);
    // Its parent did before.
    fork(&mut processes, 4, 1, 3);
    assert_eq!(processes.decide(key(4), 3, &mut gone), None);
    // Whose copy it is was not seen.
    assert_eq!(processes.decide(key(5), 4, &mut gone), None);
}

#[test]
fn what_descends_from_a_selected_process_is_selected() {
    let mut processes = Processes::default();
    decided(&mut processes, 1, true, 4);
    fork(&mut processes, 2, 1, 4);
    // Its parent has gone on to another program, and so has it.
    fork(&mut processes, 3, 1, 6);
    assert_eq!(processes.decide(key(2), 9, &mut gone), Some(true));
    assert_eq!(processes.decide(key(3), 6, &mut |_| Some(false)), Some(true));
    // One that was forked before its parent was selected.
    fork(&mut processes, 4, 1, 3);
    assert_eq!(processes.decide(key(4), 3, &mut gone), None);
    assert_eq!(processes.decide(key(4), 3, &mut |_| Some(false)), Some(false));
}

#[test]
fn ancestors_that_are_still_there_are_asked() {
    let mut processes = Processes::default();
    fork(&mut processes, 2, 1, 4);
    fork(&mut processes, 3, 2, 4);
    let mut asked = Vec::new();
    let mut look = |process: ProcessKey| {
        asked.push(process.tgid.0);
        (process == key(1)).then_some(true)
    };
    assert_eq!(processes.decide(key(3), 4, &mut look), Some(true));
    assert_eq!(processes.decide(key(2), 4, &mut gone), Some(true));
    assert_eq!(asked, [3, 2, 1]);
}

/// A chain of forks is followed only so far, also one that leads back to itself.
#[test]
fn forks_are_followed_back_for_a_while() {
    let mut processes = Processes::default();
    fork(&mut processes, 1, 2, 4);
    fork(&mut processes, 2, 1, 4);
    assert_eq!(processes.decide(key(1), 4, &mut gone), None);
    assert!(processes.identity(key(1), 4, &mut gone).is_none());
}

#[test]
fn a_copy_is_who_its_parent_was() {
    let mut processes = Processes::default();
    fork(&mut processes, 2, 1, 4);
    fork(&mut processes, 3, 2, 4);
    let name = |resource: Option<Arc<Resource>>| {
        let resource = resource?;
        let pid = resource.attributes.iter().find(|it| it.key == "process.pid")?.value.clone();
        Some((resource.service_name()?.to_owned(), pid))
    };
    let mut look = |process| (process == key(1)).then(|| named("shop", true));
    let third = name(processes.identity(key(3), 4, &mut look));
    assert_eq!(third, Some(("shop".to_owned(), 3i64.into())));
    // It is known from then on, and the parent may end.
    assert_eq!(processes.end(key(1)), (false, false));
    let second = name(processes.identity(key(2), 4, &mut gone));
    assert_eq!(second, Some(("shop".to_owned(), 2i64.into())));
    // A program that it has run since is another.
    assert_eq!(name(processes.identity(key(3), 5, &mut gone)), None);
    // What is read of a process that is ending counts only where nothing better is known.
    fork(&mut processes, 5, 2, 4);
    let ending = |_| Some(named("python3", false));
    let fifth = name(processes.identity(key(5), 4, &mut { ending }));
    assert_eq!(fifth, Some(("shop".to_owned(), 5i64.into())));
    let sixth = name(processes.identity(key(6), 4, &mut { ending }));
    assert_eq!(sixth, Some(("python3".to_owned(), 1i64.into())));
}

#[test]
fn the_one_that_was_not_used_makes_room() {
    let mut processes = Processes::with_room(3);
    for pid in 1..=3 {
        assert_eq!(processes.seen(key(pid)), None);
        processes.entry(key(pid)).announced = true;
    }
    for pid in 4..100 {
        // A busy one, and others that come and go.
        assert!(processes.get(key(1)).is_some_and(|it| it.announced), "{pid}");
        assert_eq!(processes.seen(key(pid)), None);
    }
    assert_eq!(processes.table.iter().count(), 3);
    assert_eq!(processes.latest.len(), 3);
    // One that had to make room may have been announced.
    assert_eq!(processes.end(key(2)), (true, true));
}

#[test]
fn ended_processes_are_kept_for_their_copies_up_to_a_number() {
    let mut processes = Processes::default();
    for pid in 1..=10_000 {
        fork(&mut processes, pid + 1, pid, 0);
        processes.end(key(pid));
    }
    assert_eq!(processes.table.iter().count(), ENDED + 1);
    assert_eq!(processes.ended.len(), ENDED);
}
