//! Identifiers without a span id.

use siphasher::sip128::{Hasher128, SipHasher24};
use std::hash::Hasher;

/// Stands for a name and a value: two that are equal are the same identifier in the same field. (A
/// hash of 128 bits, so that they cost no memory of their own; nobody finds two that are the same.)
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RequestId([u8; 16]);

impl RequestId {
    /// Of the field `name`, in lower case.
    pub fn new(name: &str, value: &[u8]) -> Self {
        let mut hash = SipHasher24::new_with_keys(0x7365_6e73_6f72, 3);
        hash.write(name.as_bytes());
        // No name has it.
        hash.write(b":");
        hash.write(value);
        Self(hash.finish128().as_bytes())
    }
}
