//! What the tests share: servers of their own, in the process and as a program, and signed requests that the SDK would never send.

pub mod lab;
pub mod server;
pub mod sign;
