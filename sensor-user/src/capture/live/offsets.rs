//! Where the running kernel keeps the fields that the BPF programs read, and what its tracepoints
//! pass: everything of the kernel's own that is relied on has a line here. `sensor doctor --btf FILE`
//! looks all of it up in a kernel's type information.

use sensor_ebpf::abi::{NO_FIELD, Offsets, Syscalls, TurnCalls, turn_call};

use super::btf::{Argument, Btf, Field};

/// Which engine cannot do without something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Both.
    Both,
    /// The engine *socket*.
    Socket,
    /// The engine *syscall*.
    Syscall,
    /// None: without it something is not known, and says so.
    Neither,
}

/// What the programs take a field for. One that is something else is as good as absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// So many bytes, or an array of such, of which the first is read.
    Bytes(u32),
    /// An integer of four or eight bytes, of which the lower four count.
    Number,
    /// An integer of one or four bytes, of which the lowest counts.
    LowByte,
    /// A bit: the byte that it is in.
    ByteOfBit,
    /// The same bit: which of that byte.
    BitInByte,
}

/// A field that is relied on.
pub struct Relied {
    /// Who needs it.
    pub need: Need,
    /// What it is taken for.
    pub shape: Shape,
    /// Its names (`structure path`), in the order in which kernels have had them.
    pub names: &'static [&'static str],
    slot: fn(&mut Offsets) -> &mut u32,
}

/// What became of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// It is there, under this name.
    At(&'static str, Field),
    /// There is one of this name, but it is not what the programs take it for.
    Unfit(&'static str, Field),
    /// It is not there.
    Absent,
}

impl Relied {
    /// Looks it up.
    pub fn find(&self, btf: &Btf<'_>) -> Found {
        let mut unfit = Found::Absent;
        for &name in self.names {
            let field =
                name.split_once(' ').and_then(|(structure, path)| btf.field(structure, path));
            match field {
                Some(field) if self.shape.fits(&field) => return Found::At(name, field),
                Some(field) => unfit = Found::Unfit(name, field),
                None => {}
            }
        }
        unfit
    }
}

impl Shape {
    fn fits(self, field: &Field) -> bool {
        let &Field { bit_offset, bits, size, element } = field;
        match self {
            Self::Bytes(n) => {
                bits.is_none() && bit_offset % 8 == 0 && [size, element].contains(&Some(n))
            }
            Self::Number => bits.is_none() && [Some(4), Some(8)].contains(&size),
            Self::LowByte => bits.is_none() && [Some(1), Some(4)].contains(&size),
            Self::ByteOfBit | Self::BitInByte => bits == Some(1),
        }
    }

    fn value(self, field: &Field) -> u32 {
        match self {
            // Little-endian machines have it first.
            Self::Bytes(_) | Self::Number | Self::LowByte | Self::ByteOfBit => field.bit_offset / 8,
            // Bits count from the lowest one of a byte on little-endian machines.
            Self::BitInByte => field.bit_offset % 8,
        }
    }
}

/// A tracepoint that a program is attached to.
pub struct Tracepoint {
    /// Who needs it.
    pub need: Need,
    /// The kernel's name for it.
    pub name: &'static str,
    /// What the program takes of its arguments. There may be more behind them.
    pub arguments: &'static [Argument<'static>],
}

impl Tracepoint {
    /// Whether the kernel has it, and passes what is expected; none if it does not have it.
    pub fn fits(&self, btf: &Btf<'_>) -> Option<bool> {
        btf.tracepoint(self.name).map(|arguments| arguments.starts_with(self.arguments))
    }
}

