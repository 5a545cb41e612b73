//! A tenant's own phrases: words that mean more, or something else, where this tenant works. "Not performing as expected" is grave in
//! finance, "sick" is praise among gamers. What a phrase says holds at once. To the embedded
//! model's verdicts it is applied here; an LLM is told of it in its prompt and weighs it itself.

use serde::{Deserialize, Serialize};
use unicode_segmentation::UnicodeSegmentation;

use crate::verdict::{Evidence, Span};
use crate::{CategoryId, Confidence, Emotion, Label, Score, Urgency, Verdict};

/// A phrase and what it changes. It must change something.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Phrase {
    /// The words, 1 to 100 characters. Case, the width of spaces and the form of apostrophes do not matter; it is found only as whole words
    /// of one sentence.
    pub phrase: String,
    /// Added to the score where it stands, -100..=100.
    #[serde(default)]
    pub shift: i8,
    /// The urgency becomes this, unless another phrase in the text is more pressing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub urgency: Option<Urgency>,
    /// The category becomes this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<CategoryId>,
}

impl Phrase {
    /// It can be found, and it changes something.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        let length = self.phrase.trim().chars().count();
        let changes = self.shift != 0 || self.urgency.is_some() || self.category.is_some();
        (1..=100).contains(&length)
            && !self.words().is_empty()
            && !self.phrase.contains(char::is_control)
            && changes
            && (-100..=100).contains(&self.shift)
    }

    /// Its words as they are compared: two phrases with the same words are the same.
    #[must_use]
    pub fn words(&self) -> Vec<String> {
        self.phrase.unicode_words().map(compared).collect()
    }

    /// Where it first stands in a stretch of `text`.
    #[must_use]
    pub fn find(&self, text: &str, within: Span) -> Option<Span> {
        let (wanted, stretch) = (self.words(), within.of(text)?);
        let words: Vec<(usize, &str)> = stretch.unicode_word_indices().collect();
        let fits = |at: &[(usize, &str)]| {
            at.iter().zip(&wanted).all(|((_, word), wanted)| compared(word) == *wanted)
                && at.windows(2).all(|pair| {
                    let between = stretch.get(pair[0].0 + pair[0].1.len()..pair[1].0).unwrap_or_default();
                    !between.contains(['.', '!', '?', ';', ':']) && between.matches('\n').count() < 2
                })
        };
        let found = words.windows(wanted.len().max(1)).find(|at| fits(at))?;
        let ((first, _), (last, word)) = (found.first()?, found.last()?);
        Some(Span { start: within.start + first, end: within.start + last + word.len() })
    }
}

fn compared(word: &str) -> String {
    word.replace('’', "'").to_lowercase()
}

/// So many phrases are named in a summary; all of them are in the evidence.
const MOST_NAMED: usize = 3;

/// Lets the phrases that stand in the customer's `own` words of `text` change `verdict`, and names them in its evidence and summary. A
/// phrase counts once however often it stands there.
pub fn apply(phrases: &[Phrase], text: &str, own: &[Span], verdict: &mut Verdict) {
    let found: Vec<(&Phrase, Span)> = phrases
        .iter()
        .filter_map(|phrase| Some((phrase, own.iter().find_map(|span| phrase.find(text, *span))?)))
        .collect();
    if found.is_empty() {
        return;
    }
    let shift: i32 = found.iter().map(|(phrase, _)| i32::from(phrase.shift)).sum();
    if shift != 0 {
        move_score(verdict, shift);
    }
    if let Some(urgency) = found.iter().filter_map(|(phrase, _)| phrase.urgency).max() {
        verdict.urgency = urgency;
    }
    if let Some(category) = found.iter().find_map(|(phrase, _)| phrase.category.clone()) {
        verdict.category = category;
    }
    // What the model found in the very same words says nothing more.
    verdict.evidence.retain(|e| !found.iter().any(|(_, s)| e.span.start < s.end && s.start < e.span.end));
    let unnamed = found.len().saturating_sub(MOST_NAMED);
    for (number, (phrase, span)) in found.into_iter().enumerate() {
        let quoted = span.of(text).unwrap_or_default().to_owned();
        let mut does = Vec::new();
        if phrase.shift != 0 {
            does.push(format!("score {:+}", phrase.shift));
        }
        does.extend(phrase.urgency.map(|urgency| format!("urgency {}", urgency.as_str())));
        does.extend(phrase.category.as_ref().map(|category| format!("about {}", category.words())));
        if number < MOST_NAMED {
            let words: Vec<&str> = quoted.split_whitespace().collect();
            verdict.summary += &format!(" Your phrase “{}”: {}.", words.join(" "), does.join(", "));
        }
        verdict.evidence.push(Evidence { span, text: quoted, weight: phrase.shift.into(), phrase: true });
    }
    if unnamed > 0 {
        verdict.summary += &format!(" {unnamed} more of your phrases count too.");
    }
    verdict.evidence.sort_by(|a, b| b.weight.abs().total_cmp(&a.weight.abs()));
}

