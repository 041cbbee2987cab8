//! The programs and what they share.

mod call;
mod emit;
mod flow;
mod golang;
mod kernel;
mod lines;
mod maps;
mod observe;
mod own;
mod process;
mod select;
mod socket;
mod state;
mod syscall;
mod turn;
mod walk;