/// The tracepoints (include/trace/events/).
pub const TRACEPOINTS: &[Tracepoint] = &[
    // sock.h
    Tracepoint {
        need: Need::Socket,
        name: "sock_send_length",
        arguments: &[Argument::Pointer("sock"), Argument::Integer(4), Argument::Integer(4)],
    },
    Tracepoint {
        need: Need::Socket,
        name: "sock_recv_length",
        arguments: &[Argument::Pointer("sock"), Argument::Integer(4), Argument::Integer(4)],
    },
    Tracepoint {
        need: Need::Both,
        name: "inet_sock_set_state",
        arguments: &[Argument::Pointer("sock"), Argument::Integer(4), Argument::Integer(4)],
    },
    // tcp.h
    Tracepoint {
        need: Need::Both,
        name: "tcp_destroy_sock",
        arguments: &[Argument::Pointer("sock")],
    },
    // syscalls.h; with the engine *socket*, what event loops act on is told by it
    Tracepoint {
        need: Need::Both,
        name: "sys_exit",
        arguments: &[Argument::Pointer("pt_regs"), Argument::Integer(8)],
    },
    // sched.h
    Tracepoint {
        need: Need::Both,
        name: "sched_process_fork",
        arguments: &[Argument::Pointer("task_struct"), Argument::Pointer("task_struct")],
    },
    Tracepoint {
        need: Need::Both,
        name: "sched_process_exec",
        arguments: &[Argument::Pointer("task_struct")],
    },
    Tracepoint {
        need: Need::Both,
        name: "sched_process_exit",
        arguments: &[Argument::Pointer("task_struct")],
    },
];

/// Declares the table once: the field of [`Offsets`], who needs it, what it is taken for, and its
/// names.
macro_rules! fields {
    ($($field:ident, $need:ident, $shape:expr, [$($name:literal),+];)*) => {
        /// The fields.
        pub const FIELDS: &[Relied] = &[$(Relied {
            need: Need::$need,
            shape: $shape,
            names: &[$($name),+],
            slot: |offsets| &mut offsets.$field,
        }),*];
    };
}

use Shape::{BitInByte, ByteOfBit, Bytes, LowByte, Number};