/// Moves the score, and label and emotion with it. Where that changes the label, nothing measured says how sure it is: its confidence
/// becomes the least that needs no review.
fn move_score(verdict: &mut Verdict, shift: i32) {
    let moved = (i32::from(verdict.score.get()) + shift).clamp(-100, 100);
    verdict.score = Score::saturating(moved as f32);
    let (low, high) = Label::Mixed.band();
    let stays_mixed = verdict.label == Label::Mixed && (i32::from(low)..=i32::from(high)).contains(&moved);
    let label = if stays_mixed { Label::Mixed } else { verdict.score.label() };
    if label != verdict.label {
        verdict.label = label;
        verdict.confidence = Confidence::from_probability(f32::from(Confidence::REVIEW_BELOW) / 100.0);
        let goes = |emotion: &Emotion| emotion.goes_with(label);
        if !goes(&verdict.dominant_emotion) {
            let likeliest = verdict.emotions.iter().map(|e| &e.emotion).find(|emotion| goes(emotion));
            verdict.dominant_emotion = likeliest.cloned().unwrap_or(Emotion::NEUTRAL);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::tests::verdict;

    fn phrase(words: &str, shift: i8) -> Phrase {
        Phrase { phrase: words.to_owned(), shift, urgency: None, category: None }
    }

    fn whole(text: &str) -> Vec<Span> {
        vec![Span { start: 0, end: text.len() }]
    }

    #[test]
    fn a_phrase_is_found_as_whole_words_in_any_case() {
        let text = "My fund is Not performing\n as expected.";
        let span = phrase("not performing as  expected", -60).find(text, whole(text)[0]).unwrap();
        assert_eq!(span.of(text), Some("Not performing\n as expected"));
        assert_eq!(phrase("form", 1).find(text, whole(text)[0]), None, "not inside a word");
        let two = "Is it down? I think not. Working fine, thanks! But it doesn’t work there.";
        assert_eq!(phrase("not working", -60).find(two, whole(two)[0]), None, "not across sentences");
        assert!(phrase("doesn't work", -60).find(two, whole(two)[0]).is_some(), "whatever the apostrophe");
        assert_eq!(phrase("sick", 40).find("", Span { start: 0, end: 0 }), None);
    }

    #[test]
    fn it_moves_score_label_urgency_and_category_and_says_so() {
        let text = "The portfolio is not performing as expected, kindly call me.";
        let mut v = verdict(-4, Label::Neutral);
        let grave = Phrase {
            urgency: Some(Urgency::High),
            category: CategoryId::new("billing"),
            ..phrase("not performing as expected", -60)
        };
        apply(&[grave, phrase("kindly", 0)], text, &whole(text), &mut v);
        assert_eq!((v.score.get(), v.label, v.urgency), (-64, Label::Negative, Urgency::High));
        assert_eq!(v.category.as_str(), "billing");
        assert!(v.evidence[0].phrase && v.evidence[0].text == "not performing as expected");
        assert!(
            v.summary.contains(
                "Your phrase “not performing as expected”: score -60, urgency high, about billing."
            )
        );
        assert!(!v.needs_review());
        v.check(text).unwrap();
    }

    #[test]
    fn quoted_words_of_others_do_not_count() {
        let text = "ok\n> sick of this";
        let mut v = verdict(0, Label::Neutral);
        apply(&[phrase("sick", 50)], text, &[Span { start: 0, end: 2 }], &mut v);
        assert_eq!(v, verdict(0, Label::Neutral));
    }

    #[test]
    fn mixed_stays_mixed_until_one_side_has_won() {
        let text = "sick graphics, laggy lobby";
        let mut v = verdict(10, Label::Mixed);
        apply(&[phrase("sick", 30)], text, &whole(text), &mut v);
        assert_eq!((v.score.get(), v.label), (40, Label::Mixed));
        apply(&[phrase("laggy lobby", 40)], text, &whole(text), &mut v);
        assert_eq!((v.score.get(), v.label), (80, Label::Positive));
        v.check(text).unwrap();
    }

    #[test]
    fn a_phrase_that_changes_nothing_is_refused() {
        assert!(phrase("sick", 40).is_usable());
        for unusable in [
            phrase("sick", 0),
            phrase("  ", 40),
            phrase("!!", 40),
            phrase("sick\0", 40),
            phrase(&"x".repeat(101), 40),
        ] {
            assert!(!unusable.is_usable(), "{unusable:?}");
        }
    }
}
