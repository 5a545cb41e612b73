//! How good a scorer is: labelled texts in, figures out. And behavioural packs: cases that must not fail.

pub mod answers;
pub mod groups;
pub mod labelled;
pub mod packs;
pub mod report;
