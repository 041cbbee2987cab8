//! The sensor as a process of its own: which privileges it keeps, how it creates files of captured data, and how
//! it reports to the service manager. Used by the command line only.

pub mod capabilities;
pub mod notify;
pub mod private_file;
pub mod restrict;
pub mod uprobe;
