//! One item's answer, field by field.

use serde_json::Value;
use undertone_core::verdict::{Aspect, EmotionStrength, Evidence, Span};
use undertone_core::{CategoryId, Confidence, Emotion, Label, Score, Urgency};

use super::super::prompt::Item;
use super::super::schema::EMOTIONS;
use super::quote::{Place, Source};
use super::suspicion::{is_contrary, of_text};
use super::{Answered, Dropped, NEAR_BAND, Rejected, Suspicion, summary};

/// A verdict has at most so many phrases, as the embedded model's has.
const MOST_EVIDENCE: usize = 5;
/// And so many aspects.
const MOST_ASPECTS: usize = 6;
/// Of longer lists the rest is not even looked at: each quote costs a search of the text.
const MOST_READ: usize = 24;
/// How strong an emotion is that dominates without a strength of its own.
const UNSAID: f32 = 0.5;

/// Reads the answer `told` about `item`, whose category is one of `allowed`.
pub(super) fn read(told: &Value, item: &Item<'_>, allowed: &[CategoryId]) -> Result<Answered, Rejected> {
    let source = Source::new(item.text, item.kind);
    let mut dropped = Dropped::default();
    let label: Label = word(told, "label")?.parse().map_err(|_| Rejected::Unknown { field: "label" })?;
    let given = score(told)?;
    let score = in_band(given, label)?;
    let percent = within(told, "confidence", 0, 100)?;
    let emotions = strengths(told, &mut dropped)?;
    let (dominant_emotion, emotions) = dominant(told, emotions, label)?;
    let urgency = word(told, "urgency")?;
    let urgency = Urgency::ALL.into_iter().find(|known| known.as_str() == urgency);
    let urgency = urgency.ok_or(Rejected::Unknown { field: "urgency" })?;
    let category =
        category(word(told, "category")?, allowed).ok_or(Rejected::Unknown { field: "category" })?;
    let (sarcasm, ambiguous) = (flag(told, "sarcasm")?, flag(told, "ambiguous")?);
    let language = language(word(told, "language")?);
    let summary = summary::clean(word(told, "summary")?, &source)?;
    let evidence = evidence(told, &source, &mut dropped)?;
    let aspects = aspects(told, &source, allowed, &mut dropped)?;

    let mut suspicions = of_text(&source);
    if dropped.invented > 0 && dropped.others == 0 && evidence.is_empty() && aspects.is_empty() {
        suspicions.push(Suspicion::InventedQuotes);
    }
    if is_contrary(label, &evidence) {
        suspicions.push(Suspicion::ContraryEvidence);
    }
    let most = if suspicions.is_empty() { 100 } else { i64::from(Confidence::REVIEW_BELOW) - 1 };
    let confidence = Confidence::from_probability(percent.min(most) as f32 / 100.0);
    Ok(Answered {
        score,
        label,
        confidence,
        dominant_emotion,
        emotions,
        urgency,
        category,
        aspects,
        summary,
        evidence,
        language,
        sarcasm,
        ambiguous,
        moved_from: (score != given).then_some(given),
        dropped,
        suspicions,
    })
}

/// The whole number in a field. Some servers write 12 as 12.0.
pub(super) fn whole(told: &Value, field: &'static str) -> Result<i64, Rejected> {
    let value = &told[field];
    let number = value.as_i64().or_else(|| value.as_f64().filter(|n| n.fract() == 0.0).map(|n| n as i64));
    number.ok_or(Rejected::WrongType { field, expected: "a whole number" })
}

fn within(told: &Value, field: &'static str, low: i64, high: i64) -> Result<i64, Rejected> {
    let value = whole(told, field)?;
    if (low..=high).contains(&value) {
        Ok(value)
    } else {
        Err(Rejected::OutOfRange { field, value, low, high })
    }
}

fn score(told: &Value) -> Result<Score, Rejected> {
    let value = within(told, "score", -100, 100)?;
    Score::new(value).ok_or(Rejected::OutOfRange { field: "score", value, low: -100, high: 100 })
}

fn word<'v>(told: &'v Value, field: &'static str) -> Result<&'v str, Rejected> {
    told[field].as_str().ok_or(Rejected::WrongType { field, expected: "a text" })
}

fn flag(told: &Value, field: &'static str) -> Result<bool, Rejected> {
    told[field].as_bool().ok_or(Rejected::WrongType { field, expected: "true or false" })
}

/// The first entries of a list; the rest is counted.
fn list<'v>(told: &'v Value, field: &'static str, dropped: &mut Dropped) -> Result<&'v [Value], Rejected> {
    let entries = told[field].as_array().ok_or(Rejected::WrongType { field, expected: "a list" })?;
    let (read, rest) = entries.split_at(entries.len().min(MOST_READ));
    dropped.surplus += rest.len();
    Ok(read)
}

/// The label wins over a score that misses its band by a little.
fn in_band(given: Score, label: Label) -> Result<Score, Rejected> {
    let moved = given.within(label);
    let distance = (i16::from(moved.get()) - i16::from(given.get())).abs();
    if distance <= NEAR_BAND {
        Ok(moved)
    } else {
        Err(Rejected::ScoreAgainstLabel { score: given.get(), label: label.as_str() })
    }
}

fn category(word: &str, allowed: &[CategoryId]) -> Option<CategoryId> {
    allowed.iter().find(|known| known.as_str() == word).cloned()
}

fn emotion(word: &str) -> Option<Emotion> {
    EMOTIONS.contains(&word).then(|| Emotion::new(word)).flatten()
}

