//! Text into the encoder's word pieces, each knowing which bytes it stands for.

use std::collections::HashMap;

use tokenizers::Tokenizer;
use undertone_core::verdict::Span;

use super::artifact::ArtifactError;
use super::emoji;

/// Emoji of one meaning that are read in a row of emoji: a key held down says no more.
const MOST_ALIKE: usize = 3;

/// A word piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Piece {
    /// Its row in the encoder's table.
    pub id: i32,
    /// The bytes of the tokenised text it stands for.
    pub span: Span,
}

/// Splits text into word pieces, lower-cased and without accents, as the encoder was trained.
pub(crate) struct WordPieces {
    tokenizer: Tokenizer,
    /// Opens every window.
    pub start: i32,
    /// Closes every window.
    pub end: i32,
    /// Stands for what the table has no piece for.
    pub unknown: i32,
}

impl WordPieces {
    /// From the bytes of a `tokenizer.json`.
    pub(crate) fn from_bytes(json: &[u8]) -> Result<Self, ArtifactError> {
        let broken = |detail: String| ArtifactError::Malformed { file: "tokenizer.json".to_owned(), detail };
        let mut tokenizer = Tokenizer::from_bytes(json).map_err(|e| broken(e.to_string()))?;
        // The published file pads every text to 128 pieces and cuts it there; windows are ours to choose.
        tokenizer.with_padding(None);
        tokenizer.with_truncation(None).map_err(|e| broken(e.to_string()))?;
        let id = |token: &str| {
            tokenizer
                .token_to_id(token)
                .and_then(|id| i32::try_from(id).ok())
                .ok_or_else(|| broken(format!("it has no {token}")))
        };
        let (start, end, unknown) = (id("[CLS]")?, id("[SEP]")?, id("[UNK]")?);
        Ok(Self { tokenizer, start, end, unknown })
    }

    /// Whether `word` is a word of the encoder's own: one piece.
    pub(crate) fn knows(&self, word: &str) -> bool {
        matches!(self.pieces(word, 0).as_slice(), [piece] if piece.id != self.unknown)
    }

    /// The pieces of `text`, with `offset` added to their places. Nothing for text the tokenizer can not take.
    pub(crate) fn pieces(&self, text: &str, offset: usize) -> Vec<Piece> {
        let mut found = Vec::new();
        let mut at = 0;
        // How often each word of the emoji in a row has been there.
        let mut row: HashMap<&str, usize> = HashMap::new();
        while let Some((start, end, word)) = emoji::first(&text[at..]) {
            let between = &text[at..at + start];
            if !between.trim().is_empty() {
                found.extend(self.plain(between, offset + at));
                row.clear();
            }
            let times = row.entry(word).or_default();
            *times += 1;
            if *times <= MOST_ALIKE {
                // The pieces of its word all stand for the emoji.
                let span = Span { start: offset + at + start, end: offset + at + end };
                found.extend(self.plain(word, 0).into_iter().map(|piece| Piece { span, ..piece }));
            }
            at += end;
        }
        found.extend(self.plain(&text[at..], offset + at));
        found
    }

    fn plain(&self, text: &str, offset: usize) -> Vec<Piece> {
        // Fails only for models with a limit on words, which word pieces have not.
        let Ok(encoding) = self.tokenizer.encode(text, false) else { return Vec::new() };
        encoding
            .get_ids()
            .iter()
            .zip(encoding.get_offsets())
            .filter_map(|(id, (start, end))| {
                let span = Span { start: offset + start, end: offset + end };
                Some(Piece { id: i32::try_from(*id).ok()?, span })
            })
            .collect()
    }
}
