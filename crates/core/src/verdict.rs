//! What a scorer says of one interaction: score, label, confidence, emotion, urgency, category, summary and the evidence.

use serde::{Deserialize, Serialize};

use crate::CategoryId;
use crate::cascade::Cascaded;

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

/// A stretch of the original text, in bytes, both ends on character boundaries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Span {
    /// First byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
}

impl Span {
    /// The text it covers, or `None` when it does not fit `text`.
    #[must_use]
    pub fn of<'t>(&self, text: &'t str) -> Option<&'t str> {
        text.get(self.start..self.end)
    }
}

/// A phrase that moved the verdict.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// Where it stands in the interaction's original text.
    #[serde(flatten)]
    pub span: Span,
    /// Its text, as written.
    pub text: String,
    /// What it added to the score, in points of the score; negative pulls down.
    pub weight: f32,
    /// It is one of the tenant's own phrases.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub phrase: bool,
}

impl Evidence {
    /// What the model found by itself.
    #[must_use]
    pub fn found(span: Span, text: String, weight: f32) -> Self {
        Self { span, text, weight, phrase: false }
    }
}

/// What the customer feels about one thing: "love the product, hate the delivery" has two.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Aspect {
    /// What it is about.
    pub category: CategoryId,
    /// How they feel about it.
    pub score: Score,
    /// The clause that says so.
    #[serde(flatten)]
    pub span: Span,
}

/// How strongly an emotion shows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EmotionStrength {
    /// Which.
    pub emotion: Emotion,
    /// 0..=1. Several may be strong at once; they do not add up to one.
    pub strength: f32,
}

/// Which scorer a verdict comes from, or should.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ScorerKind {
    /// The embedded model.
    Local,
    /// Anthropic's Messages API.
    Claude,
    /// Any chat-completions server.
    Openai,
    /// The embedded model, and an LLM where it is unsure.
    Cascade,
}

impl ScorerKind {
    /// The word used in settings, files and the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Claude => "claude",
            Self::Openai => "openai",
            Self::Cascade => "cascade",
        }
    }
}

/// Where a verdict comes from, so that it can be repeated and paid for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provenance {
    /// The scorer that answered.
    pub scorer: ScorerKind,
    /// Its model, by name.
    pub model: String,
    /// The model's version.
    pub model_version: String,
    /// Version of the prompt, for an LLM.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub prompt_version: Option<String>,
    /// Main language of what was read, ISO 639-1.
    pub language: String,
    /// Tokens read. For the embedded model they cost nothing but time.
    pub tokens_in: u32,
    /// Tokens written.
    pub tokens_out: u32,
    /// Cost in millionths of a US dollar.
    pub cost_micros: u64,
    /// Time spent on this verdict, microseconds.
    pub duration_us: u64,
}

/// How much of the text the verdict rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Coverage {
    /// The text was longer than `max_note_length` and only its beginning was read.
    pub truncated: bool,
    /// Percent of the customer's own words that could not be read because of their language, 0..=100.
    pub unread_percent: u8,
}

/// Why a person should look twice at what an LLM says of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Suspicion {
    /// The text gives orders to whoever scores it.
    Instructions,
    /// The text holds words that can not be seen.
    HiddenCharacters,
    /// Every quote in the answer was made up.
    InventedQuotes,
    /// Every phrase in the evidence pulls the other way than the label.
    ContraryEvidence,
}

impl Suspicion {
    /// Every suspicion.
    pub const ALL: [Self; 4] =
        [Self::Instructions, Self::HiddenCharacters, Self::InventedQuotes, Self::ContraryEvidence];

    /// The word used in files and the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Instructions => "instructions",
            Self::HiddenCharacters => "hidden_characters",
            Self::InventedQuotes => "invented_quotes",
            Self::ContraryEvidence => "contrary_evidence",
        }
    }

    /// What a person reads.
    #[must_use]
    pub fn explanation(self) -> &'static str {
        match self {
            Self::Instructions => "the text seems to give orders to the scorer",
            Self::HiddenCharacters => "the text holds characters that can not be seen",
            Self::InventedQuotes => "the model quoted only what the text does not say",
            Self::ContraryEvidence => "the model's evidence points away from its label",
        }
    }
}

/// What a scorer says of one interaction.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// -100..=100, inside the label's band.
    pub score: Score,
    /// The sign of the feeling.
    pub label: Label,
    /// Calibrated chance that the label is right.
    pub confidence: Confidence,
    /// The emotion that dominates.
    pub dominant_emotion: Emotion,
    /// Every emotion the scorer knows, strongest first.
    pub emotions: Vec<EmotionStrength>,
    /// How soon somebody should act.
    pub urgency: Urgency,
    /// The issue it is mainly about.
    pub category: CategoryId,
    /// Feeling by issue, in the order of the text.
    pub aspects: Vec<Aspect>,
    /// One or two sentences in an analyst's voice. May quote the text: it is for the tenant's own people, within Undertone.
    pub summary: String,
    /// The same without what names a person or opens a door: what events, letters and messages say. `None` until somebody has redacted it;
    /// then they say nothing of it. It is kept beside the verdict, not in it.
    #[serde(skip)]
    pub outside: Option<String>,
    /// The phrases that moved the score, strongest first. `keywords` are their texts.
    pub evidence: Vec<Evidence>,
    /// How much was read.
    pub coverage: Coverage,
    /// Where it comes from.
    pub provenance: Provenance,
    /// How it came about, where the cascade made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cascade: Option<Cascaded>,
    /// Why a person should look twice; empty for most.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub suspicions: Vec<Suspicion>,
}

