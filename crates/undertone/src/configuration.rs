//! What a tenant set of alerts, and its destinations, as a file that can be kept under version control: [`mod@export`] writes it, [`Asked`] reads
//! it with everything wrong told at once, [`Plan`] says what it would change, and changes it.
//!
//! This is for whoever operates the service: a reference such as `${env:NAME}` is looked up where the command runs, so no route takes a file.

mod ask;
mod document;
mod export;
mod plan;
mod reference;
#[cfg(test)]
mod tests;

pub use ask::{Asked, Means};
pub use export::export;
pub use plan::{Ground, NoPlan, Plan};

/// The settings that a file may hold: those of alerts, and where events go.
pub const SETTINGS: [&str; 12] = [
    "alert_threshold",
    "cooldown_minutes",
    "recipients",
    "business_hours",
    "respond_within_minutes",
    "escalate_after_minutes",
    "escalate_to",
    "incident_customers",
    "incident_minutes",
    "tell_within_hours",
    "emit_workflow_events",
    "dispatch_webhooks",
];

/// Something wrong in a file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wrong {
    /// The line it stands in, from 1.
    pub line: usize,
    /// What is wrong, and what would be right.
    pub told: String,
}

impl Wrong {
    fn new(line: usize, told: impl Into<String>) -> Self {
        Self { line, told: told.into() }
    }
}

impl std::fmt::Display for Wrong {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "line {}: {}", self.line, self.told)
    }
}
