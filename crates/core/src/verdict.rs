//! What a scorer says of one interaction: score, label, confidence, emotion, urgency, category, summary and the evidence.

mod values;

use serde::{Deserialize, Serialize};

use crate::CategoryId;
use crate::cascade::Cascaded;

pub use values::{Confidence, Emotion, Label, NEUTRAL_BAND, Score, Urgency};

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
    }
}
