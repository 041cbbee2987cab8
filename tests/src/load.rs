//! Load for the bench: HTTP/1.1 over keep-alive connections, at a rate that does not depend on how
//! fast the server answers, or none at all over connections that are only held open.

pub mod hold;
pub mod latency;
pub mod rate;
pub mod response;
