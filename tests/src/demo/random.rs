//! Random numbers for identifiers and delays; nothing here is secret.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hasher as _};

/// Any 64 bits, never zero (an identifier of zeros is invalid in a traceparent).
pub(super) fn bits() -> u64 {
    // Every RandomState has other keys than the last.
    RandomState::new().build_hasher().finish().max(1)
}

/// A number in `low..high`.
pub(super) fn between(low: u64, high: u64) -> u64 {
    low + bits() % (high - low).max(1)
}
