//! The values a verdict is made of: score, label, confidence, emotion, urgency.

use serde::{Deserialize, Serialize};

/// Half the width of the neutral band: scores from -19 to 19 are neutral, as decision 12 of the product says.
pub const NEUTRAL_BAND: i8 = 20;

/// How a customer feels, from -100 (angriest) to 100 (happiest).
///
/// ```
/// use undertone_core::{Label, Score};
/// assert_eq!(Score::new(-72).map(Score::label), Some(Label::Negative));
/// assert_eq!(Score::new(101), None);
/// assert_eq!(Score::saturating(-4000.0).get(), -100);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "i64", into = "i8")]
pub struct Score(i8);

impl Score {
    /// The score, or `None` outside -100..=100.
    #[must_use]
    pub fn new(value: i64) -> Option<Self> {
        i8::try_from(value).ok().filter(|v| (-100..=100).contains(v)).map(Self)
    }

    /// The nearest score to `value`; NaN becomes 0.
    #[must_use]
    pub fn saturating(value: f32) -> Self {
        Self(value.round().clamp(-100.0, 100.0) as i8)
    }

    /// The number, -100..=100.
    #[must_use]
    pub fn get(self) -> i8 {
        self.0
    }

    /// The label of the band this score lies in. `Mixed` is never a matter of the score alone.
    #[must_use]
    pub fn label(self) -> Label {
        match self.0 {
            v if v <= -NEUTRAL_BAND => Label::Negative,
            v if v >= NEUTRAL_BAND => Label::Positive,
            _ => Label::Neutral,
        }
    }

    /// The score moved as little as possible so that it lies in `label`'s band.
    #[must_use]
    pub fn within(self, label: Label) -> Self {
        let (low, high) = label.band();
        Self(self.0.clamp(low, high))
    }
}

impl TryFrom<i64> for Score {
    type Error = String;

    fn try_from(value: i64) -> Result<Self, String> {
        Self::new(value).ok_or_else(|| format!("score {value} is outside -100..100"))
    }
}

impl From<Score> for i8 {
    fn from(score: Score) -> i8 {
        score.0
    }
}

/// The sign of the feeling. `Mixed` holds praise and complaint, each about something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Label {
    /// Satisfied, relieved, grateful for something done.
    Positive,
    /// No feeling shown. Not a sign of contentment.
    Neutral,
    /// Dissatisfied, angry, worried or let down, said or implied.
    Negative,
    /// Both, each about something.
    Mixed,
}

impl Label {
    /// All labels, in the order in which they are shown.
    pub const ALL: [Self; 4] = [Self::Positive, Self::Neutral, Self::Negative, Self::Mixed];

    /// Lowest and highest score that go with this label.
    #[must_use]
    pub fn band(self) -> (i8, i8) {
        match self {
            Self::Positive => (NEUTRAL_BAND, 100),
            Self::Neutral => (1 - NEUTRAL_BAND, NEUTRAL_BAND - 1),
            Self::Negative => (-100, -NEUTRAL_BAND),
            Self::Mixed => (-60, 60),
        }
    }

    /// The word used in files and on pages.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Positive => "positive",
            Self::Neutral => "neutral",
            Self::Negative => "negative",
            Self::Mixed => "mixed",
        }
    }
}

impl std::str::FromStr for Label {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|label| label.as_str() == word)
            .ok_or_else(|| format!("“{word}” is no label; it is one of positive, neutral, negative, mixed"))
    }
}

/// Whole percent, 0..=100: of the verdicts at 80, four in five are right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct Confidence(u8);

impl Confidence {
    /// Verdicts under this are marked for a person to look at.
    pub const REVIEW_BELOW: u8 = 60;

    /// From a probability, 0..=1; what lies outside is moved to the nearest end, NaN to 0.
    #[must_use]
    pub fn from_probability(probability: f32) -> Self {
        Self((probability * 100.0).round().clamp(0.0, 100.0) as u8)
    }

    /// The percentage.
    #[must_use]
    pub fn get(self) -> u8 {
        self.0
    }
}

impl TryFrom<u8> for Confidence {
    type Error = String;

