//! The heads: linear maps from the encoder's vectors to valence, label, emotions, urgency, sarcasm and category.
//!
//! With mean pooling, a linear head of a text is the mean of the same head on each word piece. So one pass gives the reading of
//! the text, of each clause, and what each word added to it, and the three agree to the last digit.

use std::ops::Range;

use safetensors::{Dtype, SafeTensors};
use undertone_core::Label;

use super::artifact::{ArtifactError, Manifest};
use super::lexicon::Lexicon;
use super::tokenizer::Piece;

/// A matrix of the artifact, row by row.
pub(crate) struct Matrix {
    rows: usize,
    columns: usize,
    values: Vec<f32>,
}

impl Matrix {
    fn load(file: &SafeTensors<'_>, name: &str, rows: usize, columns: usize) -> Result<Self, ArtifactError> {
        let broken = |detail: String| malformed(format!("{name} {detail}"));
        let tensor = file.tensor(name).map_err(|e| broken(e.to_string()))?;
        if tensor.dtype() != Dtype::F32 || tensor.shape() != [rows, columns] {
            let (dtype, shape) = (tensor.dtype(), tensor.shape());
            return Err(broken(format!("is {dtype:?} {shape:?}, not F32 [{rows}, {columns}]")));
        }
        let values = tensor.data().as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
        Ok(Self { rows, columns, values })
    }

    pub(crate) fn row(&self, index: usize) -> &[f32] {
        self.values.get(index * self.columns..(index + 1) * self.columns).unwrap_or_default()
    }

    /// The product with `vector`: a number for each row.
    fn times(&self, vector: &[f32]) -> Vec<f32> {
        (0..self.rows).map(|row| dot(self.row(row), vector)).collect()
    }
}

/// Sum of products. Eight running sums, so that the compiler may use vector registers; their order is fixed, so the sum is too.
pub(crate) fn dot(a: &[f32], b: &[f32]) -> f32 {
    let (a8, a_rest) = a.as_chunks::<8>();
    let (b8, b_rest) = b.as_chunks::<8>();
    let mut sums = [0.0f32; 8];
    for (x, y) in a8.iter().zip(b8) {
        for ((sum, x), y) in sums.iter_mut().zip(x).zip(y) {
            *sum += x * y;
        }
    }
    sums.iter().sum::<f32>() + a_rest.iter().zip(b_rest).map(|(x, y)| x * y).sum::<f32>()
}

/// Scales `vector` to length one; leaves a vector of zeros as it is.
pub(crate) fn normalise(vector: &mut [f32]) {
    let length = dot(vector, vector).sqrt();
    if length > 0.0 {
        vector.iter_mut().for_each(|v| *v /= length);
    }
}

