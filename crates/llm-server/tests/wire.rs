//! The server over real connections: every address, every error, the cache to the token, batches by the clock, faults.

#![allow(clippy::unwrap_used, clippy::panic, clippy::too_many_lines, reason = "tests")]

#[path = "wire/answers.rs"]
mod answers;
#[path = "wire/batches.rs"]
mod batches;
#[path = "wire/bench.rs"]
mod bench;
#[path = "wire/cache.rs"]
mod cache;
#[path = "wire/chat.rs"]
mod chat;
#[path = "wire/faults.rs"]
mod faults;
#[path = "wire/limits.rs"]
mod limits;
#[path = "wire/models.rs"]
mod models;
#[path = "wire/refusals.rs"]
mod refusals;
