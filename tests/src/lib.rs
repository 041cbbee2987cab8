//! What the end-to-end tests share, and the demo's services.

pub mod demo;
//! What the end-to-end tests share.

pub mod backends;
