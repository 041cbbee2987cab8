//! Load for the bench: HTTP/1.1 over keep-alive connections, at a rate that does not depend on how
//! fast the server answers, from one process or from many; none at all over connections that are only
//! held open; many requests at once over one connection of HTTP/2; and a protocol of tiny messages that is not HTTP, as fast as it goes.

pub mod crowd;
pub mod echo;
pub mod hold;
pub mod latency;
pub mod rate;
pub mod response;
pub mod streams;

use anyhow::{Context as _, Result};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Connections of one process at most: what one address of loopback has ports for.
pub const CONNECTIONS: usize = 25_000;

/// Raises the limit on descriptors as far as it takes and may.
fn room_for(descriptors: usize) -> Result<()> {
    let wanted = u64::try_from(descriptors)? + 64;
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_some_and(|current| current < wanted) {
        let maximum = limit.maximum.map(|maximum| maximum.max(wanted));
        setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum })
            .with_context(|| format!("cannot open {wanted} files; try `ulimit -n`"))?;
    }
    Ok(())
}
