//! Where requests come from, and whose sampling decisions count.
//!
//! | the caller | its decision |
//! |---|---|
//! | its span is seen here: both ends of the exchange are | counts, unless a stranger's was passed on |
//! | a Unix socket, or an address in `--trusted-peer` | counts |
//! | a private or loopback address, while `--trusted-peer` names none | counts if it records the trace |
//! | any other | does not count |
//!
//! A private address may be a neighbour's on another node, or a load balancer's that stands for
//! everybody. While it is not said which, nothing is left out on its word, and what it records stays
//! whole. Once networks are named, the list is complete.

use std::net::IpAddr;
use std::str::FromStr;

use crate::capture::event::Endpoints;

/// Which callers are trusted, and what becomes of the traces of others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Callers {
    /// Networks of trusted callers.
    pub trusted: Vec<Network>,
    /// What becomes of traces that come from elsewhere.
    pub foreign_trace: ForeignTrace,
}

/// What becomes of the trace context of a caller that is not trusted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ForeignTrace {
    /// The exchange is in that trace.
    #[default]
    Keep,
    /// The exchange begins a trace, with a link to the caller's span (W3C Trace Context, section
    /// 3.4, restart).
    Restart,
}

/// Where a request comes from, as far as its connection says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    Trusted,
    /// Perhaps a neighbour.
    Unknown,
    Foreign,
}

impl Callers {
    /// The origin of a request that was received on such a connection.
    pub(super) fn origin(&self, endpoints: &Endpoints) -> Origin {
        let Endpoints::Tcp { remote: (address, _), .. } = endpoints else {
            return Origin::Trusted;
        };
        let address = address.to_canonical();
        if self.trusted.iter().any(|network| network.contains(address)) {
            Origin::Trusted
        } else if self.trusted.is_empty() && is_internal(address) {
            Origin::Unknown
        } else {
            Origin::Foreign
        }
    }
}

/// The address is not routed on the Internet: of this host or link, private (RFC 1918, RFC 4193), or
/// shared (RFC 6598: some clusters give such addresses to pods).
fn is_internal(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            let shared = a == 100 && b & 0xc0 == 64;
            shared || v4.is_private() || v4.is_loopback() || v4.is_link_local()
        }
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local(),
    }
}

/// A network: `10.0.0.0/8`, `fd00::/8`, or an address alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    /// With zeros behind the prefix.
    address: IpAddr,
    prefix: u32,
}

/// Not a network in the notation of RFC 4632 or RFC 4291.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a network such as 10.244.0.0/16 or fd00::/8, without bits behind the prefix")]
pub struct NotANetwork;

impl Network {
    /// Whether it has this address. An IPv4 address is the same when it is mapped to IPv6.
    pub fn contains(&self, address: IpAddr) -> bool {
        masked(address.to_canonical(), self.prefix) == Some(self.address)
            && self.address.is_ipv4() == address.to_canonical().is_ipv4()
    }
}

impl FromStr for Network {
    type Err = NotANetwork;

    fn from_str(text: &str) -> Result<Self, NotANetwork> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let given: IpAddr = address.parse().map_err(|_| NotANetwork)?;
        let width = if given.is_ipv4() { 32 } else { 128 };
        let prefix: Option<u32> = match prefix {
            // Not "+8".
            Some(digits) if !digits.bytes().all(|byte| byte.is_ascii_digit()) => None,
            Some(digits) => digits.parse().ok().filter(|&prefix| prefix <= width),
            None => Some(width),
        };
        let prefix = prefix.ok_or(NotANetwork)?;
        // ::ffff:10.0.0.0/104 is 10.0.0.0/8.
        let address = given.to_canonical();
        let prefix = match given.is_ipv4() == address.is_ipv4() {
            true => prefix,
            false => prefix.checked_sub(96).ok_or(NotANetwork)?,
        };
        let network = Self { address, prefix };
        (masked(address, prefix) == Some(address)).then_some(network).ok_or(NotANetwork)
    }
}

