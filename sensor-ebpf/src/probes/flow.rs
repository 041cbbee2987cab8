//! Finding the tracked flow of a socket, or beginning to track it.

use core::mem::zeroed;

use aya_ebpf::helpers::{
    bpf_get_smp_processor_id, generated::bpf_probe_read_kernel as bpf_probe_read_kernel_raw,
};
use aya_log_ebpf::debug;
use sensor_ebpf::abi::{Family, FlowIdent, KernelCounter, NO_FIELD, RecordKind, UnixPathRecord};

use super::{
    call::Direction,
    emit,
    kernel::{Access, Walked, masked, probe},
    maps::{FLOW_NUMBERS, FLOWS_BY_SOCK, count, setting},
    select,
    state::{self, Ends, Flow, Scratch, protocol},
};

const AF_UNIX: u16 = 1;
const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;
const SOCK_STREAM: u16 = 1;
const IPPROTO_TCP: u16 = 6;
/// MPTCP sockets carry their own protocol number; their sequence numbers are not TCP's.
const IPPROTO_UNIX: u16 = 0;

/// The family of a stream socket that can carry HTTP.
#[inline(always)]
pub(crate) fn family<A: Access>(sock: u64) -> Option<Family> {
    let family: u16 = A::sock(sock, setting!(OFFSETS.sk_family));
    let protocol: u16 = A::sock(sock, setting!(OFFSETS.sk_protocol));
    if family == AF_INET && protocol == IPPROTO_TCP {
        Some(Family::Inet)
    } else if family == AF_INET6 && protocol == IPPROTO_TCP {
        Some(Family::Inet6)
    } else if family == AF_UNIX && protocol == IPPROTO_UNIX {
        let kind: u16 = A::sock(sock, setting!(OFFSETS.sk_type));
        if kind == SOCK_STREAM { Some(Family::Unix) } else { None }
    } else {
        None
    }
}

/// The tracked flow of a socket, if it is this socket's: an address may have been used again.
#[inline(always)]
pub(crate) fn find(sock: u64, cookie: u64, inode: u64) -> Option<*mut Flow> {
    let flow = FLOWS_BY_SOCK.get_ptr_mut(sock)?;
    // SAFETY: a live map value.
    let ident = unsafe { &(*flow).ident };
    // A socket that has no cookie yet is a new one; one may get its cookie later (engine *syscall*,
    // which cannot give it).
    let same_cookie = ident.cookie == cookie || ident.cookie == 0;
    let same_inode = ident.inode == inode || ident.inode == 0 || inode == 0;
    if same_cookie && same_inode { Some(flow) } else { None }
}

/// What [`begin`] has to know.
pub(crate) struct New {
    pub(crate) sock: u64,
    pub(crate) direction: Direction,
    pub(crate) family: Family,
    pub(crate) cookie: u64,
    pub(crate) inode: u64,
    pub(crate) from_start: bool,
}

/// Begins to track a socket. A flow that is not wanted is remembered as one to leave alone. Null
/// when there is no room. Not inlined: it is rare, and large.
#[inline(never)]
pub(crate) fn begin(new: &New, scratch: &mut Scratch) -> *mut Flow {
    let sock = new.sock;
    scratch.fresh.protocol = protocol::UNKNOWN;
    state::clear(&mut scratch.fresh.ident);
    identify(new, &mut scratch.fresh.ident);
    count(KernelCounter::Flows, 1);
    debug!(
        &(),
        "flow {} begins: family {}, ports {} {}, from its start: {}",
        scratch.fresh.ident.flow,
        scratch.fresh.ident.family,
        scratch.fresh.ident.local_port,
        scratch.fresh.ident.remote_port,
        scratch.fresh.ident.from_start
    );
    let unix = matches!(new.family, Family::Unix);
    if unix {
        // Through memory, where the verifier forgets that it is a pointer: it would not have it mixed.
        let word = &raw mut scratch.part[0];
        // SAFETY: the scratch memory is this program's; nothing is being walked yet. The name takes the
        // first eight bytes of sixteen, at a multiple of eight in the structure.
        unsafe {
            word.write_volatile(sock);
            let name = connection_name(word.read_volatile());
            scratch.fresh.ident.local.as_mut_ptr().cast::<u64>().write_volatile(name);
        }
    }
    if kernel_owned(sock) || (!unix && !select::connection(&scratch.fresh.ident, &mut scratch.ends))
    {
        scratch.fresh.protocol = protocol::OTHER;
    }
    if FLOWS_BY_SOCK.insert(sock, &scratch.fresh, 0).is_err() {
        count(KernelCounter::FlowTableFull, 1);
        return core::ptr::null_mut();
    }
    if unix && scratch.fresh.protocol == protocol::UNKNOWN {
        unix_path(sock, scratch.fresh.ident.flow, &mut scratch.path);
    }
    FLOWS_BY_SOCK.get_ptr_mut(sock).unwrap_or(core::ptr::null_mut())
}

/// Sockets that the kernel made for itself (NFS, for example): the current call's buffers are not
/// theirs.
#[inline(always)]
fn kernel_owned(sock: u64) -> bool {
    let byte: u8 = probe(sock, setting!(OFFSETS.sk_kern_sock_byte));
    let bit = setting!(OFFSETS.sk_kern_sock_bit);
    bit < 8 && byte >> bit & 1 != 0
}

