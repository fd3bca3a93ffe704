//! Logins side by side: the server that all clients log in to, and the clients in Rust.

pub mod clients;
pub mod report;
pub mod server;