/// "en" of "en", "EN" and "en-GB"; `None` of what names no language.
fn language(word: &str) -> Option<String> {
    let code = word.split(['-', '_']).next().unwrap_or_default().to_ascii_lowercase();
    (code.len() == 2 && code.bytes().all(|b| b.is_ascii_lowercase())).then_some(code)
}

/// The emotions that show, strongest first.
fn strengths(told: &Value, dropped: &mut Dropped) -> Result<Vec<EmotionStrength>, Rejected> {
    let mut strengths: Vec<EmotionStrength> = Vec::new();
    for entry in list(told, "emotions", dropped)? {
        let known = entry["emotion"].as_str().and_then(emotion);
        let (Some(emotion), Ok(percent)) = (known, within(entry, "strength", 0, 100)) else {
            dropped.malformed += 1;
            continue;
        };
        let strength = percent as f32 / 100.0;
        match strengths.iter_mut().find(|known| known.emotion == emotion) {
            Some(known) => {
                known.strength = known.strength.max(strength);
                dropped.surplus += 1;
            }
            None => strengths.push(EmotionStrength { emotion, strength }),
        }
    }
    strengths.sort_by(|a, b| b.strength.total_cmp(&a.strength));
    Ok(strengths)
}

/// The emotion that dominates, and the strengths of all. An emotion that does not go with the label gives way to the strongest one that does;
/// a neutral text shows none by definition.
fn dominant(
    told: &Value,
    mut strengths: Vec<EmotionStrength>,
    label: Label,
) -> Result<(Emotion, Vec<EmotionStrength>), Rejected> {
    let given = emotion(word(told, "emotion")?).ok_or(Rejected::Unknown { field: "emotion" })?;
    let shown = |e: &&EmotionStrength| e.strength > 0.0 && e.emotion.goes_with(label);
    let dominant = if given.goes_with(label) {
        given
    } else if label == Label::Neutral {
        Emotion::NEUTRAL
    } else if let Some(strongest) = strengths.iter().find(shown) {
        strongest.emotion.clone()
    } else {
        return Err(Rejected::EmotionAgainstLabel { emotion: given, label: label.as_str() });
    };
    let strongest = strengths.first().map_or(0.0, |e| e.strength);
    for known in EMOTIONS.iter().filter_map(|known| Emotion::new(known)) {
        if strengths.iter().any(|e| e.emotion == known) {
            continue;
        }
        let strength = if known != dominant {
            0.0
        } else if known == Emotion::NEUTRAL {
            1.0 - strongest
        } else {
            strongest.max(UNSAID)
        };
        strengths.push(EmotionStrength { emotion: known, strength });
    }
    strengths.sort_by(|a, b| b.strength.total_cmp(&a.strength));
    Ok((dominant, strengths))
}

/// Where the quote in `entry` stands in the customer's words; what is left out is counted.
fn quoted(entry: &Value, source: &Source<'_>, dropped: &mut Dropped) -> Option<Span> {
    let Some(quote) = entry["quote"].as_str() else {
        dropped.malformed += 1;
        return None;
    };
    match source.locate(quote) {
        Place::Own(span) => return Some(span),
        Place::Others => dropped.others += 1,
        Place::Nowhere => dropped.invented += 1,
    }
    None
}

fn evidence(told: &Value, source: &Source<'_>, dropped: &mut Dropped) -> Result<Vec<Evidence>, Rejected> {
    let mut found = Vec::new();
    for entry in list(told, "evidence", dropped)? {
        let weight = within(entry, "weight", -100, 100).ok().filter(|weight| *weight != 0);
        let Some(weight) = weight else {
            dropped.malformed += 1;
            continue;
        };
        let Some(span) = quoted(entry, source, dropped) else { continue };
        let text = span.of(source.text()).unwrap_or_default().to_owned();
        found.push(Evidence::found(span, text, weight as f32));
    }
    found.sort_by(|a, b| b.weight.abs().total_cmp(&a.weight.abs()));
    let mut evidence: Vec<Evidence> = Vec::new();
    for one in found {
        let overlaps = |e: &Evidence| e.span.start < one.span.end && one.span.start < e.span.end;
        if evidence.len() == MOST_EVIDENCE || evidence.iter().any(overlaps) {
            dropped.surplus += 1;
        } else {
            evidence.push(one);
        }
    }
    Ok(evidence)
}

fn aspects(
    told: &Value,
    source: &Source<'_>,
    allowed: &[CategoryId],
    dropped: &mut Dropped,
) -> Result<Vec<Aspect>, Rejected> {
    let mut found = Vec::new();
    for entry in list(told, "aspects", dropped)? {
        let known = entry["category"].as_str().and_then(|word| category(word, allowed));
        let (Some(category), Ok(score)) = (known, score(entry)) else {
            dropped.malformed += 1;
            continue;
        };
        if let Some(span) = quoted(entry, source, dropped) {
            found.push(Aspect { category, score, span });
        }
    }
    found.sort_by_key(|aspect| std::cmp::Reverse(aspect.score.get().unsigned_abs()));
    let mut aspects: Vec<Aspect> = Vec::new();
    for one in found {
        let side = |aspect: &Aspect| aspect.score.get().signum();
        let again = |known: &Aspect| known.category == one.category && side(known) == side(&one);
        if aspects.len() == MOST_ASPECTS || aspects.iter().any(again) {
            dropped.surplus += 1;
        } else {
            aspects.push(one);
        }
    }
    aspects.sort_by_key(|aspect| aspect.span.start);
    Ok(aspects)
}
