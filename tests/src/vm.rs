//! What runs inside the virtual machines of `cargo xtask vm`: [`init`] is their process 1, which has
//! [`steps`] gone through and reported; [`programs`] is one of the steps.

pub mod init;
pub mod programs;
pub mod steps;

/// Where the steps are written down, in the initramfs.
pub const PLAN: &str = "/vm/plan.json";

/// The serial port for the report. The other one is the kernel's.
pub const REPORT: &str = "/dev/ttyS1";
