//! Reads one text: layout, vectors, heads, and from these the verdict.

use std::time::Instant;

use undertone_core::text::cut;
use undertone_core::verdict::{Aspect, Coverage, EmotionStrength, Evidence, Provenance, ScorerKind, Span};
use undertone_core::{
    Category, CategoryId, Confidence, Emotion, Kind, Label, Score, Urgency, Verdict, phrase,
};

use super::artifact::{Artifact, ArtifactError, Manifest};
use super::embedder::{Embedder, Means, add};
use super::encoder::Lane;
use super::evidence::{Side, phrases};
use super::heads::{Heads, MessageFeatures, MessageReading, dot, logistic, normalise};
use super::layout::Layout;
use super::lesson::{self, Example, Input, Learned, TooFew};
use super::summary::{Findings, summarise};
use crate::text::own_words;
use crate::{Knowledge, NoVerdict, Utterance};

/// A clause's feeling becomes an aspect from this score on, either way: outside the neutral band.
const ASPECT: i8 = undertone_core::verdict::NEUTRAL_BAND;
/// Characters of a text that a lesson reads: as many as are scored by default.
const MOST_LEARNT: usize = 8000;
/// At most so many aspects in a verdict.
const MOST_ASPECTS: usize = 6;
/// How much of the whole message's topic a clause's topic keeps: a clause alone often says too little.
const CONTEXT: f32 = 0.5;
/// A text less like every category of a tenant than this (cosine) belongs to `other`.
const LEAST_LIKE: f32 = 0.25;

/// What was left unread, such as a sentence in another language, may say anything: of four labels one in four is right by chance.
const CHANCE: f32 = 0.25;

/// Categories as places among which a text's own place is compared.
#[derive(Debug)]
pub(crate) struct CategorySpace {
    ids: Vec<CategoryId>,
    places: Vec<Vec<f32>>,
    least: f32,
}

impl CategorySpace {
    fn nearest(&self, place: &[f32]) -> CategoryId {
        let like = |known: &Vec<f32>| dot(known, place);
        self.ids
            .iter()
            .zip(&self.places)
            .max_by(|(_, a), (_, b)| like(a).total_cmp(&like(b)))
            .filter(|(_, known)| like(known) >= self.least)
            .map_or_else(CategoryId::other, |(id, _)| id.clone())
    }
}

/// What the heads say of one clause.
struct ClauseReading {
    pieces: usize,
    span: Span,
    /// Outputs of the token heads for the clause's mean.
    outputs: Vec<f32>,
    /// Its topic, of length one.
    place: Vec<f32>,
}

/// What the encoder's vectors say.
struct Pieces {
    clauses: Vec<ClauseReading>,
    /// What each word piece adds to the score of the whole, in points.
    weights: Vec<f32>,
    /// The mean vector of the whole text.
    mean: Vec<f32>,
}

/// A model ready to read. Sharing it between threads is safe; each thread brings a lane of its own.
pub(crate) struct Reader {
    embedder: Embedder,
    heads: Heads,
    manifest: Manifest,
    emotions: Vec<Emotion>,
    support: CategorySpace,
}

impl Reader {
    /// From files that match their manifest.
    pub(crate) fn new(mut artifact: Artifact) -> Result<Self, ArtifactError> {
        let (encoder, tokenizer) = (artifact.take("encoder.safetensors"), artifact.take("tokenizer.json"));
        let heads = Heads::from_bytes(&artifact.take("heads.safetensors"), &artifact.manifest)?;
        let manifest = artifact.manifest;
        let broken = |detail: String| ArtifactError::Malformed { file: "manifest.json".to_owned(), detail };
        let emotions = manifest.outputs[heads.columns.emotions.clone()]
            .iter()
            .map(|name| {
                let word = name.trim_start_matches("emotion.");
                Emotion::new(word).ok_or_else(|| broken(format!("{name} is no emotion")))
            })
            .collect::<Result<_, _>>()?;
        if manifest.languages != ["en"] {
            return Err(broken(format!(
                "it was validated on {}, and this program tells only English from other languages",
                manifest.languages.join(", ")
            )));
        }
        let ids = manifest
            .categories
            .iter()
            .map(|id| CategoryId::new(id).ok_or_else(|| broken(format!("{id} is no category"))))
            .collect::<Result<Vec<_>, _>>()?;
        // A text's place is how much it is like each of them, so the nearest of the axes is the likeliest.
        let places =
            (0..ids.len()).map(|i| (0..ids.len()).map(|j| f32::from(u8::from(i == j))).collect()).collect();
        let support = CategorySpace { ids, places, least: -1.0 };
        let embedder = Embedder::new(encoder, &tokenizer, &manifest.encoder)?;
        Ok(Self { embedder, heads, manifest, emotions, support })
    }

