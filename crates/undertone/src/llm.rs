//! LLMs as scorers of the service: the way to them ([`web`]), who pays ([`purse`] for tenants, [`meter`] for a command), and which of them
//! a tenant's texts are put to ([`tenants`], and [`provider`] for the cascade). How one is asked, and how much of its answer is believed, is `undertone_scoring::llm`.

pub mod meter;
pub mod provider;
pub mod purse;
pub mod tenants;
mod unavailable;
pub mod web;

pub use purse::TenantPurse;
pub use tenants::{Chosen, Llms};
pub use unavailable::Unavailable;
pub use web::Web;

/// The model of Claude's that is asked where nobody chose one: the cheapest that follows a schema and can be kept from thinking
/// (`reference/claude.md` §8 and §9).
pub const CLAUDE_MODEL: &str = "claude-haiku-5-5";
