//! The embedded reader: a small encoder and linear heads, in this process, without a network.
//!
//! A text is laid out (`layout`), its word pieces become vectors (`embedder`), the heads turn vectors into a reading (`heads`),
//! and the reading becomes a verdict with evidence, aspects and a summary (`reader`). [`LocalScorer`] runs it on threads.

pub mod artifact;
mod embedder;
mod emoji;
mod encoder;
mod evidence;
mod heads;
mod language;
mod layout;
pub mod lesson;
mod lexicon;
mod pool;
mod reader;
mod summary;
mod tokenizer;

pub use artifact::{Artifact, ArtifactError};
pub use embedder::{Features, TextFeatures};
pub use lesson::{Example, Learned, Lesson, TooFew};
pub use pool::{Capacity, LocalScorer};
