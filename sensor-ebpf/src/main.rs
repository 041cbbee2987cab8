//! The BPF programs. Thin: each finds the socket, the direction and the caller's buffers, and hands
//! them to [`probes::observe`]. What to copy is decided by [`sensor_ebpf::frame`].
//!
//! Two engines, of which user space attaches one:
//!
//! - *socket* (Linux 6.3+): `sock_send_length` and `sock_recv_length` fire at the end of every
//!   socket send and receive, whatever the way in; nothing else on the machine pays.
//! - *syscall* (older kernels): `sys_exit`, and a walk from the file descriptor to the socket.
//!
//! With either, `turns` at `sys_exit`, where it is wanted to know what event loops act on.
#![no_std]
#![no_main]
#![feature(asm_experimental_arch)]

mod probes;

/// A panic cannot happen: the verifier accepts no program that can reach one.
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

/// The licence that the helpers require.
#[unsafe(no_mangle)]
#[unsafe(link_section = "license")]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
