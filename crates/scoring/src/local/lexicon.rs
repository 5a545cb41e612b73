//! What words say by themselves, and each after the one before it, of emotion, urgency and category.
//!
//! The encoder learns what sentences mean; which words go with which topic it half forgets again, and a linear map on words alone, fitted
//! on the same messages, errs elsewhere than it does. Added together they err less than either (decision 0003). `training` fits the table
//! (`lexicon.py`) and counts the same pieces and pairs as this.

use std::ops::Range;

use safetensors::{Dtype, SafeTensors};

use super::artifact::ArtifactError;
use super::heads::malformed;
use super::tokenizer::Piece;

/// A row of numbers for each word piece, and below them one for each bucket of pairs.
pub(crate) struct Lexicon {
    columns: usize,
    /// Rows of word pieces.
    pieces: usize,
    /// Rows of pairs, a power of two.
    pairs: usize,
    table: Vec<i8>,
    /// What one step of the table is worth, by column.
    scales: Vec<f32>,
}

impl Lexicon {
    /// The table among the heads, with `columns` numbers in a row and `pairs` rows of pairs.
    pub(crate) fn load(file: &SafeTensors<'_>, columns: usize, pairs: usize) -> Result<Self, ArtifactError> {
        let tensor = |name: &str| file.tensor(name).map_err(|e| malformed(format!("{name} {e}")));
        let (table, scales) = (tensor("lexicon.table")?, tensor("lexicon.scale")?);
        let rows = table.shape().first().copied().unwrap_or_default();
        let fits = table.dtype() == Dtype::I8
            && table.shape() == [rows, columns]
            && scales.dtype() == Dtype::F32
            && scales.shape() == [1, columns]
            && pairs.is_power_of_two()
            && rows > pairs;
        if !fits {
            let (table, scales) = (table.shape(), scales.shape());
            return Err(malformed(format!(
                "the lexicon is {table:?} and {scales:?}; {columns} columns and {pairs} pairs were to be there"
            )));
        }
        Ok(Self {
            columns,
            pieces: rows - pairs,
            pairs,
            table: table.data().iter().map(|byte| byte.cast_signed()).collect(),
            scales: scales.data().as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect(),
        })
    }

    /// What `range` of a text's `pieces` says: the sum over them, over the root of their number, so that a long text says more than a short
    /// one but not by its length.
    pub(crate) fn of(&self, pieces: &[Piece], range: Range<usize>) -> Vec<f32> {
        let mut sums = vec![0i32; self.columns];
        for at in range.clone() {
            let Some(piece) = pieces.get(at) else { break };
            self.add(self.row_of(piece.id), &mut sums);
            if let Some(before) = at.checked_sub(1).and_then(|before| pieces.get(before)) {
                self.add(Some(self.pieces + self.bucket(before.id, piece.id)), &mut sums);
            }
        }
        let root = (range.len().max(1) as f32).sqrt();
        sums.iter().zip(&self.scales).map(|(sum, scale)| *sum as f32 * scale / root).collect()
    }

    fn row_of(&self, id: i32) -> Option<usize> {
        usize::try_from(id).ok().filter(|row| *row < self.pieces)
    }

    /// Where a pair stands. Different pairs may share a place; a text has few, and most of all pairs say nothing.
    fn bucket(&self, before: i32, piece: i32) -> usize {
        let mixed = before
            .cast_unsigned()
            .wrapping_mul(0x9E37_79B1)
            .wrapping_add(piece.cast_unsigned().wrapping_mul(0x85EB_CA77));
        (mixed >> 16) as usize & (self.pairs - 1)
    }

    fn add(&self, row: Option<usize>, sums: &mut [i32]) {
        let from = row.map_or(self.table.len(), |row| row * self.columns);
        let row = self.table.get(from..from + self.columns).unwrap_or_default();
        sums.iter_mut().zip(row).for_each(|(sum, step)| *sum += i32::from(*step));
    }
}

#[cfg(test)]
mod tests {
    use undertone_core::verdict::Span;

    use super::*;

    fn pieces(ids: &[i32]) -> Vec<Piece> {
        ids.iter().map(|id| Piece { id: *id, span: Span { start: 0, end: 0 } }).collect()
    }

    /// Three pieces of two columns; the first column counts the piece 2, the second its pairs.
    fn lexicon() -> Lexicon {
        let mut table = vec![0, 0, 0, 0, 10, 0];
        table.extend([0i8; 2 * 8]);
        let mut lexicon = Lexicon { columns: 2, pieces: 3, pairs: 8, table, scales: vec![0.1, 1.0] };
        let bucket = lexicon.bucket(1, 2);
        lexicon.table[2 * (3 + bucket) + 1] = 4;
        lexicon
    }

    #[test]
    fn words_and_pairs_add_up_over_the_root_of_their_number() {
        let lexicon = lexicon();
        let text = pieces(&[1, 2, 2, 0]);
        assert_eq!(lexicon.of(&text, 0..4), [1.0, 2.0]);
        // A stretch that begins in the middle still knows what stood before it.
        assert_eq!(lexicon.of(&text, 1..2), [1.0, 4.0]);
        assert_eq!(lexicon.of(&text, 4..4), [0.0, 0.0]);
    }

    #[test]
    fn pieces_it_does_not_know_say_nothing() {
        assert!(lexicon().of(&pieces(&[-1, 3, i32::MAX]), 0..3)[0].abs() < f32::EPSILON);
    }
}
