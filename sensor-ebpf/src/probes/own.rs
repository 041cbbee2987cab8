//! Connections, whichever engine: their end, and those of the sensor itself.

use aya_ebpf::{
    helpers::bpf_get_current_pid_tgid, macros::btf_tracepoint, programs::BtfTracePointContext,
};

use super::{
    flow,
    kernel::probe,
    maps::{ASKED, OWN_PEERS, OWN_SOCKS, setting},
    observe,
};

const TCP_ESTABLISHED: i32 = 1;
const TCP_SYN_SENT: i32 = 2;
const TCP_CLOSE: i32 = 7;

// match-proto: void trace_inet_sock_set_state(const struct sock *sk, const int oldstate, const int newstate)
/// A connection's state changed.
#[btf_tracepoint(function = "inet_sock_set_state")]
pub(crate) fn inet_sock_set_state(ctx: BtfTracePointContext) -> i32 {
    let sock: u64 = ctx.arg(0);
    let new_state: i32 = ctx.arg(2);
    if new_state == TCP_SYN_SENT {
        // In `connect`, so the current process is the one that connects.
        if (bpf_get_current_pid_tgid() >> 32) as u32 == setting!(CONFIG.self_tgid) {
            let _ = OWN_SOCKS.insert(sock, 1u8, 0);
        }
        return 0;
    }
    if new_state == TCP_ESTABLISHED {
        // Before any byte can come through it. Both addresses are known now.
        if OWN_SOCKS.get_ptr(sock).is_some() {
            let _ = OWN_SOCKS.remove(sock);
            if let Some(ends) = flow::peer_ends(sock) {
                let _ = OWN_PEERS.insert(ends, 1u8, 0);
            }
        }
        return 0;
    }
    let error: u32 = if new_state == TCP_CLOSE { probe(sock, setting!(OFFSETS.sk_err)) } else { 0 };
    observe::state_changed(sock, new_state, error);
    0
}

// match-proto: void trace_tcp_destroy_sock(struct sock *sk)
/// A socket is gone: nothing can be read from it any more.
#[btf_tracepoint(function = "tcp_destroy_sock")]
pub(crate) fn tcp_destroy_sock(ctx: BtfTracePointContext) -> i32 {
    let sock: u64 = ctx.arg(0);
    let _ = ASKED.remove(sock);
    observe::destroyed(sock);
    0
}
