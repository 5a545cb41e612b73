//! Asks an LLM, and believes of its answer only what can be checked. All but [`ask`] are pure functions: nothing waits, nothing is sent.
//!
//! A [`prompt::Question`] holds the redacted texts of one request. [`claude`] and [`openai`] put it into the words of their API and read
//! what comes back into a [`Reply`] or a [`Failure`]. [`answer`] turns the reply's text into a verdict or a reason for each item, one
//! apart from the other, so that neither a careless model nor a customer who talks to it can record anything the text does not bear out.

pub mod answer;
pub mod ask;
pub mod claude;
mod failure;
pub mod openai;
pub mod prompt;
mod reply;
pub mod schema;
mod visible;

pub use failure::{Failure, FailureKind, Headers, REFUSED, RateLimits, Refuses, Retry, Window, explanation};
pub use reply::{Outcome, Reply, Unreadable};
pub(crate) use visible::unseen;
#[cfg(test)]
pub(crate) use visible::visible;
