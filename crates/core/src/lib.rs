//! Undertone's domain, pure: no I/O, no threads, no clock of its own.
//!
//! Read in this order: [`interaction`] is what arrives, [`settings`] is what the tenant chose, [`gate`] decides whether a
//! text is scored, [`verdict`] is what a scorer says of it, [`report`] sums up many verdicts for a person, [`usage`] is what asking an
//! LLM takes, [`cascade`] what is kept of asking one only where the embedded model is unsure.

pub mod access;
pub mod accuracy;
pub mod agents;
pub mod arrival;
pub mod backfill;
pub mod cascade;
pub mod category;
pub mod clock;
pub mod correction;
pub mod destination;
pub mod event;
pub mod gate;
pub mod interaction;
pub mod notice;
pub mod notification;
pub mod overview;
pub mod password;
pub mod phrase;
pub mod report;
pub mod review;
pub mod schedule;
pub mod settings;
pub mod text;
pub mod usage;
pub mod verdict;
pub mod visibility;

pub use access::{Permission, Role, Scope};
pub use arrival::Arrival;
pub use category::{Category, CategoryId};
pub use clock::{Clock, Ids};
pub use gate::{Decision, SkipReason};
pub use interaction::{AuthorKind, Channel, Direction, Interaction, Kind, Visibility};
pub use phrase::Phrase;
pub use settings::Settings;
pub use usage::Usage;
pub use verdict::{Confidence, Emotion, Label, Score, Urgency, Verdict};
