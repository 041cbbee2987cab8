use super::*;

/// Answers each poll from a function of the time since the start.
struct Fake<F> {
    answer: F,
    polls: usize,
    ticks: usize,
    abandoned: bool,
}

impl<F: FnMut(usize) -> Result<Progress, CaptureError>> Work for Fake<F> {
    fn poll(&mut self) -> Result<Progress, CaptureError> {
        self.polls += 1;
        (self.answer)(self.polls)
    }

    fn stop(&mut self) {}

    fn abandon(&mut self) {
        self.abandoned = true;
    }

    fn tick(&mut self) -> Result<(), CaptureError> {
        self.ticks += 1;
        Ok(())
    }
}

fn fake<F: FnMut(usize) -> Result<Progress, CaptureError>>(answer: F) -> Fake<F> {
    Fake { answer, polls: 0, ticks: 0, abandoned: false }
}

const NO_LIMIT: Limits = Limits { duration: None, drain: Duration::from_secs(1) };

#[test]
fn ends_when_there_will_never_be_more() {
    let mut work = fake(|poll| {
        Ok(match poll {
            1..=2 => Progress::Delivered(7),
            3 => Progress::Idle,
            4 => Progress::Delivered(1),
            _ => Progress::Finished,
        })
    });
    drive(&mut work, &Stop::default(), NO_LIMIT, &mut ServiceManager::none()).unwrap();
    assert_eq!(work.polls, 5);
    assert_eq!(work.ticks, 2, "at the start and at the end");
}

#[test]
fn what_is_still_there_at_a_stop_is_taken() {
    let stop = Stop::default();
    let request = stop.clone();
    let mut work = fake(move |poll| {
        if poll == 3 {
            request.request();
        }
        Ok(if poll < 10 { Progress::Delivered(1) } else { Progress::Idle })
    });
    drive(&mut work, &stop, NO_LIMIT, &mut ServiceManager::none()).unwrap();
    assert_eq!(work.polls, 10);
    assert!(!work.abandoned, "nothing is left");
}

#[test]
fn taking_the_rest_is_bounded() {
    let stop = Stop::default();
    stop.request();
    let mut work = fake(|_| Ok(Progress::Delivered(1)));
    let started = Instant::now();
    let limits = Limits { duration: None, drain: Duration::from_millis(20) };
    drive(&mut work, &stop, limits, &mut ServiceManager::none()).unwrap();
    assert!(started.elapsed() < Duration::from_secs(5));
    assert!(work.polls > 1);
    assert!(work.abandoned, "what is left has to be counted");

    let mut work = fake(|_| Ok(Progress::Delivered(1)));
    drive(
        &mut work,
        &stop,
        Limits { duration: None, drain: Duration::ZERO },
        &mut ServiceManager::none(),
    )
    .unwrap();
    assert_eq!(work.polls, 0, "zero leaves the rest");
}

#[test]
fn the_time_is_kept() {
    let mut work = fake(|_| Ok(Progress::Idle));
    let started = Instant::now();
    let limits = Limits { duration: Some(Duration::from_millis(120)), drain: Duration::ZERO };
    drive(&mut work, &Stop::default(), limits, &mut ServiceManager::none()).unwrap();
    let elapsed = started.elapsed();
    assert!(elapsed >= Duration::from_millis(120), "{elapsed:?}");
    // 1 + 2 + 4 + 8 + 16 ms, then every 25: nine or fewer rests. Polling without them
    // would show as thousands.
    assert!(work.polls <= 10, "{} polls", work.polls);
}

#[test]
fn something_new_is_taken_within_the_longest_rest() {
    // Quiet for 200 ms, so that rests are at their longest; then something is there.
    let started = Instant::now();
    let there = started + Duration::from_millis(200);
    let mut taken = None;
    let mut work = fake(|_| {
        if Instant::now() < there {
            return Ok(Progress::Idle);
        }
        taken = Some(there.elapsed());
        Ok(Progress::Finished)
    });
    drive(&mut work, &Stop::default(), NO_LIMIT, &mut ServiceManager::none()).unwrap();
    let taken = taken.unwrap();
    assert!(taken < Duration::from_millis(100), "{taken:?}");
}

#[test]
fn an_error_ends_it_and_the_last_tick_still_comes() {
    let mut work = fake(|poll| match poll {
        1 => Ok(Progress::Delivered(1)),
        _ => Err(CaptureError("the file is cut".into())),
    });
    let error =
        drive(&mut work, &Stop::default(), NO_LIMIT, &mut ServiceManager::none()).unwrap_err();
    assert_eq!(error.to_string(), "the file is cut");
    assert_eq!(work.ticks, 2);
}
