//! What tests and checks share: labelled messages, figures about answers to them, and a search for near-duplicates.

pub mod corpus;
pub mod figures;
pub mod near_duplicates;

use std::path::{Path, PathBuf};

/// A path below the root of the workspace.
#[must_use]
pub fn workspace(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}