    /// The version of the model.
    pub(crate) fn version(&self) -> &str {
        &self.manifest.version
    }

    /// Whether neither a category's name nor any of its examples can be read, so that nothing will ever be sorted under it.
    pub(crate) fn is_unreadable(&self, category: &Category) -> bool {
        let mut texts = std::iter::once(&category.name).chain(&category.examples);
        texts.all(|text| self.embedder.lay_out(text, Kind::Message).is_err())
    }

    /// The places of a tenant's categories, each the mean of its name's and its examples'. What can not be read is left out.
    pub(crate) fn place_categories(&self, categories: &[Category], lane: &Lane) -> CategorySpace {
        let mut space = CategorySpace { ids: Vec::new(), places: Vec::new(), least: LEAST_LIKE };
        for category in categories {
            let mut sum = Vec::new();
            for text in std::iter::once(&category.name).chain(&category.examples) {
                let Ok(layout) = self.embedder.lay_out(text, Kind::Message) else { continue };
                if let Ok(Means { whole, .. }) = self.embedder.means(&layout, lane, |_| ()) {
                    let words = self.heads.words(&layout.pieces, 0..layout.pieces.len());
                    add(&mut sum, &self.heads.place(&whole, &words));
                }
            }
            normalise(&mut sum);
            if !sum.is_empty() {
                space.ids.push(category.id.clone());
                space.places.push(sum);
            }
        }
        space
    }

    /// The verdict on `utterance` by what its tenant told, its category one of `categories` or, without them, of the default list.
    pub(crate) fn read(
        &self,
        utterance: &Utterance,
        categories: Option<&CategorySpace>,
        knowledge: &Knowledge,
        lane: &Lane,
    ) -> Result<Verdict, NoVerdict> {
        let started = Instant::now();
        let text = utterance.text.as_str();
        let layout = self.embedder.lay_out(text, utterance.kind)?;
        let Pieces { clauses, weights, mean } =
            self.read_clauses(&layout, lane).map_err(NoVerdict::failed)?;
        let outputs = whole(&clauses, layout.pieces.len());
        let words = self.heads.words(&layout.pieces, 0..layout.pieces.len());
        let columns = &self.heads.columns;

        // A lesson is for the model it was learnt on.
        let lesson = knowledge.lesson.as_ref().filter(|lesson| lesson.model_version == self.manifest.version);
        let features = self.features(&clauses, &outputs);
        let (mut scores, valences) = self.heads.message(&features);
        if let Some(lesson) = lesson {
            let correction = lesson.correction(&input_values(&features, &mean));
            scores.iter_mut().zip(correction).for_each(|(score, more)| *score += more);
        }
        let mut reading = MessageReading::new(scores, valences);
        let mut evidence = both_sides(text, &layout, &weights);
        // Mixed means that both sides can be shown. Where one can not, the likeliest of the other labels is meant.
        if reading.label() == Label::Mixed && !shows_both(&evidence) {
            reading.rule_out(Label::Mixed);
        }
        let label = reading.label();
        match label {
            Label::Positive => evidence = phrases(text, &layout, &weights, Side::Up),
            Label::Negative => evidence = phrases(text, &layout, &weights, Side::Down),
            Label::Neutral => evidence = phrases(text, &layout, &weights, Side::Both),
            Label::Mixed => {}
        }
        let calibration = lesson.map_or(self.manifest.calibration, |lesson| lesson.calibration);
        let sure = calibration.of(reading.probability());
        let unread = f32::from(layout.unread_percent) / 100.0;
        let confidence = Confidence::from_probability(sure - (sure - CHANCE).max(0.0) * unread);
        let urgency = strongest(&Urgency::ALL, &sum(&outputs[columns.urgency.clone()], &words.urgency));
        let emotions = self.emotions(&sum(&outputs[columns.emotions.clone()], &words.emotions));
        let dominant_emotion = dominant(&emotions, label);

        let space = categories.unwrap_or(&self.support);
        let topic = self.heads.place(&mean, &words);
        let aspects = self.aspects(&clauses, &topic, space);
        let mut verdict = Verdict {
            score: Score::saturating(reading.valence() * 100.0).within(label),
            label,
            confidence,
            dominant_emotion,
            emotions,
            urgency,
            category: space.nearest(&topic),
            aspects,
            summary: String::new(),
            outside: None,
            evidence,
            coverage: Coverage { truncated: utterance.truncated, unread_percent: layout.unread_percent },
            provenance: Provenance {
                scorer: ScorerKind::Local,
                model: self.manifest.name.clone(),
                model_version: match lesson {
                    Some(lesson) => format!("{} lesson {}", self.manifest.version, lesson.version),
                    None => self.manifest.version.clone(),
                },
                prompt_version: None,
                language: layout.language.to_owned(),
                tokens_in: u32::try_from(layout.pieces.len()).unwrap_or(u32::MAX),
                tokens_out: 0,
                cost_micros: 0,
                duration_us: 0,
            },
            cascade: None,
            suspicions: vec![],
        };
        if !knowledge.phrases.is_empty() {
            phrase::apply(&knowledge.phrases, text, &own_words(text, utterance.kind)?, &mut verdict);
        }
        let asks = layout.clauses.iter().any(|c| c.span.of(text).is_some_and(|t| t.contains('?')));
        // What the tenant's phrases changed is told after what is so now.
        verdict.summary.insert_str(0, &summarise(&Findings::of(&verdict, utterance.kind, asks)));
        verdict.provenance.duration_us = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
        Ok(verdict)
    }