fields! {
    // include/net/sock.h
    sk_family, Both, Bytes(2), ["sock __sk_common.skc_family"];
    sk_state, Both, Bytes(1), ["sock __sk_common.skc_state"];
    sk_num, Both, Bytes(2), ["sock __sk_common.skc_num"];
    sk_dport, Both, Bytes(2), ["sock __sk_common.skc_dport"];
    sk_rcv_saddr, Both, Bytes(4), ["sock __sk_common.skc_rcv_saddr"];
    sk_daddr, Both, Bytes(4), ["sock __sk_common.skc_daddr"];
    sk_v6_rcv_saddr, Neither, Bytes(16), ["sock __sk_common.skc_v6_rcv_saddr"];
    sk_v6_daddr, Neither, Bytes(16), ["sock __sk_common.skc_v6_daddr"];
    sk_net, Neither, Bytes(8), ["sock __sk_common.skc_net.net"];
    sk_cookie, Neither, Bytes(8), ["sock __sk_common.skc_cookie.counter"];
    sk_type, Both, Bytes(2), ["sock sk_type"];
    sk_protocol, Both, Bytes(2), ["sock sk_protocol"];
    sk_err, Neither, Bytes(4), ["sock sk_err"];
    sk_socket, Neither, Bytes(8), ["sock sk_socket"];
    sk_kern_sock_byte, Neither, ByteOfBit, ["sock sk_kern_sock"];
    sk_kern_sock_bit, Neither, BitInByte, ["sock sk_kern_sock"];
    // include/net/net_namespace.h, include/linux/ns_common.h
    net_inum, Neither, Bytes(4), ["net ns.inum"];
    // include/linux/tcp.h
    tcp_write_seq, Both, Bytes(4), ["tcp_sock write_seq"];
    tcp_copied_seq, Both, Bytes(4), ["tcp_sock copied_seq"];
    tcp_rcv_nxt, Neither, Bytes(4), ["tcp_sock rcv_nxt"];
    tcp_snd_una, Neither, Bytes(4), ["tcp_sock snd_una"];
    tcp_bytes_received, Neither, Bytes(8), ["tcp_sock bytes_received"];
    tcp_bytes_acked, Neither, Bytes(8), ["tcp_sock bytes_acked"];
    // include/net/af_unix.h
    unix_addr, Neither, Bytes(8), ["unix_sock addr"];
    unix_peer, Neither, Bytes(8), ["unix_sock peer"];
    unix_address_len, Neither, Bytes(4), ["unix_address len"];
    unix_address_name, Neither, Bytes(110), ["unix_address name"];
    // include/linux/sched.h, include/linux/sched/signal.h
    task_files, Syscall, Bytes(8), ["task_struct files"];
    task_mm, Both, Bytes(8), ["task_struct mm"];
    task_tgid, Both, Bytes(4), ["task_struct tgid"];
    task_pid, Both, Bytes(4), ["task_struct pid"];
    task_group_leader, Both, Bytes(8), ["task_struct group_leader"];
    task_start_boottime, Both, Bytes(8), ["task_struct start_boottime"];
    task_self_exec_id, Both, Number, ["task_struct self_exec_id"];
    task_real_parent, Neither, Bytes(8), ["task_struct real_parent"];
    task_comm, Neither, Bytes(16), ["task_struct comm"];
    task_signal, Both, Bytes(8), ["task_struct signal"];
    signal_live, Both, Bytes(4), ["signal_struct live.counter"];
    signal_nr_threads, Neither, Bytes(4), ["signal_struct nr_threads"];
    signal_thread_head, Neither, Bytes(8), ["signal_struct thread_head.next"];
    task_thread_node, Neither, Bytes(8), ["task_struct thread_node.next"];
    task_state, Neither, Number, ["task_struct __state", "task_struct state"];
    task_on_cpu, Neither, LowByte, ["task_struct on_cpu"];
    task_nvcsw, Neither, Bytes(8), ["task_struct nvcsw"];
    task_nivcsw, Neither, Bytes(8), ["task_struct nivcsw"];
    // include/linux/mm_types.h
    mm_arg_start, Neither, Bytes(8), ["mm_struct arg_start"];
    mm_arg_end, Neither, Bytes(8), ["mm_struct arg_end"];
    mm_env_start, Neither, Bytes(8), ["mm_struct env_start"];
    mm_env_end, Neither, Bytes(8), ["mm_struct env_end"];
    // include/linux/fdtable.h, include/linux/fs.h, include/linux/net.h
    files_fdt, Syscall, Bytes(8), ["files_struct fdt"];
    fdtable_max_fds, Syscall, Bytes(4), ["fdtable max_fds"];
    fdtable_fd, Syscall, Bytes(8), ["fdtable fd"];
    file_inode, Syscall, Bytes(8), ["file f_inode"];
    file_private_data, Syscall, Bytes(8), ["file private_data"];
    file_flags, Neither, Bytes(4), ["file f_flags"];
    inode_mode, Syscall, Bytes(2), ["inode i_mode"];
    inode_ino, Neither, Bytes(8), ["inode i_ino"];
    inode_rdev, Neither, Bytes(4), ["inode i_rdev"];
    inode_generation, Neither, Bytes(4), ["inode i_generation"];
    inode_sb, Neither, Bytes(8), ["inode i_sb"];
    sb_dev, Neither, Bytes(4), ["super_block s_dev"];
    socket_sk, Syscall, Bytes(8), ["socket sk"];
    socket_file, Neither, Bytes(8), ["socket file"];
    // arch/x86/include/asm/ptrace.h, arch/arm64/include/asm/ptrace.h
    regs_number, Both, Number, ["pt_regs orig_ax", "pt_regs syscallno"];
    regs_arg0, Both, Bytes(8), ["pt_regs di", "pt_regs orig_x0"];
    regs_arg1, Both, Bytes(8), ["pt_regs si", "pt_regs regs"];
    regs_arg2, Both, Bytes(8), ["pt_regs dx", "pt_regs regs"];
    regs_arg3, Both, Bytes(8), ["pt_regs r10", "pt_regs regs"];
    regs_arg4, Neither, Bytes(8), ["pt_regs r8", "pt_regs regs"];
    // arch/x86/include/asm/processor.h
    task_fsbase, Neither, Bytes(8), ["task_struct thread.fsbase"];
    regs_sp, Neither, Bytes(8), ["pt_regs sp"];
    // arch/x86/include/asm/thread_info.h
    task_compat_status, Neither, Bytes(4), ["task_struct thread_info.status"];
}

/// Looks up every field; returns the table and the names of those missing, with who needs them.
pub fn resolve(btf: &Btf<'_>) -> (Offsets, Vec<(Need, &'static str)>) {
    let mut offsets = Offsets::NONE;
    let mut missing = Vec::new();
    for relied in FIELDS {
        match relied.find(btf) {
            Found::At(_, field) => *(relied.slot)(&mut offsets) = relied.shape.value(&field),
            Found::Unfit(name, _) => missing.push((relied.need, name)),
            Found::Absent => missing.push((relied.need, relied.names.first().unwrap_or(&""))),
        }
    }
    (offsets, missing)
}

