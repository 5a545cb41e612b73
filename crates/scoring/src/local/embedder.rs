//! Tokeniser and encoder together: from a text to a vector for each of its word pieces.

use std::borrow::Cow;
use std::path::Path;

use undertone_core::Kind;

use super::artifact::{ArtifactError, EncoderEntry};
use super::encoder::{Encoder, Lane};
use super::layout::{Layout, lay_out};
use super::tokenizer::WordPieces;
use crate::NoVerdict;

/// Tokeniser and encoder.
pub(crate) struct Embedder {
    pieces: WordPieces,
    encoder: Encoder,
    window: usize,
}

impl Embedder {
    pub(crate) fn new(
        encoder: Cow<'static, [u8]>,
        tokenizer: &[u8],
        entry: &EncoderEntry,
    ) -> Result<Self, ArtifactError> {
        Ok(Self {
            pieces: WordPieces::from_bytes(tokenizer)?,
            encoder: Encoder::new(encoder, entry)?,
            window: entry.window,
        })
    }

    /// What is read of `text`, or why nothing is.
    pub(crate) fn lay_out(&self, text: &str, kind: Kind) -> Result<Layout, NoVerdict> {
        lay_out(text, kind, &self.pieces, self.window)
    }

    /// The mean vectors of a text and of its clauses; `visit` is handed the vector of each word piece on the way, in order.
    pub(crate) fn means(
        &self,
        layout: &Layout,
        lane: &Lane,
        mut visit: impl FnMut(&[f32]),
    ) -> Result<Means, String> {
        let mut clauses: Vec<Vec<f32>> = vec![Vec::new(); layout.clauses.len()];
        let mut at = 0;
        self.each_piece(layout, lane, |index, row| {
            visit(row);
            while layout.clauses.get(at).is_some_and(|c| c.pieces.end <= index) {
                at += 1;
            }
            if let Some(sum) = clauses.get_mut(at) {
                add(sum, row);
            }
        })?;
        let mut whole = Vec::new();
        for (sum, clause) in clauses.iter_mut().zip(&layout.clauses) {
            add(&mut whole, sum);
            divide(sum, clause.pieces.len());
        }
        divide(&mut whole, layout.pieces.len());
        Ok(Means { whole, clauses })
    }

    /// Hands `visit` each word piece's index and vector, in order.
    fn each_piece(
        &self,
        layout: &Layout,
        lane: &Lane,
        mut visit: impl FnMut(usize, &[f32]),
    ) -> Result<(), String> {
        let mut ids = Vec::with_capacity(self.window);
        for window in &layout.windows {
            ids.clear();
            ids.push(self.pieces.start);
            ids.extend(layout.pieces[window.clone()].iter().map(|p| p.id));
            ids.push(self.pieces.end);
            let hidden = self.encoder.encode(&ids, lane)?;
            let width = hidden.len() / ids.len();
            // The opening and closing pieces stand for no word and are left out: what they add could not be shown as evidence.
            let inner = hidden.chunks_exact(width).skip(1).take(window.len());
            for (index, row) in window.clone().zip(inner) {
                visit(index, row);
            }
        }
        Ok(())
    }
}

/// Mean vectors of a text and of each of its clauses.
pub(crate) struct Means {
    pub whole: Vec<f32>,
    pub clauses: Vec<Vec<f32>>,
}

/// Mean vectors of texts and of their clauses: what the heads are trained on, made by the very code that reads texts later.
pub struct Features {
    embedder: Embedder,
    lane: Lane,
}

/// The mean vectors of one text.
#[derive(Debug, Clone)]
pub struct TextFeatures {
    /// Word pieces read.
    pub pieces: usize,
    /// Mean over all of them.
    pub whole: Vec<f32>,
    /// For each clause, how many pieces it has and their mean.
    pub clauses: Vec<(usize, Vec<f32>)>,
}

impl Features {
    /// From an encoder and a tokeniser in `folder`, which need no manifest yet.
    pub fn from_folder(folder: &Path, entry: &EncoderEntry) -> Result<Self, ArtifactError> {
        let read = |name: &str| {
            std::fs::read(folder.join(name))
                .map_err(|source| ArtifactError::Unreadable { file: name.to_owned(), source })
        };
        let embedder =
            Embedder::new(Cow::Owned(read("encoder.safetensors")?), &read("tokenizer.json")?, entry)?;
        Ok(Self { embedder, lane: Lane::new() })
    }

    /// The word pieces of what is read of `text`, or why nothing is.
    pub fn pieces(&self, text: &str, kind: Kind) -> Result<Vec<i32>, NoVerdict> {
        let layout = self.embedder.lay_out(text, kind)?;
        Ok(layout.pieces.iter().map(|piece| piece.id).collect())
    }

    /// The word pieces of all of `text`, whatever its language and whoever wrote it.
    pub fn all_pieces(&self, text: &str) -> Vec<i32> {
        self.embedder.pieces.pieces(text, 0).iter().map(|piece| piece.id).collect()
    }

    /// The vectors of `text`, or why it is not read.
    pub fn of(&self, text: &str, kind: Kind) -> Result<TextFeatures, NoVerdict> {
        let layout = self.embedder.lay_out(text, kind)?;
        let Means { whole, clauses } =
            self.embedder.means(&layout, &self.lane, |_| ()).map_err(NoVerdict::failed)?;
        let sizes = layout.clauses.iter().map(|c| c.pieces.len());
        Ok(TextFeatures { pieces: layout.pieces.len(), whole, clauses: sizes.zip(clauses).collect() })
    }
}

/// Adds `row` to `sum`, which starts empty.
pub(crate) fn add(sum: &mut Vec<f32>, row: &[f32]) {
    sum.resize(row.len(), 0.0);
    sum.iter_mut().zip(row).for_each(|(s, r)| *s += r);
}

fn divide(sum: &mut [f32], count: usize) {
    sum.iter_mut().for_each(|v| *v /= count as f32);
}
