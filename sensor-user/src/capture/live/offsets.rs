//! Where the running kernel keeps the fields that the BPF programs read.

use sensor_ebpf::abi::{NO_FIELD, Offsets, Syscalls};

use super::btf::{Btf, Field};

/// Which engine cannot do without a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Both.
    Both,
    /// The engine *syscall*.
    Syscall,
    /// None: without it something is not known, and says so.
    Neither,
}

/// Declares the table once: the field of [`Offsets`], who needs it, and its names in the order in
/// which kernels have had them (`structure path`).
macro_rules! fields {
    ($($field:ident, $need:ident, [$($name:literal),+];)*) => {
        /// Resolves every field; returns the table and the names of those missing, with who needs
        /// them.
        pub fn resolve(btf: &Btf<'_>) -> (Offsets, Vec<(Need, &'static str)>) {
            let mut offsets = Offsets::NONE;
            let mut missing = Vec::new();
            $(match find(btf, &[$($name),+]) {
                Some(field) => offsets.$field = field.bit_offset / 8,
                None => missing.push((Need::$need, [$($name),+][0])),
            })*
            if let Some(field) = find(btf, &["sock sk_kern_sock"]) {
                // Bits count from the lowest one of a byte on little-endian machines.
                offsets.sk_kern_sock_byte = field.bit_offset / 8;
                offsets.sk_kern_sock_bit = field.bit_offset % 8;
            }
            (offsets, missing)
        }
    };
}

fn find(btf: &Btf<'_>, names: &[&'static str]) -> Option<Field> {
    names.iter().find_map(|name| {
        let (structure, path) = name.split_once(' ')?;
        btf.field(structure, path)
    })
}

fields! {
    // include/net/sock.h
    sk_family, Both, ["sock __sk_common.skc_family"];
    sk_state, Both, ["sock __sk_common.skc_state"];
    sk_num, Both, ["sock __sk_common.skc_num"];
    sk_dport, Both, ["sock __sk_common.skc_dport"];
    sk_rcv_saddr, Both, ["sock __sk_common.skc_rcv_saddr"];
    sk_daddr, Both, ["sock __sk_common.skc_daddr"];
    sk_v6_rcv_saddr, Neither, ["sock __sk_common.skc_v6_rcv_saddr"];
    sk_v6_daddr, Neither, ["sock __sk_common.skc_v6_daddr"];
    sk_net, Neither, ["sock __sk_common.skc_net.net"];
    sk_cookie, Neither, ["sock __sk_common.skc_cookie.counter"];
    sk_type, Both, ["sock sk_type"];
    sk_protocol, Both, ["sock sk_protocol"];
    sk_err, Neither, ["sock sk_err"];
    // include/net/net_namespace.h, include/linux/ns_common.h
    net_inum, Neither, ["net ns.inum"];
    // include/linux/tcp.h
    tcp_write_seq, Both, ["tcp_sock write_seq"];
    tcp_copied_seq, Both, ["tcp_sock copied_seq"];
    tcp_rcv_nxt, Neither, ["tcp_sock rcv_nxt"];
    tcp_snd_una, Neither, ["tcp_sock snd_una"];
    tcp_bytes_received, Neither, ["tcp_sock bytes_received"];
    tcp_bytes_acked, Neither, ["tcp_sock bytes_acked"];
    // include/net/af_unix.h
    unix_addr, Neither, ["unix_sock addr"];
    unix_peer, Neither, ["unix_sock peer"];
    unix_address_len, Neither, ["unix_address len"];
    unix_address_name, Neither, ["unix_address name"];
    // include/linux/sched.h, include/linux/sched/signal.h
    task_files, Syscall, ["task_struct files"];
    task_mm, Both, ["task_struct mm"];
    task_tgid, Both, ["task_struct tgid"];
    task_pid, Both, ["task_struct pid"];
    task_real_parent, Neither, ["task_struct real_parent"];
    task_comm, Neither, ["task_struct comm"];
    task_signal, Both, ["task_struct signal"];
    signal_live, Both, ["signal_struct live.counter"];
    // include/linux/mm_types.h
    mm_arg_start, Neither, ["mm_struct arg_start"];
    mm_arg_end, Neither, ["mm_struct arg_end"];
    mm_env_start, Neither, ["mm_struct env_start"];
    mm_env_end, Neither, ["mm_struct env_end"];
    // include/linux/fdtable.h, include/linux/fs.h, include/linux/net.h
    files_fdt, Syscall, ["files_struct fdt"];
    fdtable_max_fds, Syscall, ["fdtable max_fds"];
    fdtable_fd, Syscall, ["fdtable fd"];
    file_inode, Syscall, ["file f_inode"];
    file_private_data, Syscall, ["file private_data"];
    inode_mode, Syscall, ["inode i_mode"];
    inode_ino, Neither, ["inode i_ino"];
    socket_sk, Syscall, ["socket sk"];
    // arch/x86/include/asm/ptrace.h, arch/arm64/include/asm/ptrace.h
    regs_number, Both, ["pt_regs orig_ax", "pt_regs syscallno"];
    regs_arg0, Both, ["pt_regs di", "pt_regs orig_x0"];
    regs_arg1, Both, ["pt_regs si", "pt_regs regs"];
    regs_arg2, Both, ["pt_regs dx", "pt_regs regs"];
    regs_arg3, Both, ["pt_regs r10", "pt_regs regs"];
    // arch/x86/include/asm/thread_info.h
    task_compat_status, Neither, ["task_struct thread_info.status"];
}

/// On arm64 the arguments are elements of one array, which BTF gives the start of.
pub fn adjust_for_architecture(offsets: &mut Offsets) {
    if cfg!(target_arch = "aarch64") {
        for (i, slot) in [&mut offsets.regs_arg1, &mut offsets.regs_arg2, &mut offsets.regs_arg3]
            .into_iter()
            .enumerate()
        {
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
        sendto: number(libc::SYS_sendto),
        sendmsg: number(libc::SYS_sendmsg),
        sendmmsg: number(libc::SYS_sendmmsg),
        sendfile: number(libc::SYS_sendfile),
        splice: number(libc::SYS_splice),
        io_uring_enter: number(libc::SYS_io_uring_enter),
    }
}