/// On arm64 the arguments are elements of one array, which BTF gives the start of.
pub fn adjust_for_architecture(offsets: &mut Offsets) {
    if cfg!(target_arch = "aarch64") {
        let Offsets { regs_arg1, regs_arg2, regs_arg3, regs_arg4, .. } = offsets;
        for (i, slot) in [regs_arg1, regs_arg2, regs_arg3, regs_arg4].into_iter().enumerate() {
            if *slot != NO_FIELD {
                *slot += 8 * (u32::try_from(i).unwrap_or(0) + 1);
            }
        }
        // Only x86 marks 32-bit calls there.
        offsets.task_compat_status = NO_FIELD;
    }
}

/// The numbers of the calls on this architecture.
pub fn syscalls() -> Syscalls {
    let number = |n: libc::c_long| u32::try_from(n).unwrap_or(u32::MAX);
    Syscalls {
        read: number(libc::SYS_read),
        readv: number(libc::SYS_readv),
        recvfrom: number(libc::SYS_recvfrom),
        recvmsg: number(libc::SYS_recvmsg),
        recvmmsg: number(libc::SYS_recvmmsg),
        write: number(libc::SYS_write),
        writev: number(libc::SYS_writev),
        pwrite64: number(libc::SYS_pwrite64),
        pwritev: number(libc::SYS_pwritev),
        pwritev2: number(libc::SYS_pwritev2),
        sendto: number(libc::SYS_sendto),
        sendmsg: number(libc::SYS_sendmsg),
        sendmmsg: number(libc::SYS_sendmmsg),
        sendfile: number(libc::SYS_sendfile),
        splice: number(libc::SYS_splice),
        io_uring_enter: number(libc::SYS_io_uring_enter),
    }
}

/// What each call of this architecture has to do with what a thread acts on.
pub fn turn_calls() -> TurnCalls {
    /// `futex_wait`, which libc does not name (Linux 6.7; the same number everywhere).
    const FUTEX_WAIT: libc::c_long = 455;
    let mut calls: TurnCalls = [turn_call::NONE; size_of::<TurnCalls>()];
    let calls_of: &[(u8, &[libc::c_long])] = &[
        #[cfg(target_arch = "x86_64")]
        (turn_call::EPOLL, &[libc::SYS_epoll_wait]),
        (turn_call::EPOLL, &[libc::SYS_epoll_pwait]),
        (turn_call::EPOLL_TIMESPEC, &[libc::SYS_epoll_pwait2]),
        #[cfg(target_arch = "x86_64")]
        (turn_call::POLL, &[libc::SYS_poll]),
        (turn_call::POLL_TIMESPEC, &[libc::SYS_ppoll]),
        #[cfg(target_arch = "x86_64")]
        (turn_call::SELECT, &[libc::SYS_select]),
        (turn_call::SELECT_TIMESPEC, &[libc::SYS_pselect6]),
        (turn_call::IO_URING, &[libc::SYS_io_uring_enter]),
        // Each by which bytes of a socket come in, so that what it has read is not taken for the next
        // one's.
        (turn_call::READ, &[libc::SYS_read, libc::SYS_readv, libc::SYS_splice]),
        (turn_call::READ, &[libc::SYS_recvfrom, libc::SYS_recvmsg, libc::SYS_recvmmsg]),
        (turn_call::FUTEX, &[libc::SYS_futex]),
        (turn_call::WOKEN, &[libc::SYS_futex_waitv, FUTEX_WAIT]),
        (turn_call::WOKEN, &[libc::SYS_msgrcv, libc::SYS_mq_timedreceive, libc::SYS_semtimedop]),
        (turn_call::WOKEN, &[libc::SYS_semop]),
        (turn_call::GETSOCKOPT, &[libc::SYS_getsockopt]),
        (turn_call::ACCEPT, &[libc::SYS_accept, libc::SYS_accept4]),
        (turn_call::TIMER, &[libc::SYS_timerfd_settime]),
        (turn_call::RESTARTED, &[libc::SYS_restart_syscall]),
    ];
    for &(kind, numbers) in calls_of {
        for &number in numbers {
            if let Some(slot) = usize::try_from(number).ok().and_then(|n| calls.get_mut(n)) {
                *slot = kind;
            }
        }
    }
    calls
}

#[cfg(test)]
mod tests;
