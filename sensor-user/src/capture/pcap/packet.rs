//! From a captured packet to its TCP segment.

use std::net::{IpAddr, SocketAddr};

use etherparse::{LaxIpSlice, TcpSlice, ip_number};
use pcap_parser::Linktype;

/// A TCP segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TcpPacket<'a> {
    pub(super) source: SocketAddr,
    pub(super) destination: SocketAddr,
    /// Sequence number of the first byte of data, or of the SYN.
    pub(super) seq: u32,
    /// What the sender has received of the other direction.
    pub(super) ack: Option<u32>,
    pub(super) syn: bool,
    pub(super) fin: bool,
    pub(super) rst: bool,
    pub(super) data: &'a [u8],
    /// Bytes of data that were on the wire after those and were not captured.
    pub(super) cut: usize,
}

/// Why nothing comes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Undelivered {
    /// It is something else: no loss.
    NotTcp,
    /// It is a part of an IP packet.
    Fragment,
    /// Its headers are cut, broken, or of an unknown link.
    Undecodable,
}

const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_IPV6: u16 = 0x86dd;
/// 802.1Q, 802.1ad, and what was used before it.
const ETHERTYPES_VLAN: [u16; 3] = [0x8100, 0x88a8, 0x9100];
/// Tags on one packet.
const VLAN_TAGS_MAX: usize = 4;

/// Takes a packet apart. `original_len` is its length on the wire.
pub(super) fn tcp(
    link: Linktype,
    data: &[u8],
    original_len: usize,
) -> Result<TcpPacket<'_>, Undelivered> {
    let packet = network_layer(link, data)?;
    let beyond_snaplen = original_len.saturating_sub(data.len());

    let (ip, stopped) = LaxIpSlice::from_slice(packet).map_err(|_| Undelivered::Undecodable)?;
    let payload = ip.payload();
    if payload.fragmented {
        return Err(Undelivered::Fragment);
    }
    if payload.ip_number != ip_number::TCP {
        return Err(Undelivered::NotTcp);
    }
    if stopped.is_some() {
        return Err(Undelivered::Undecodable);
    }
    let (source, destination, stated): (IpAddr, IpAddr, usize) = match &ip {
        LaxIpSlice::Ipv4(ip) => {
            let header = ip.header();
            let len = usize::from(header.total_len());
            (header.source_addr().into(), header.destination_addr().into(), len)
        }
        LaxIpSlice::Ipv6(ip) => {
            let header = ip.header();
            let len = match header.payload_length() {
                0 => 0,
                len => usize::from(len) + header.slice().len(),
            };
            (header.source_addr().into(), header.destination_addr().into(), len)
        }
    };
    let tcp = TcpSlice::from_slice(payload.payload).map_err(|_| Undelivered::Undecodable)?;
    let cut = match stated {
        // Taken on its way out, before the network card cut it into packets (segmentation
        // offload): the length is not in the header yet.
        0 => beyond_snaplen,
        stated => stated.saturating_sub(packet.len()),
    };
    Ok(TcpPacket {
        source: SocketAddr::new(source, tcp.source_port()),
        destination: SocketAddr::new(destination, tcp.destination_port()),
        seq: tcp.sequence_number(),
        ack: tcp.ack().then(|| tcp.acknowledgment_number()),
        syn: tcp.syn(),
        fin: tcp.fin(),
        rst: tcp.rst(),
        data: tcp.payload(),
        cut,
    })
}

/// The packet from its IP header on.
/// Link types: <https://www.tcpdump.org/linktypes.html>.
fn network_layer(link: Linktype, data: &[u8]) -> Result<&[u8], Undelivered> {
    const SLL: usize = 16;
    const SLL2: usize = 20;
    const ETHERNET: usize = 14;

    let cut = Undelivered::Undecodable;
    match link {
        Linktype::ETHERNET => by_ethertype(data, ETHERNET - 2, ETHERNET),
        Linktype::LINUX_SLL => by_ethertype(data, SLL - 2, SLL),
        Linktype::LINUX_SLL2 => by_ethertype(data, 0, SLL2),
        Linktype::RAW | Linktype::IPV4 | Linktype::IPV6 => Ok(data),
        Linktype::NULL | Linktype::LOOP => {
            let (family, packet) = data.split_first_chunk::<4>().ok_or(cut)?;
            // Numbers of the address families differ between systems, and their byte order is the
            // capturing machine's.
            let (little, big) = (u32::from_le_bytes(*family), u32::from_be_bytes(*family));
            let ip = [2, 10, 24, 28, 30];
            if ip.contains(&little) || ip.contains(&big) {
                Ok(packet)
            } else {
                Err(Undelivered::NotTcp)
            }
        }
        // Raw IP as some systems number it.
        Linktype(12 | 14) => Ok(data),
        _ => Err(cut),
    }
}

/// `data` from `header` on, where the EtherType at `at` says IP, behind any VLAN tags.
fn by_ethertype(data: &[u8], at: usize, header: usize) -> Result<&[u8], Undelivered> {
    let cut = Undelivered::Undecodable;
    let number = |bytes: &[u8]| bytes.first_chunk::<2>().map(|number| u16::from_be_bytes(*number));
    let mut ethertype = data.get(at..).and_then(number).ok_or(cut)?;
    let mut rest = data.get(header..).ok_or(cut)?;
    for _ in 0..=VLAN_TAGS_MAX {
        match ethertype {
            ETHERTYPE_IPV4 | ETHERTYPE_IPV6 => return Ok(rest),
            tag if ETHERTYPES_VLAN.contains(&tag) => {
                ethertype = rest.get(2..).and_then(number).ok_or(cut)?;
                rest = rest.get(4..).ok_or(cut)?;
            }
            _ => return Err(Undelivered::NotTcp),
        }
    }
    Err(cut)
}