    /// What the encoder and the heads say of each clause and each piece.
    fn read_clauses(&self, layout: &Layout, lane: &Lane) -> Result<Pieces, String> {
        let per_point = 100.0 / layout.pieces.len() as f32;
        let mut weights = Vec::with_capacity(layout.pieces.len());
        let Means { whole: mean, clauses } =
            self.embedder.means(layout, lane, |row| weights.push(self.heads.valence(row) * per_point))?;
        let clauses = layout
            .clauses
            .iter()
            .zip(clauses)
            .map(|(clause, mean)| {
                let words = self.heads.words(&layout.pieces, clause.pieces.clone());
                let (outputs, place) = (self.heads.outputs(&mean), self.heads.place(&mean, &words));
                ClauseReading { pieces: clause.pieces.len(), span: clause.span, outputs, place }
            })
            .collect();
        Ok(Pieces { clauses, weights, mean })
    }

    fn features(&self, clauses: &[ClauseReading], outputs: &[f32]) -> MessageFeatures {
        let parts: Vec<(usize, &[f32])> = clauses.iter().map(|c| (c.pieces, c.outputs.as_slice())).collect();
        MessageFeatures::new(&self.heads.columns, outputs, &parts)
    }

    /// Learns from what a tenant's people say of `examples`; what can not be read is left out.
    pub(crate) fn learn(&self, examples: &[Example], version: u32) -> Result<Learned, TooFew> {
        let lane = Lane::new();
        let inputs = |chosen: bool| -> Vec<(Input, Label)> {
            let some = examples.iter().filter(|example| example.chosen == chosen);
            some.filter_map(|example| Some((self.lesson_input(example, &lane)?, example.label))).collect()
        };
        let (tried, others) = (inputs(false), inputs(true));
        let unread = examples.len() - tried.len() - others.len();
        lesson::learn(&tried, &others, unread, self.manifest.calibration, (version, &self.manifest.version))
    }

    fn lesson_input(&self, example: &Example, lane: &Lane) -> Option<Input> {
        let text = &example.text[..cut(&example.text, MOST_LEARNT)];
        let layout = self.embedder.lay_out(text, example.kind).ok()?;
        let Pieces { clauses, weights, mean } = self.read_clauses(&layout, lane).ok()?;
        let features = self.features(&clauses, &whole(&clauses, layout.pieces.len()));
        let (scores, valences) = self.heads.message(&features);
        let shows_both = shows_both(&both_sides(text, &layout, &weights));
        Some(Input { values: input_values(&features, &mean), scores, valences, shows_both })
    }

