//! The lab that every test, benchmark and `cargo xtask run` without a configuration stands on:
//! network namespaces, real redis-servers, the agent, and ears on the wire. It needs root, and
//! cleans up after itself.

pub mod bench;
pub mod e2e;
pub mod golden;
pub mod lab;
