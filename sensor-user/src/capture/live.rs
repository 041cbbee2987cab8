//! The running kernel as a source.

pub mod btf;
pub mod offsets;
pub mod programs;

/// Why the kernel cannot be listened to. The text names what to do next.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// No type information.
    #[error(
        "the kernel's type information (/sys/kernel/btf/vmlinux) cannot be used: {0}; a kernel built with CONFIG_DEBUG_INFO_BTF is needed"
    )]
    NoBtf(String),
    /// The object is broken.
    #[error(
        "the BPF object in this binary is broken: {0}; rebuild it with `cargo xtask build-ebpf`"
    )]
    Object(String),
    /// x
    #[error("{0}")]
    Program(String),
}
impl OpenError {
    fn load(e: aya::EbpfError) -> Self {
        Self::Program(format!("{e:?}"))
    }
    fn program(n: &str, e: aya::programs::ProgramError) -> Self {
        Self::Program(format!("{n}: {e}\n{e:?}"))
    }
}