    /// Every emotion, strongest first.
    fn emotions(&self, outputs: &[f32]) -> Vec<EmotionStrength> {
        let mut emotions: Vec<EmotionStrength> = self
            .emotions
            .iter()
            .zip(outputs)
            .map(|(emotion, o)| EmotionStrength { emotion: emotion.clone(), strength: logistic(*o) })
            .collect();
        emotions.sort_by(|a, b| b.strength.total_cmp(&a.strength));
        emotions
    }

    /// What the clauses feel about what they are about: one aspect per category and side, said by its strongest clause.
    fn aspects(&self, clauses: &[ClauseReading], topic: &[f32], space: &CategorySpace) -> Vec<Aspect> {
        let mut aspects: Vec<Aspect> = Vec::new();
        for clause in clauses {
            let score = Score::saturating(clause.outputs[self.heads.columns.valence] * 100.0);
            if score.get().abs() < ASPECT {
                continue;
            }
            let mut place: Vec<f32> =
                clause.place.iter().zip(topic).map(|(own, all)| own + CONTEXT * all).collect();
            normalise(&mut place);
            let aspect = Aspect { category: space.nearest(&place), score, span: clause.span };
            let same = |a: &&mut Aspect| {
                a.category == aspect.category && a.score.get().signum() == score.get().signum()
            };
            match aspects.iter_mut().find(same) {
                Some(known) if known.score.get().abs() >= score.get().abs() => {}
                Some(known) => *known = aspect,
                None => aspects.push(aspect),
            }
        }
        aspects.sort_by_key(|a| std::cmp::Reverse(a.score.get().abs()));
        aspects.truncate(MOST_ASPECTS);
        aspects.sort_by_key(|a| a.span.start);
        aspects
    }
}

/// The strongest phrases of each side of a text that may be mixed: by what words add against the mean of the text, since next to a complaint
/// even praise may add little, or take away.
fn both_sides(text: &str, layout: &Layout, weights: &[f32]) -> Vec<Evidence> {
    let mean = weights.iter().sum::<f32>() / weights.len().max(1) as f32;
    let against: Vec<f32> = weights.iter().map(|weight| weight - mean).collect();
    phrases(text, layout, &against, Side::Both)
}

/// Phrases of both sides are among them.
fn shows_both(evidence: &[Evidence]) -> bool {
    evidence.iter().any(|e| e.weight > 0.0) && evidence.iter().any(|e| e.weight < 0.0)
}

/// What a lesson looks at.
fn input_values(features: &MessageFeatures, mean: &[f32]) -> Vec<f32> {
    features.0.iter().chain(mean).copied().collect()
}

/// Outputs of the whole from those of its clauses: the heads are linear, so this is exact.
fn whole(clauses: &[ClauseReading], pieces: usize) -> Vec<f32> {
    let mut whole = vec![0.0; clauses.first().map_or(0, |c| c.outputs.len())];
    for clause in clauses {
        let share = clause.pieces as f32 / pieces as f32;
        whole.iter_mut().zip(&clause.outputs).for_each(|(w, o)| *w += share * o);
    }
    whole
}

/// Element by element.
fn sum(one: &[f32], other: &[f32]) -> Vec<f32> {
    one.iter().zip(other).map(|(a, b)| a + b).collect()
}

/// The one with the highest of `scores`.
fn strongest<T: Copy>(all: &[T], scores: &[f32]) -> T {
    let (mut best, mut most) = (all[0], f32::NEG_INFINITY);
    for (one, score) in all.iter().zip(scores) {
        if *score > most {
            (best, most) = (*one, *score);
        }
    }
    best
}

/// The strongest emotion that goes with `label`; `emotions` come strongest first.
fn dominant(emotions: &[EmotionStrength], label: Label) -> Emotion {
    emotions
        .iter()
        .find(|e| e.emotion.goes_with(label))
        .or(emotions.first())
        .map_or(Emotion::NEUTRAL, |e| e.emotion.clone())
}
