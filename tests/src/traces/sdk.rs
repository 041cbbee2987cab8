//! SDKs.
