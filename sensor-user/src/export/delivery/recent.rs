//! The lanes of the processes that were seen last: hashing names for each item would be most of
//! what an item costs.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;

use super::item::{Item, owner};
use super::lanes::LaneKey;
use crate::model::Resource;

/// A power of two. So many resources are kept alive for as long as the queue is.
const SLOTS: usize = 256;

/// The golden ratio, for multiplicative hashing of addresses.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// Direct-mapped by the address of the resource, which is unique while the resource is kept.
#[derive(Debug)]
pub(super) struct Recent {
    slots: Vec<Option<(Arc<Resource>, Names)>>,
    /// Keyed by this process: no service can choose a name that collides with another.
    hashes: RandomState,
}

/// Hashes of what is known of a resource.
#[derive(Clone, Copy, Debug)]
struct Names {
    owner: u64,
    service: u64,
}

impl Recent {
    pub(super) fn new() -> Self {
        Self { slots: vec![None; SLOTS], hashes: RandomState::new() }
    }

    /// The lane of an item.
    pub(super) fn lane(&mut self, item: &impl Item) -> LaneKey {
        let Names { owner, service } = self.names(item.resource());
        // Services of one owner may be several; their streams are apart.
        let stream = item.stream().map_or(0, |stream| service.wrapping_add(u64::from(stream)));
        LaneKey { owner, stream }
    }

    fn names(&mut self, resource: &Arc<Resource>) -> Names {
        let address = Arc::as_ptr(resource) as u64;
        let at = (address.wrapping_mul(GOLDEN) >> 32) as usize % SLOTS;
        if let Some((known, names)) = &self.slots[at]
            && Arc::ptr_eq(known, resource)
        {
            return *names;
        }
        let names = Names {
            owner: self.hashes.hash_one(owner(resource)),
            service: self.hashes.hash_one(resource.service_name()),
        };
        self.slots[at] = Some((Arc::clone(resource), names));
        names
    }
}
