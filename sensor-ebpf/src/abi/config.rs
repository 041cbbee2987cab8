//! What user space tells the programs before they are loaded. Both structures live in `.rodata`,
//! which is frozen: the verifier sees constants, and removes the branches that cannot be taken.

use crate::limits::{CGROUPS, PORTS};

/// Offset of a field that this kernel does not have.
pub const NO_FIELD: u32 = u32::MAX;

macro_rules! offsets {
    ($($(#[$meta:meta])* $field:ident,)*) => {
        /// Byte offsets of the kernel's structure fields, resolved in BTF, or [`NO_FIELD`]. A
        /// field's name is the structure's name, then the path within it.
        #[repr(C)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[cfg_attr(feature = "user", derive(zerocopy::IntoBytes, zerocopy::Immutable))]
        pub struct Offsets { $($(#[$meta])* pub $field: u32,)* }

        impl Offsets {
            /// No field at all.
            pub const NONE: Self = Self { $($field: NO_FIELD,)* };
        }
    };
}

offsets! {
    /// `sock.__sk_common.skc_family`, u16
    sk_family,
    /// `sock.__sk_common.skc_state`, u8
    sk_state,
    /// `sock.__sk_common.skc_num`, u16, host byte order
    sk_num,
    /// `sock.__sk_common.skc_dport`, u16, network byte order
    sk_dport,
    /// `sock.__sk_common.skc_rcv_saddr`, be32
    sk_rcv_saddr,
    /// `sock.__sk_common.skc_daddr`, be32
    sk_daddr,
    /// `sock.__sk_common.skc_v6_rcv_saddr`, 16 bytes
    sk_v6_rcv_saddr,
    /// `sock.__sk_common.skc_v6_daddr`, 16 bytes
    sk_v6_daddr,
    /// `sock.__sk_common.skc_net.net`, pointer to `net`
    sk_net,
    /// `sock.__sk_common.skc_cookie.counter`, s64
    sk_cookie,
    /// `sock.sk_type`, u16
    sk_type,
    /// `sock.sk_protocol`, u16 (u8 in a bit field before 5.6)
    sk_protocol,
    /// `sock.sk_err`, int
    sk_err,
    /// `sock.sk_socket`, pointer to `socket`
    sk_socket,
    /// `sock.sk_kern_sock`, the byte that holds the bit
    sk_kern_sock_byte,
    /// `sock.sk_kern_sock`, the bit within that byte
    sk_kern_sock_bit,
    /// `net.ns.inum`, u32
    net_inum,
    /// `tcp_sock.write_seq`, u32
    tcp_write_seq,
    /// `tcp_sock.copied_seq`, u32
    tcp_copied_seq,
    /// `tcp_sock.rcv_nxt`, u32
    tcp_rcv_nxt,
    /// `tcp_sock.snd_una`, u32
    tcp_snd_una,
    /// `tcp_sock.bytes_received`, u64
    tcp_bytes_received,
    /// `tcp_sock.bytes_acked`, u64
    tcp_bytes_acked,
    /// `unix_sock.addr`, pointer to `unix_address`
    unix_addr,
    /// `unix_sock.peer`, pointer to `sock`
    unix_peer,
    /// `unix_address.len`, int: length of the `sockaddr_un` in use
    unix_address_len,
    /// `unix_address.name`, `sockaddr_un`
    unix_address_name,
    /// `task_struct.files`, pointer to `files_struct`
    task_files,
    /// `task_struct.mm`, pointer to `mm_struct`
    task_mm,
    /// `task_struct.tgid`, int
    task_tgid,
    /// `task_struct.pid`, int
    task_pid,
    /// `task_struct.group_leader`, pointer to `task_struct`
    task_group_leader,
    /// `task_struct.start_boottime`, u64
    task_start_boottime,
    /// `task_struct.self_exec_id`, u64 (u32 before 5.7)
    task_self_exec_id,
    /// `task_struct.real_parent`, pointer to `task_struct`
    task_real_parent,
    /// `task_struct.comm`, 16 bytes
    task_comm,
    /// `task_struct.signal`, pointer to `signal_struct`
    task_signal,
    /// `signal_struct.live.counter`, int: threads not yet exiting
    signal_live,
    /// `signal_struct.nr_threads`, int
    signal_nr_threads,
    /// `signal_struct.thread_head.next`, pointer to a `list_head`
    signal_thread_head,
    /// `task_struct.thread_node.next`, pointer to a `list_head`
    task_thread_node,
    /// `task_struct.__state`, unsigned int (`state`, long, before 5.14)
    task_state,
    /// `task_struct.on_cpu`, 0 or 1: an int (in 7.2, a byte)
    task_on_cpu,
    /// `task_struct.nvcsw`, unsigned long
    task_nvcsw,
    /// `task_struct.nivcsw`, unsigned long
    task_nivcsw,
    /// `mm_struct.arg_start`, unsigned long
    mm_arg_start,
    /// `mm_struct.arg_end`, unsigned long
    mm_arg_end,
    /// `mm_struct.env_start`, unsigned long
    mm_env_start,
    /// `mm_struct.env_end`, unsigned long
    mm_env_end,
    /// `files_struct.fdt`, pointer to `fdtable`
    files_fdt,
    /// `fdtable.max_fds`, unsigned int
    fdtable_max_fds,
    /// `fdtable.fd`, pointer to an array of pointers to `file`
    fdtable_fd,
    /// `file.f_inode`, pointer to `inode`
    file_inode,
    /// `file.private_data`, pointer (a `socket` where the inode is one)
    file_private_data,
    /// `file.f_flags`, unsigned int
    file_flags,
    /// `inode.i_mode`, umode_t
    inode_mode,
    /// `inode.i_ino`, unsigned long
    inode_ino,
    /// `inode.i_rdev`, dev_t: which device a special file is
    inode_rdev,
    /// `inode.i_generation`, u32
    inode_generation,
    /// `inode.i_sb`, pointer to `super_block`
    inode_sb,
    /// `super_block.s_dev`, dev_t
    sb_dev,
    /// `socket.sk`, pointer to `sock`
    socket_sk,
    /// `socket.file`, pointer to `file`
    socket_file,
    /// `pt_regs`: the system call's number (`orig_ax`, `syscallno`)
    regs_number,
    /// `pt_regs`: the call's first argument, as it was at entry
    regs_arg0,
    /// `pt_regs`: the call's second argument
    regs_arg1,
    /// `pt_regs`: the call's third argument
    regs_arg2,
    /// `pt_regs`: the call's fourth argument
    regs_arg3,
    /// `pt_regs`: the call's fifth argument
    regs_arg4,
    /// `task_struct.thread.fsbase` (x86), unsigned long: the thread pointer of user space
    task_fsbase,
    /// `pt_regs`: the stack pointer
    regs_sp,
    /// `thread_info.status` in `task_struct` (x86), u32: bit 1 tells a 32-bit system call
    task_compat_status,
}

/// Numbers of the system calls by which bytes go in and out of a socket, or into a file, on this architecture.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "user", derive(zerocopy::IntoBytes, zerocopy::Immutable))]
#[expect(missing_docs, reason = "each field is named after the call")]
pub struct Syscalls {
    pub read: u32,
    pub readv: u32,
    pub recvfrom: u32,
    pub recvmsg: u32,
    pub recvmmsg: u32,
    pub write: u32,
    pub writev: u32,
    pub pwrite64: u32,
    pub pwritev: u32,
    pub pwritev2: u32,
    pub sendto: u32,
    pub sendmsg: u32,
    pub sendmmsg: u32,
    pub sendfile: u32,
    pub splice: u32,
    pub io_uring_enter: u32,
}

/// System calls by number, as far as they matter to what a thread acts on: an element is one of
/// [`turn_call`]. Numbers beyond are none of them.
pub type TurnCalls = [u8; 512];

/// What system calls have to do with what a thread acts on.
pub mod turn_call {
    /// Nothing.
    pub const NONE: u8 = 0;
    /// `epoll_wait`, `epoll_pwait`: waits, milliseconds in the fourth argument.
    pub const EPOLL: u8 = 1;
    /// `epoll_pwait2`: the same with a `timespec`.
    pub const EPOLL_TIMESPEC: u8 = 2;
    /// `poll`: waits, milliseconds in the third argument.
    pub const POLL: u8 = 3;
    /// `ppoll`: the same with a `timespec`, in which the kernel leaves what remains.
    pub const POLL_TIMESPEC: u8 = 4;
    /// `select`: waits, a `timeval` in the fifth argument, in which the kernel leaves what remains.
    pub const SELECT: u8 = 5;
    /// `pselect6`: the same with a `timespec`.
    pub const SELECT_TIMESPEC: u8 = 6;
    /// `io_uring_enter`.
    pub const IO_URING: u8 = 7;
    /// Reads from a descriptor, or receives.
    pub const READ: u8 = 8;
    /// `futex`: may wait for another thread.
    pub const FUTEX: u8 = 9;
    /// Waits for another thread or process, and succeeds with what that did.
    pub const WOKEN: u8 = 10;
    /// `getsockopt`: may ask whether a connection has come about.
    pub const GETSOCKOPT: u8 = 11;
    /// `accept`, `accept4`.
    pub const ACCEPT: u8 = 12;
    /// `timerfd_settime`: timers may fire without another call.
    pub const TIMER: u8 = 13;
    /// `restart_syscall`: one of those above was interrupted, and it is not said which.
    pub const RESTARTED: u8 = 14;
}

/// What to trace.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "user", derive(zerocopy::IntoBytes, zerocopy::Immutable))]
pub struct Config {
    /// The sensor's own process: never traced.
    pub self_tgid: u32,
    /// Which processes: one of [`mode`].
    pub mode: u32,
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
    /// Mixed into the names of Unix connections, so that they tell nothing of the kernel's addresses.
    pub unix_key: u64,
    /// 1 where it is told what a thread read before it sent something; else 0.
    pub causes: u32,
    /// How much is taken of what processes write: one of [`super::lines`].
    pub lines: u32,
    /// 1 where it may be written to other files than standard output and error; else 0.
    pub line_files: u32,
    /// Zero.
    pub reserved: u32,
}

/// User space's decision on a process: a value of the map `VERDICTS`, by process id. It counts for
/// the process with this start time only, not for a later one with the same id.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "user", derive(zerocopy::IntoBytes, zerocopy::Immutable))]
pub struct Verdict {
    /// See [`super::SegmentRecord::start_ns`]. User space knows ticks only: the process was started
    /// up to [`crate::limits::START_TICK_NS`] later.
    pub start_ns: u64,
    /// See [`super::SegmentRecord::execs`]. After an exec, a traced process stays traced; one that
    /// is not traced becomes undecided.
    pub execs: u32,
    /// 1: traced; 0: not.
    pub traced: u8,
    /// 1: user space keeps state of this process and needs its exit record; 0: copied by a fork.
    pub told: u8,
    /// Zero.
    pub reserved: [u8; 2],
}

const _: () = assert!(size_of::<Verdict>() == 16);

/// Values of [`Config::mode`].
pub mod mode {
    /// Every process.
    pub const ALL: u32 = 0;
    /// Processes with a verdict for them, and those in one of the cgroups.
    pub const SELECTED: u32 = 1;
    /// The same, and those on which user space has not decided yet: it will, and drops what is not
    /// wanted.
    pub const UNDECIDED: u32 = 2;
}

impl Config {
    /// Every process and port.
    pub const ALL: Self = Self {
        self_tgid: 0,
        mode: mode::ALL,
        port_count: 0,
        cgroup_count: 0,
        ports: [0; PORTS],
        cgroups: [0; CGROUPS],
        cgroup_levels: [0; CGROUPS],
        unix_key: 0,
        causes: 0,
        lines: 0,
        line_files: 0,
        reserved: 0,
    };
}

impl Syscalls {
    /// No call at all; numbers that no kernel has.
    pub const NONE: Self = Self {
        read: u32::MAX,
        readv: u32::MAX,
        recvfrom: u32::MAX,
        recvmsg: u32::MAX,
        recvmmsg: u32::MAX,
        write: u32::MAX,
        writev: u32::MAX,
        pwrite64: u32::MAX,
        pwritev: u32::MAX,
        pwritev2: u32::MAX,
        sendto: u32::MAX,
        sendmsg: u32::MAX,
        sendmmsg: u32::MAX,
        sendfile: u32::MAX,
        splice: u32::MAX,
        io_uring_enter: u32::MAX,
    };
}
