//! What the log says of a backend: each change once, and no more often than that where a backend
//! takes one service's data and refuses another's by turns.

use std::time::Duration;

use tokio::time::Instant;

/// Between two messages of the same kind, while other data is taken in between.
const AGAIN_AFTER: Duration = Duration::from_secs(60);

/// How the last request went, and what was said of it.
#[derive(Debug)]
pub(super) struct Health {
    state: State,
    warned: Quiet,
    refused: Quiet,
    slowed: Quiet,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Unknown,
    Healthy,
    Warned,
    Failing,
    Refused,
}

/// When something was last said.
#[derive(Debug, Default)]
struct Quiet(Option<Instant>);

impl Quiet {
    fn may_say(&mut self) -> bool {
        let may = self.0.is_none_or(|at| at.elapsed() >= AGAIN_AFTER);
        if may {
            self.0 = Some(Instant::now());
        }
        may
    }
}

impl Health {
    pub(super) fn new() -> Self {
        let (warned, refused, slowed) = Default::default();
        Self { state: State::Unknown, warned, refused, slowed }
    }

    /// The backend took all of a request.
    pub(super) fn taken(&mut self, target: &str) {
        match self.turn(State::Healthy) {
            State::Healthy => {}
            State::Unknown => tracing::info!("delivering to {target}"),
            State::Warned | State::Failing | State::Refused => {
                tracing::info!("delivering to {target} again");
            }
        }
    }

    /// It took a request in part, or with a warning. What it says is fit for the log.
    pub(super) fn taken_in_part(&mut self, target: &str, rejected: u64, of: u64, says: &str) {
        if self.state != State::Warned && self.warned.may_say() {
            self.state = State::Warned;
            tracing::warn!(
                rejected,
                of,
                says,
                "{target} takes the data only in part, or with a warning"
            );
        }
    }

    /// It takes nothing for the time being.
    pub(super) fn failing(&mut self, target: &str, reason: &str, limit: Duration) {
        if self.turn(State::Failing) != State::Failing {
            tracing::warn!(
                "cannot deliver to {target}: {reason}. Trying again for up to {limit:?} a batch, \
                 then counted as lost"
            );
        }
    }

    /// It takes nothing of one stream for the time being.
    pub(super) fn slowed(&mut self, target: &str, reason: &str, limit: Duration) {
        if self.slowed.may_say() {
            tracing::warn!(
                "{target} takes nothing of one stream for the time being, others go on: {reason}. \
                 Trying again for up to {limit:?} a batch, then counted as lost"
            );
        }
    }

    /// It refuses a request for good.
    pub(super) fn refused(&mut self, target: &str, reason: &str) {
        if self.state != State::Refused && self.refused.may_say() {
            self.state = State::Refused;
            tracing::error!("{target} refuses the data, which is lost: {reason}");
        }
    }

    fn turn(&mut self, state: State) -> State {
        std::mem::replace(&mut self.state, state)
    }
}