    fn try_from(value: u8) -> Result<Self, String> {
        if value <= 100 { Ok(Self(value)) } else { Err(format!("confidence {value} is outside 0..100")) }
    }
}

impl From<Confidence> for u8 {
    fn from(confidence: Confidence) -> u8 {
        confidence.0
    }
}

/// An emotion as one lower-case word. The embedded model knows the constants; an LLM may answer others.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Emotion(std::borrow::Cow<'static, str>);

impl Emotion {
    /// The word for a message that shows none.
    pub const NEUTRAL: Self = Self(std::borrow::Cow::Borrowed("neutral"));

    /// An emotion from one lower-case word of at most 32 letters; `None` for anything else.
    #[must_use]
    pub fn new(word: &str) -> Option<Self> {
        let fits = (1..=32).contains(&word.chars().count()) && word.chars().all(char::is_alphabetic);
        (fits && word == word.to_lowercase()).then(|| Self(std::borrow::Cow::Owned(word.to_owned())))
    }

    /// The word.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it may be the emotion that dominates under `label`. An emotion the embedded model does not know goes with any.
    #[must_use]
    pub fn goes_with(&self, label: Label) -> bool {
        let (down, up) = match self.as_str() {
            "neutral" => return label == Label::Neutral,
            "confusion" => return label != Label::Positive,
            "frustration" | "anger" | "disappointment" | "worry" | "sadness" => (true, false),
            "gratitude" | "relief" | "joy" => (false, true),
            _ => return true,
        };
        match label {
            Label::Positive => up,
            Label::Negative => down,
            Label::Neutral => false,
            Label::Mixed => true,
        }
    }
}

impl TryFrom<String> for Emotion {
    type Error = String;

    fn try_from(word: String) -> Result<Self, String> {
        Self::new(&word).ok_or_else(|| format!("“{word}” is not one lower-case word"))
    }
}

impl From<Emotion> for String {
    fn from(emotion: Emotion) -> String {
        emotion.0.into_owned()
    }
}

/// How soon somebody should act.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Urgency {
    /// Nothing presses.
    Low,
    /// Something is wrong or waited for.
    Medium,
    /// Harm is happening, or will within about two days.
    High,
}

impl Urgency {
    /// All levels, from the least to the most pressing.
    pub const ALL: [Self; 3] = [Self::Low, Self::Medium, Self::High];

    /// The word used in files and on pages.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn bands_meet_without_gap_or_overlap() {
        for value in -100..=100 {
            let score = Score::new(value).unwrap();
            let bands = [Label::Negative, Label::Neutral, Label::Positive]
                .into_iter()
                .filter(|l| (l.band().0..=l.band().1).contains(&score.get()));
            assert_eq!(bands.collect::<Vec<_>>(), [score.label()], "at {value}");
        }
        assert_eq!(Score::new(-20).unwrap().label(), Label::Negative);
        assert_eq!(Score::new(19).unwrap().label(), Label::Neutral);
        assert!(serde_json::from_str::<Score>("-101").is_err());
        assert!(serde_json::from_str::<Score>("12.5").is_err());
    }

    #[test]
    fn emotions_are_one_lower_case_word() {
        for word in ["relief", "schadenfreude", "enttäuschung"] {
            assert_eq!(Emotion::new(word).unwrap().as_str(), word);
        }
        for word in ["", "Anger", "very angry", "anger!", "a2", &"x".repeat(33)] {
            assert_eq!(Emotion::new(word), None, "{word}");
        }
        assert!(serde_json::from_str::<Emotion>("\"Not One\"").is_err());
    }

    proptest! {
        #[test]
        fn any_number_becomes_a_score_in_range_and_in_band(value in proptest::num::f32::ANY, label in 0..4usize) {
            let label = Label::ALL[label];
            let score = Score::saturating(value).within(label);
            let (low, high) = label.band();
            prop_assert!((low..=high).contains(&score.get()));
            prop_assert_eq!(score.within(label), score);
        }

        #[test]
        fn any_probability_becomes_a_percentage(value in proptest::num::f32::ANY) {
            prop_assert!(Confidence::from_probability(value).get() <= 100);
        }
    }
}
