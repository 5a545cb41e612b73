//! What tests and checks share: labelled messages, figures about answers to them, and a search for near-duplicates.

pub mod browser;
pub mod certificates;
pub mod corpus;
pub mod figures;
pub mod issuer;
pub mod near_duplicates;
pub mod postgres;
pub mod process;
pub mod receiver;
pub mod smtp;

use std::path::PathBuf;

/// A path below the root of the workspace.
#[must_use]
pub fn workspace(path: &str) -> PathBuf {
    // Asked when the test runs: a target directory that two checkouts share may hold what was built in the other one. Every crate
    // stands two levels below the root.
    let here = std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from);
    here.join("../..").join(path)
}