#[inline(always)]
fn identify(new: &New, ident: &mut FlowIdent) {
    let sock = new.sock;
    ident.flow = number(new.direction);
    ident.cookie = new.cookie;
    ident.inode = new.inode;
    ident.family = new.family as u8;
    ident.from_start = u8::from(new.from_start);
    let net: u64 = probe(sock, setting!(OFFSETS.sk_net));
    ident.netns = probe(net, setting!(OFFSETS.net_inum));
    addresses(sock, new.family, ident);
}

#[inline(always)]
fn addresses(sock: u64, family: Family, ident: &mut FlowIdent) {
    match family {
        Family::Inet => {
            read_into(sock, setting!(OFFSETS.sk_rcv_saddr), &mut ident.local, 4);
            read_into(sock, setting!(OFFSETS.sk_daddr), &mut ident.remote, 4);
        }
        Family::Inet6 => {
            read_into(sock, setting!(OFFSETS.sk_v6_rcv_saddr), &mut ident.local, 16);
            read_into(sock, setting!(OFFSETS.sk_v6_daddr), &mut ident.remote, 16);
        }
        Family::Unix => return,
    }
    ident.local_port = probe(sock, setting!(OFFSETS.sk_num));
    ident.remote_port = u16::from_be(probe(sock, setting!(OFFSETS.sk_dport)));
}

/// A number that both ends of a Unix connection make of it; 0 without a peer. The addresses of both sockets
/// do not show in it, as long as the key is not known.
#[inline(always)]
fn connection_name(sock: u64) -> u64 {
    let peer: u64 = probe(sock, setting!(OFFSETS.unix_peer));
    if peer == 0 {
        return 0;
    }
    let key = setting!(CONFIG.unix_key);
    let (low, high) = if sock < peer { (sock, peer) } else { (peer, sock) };
    let name = mixed(mixed(low ^ key).wrapping_add(high) ^ key.rotate_left(32));
    if name == 0 { 1 } else { name }
}

/// The last step of SplitMix64: each bit of the result hangs on each of `word`.
#[inline(always)]
fn mixed(word: u64) -> u64 {
    let word = (word ^ word >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ word >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ word >> 31
}

#[inline(always)]
fn read_into(base: u64, offset: u32, to: &mut [u8; 16], len: u32) {
    let from = base.wrapping_add(u64::from(offset));
    // SAFETY: `len` is at most the array's length; the helper checks the address.
    unsafe { bpf_probe_read_kernel_raw(to.as_mut_ptr().cast(), len, from as *const _) };
}

/// The ends of a TCP socket as its peer on this node will name them.
#[inline(always)]
pub(crate) fn peer_ends(sock: u64) -> Option<Ends> {
    let family = family::<Walked>(sock)?;
    // SAFETY: plain integers.
    let mut ident: FlowIdent = unsafe { zeroed() };
    let net: u64 = probe(sock, setting!(OFFSETS.sk_net));
    ident.netns = probe(net, setting!(OFFSETS.net_inum));
    addresses(sock, family, &mut ident);
    let (local, local_port) = (ident.local, ident.local_port);
    (ident.local, ident.local_port) = (ident.remote, ident.remote_port);
    (ident.remote, ident.remote_port) = (local, local_port);
    Some(Ends::of(&ident))
}

/// A number that no other flow has: this CPU's count of this direction, the direction, and the CPU.
/// (A program that runs on a CPU is not run a second time there, so nothing comes in between.)
#[inline(always)]
fn number(direction: Direction) -> u64 {
    let Some(slot) = FLOW_NUMBERS.get_ptr_mut(direction as u32) else {
        return 0;
    };
    // SAFETY: the slot is this CPU's and this direction's.
    let next = unsafe { (*slot).wrapping_add(1) };
    // SAFETY: likewise.
    unsafe { *slot = next };
    // SAFETY: no memory is passed.
    next << 13 | (direction as u64) << 12 | u64::from(unsafe { bpf_get_smp_processor_id() } & 0xfff)
}

/// Reports the path that a Unix socket is bound to, or else its peer: that of the listening side.
#[inline(always)]
fn unix_path(sock: u64, flow: u64, record: &mut UnixPathRecord) {
    let mut address: u64 = probe(sock, setting!(OFFSETS.unix_addr));
    if address == 0 {
        let peer: u64 = probe(sock, setting!(OFFSETS.unix_peer));
        address = probe(peer, setting!(OFFSETS.unix_addr));
    }
    if address == 0 || setting!(OFFSETS.unix_address_name) == NO_FIELD {
        return;
    }
    // The length covers the family, two bytes.
    let len: u32 = probe(address, setting!(OFFSETS.unix_address_len));
    let len = len.wrapping_sub(2);
    if len == 0 || len > 108 {
        return;
    }
    let path = address.wrapping_add(u64::from(setting!(OFFSETS.unix_address_name)) + 2);
    // SAFETY: `len` is less than the record's path; the helper checks the address.
    let failed = unsafe {
        bpf_probe_read_kernel_raw(
            record.path.as_mut_ptr().cast(),
            masked::<127>(u64::from(len)) as u32,
            path as *const _,
        )
    };
    if failed != 0 {
        return;
    }
    record.kind = RecordKind::UnixPath as u32;
    record.len = len;
    record.flow = flow;
    emit::unix_path(record);
}
