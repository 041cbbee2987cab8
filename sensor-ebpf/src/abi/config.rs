//! What user space tells the programs before they are loaded. Both structures live in `.rodata`,
//! which is frozen: the verifier sees constants, and removes the branches that cannot be taken.

use crate::limits::{CGROUPS, PORTS};

/// Offset of a field that this kernel does not have.
pub const NO_FIELD: u32 = u32::MAX;

/// Byte offsets of the kernel's structure fields, resolved in BTF. A field's name is the
/// structure's name, then the path within it.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offsets {
    /// `sock.__sk_common.skc_family`, u16
    pub sk_family: u32,
    /// `sock.__sk_common.skc_state`, u8
    pub sk_state: u32,
    /// `sock.__sk_common.skc_num`, u16, host byte order
    pub sk_num: u32,
    /// `sock.__sk_common.skc_dport`, u16, network byte order
    pub sk_dport: u32,
    /// `sock.__sk_common.skc_rcv_saddr`, be32
    pub sk_rcv_saddr: u32,
    /// `sock.__sk_common.skc_daddr`, be32
    pub sk_daddr: u32,
    /// `sock.__sk_common.skc_v6_rcv_saddr`, 16 bytes
    pub sk_v6_rcv_saddr: u32,
    /// `sock.__sk_common.skc_v6_daddr`, 16 bytes
    pub sk_v6_daddr: u32,
    /// `sock.__sk_common.skc_net.net`, pointer to `net`
    pub sk_net: u32,
    /// `sock.__sk_common.skc_cookie.counter`, s64
    pub sk_cookie: u32,
    /// `sock.sk_type`, u16
    pub sk_type: u32,
    /// `sock.sk_protocol`, u16 (u8 in a bit field before 5.6)
    pub sk_protocol: u32,
    /// `sock.sk_err`, int
    pub sk_err: u32,
    /// `net.ns.inum`, u32
    pub net_inum: u32,
    /// `tcp_sock.write_seq`, u32
    pub tcp_write_seq: u32,
    /// `tcp_sock.copied_seq`, u32
    pub tcp_copied_seq: u32,
    /// `tcp_sock.rcv_nxt`, u32
    pub tcp_rcv_nxt: u32,
    /// `tcp_sock.snd_una`, u32
    pub tcp_snd_una: u32,
    /// `tcp_sock.bytes_received`, u64
    pub tcp_bytes_received: u32,
    /// `tcp_sock.bytes_acked`, u64
    pub tcp_bytes_acked: u32,
    /// `unix_sock.addr`, pointer to `unix_address`
    pub unix_addr: u32,
    /// `unix_sock.peer`, pointer to `sock`
    pub unix_peer: u32,
    /// `unix_address.len`, int: length of the `sockaddr_un` in use
    pub unix_address_len: u32,
    /// `unix_address.name`, `sockaddr_un`
    pub unix_address_name: u32,
    /// `task_struct.files`, pointer to `files_struct`
    pub task_files: u32,
    /// `task_struct.mm`, pointer to `mm_struct`
    pub task_mm: u32,
    /// `task_struct.tgid`, int
    pub task_tgid: u32,
    /// `task_struct.pid`, int
    pub task_pid: u32,
    /// `task_struct.real_parent`, pointer to `task_struct`
    pub task_real_parent: u32,
    /// `task_struct.comm`, 16 bytes
    pub task_comm: u32,
    /// `task_struct.signal`, pointer to `signal_struct`
    pub task_signal: u32,
    /// `signal_struct.live.counter`, int: threads not yet exiting
    pub signal_live: u32,
    /// `mm_struct.arg_start`, unsigned long
    pub mm_arg_start: u32,
    /// `mm_struct.arg_end`, unsigned long
    pub mm_arg_end: u32,
    /// `mm_struct.env_start`, unsigned long
    pub mm_env_start: u32,
    /// `mm_struct.env_end`, unsigned long
    pub mm_env_end: u32,
    /// `files_struct.fdt`, pointer to `fdtable`
    pub files_fdt: u32,
    /// `fdtable.max_fds`, unsigned int
    pub fdtable_max_fds: u32,
    /// `fdtable.fd`, pointer to an array of pointers to `file`
    pub fdtable_fd: u32,
    /// `file.f_inode`, pointer to `inode`
    pub file_inode: u32,
    /// `file.private_data`, pointer (a `socket` where the inode is one)
    pub file_private_data: u32,
    /// `inode.i_mode`, umode_t
    pub inode_mode: u32,
    /// `inode.i_ino`, unsigned long
    pub inode_ino: u32,
    /// `socket.sk`, pointer to `sock`
    pub socket_sk: u32,
    /// `pt_regs`: the system call's number (`orig_ax`, `syscallno`)
    pub regs_number: u32,
    /// `pt_regs`: first to fourth argument (the first as it was at entry)
    pub regs_arg: [u32; 4],
}

/// Numbers of the system calls by which bytes go in and out of a socket on this architecture.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each field is named after the call")]
pub struct Syscalls {
    pub read: u32,
    pub readv: u32,
    pub recvfrom: u32,
    pub recvmsg: u32,
    pub recvmmsg: u32,
    pub write: u32,
    pub writev: u32,
    pub sendto: u32,
    pub sendmsg: u32,
    pub sendmmsg: u32,
    pub sendfile: u32,
    pub splice: u32,
    pub io_uring_enter: u32,
}

/// What to trace.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// The sensor's own process: never traced.
    pub self_tgid: u32,
    /// 0: every process that has no verdict against it; 1: only those with a verdict for it, or in
    /// one of `cgroups`.
    pub selected_only: u32,
    /// How many of `ports` are in use; 0 means any port.
    pub port_count: u32,
    /// How many of `cgroups` are in use.
    pub cgroup_count: u32,
    /// Ports, either end, that a TCP flow must have.
    pub ports: [u16; PORTS],
    /// Identifiers of cgroups (version 2) whose processes are traced.
    pub cgroups: [u64; CGROUPS],
    /// Depth below the root of each of `cgroups`.
    pub cgroup_levels: [u32; CGROUPS],
    /// 1: processes' own verdict map is consulted at all.
    pub use_verdicts: u32,
    /// 1: fork, exec and exit are reported.
    pub process_events: u32,
}
