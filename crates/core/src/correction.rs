//! What a person says instead of a verdict: the correction beside it, and what follows where only a score or only a label is given.

use serde::{Deserialize, Serialize};

use crate::{Label, Score};

/// The longest reason for a correction, in characters.
pub const MOST_REASON: usize = 500;

/// A person's score and label of an interaction. Both are always there, so that every aggregate moves as one.
///
/// ```
/// use undertone_core::correction::Correction;
/// use undertone_core::{Label, Score};
///
/// let only_a_label = Correction::of(None, Some(Label::Negative)).unwrap();
/// assert_eq!(only_a_label.unwrap().score, Score::new(-60).unwrap());
/// let only_a_score = Correction::of(Score::new(20), None).unwrap();
/// assert_eq!(only_a_score.unwrap().label, Label::Positive);
/// assert_eq!(Correction::of(None, None), Ok(None), "neither clears it");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Correction {
    /// -100..=100, in the label's band.
    pub score: Score,
    /// The sign of the feeling.
    pub label: Label,
}

/// A score and a label that contradict each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the score {score} does not go with {label}, which is {low} to {high}; leave one of them out, or change it", score = score.get(), label = label.as_str(), low = label.band().0, high = label.band().1)]
pub struct Contradiction {
    score: Score,
    label: Label,
}

impl Correction {
    /// The correction that is meant: only a label given, the score is the middle of its band; only a score, the label is the one of its
    /// band; neither: none, the correction is cleared.
    ///
    /// # Errors
    /// [`Contradiction`] where both are given and the score lies outside the label's band.
    pub fn of(score: Option<Score>, label: Option<Label>) -> Result<Option<Self>, Contradiction> {
        match (score, label) {
            (None, None) => Ok(None),
            (Some(score), None) => Ok(Some(Self { score, label: score.label() })),
            (None, Some(label)) => Ok(Some(Self { score: label.middle(), label })),
            (Some(score), Some(label)) if score.within(label) == score => Ok(Some(Self { score, label })),
            (Some(score), Some(label)) => Err(Contradiction { score, label }),
        }
    }
}

impl Label {
    /// The score in the middle of its band.
    #[must_use]
    pub fn middle(self) -> Score {
        let (low, high) = self.band();
        Score::saturating(f32::midpoint(low.into(), high.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_of_each_band() {
        let middles = Label::ALL.map(|label| label.middle().get());
        assert_eq!(middles, [60, 0, -60, 0]);
        for label in Label::ALL {
            assert_eq!(label.middle().within(label), label.middle());
        }
    }

    #[test]
    fn the_label_follows_from_the_band() {
        for (score, label) in [
            (-100, Label::Negative),
            (-20, Label::Negative),
            (-19, Label::Neutral),
            (19, Label::Neutral),
            (20, Label::Positive),
            (100, Label::Positive),
        ] {
            let given = Correction::of(Score::new(score), None).unwrap().unwrap();
            assert_eq!((given.label, given.score.get()), (label, score as i8));
        }
    }

    #[test]
    fn both_are_kept_where_they_go_together_and_refused_where_not() {
        for (score, label, fits) in [
            (-20, Label::Negative, true),
            (-19, Label::Negative, false),
            (20, Label::Positive, true),
            (80, Label::Negative, false),
            (-60, Label::Mixed, true),
            (61, Label::Mixed, false),
            (0, Label::Neutral, true),
        ] {
            let given = Correction::of(Score::new(score), Some(label));
            assert_eq!(given.is_ok(), fits, "{score} {label:?}");
        }
        let told = Correction::of(Score::new(80), Some(Label::Negative)).unwrap_err().to_string();
        assert_eq!(
            told,
            "the score 80 does not go with negative, which is -100 to -20; leave one of them out, or change it"
        );
    }
}