/// Why a verdict may not be recorded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidVerdict {
    /// Score and label contradict each other.
    #[error("score {score} does not go with the label {label}")]
    OutsideBand {
        /// The score given.
        score: i8,
        /// The label given.
        label: &'static str,
    },
    /// A span points outside the text or into a character.
    #[error("span {start}..{end} is not a stretch of the text")]
    BadSpan {
        /// First byte.
        start: usize,
        /// One past the last byte.
        end: usize,
    },
    /// An evidence text differs from what stands at its span.
    #[error("evidence at {start} is not what the text says there")]
    Misquoted {
        /// First byte.
        start: usize,
    },
    /// There is no summary.
    #[error("the summary is empty")]
    NoSummary,
}

impl Verdict {
    /// A person should look: the confidence is under [`Confidence::REVIEW_BELOW`], two scorers contradict each other, or something about
    /// the text or the answer is suspicious.
    #[must_use]
    pub fn needs_review(&self) -> bool {
        self.confidence.get() < Confidence::REVIEW_BELOW || self.disagrees() || !self.suspicions.is_empty()
    }

    /// The texts of the evidence, strongest first.
    pub fn keywords(&self) -> impl Iterator<Item = &str> {
        self.evidence.iter().map(|e| e.text.as_str())
    }

    /// Checks what every scorer must keep, whoever it is: score inside the label's band, spans inside `text` and quoting it,
    /// a summary that says something.
    pub fn check(&self, text: &str) -> Result<(), InvalidVerdict> {
        if self.score.within(self.label) != self.score {
            return Err(InvalidVerdict::OutsideBand { score: self.score.get(), label: self.label.as_str() });
        }
        let bad = |s: Span| InvalidVerdict::BadSpan { start: s.start, end: s.end };
        for aspect in &self.aspects {
            aspect.span.of(text).filter(|t| !t.is_empty()).ok_or_else(|| bad(aspect.span))?;
        }
        for evidence in &self.evidence {
            let quoted =
                evidence.span.of(text).filter(|t| !t.is_empty()).ok_or_else(|| bad(evidence.span))?;
            if quoted != evidence.text {
                return Err(InvalidVerdict::Misquoted { start: evidence.span.start });
            }
        }
        if self.summary.trim().is_empty() {
            return Err(InvalidVerdict::NoSummary);
        }
        Ok(())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    pub(crate) fn verdict(score: i64, label: Label) -> Verdict {
        Verdict {
            score: Score::new(score).unwrap(),
            label,
            confidence: Confidence::from_probability(0.8),
            dominant_emotion: Emotion::NEUTRAL,
            emotions: vec![],
            urgency: Urgency::Low,
            category: CategoryId::other(),
            aspects: vec![],
            summary: "Nothing to report.".into(),
            outside: None,
            evidence: vec![],
            coverage: Coverage { truncated: false, unread_percent: 0 },
            provenance: Provenance {
                scorer: ScorerKind::Local,
                model: "m".into(),
                model_version: "1".into(),
                prompt_version: None,
                language: "en".into(),
                tokens_in: 0,
                tokens_out: 0,
                cost_micros: 0,
                duration_us: 0,
            },
            cascade: None,
            suspicions: vec![],
        }
    }

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
    }

    #[test]
    fn a_score_outside_its_labels_band_is_refused() {
        assert!(verdict(-20, Label::Negative).check("x").is_ok());
        assert_eq!(
            verdict(-19, Label::Negative).check("x"),
            Err(InvalidVerdict::OutsideBand { score: -19, label: "negative" })
        );
    }

    #[test]
    fn evidence_must_quote_the_text_and_never_cut_a_character() {
        let mut v = verdict(50, Label::Positive);
        v.evidence = vec![Evidence::found(Span { start: 0, end: 2 }, "ok".into(), 9.0)];
        assert!(v.check("ok 👍").is_ok());
        assert_eq!(v.check("no 👍"), Err(InvalidVerdict::Misquoted { start: 0 }));
        v.evidence[0].span = Span { start: 3, end: 5 };
        assert_eq!(v.check("ok 👍"), Err(InvalidVerdict::BadSpan { start: 3, end: 5 }));
        v.evidence.clear();
        v.aspects =
            vec![Aspect { category: CategoryId::other(), score: v.score, span: Span { start: 9, end: 12 } }];
        assert!(matches!(v.check("short"), Err(InvalidVerdict::BadSpan { .. })));
    }

    #[test]
    fn review_is_asked_for_under_sixty_and_where_something_is_suspicious() {
        let mut v = verdict(0, Label::Neutral);
        v.confidence = Confidence::from_probability(0.596);
        assert!(!v.needs_review(), "60 after rounding");
        v.confidence = Confidence::from_probability(0.594);
        assert!(v.needs_review());
        v.confidence = Confidence::from_probability(0.9);
        assert!(!v.needs_review());
        v.suspicions = vec![Suspicion::Instructions];
        assert!(v.needs_review(), "however sure the model is");
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

    #[test]
    fn every_suspicion_can_be_told() {
        for one in Suspicion::ALL {
            assert_eq!(serde_json::to_value(one).unwrap(), one.as_str());
            assert!(one.explanation().starts_with("the "), "{one:?}");
        }
    }

    #[test]
    fn a_verdict_survives_json() {
        let mut v = verdict(-44, Label::Negative);
        assert!(!serde_json::to_string(&v).unwrap().contains("suspicions"), "what is empty is not told");
        v.suspicions = vec![Suspicion::HiddenCharacters];
        v.evidence = vec![Evidence::found(Span { start: 0, end: 4 }, "late".into(), -12.5)];
        let json = serde_json::to_string(&v).unwrap();
        assert_eq!(serde_json::from_str::<Verdict>(&json).unwrap(), v);
        assert!(serde_json::from_str::<Score>("-101").is_err());
        assert!(serde_json::from_str::<Score>("12.5").is_err());
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
