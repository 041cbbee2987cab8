//! Exponential backoff with jitter.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use super::Policy;

/// The waits between the attempts for one batch.
#[derive(Debug)]
pub(super) struct Backoff {
    next: Duration,
    max: Duration,
}

impl Backoff {
    pub(super) fn new(policy: &Policy) -> Self {
        Self { next: policy.initial_backoff, max: policy.max_backoff }
    }

    /// Between half of the step and the whole of it, so that many sensors that lost the same
    /// backend at the same moment do not come back at the same moment.
    pub(super) fn next(&mut self) -> Duration {
        let step = self.next.min(self.max);
        self.next = step.saturating_mul(2);
        step.mul_f64(0.5 + 0.5 * random())
    }
}

/// In 0..=1. The standard library's hash keys are random per process and differ per call; that is
/// all the randomness that jitter needs.
fn random() -> f64 {
    let bits = RandomState::new().hash_one(0u8) >> 11;
    #[expect(clippy::cast_precision_loss, reason = "53 bits are what an f64 holds")]
    let fraction = bits as f64 / ((1u64 << 53) as f64);
    fraction
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_up_to_the_limit_with_jitter_below_the_step() {
        let policy = Policy {
            initial_backoff: Duration::from_millis(100),
            max_backoff: Duration::from_millis(350),
            ..Policy::default()
        };
        let mut backoff = Backoff::new(&policy);
        for step in [100, 200, 350, 350, 350] {
            let wait = backoff.next();
            assert!(wait <= Duration::from_millis(step), "{wait:?} after a step of {step} ms");
            assert!(wait >= Duration::from_millis(step / 2), "{wait:?} of {step} ms");
        }
    }

    #[test]
    fn jitter_differs_between_calls() {
        let waits: Vec<_> = (0..8).map(|_| random().to_bits()).collect();
        assert!(waits.iter().any(|wait| *wait != waits[0]), "{waits:?}");
    }
}