/// `1 / (1 + exp(-x))`.
pub(crate) fn logistic(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

/// Probabilities from scores.
pub(crate) fn softmax(scores: &[f32]) -> Vec<f32> {
    let top = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut odds: Vec<f32> = scores.iter().map(|s| (s - top).exp()).collect();
    let sum: f32 = odds.iter().sum();
    odds.iter_mut().for_each(|o| *o /= sum);
    odds
}

/// Which columns of the token heads hold what.
#[derive(Debug, Clone)]
pub(crate) struct Columns {
    pub valence: usize,
    /// In the order of [`Label::ALL`].
    pub labels: Range<usize>,
    pub emotions: Range<usize>,
    /// Low, medium, high.
    pub urgency: Range<usize>,
    pub sarcasm: usize,
}

impl Columns {
    fn of(manifest: &Manifest) -> Result<Self, ArtifactError> {
        let names: Vec<&str> = manifest.outputs.iter().map(String::as_str).collect();
        let one = |name: &str| {
            names.iter().position(|n| *n == name).ok_or_else(|| malformed(format!("no output {name}")))
        };
        let block = |prefix: &str| {
            let start = names.iter().position(|n| n.starts_with(prefix)).unwrap_or_default();
            start..start + names[start..].iter().take_while(|n| n.starts_with(prefix)).count()
        };
        let columns = Self {
            valence: one("valence")?,
            labels: block("label."),
            emotions: block("emotion."),
            urgency: block("urgency."),
            sarcasm: one("sarcasm")?,
        };
        let labels = Label::ALL.map(|l| format!("label.{}", l.as_str()));
        let urgency = ["urgency.low", "urgency.medium", "urgency.high"];
        if manifest.outputs[columns.labels.clone()] != labels || names[columns.urgency.clone()] != urgency {
            return Err(malformed(format!("the outputs must hold {labels:?} and {urgency:?} in this order")));
        }
        if columns.emotions.is_empty() {
            return Err(malformed("no output emotion.…".to_owned()));
        }
        Ok(columns)
    }
}

/// All heads of a model.
pub(crate) struct Heads {
    token: Matrix,
    bias: Vec<f32>,
    message: Matrix,
    message_bias: Vec<f32>,
    category: Matrix,
    category_bias: Vec<f32>,
    lexicon: Lexicon,
    pub columns: Columns,
}

impl Heads {
    /// From the bytes of a safetensors file, with the shapes that the manifest implies.
    pub(crate) fn from_bytes(bytes: &[u8], manifest: &Manifest) -> Result<Self, ArtifactError> {
        let file = SafeTensors::deserialize(bytes).map_err(|e| malformed(e.to_string()))?;
        let columns = Columns::of(manifest)?;
        let (outputs, width) = (manifest.outputs.len(), manifest.encoder.width);
        let matrix = |name, rows, columns| Matrix::load(&file, name, rows, columns);
        let vector = |name, length| matrix(name, 1, length).map(|m| m.values);
        let categories = manifest.categories.len();
        let told = columns.emotions.len() + columns.urgency.len() + categories;
        Ok(Self {
            token: matrix("token.weight", outputs, width)?,
            bias: vector("token.bias", outputs)?,
            message: matrix("message.weight", 2 * Label::ALL.len(), MessageFeatures::COUNT)?,
            message_bias: vector("message.bias", 2 * Label::ALL.len())?,
            category: matrix("category.weight", categories, width)?,
            category_bias: vector("category.bias", categories)?,
            lexicon: Lexicon::load(&file, told, manifest.lexicon.pairs)?,
            columns,
        })
    }

    /// Outputs of the token heads for a mean vector.
    pub(crate) fn outputs(&self, mean: &[f32]) -> Vec<f32> {
        let mut out = self.token.times(mean);
        out.iter_mut().zip(&self.bias).for_each(|(o, b)| *o += b);
        out
    }

    /// Valence of one word piece; its mean over a text is the text's.
    pub(crate) fn valence(&self, piece: &[f32]) -> f32 {
        let column = self.columns.valence;
        dot(self.token.row(column), piece) + self.bias.get(column).copied().unwrap_or_default()
    }

    /// What the words of a stretch say by themselves.
    pub(crate) fn words(&self, pieces: &[Piece], range: Range<usize>) -> Words {
        let (emotions, urgency) = (self.columns.emotions.len(), self.columns.urgency.len());
        let mut told = self.lexicon.of(pieces, range);
        let categories = told.split_off(emotions + urgency);
        let urgency = told.split_off(emotions);
        Words { emotions: told, urgency, categories }
    }

    /// How much a stretch with this mean vector and these words is like each of the model's categories, of length one: a tenant's own
    /// categories are places among these.
    pub(crate) fn place(&self, mean: &[f32], words: &Words) -> Vec<f32> {
        let mut place = self.category.times(mean);
        let more = self.category_bias.iter().zip(&words.categories);
        place.iter_mut().zip(more).for_each(|(p, (bias, word))| *p += bias + word);
        let mean = place.iter().sum::<f32>() / place.len() as f32;
        place.iter_mut().for_each(|p| *p -= mean);
        normalise(&mut place);
        place
    }

    /// What the message head says: a score for each label, then the valence to expect under each.
    pub(crate) fn message(&self, features: &MessageFeatures) -> ([f32; 4], [f32; 4]) {
        let mut out = self.message.times(&features.0);
        out.iter_mut().zip(&self.message_bias).for_each(|(o, b)| *o += b);
        (std::array::from_fn(|i| out[i]), std::array::from_fn(|i| out[Label::ALL.len() + i]))
    }
}

/// What words say by themselves, to be added to what the heads say.
pub(crate) struct Words {
    /// In the order of the heads' emotions.
    pub emotions: Vec<f32>,
    /// Low, medium, high.
    pub urgency: Vec<f32>,
    categories: Vec<f32>,
}

impl MessageReading {
    /// From the labels' scores and valences.
    pub(crate) fn new(scores: [f32; 4], valences: [f32; 4]) -> Self {
        let odds = softmax(&scores);
        let pair = |i: usize| (odds[i], valences[i].clamp(-1.0, 1.0));
        Self { labels: std::array::from_fn(pair) }
    }
}

/// What the message head says: for each of [`Label::ALL`] its probability, and the valence to expect under it.
pub(crate) struct MessageReading {
    labels: [(f32, f32); 4],
}

impl MessageReading {
    fn likeliest(&self) -> usize {
        let most = self.labels.iter().enumerate().max_by(|(_, a), (_, b)| a.0.total_cmp(&b.0));
        most.map_or(0, |(i, _)| i)
    }

    /// The likeliest label.
    pub(crate) fn label(&self) -> Label {
        Label::ALL[self.likeliest()]
    }

    /// Its probability, 0..=1.
    pub(crate) fn probability(&self) -> f32 {
        self.labels[self.likeliest()].0
    }

    /// The valence, -1..=1: half way between what is to be expected over all labels and what is under the likeliest. The first alone is
    /// timid, the second alone hasty; the mean errs least (decision 0003).
    pub(crate) fn valence(&self) -> f32 {
        let overall = self.labels.iter().map(|(odds, valence)| odds * valence).sum();
        f32::midpoint(overall, self.labels[self.likeliest()].1)
    }

    /// Shares the probability of `label` among the others.
    pub(crate) fn rule_out(&mut self, label: Label) {
        for ((odds, _), other) in self.labels.iter_mut().zip(Label::ALL) {
            if other == label {
                *odds = 0.0;
            }
        }
        let rest: f32 = self.labels.iter().map(|(odds, _)| odds).sum();
        if rest > 0.0 {
            self.labels.iter_mut().for_each(|(odds, _)| *odds /= rest);
        }
    }
}

/// What decides about a whole message: its mean, and what its clauses say by themselves, so that one furious sentence in a long calm note
/// is not averaged away. `training/undertone_training/heads.py` computes the same numbers in the same order.
pub(crate) struct MessageFeatures(pub(crate) [f32; MessageFeatures::COUNT]);

impl MessageFeatures {
    pub(crate) const COUNT: usize = 14;

    /// From the outputs of the token heads: the mean over the message, and for each clause its number of pieces and its mean.
    pub(crate) fn new(columns: &Columns, whole: &[f32], clauses: &[(usize, &[f32])]) -> Self {
        let labels = |outputs: &[f32]| -> Vec<f32> {
            let logits = &outputs[columns.labels.clone()];
            let mean = logits.iter().sum::<f32>() / logits.len() as f32;
            logits.iter().map(|l| l - mean).collect()
        };
        let pieces: f32 = clauses.iter().map(|(pieces, _)| *pieces as f32).sum();
        let mut valences = clauses.iter().map(|(_, outputs)| outputs[columns.valence]);
        let (mut positive, mut negative) = ((0.0f32, 0.0f32), (0.0f32, 0.0f32));
        for (count, outputs) in clauses {
            let odds = softmax(&outputs[columns.labels.clone()]);
            let share = *count as f32 / pieces;
            positive = (positive.0.max(odds[0]), positive.1 + share * odds[0]);
            negative = (negative.0.max(odds[2]), negative.1 + share * odds[2]);
        }
        let logits = labels(whole);
        Self([
            logits[0],
            logits[1],
            logits[2],
            logits[3],
            whole[columns.valence],
            whole[columns.sarcasm],
            valences.clone().fold(f32::INFINITY, f32::min),
            valences.clone().fold(f32::NEG_INFINITY, f32::max),
            valences.next_back().unwrap_or_default(),
            positive.0,
            positive.1,
            negative.0,
            negative.1,
            (clauses.len() as f32).ln(),
        ])
    }
}

pub(crate) fn malformed(detail: String) -> ArtifactError {
    ArtifactError::Malformed { file: "heads.safetensors".to_owned(), detail }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dot_is_a_sum_of_products_of_any_length() {
        for length in [0, 1, 7, 8, 9, 384, 385] {
            let a: Vec<f32> = (0..length).map(|i| i as f32 * 0.5).collect();
            let b: Vec<f32> = (0..length).map(|i| 1.0 - i as f32 * 0.01).collect();
            let plain: f64 = a.iter().zip(&b).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum();
            assert!((f64::from(dot(&a, &b)) - plain).abs() <= plain.abs() * 1e-5, "{length}");
        }
    }

    #[test]
    fn softmax_survives_extremes() {
        assert_eq!(softmax(&[1000.0, 0.0]), [1.0, 0.0]);
        assert_eq!(softmax(&[-1000.0, -1000.0]), [0.5, 0.5]);
    }
}
