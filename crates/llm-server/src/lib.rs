//! A local server that speaks the wire formats of LLM providers: Anthropic's Messages, Message Batches, token counting and models, and
//! the chat completions of OpenAI-compatible servers, with streaming off.
//!
//! **It is no model.** What it answers comes from a closure of its [`Script`]; the default one ([`words::answer`]) follows a few word
//! rules and the JSON schema of the request, and says so in every summary. Every response carries the header [`LABEL`]. Tests use it to
//! see what leaves, what is billed, and what happens when a provider fails; `undertone demo --llm-simulator` uses it to show the product
//! without a key.
//!
//! What is strict here is what the reference calls strict (`reference/claude.md`): headers, fields per model, schema rules and limits,
//! batch ids, error bodies, cache accounting. Three things are stated estimates or choices of ours: [`tokens_of`] counts tokens by bytes,
//! thinking costs a fixed number of tokens per effort, and what the reference leaves open (such as the status of a cancelled batch that had
//! ended already) is refused rather than let pass.
//!
//! Time is handed in: cache lifetimes, rate limits and batches follow the script's clock, so a test moves them without sleeping. Only
//! latencies and [`Failure::Slow`] take real time.
//!
//! ```
//! use std::sync::Arc;
//! use undertone_llm_server::{Failure, Fault, Problem, Script, Server};
//!
//! let noon = chrono::DateTime::from_timestamp(1_800_000_000, 0).unwrap_or_default();
//! let server = Server::start(Script::new(Arc::new(move || noon)))?;
//! server.set(Fault::next(2, Failure::Error(Problem::overloaded())));
//! assert!(server.url().starts_with("http://127.0.0.1:"));
//! assert!(server.ledger().billed.is_empty());
//! # Ok::<(), std::io::Error>(())
//! ```

mod ask;
mod batch;
mod cache;
mod failure;
mod fault;
mod fields;
pub mod generate;
mod http;
pub mod items;
mod ledger;
mod line;
mod models;
pub mod obey;
mod prompt;
mod rates;
mod reply;
mod schema;
mod script;
mod server;
mod state;
mod tokens;
pub mod words;

pub use failure::{Failure, Problem};
pub use fault::{Calls, Fault};
pub use ledger::{Billed, Dialect, Ledger, Usage};
pub use script::{Answer, Clock, Item, ItemSeen, Limits, Pace, Script, Split};
pub use server::Server;
pub use state::Seen;
pub use tokens::tokens_of;

/// A header of every response, whose value is [`NOT_A_MODEL`]: nobody shall take this for a provider.
pub const LABEL: &str = "x-undertone-simulator";

/// What [`LABEL`] says.
pub const NOT_A_MODEL: &str = "local server for tests and demos; not a model";
