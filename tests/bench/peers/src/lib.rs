//! Logins side by side: what the server and the clients in Rust share.

pub mod report;
pub mod server;