/// The address with zeros behind its first `prefix` bits; none where it has fewer.
fn masked(address: IpAddr, prefix: u32) -> Option<IpAddr> {
    Some(match address {
        IpAddr::V4(v4) => {
            let behind = 32u32.checked_sub(prefix)?;
            let mask = u32::MAX.checked_shl(behind).unwrap_or(0);
            IpAddr::V4((v4.to_bits() & mask).into())
        }
        IpAddr::V6(v6) => {
            let behind = 128u32.checked_sub(prefix)?;
            let mask = u128::MAX.checked_shl(behind).unwrap_or(0);
            IpAddr::V6((v6.to_bits() & mask).into())
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(text: &str) -> Network {
        text.parse().unwrap()
    }

    #[test]
    fn networks_have_their_addresses_and_no_others() {
        for (text, inside, outside) in [
            ("10.0.0.0/8", "10.255.255.255", "11.0.0.0"),
            ("192.0.2.128/25", "192.0.2.128", "192.0.2.127"),
            ("192.0.2.7", "192.0.2.7", "192.0.2.6"),
            ("192.0.2.7/32", "::ffff:192.0.2.7", "::c000:207"),
            ("0.0.0.0/0", "255.255.255.255", "::1"),
            ("::/0", "2001:db8::1", "10.0.0.1"),
            ("fd00::/8", "fdff::1", "fe00::1"),
            ("2001:db8::/33", "2001:db8:7fff::1", "2001:db8:8000::1"),
            ("::ffff:10.0.0.0/104", "10.1.2.3", "11.0.0.0"),
        ] {
            let network = network(text);
            assert!(network.contains(inside.parse().unwrap()), "{text} {inside}");
            assert!(!network.contains(outside.parse().unwrap()), "{text} {outside}");
        }
    }

    #[test]
    fn others_are_refused() {
        for text in [
            "",
            "10.0.0.0/33",
            "10.0.0.0/",
            "10.0.0.0/+8",
            "10.0.0.0/-1",
            "10.0.0.1/8",
            "10/8",
            "fd00::/129",
            "fd00::1/8",
            "::ffff:10.0.0.0/8",
            "example.org",
            "10.0.0.0/8/8",
        ] {
            assert_eq!(text.parse::<Network>(), Err(NotANetwork), "{text}");
        }
    }

    #[test]
    fn origins() {
        let of = |trusted: &[&str], remote: &str| {
            let trusted = trusted.iter().map(|text| network(text)).collect();
            let remote = (remote.parse().unwrap(), 40_000);
            let local = ([10, 0, 0, 1].into(), 80);
            Callers { trusted, ..Callers::default() }.origin(&Endpoints::Tcp { local, remote })
        };
        for internal in [
            "127.0.0.1",
            "10.1.2.3",
            "172.31.0.1",
            "192.168.0.1",
            "100.64.0.1",
            "100.127.255.255",
            "169.254.1.1",
            "::1",
            "fd00::1",
            "fe80::1",
            "::ffff:10.1.2.3",
        ] {
            assert_eq!(of(&[], internal), Origin::Unknown, "{internal}");
            assert_eq!(of(&["192.0.2.0/24"], internal), Origin::Foreign, "{internal}");
            assert_eq!(of(&["0.0.0.0/0", "::/0"], internal), Origin::Trusted, "{internal}");
        }
        for foreign in ["192.0.2.1", "100.63.255.255", "100.128.0.1", "172.32.0.1", "2001:db8::1"] {
            assert_eq!(of(&[], foreign), Origin::Foreign, "{foreign}");
        }
        assert_eq!(of(&["10.0.0.0/8"], "::ffff:10.1.2.3"), Origin::Trusted);
        assert_eq!(Callers::default().origin(&Endpoints::Unix), Origin::Trusted);
    }
}
