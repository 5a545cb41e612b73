//! What can be said of agents from how their customers felt, fairly enough to be said at all: [`contacts`] tells what an agent began with
//! from what came after, and [`Numbers`] adjusts, shrinks and says how unsure it is.

mod contact;
mod numbers;
mod terms;

pub use contact::{BEFORE_WITHIN, Contact, Moment, contacts};
pub use numbers::{AgentNumber, Difference, Numbers, Sums};
pub use terms::{TERMS, TERMS_VERSION};
