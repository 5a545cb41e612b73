use super::*;
use crate::Emotion;
use crate::Label::{Mixed, Negative, Neutral, Positive};
use crate::cascade::effect::effect;
use crate::cascade::sums::{Spared, Sums};
use crate::verdict::EmotionStrength;
use crate::verdict::tests::verdict;

/// A verdict of an LLM after the embedded model said `first`.
fn second(score: i64, label: Label, first: Option<(i64, Label)>, why: WhyAsked) -> Verdict {
    let mut second = verdict(score, label);
    second.provenance.scorer = ScorerKind::Claude;
    (second.provenance.tokens_in, second.provenance.tokens_out) = (200, 50);
    second.provenance.cost_micros = 90;
    second.cascade = Some(Cascaded {
        threshold: 70,
        why: Some(why),
        first: first.map(|(score, label)| FirstReading::of(&verdict(score, label))),
        unanswered: None,
    });
    second
}

fn kept(score: i64, label: Label) -> Verdict {
    let unanswered = Unanswered { reason: NoAnswer::NoKey, detail: "no key".to_owned(), until: None };
    let mut kept = verdict(score, label);
    (kept.provenance.tokens_in, kept.provenance.cost_micros) = (12, 0);
    kept.cascade = Some(Cascaded {
        threshold: 70,
        why: Some(WhyAsked::Unsure),
        first: None,
        unanswered: Some(unanswered),
    });
    kept
}

fn sure(score: i64, label: Label) -> Verdict {
    let mut sure = verdict(score, label);
    sure.cascade = Some(Cascaded { threshold: 70, why: None, first: None, unanswered: None });
    sure
}

#[test]
fn readings_contradict_by_label_or_by_distance() {
    let disagrees = |first, then| {
        let ((score, label), (later, other)) = (first, then);
        second(later, other, Some((score, label)), WhyAsked::Unsure).disagrees()
    };
    assert!(!disagrees((-30, Negative), (-70, Negative)), "40 points");
    assert!(disagrees((-30, Negative), (-71, Negative)), "41 points");
    assert!(disagrees((-19, Neutral), (-20, Negative)), "labels differ, whatever the distance");
    assert!(disagrees((60, Mixed), (-60, Mixed)));
    assert!(!second(-40, Negative, None, WhyAsked::Language).disagrees(), "there is no first reading");
    assert!(!verdict(-40, Negative).disagrees());
}

#[test]
fn a_person_looks_where_two_scorers_disagree() {
    let agreed = second(-60, Negative, Some((-50, Negative)), WhyAsked::Unsure);
    assert!(!agreed.needs_review());
    let disagreed = second(-60, Negative, Some((10, Neutral)), WhyAsked::Unsure);
    assert!(disagreed.confidence.get() >= Confidence::REVIEW_BELOW && disagreed.needs_review());
}

#[test]
fn a_reading_that_contradicts_itself_is_ambiguous() {
    let strength = |word: &str| EmotionStrength { emotion: Emotion::new(word).unwrap(), strength: 0.9 };
    let mut v = verdict(-40, Negative);
    assert!(!v.is_ambiguous());
    v.emotions = vec![strength("anger"), strength("relief")];
    assert!(!v.is_ambiguous());
    v.emotions = vec![strength("relief"), strength("anger")];
    assert!(v.is_ambiguous());
    v.label = Mixed;
    assert!(!v.is_ambiguous(), "that is what mixed means");
    v.emotions.clear();
    assert!(!v.is_ambiguous());
}

#[test]
fn what_the_cascade_did_survives_json_and_is_left_out_where_it_did_nothing() {
    let told = serde_json::to_value(verdict(0, Neutral)).unwrap();
    assert!(told.get("cascade").is_none());
    let old = serde_json::from_value::<Verdict>(told).unwrap();
    assert_eq!(old.cascade, None);
    for verdict in
        [sure(0, Neutral), kept(0, Neutral), second(-60, Negative, Some((10, Neutral)), WhyAsked::Ambiguous)]
    {
        let json = serde_json::to_string(&verdict).unwrap();
        assert_eq!(serde_json::from_str::<Verdict>(&json).unwrap(), verdict);
    }
    let told = serde_json::to_value(sure(0, Neutral)).unwrap();
    assert_eq!(told["cascade"], serde_json::json!({"threshold": 70}));
    for why in WhyAsked::ALL {
        assert_eq!(serde_json::to_value(why).unwrap(), why.as_str());
    }
}

#[test]
fn an_effect_counts_each_text_once() {
    let verdicts = [
        Some(sure(50, Positive)),
        Some(second(-60, Negative, Some((10, Neutral)), WhyAsked::Unsure)),
        Some(second(0, Neutral, Some((-30, Negative)), WhyAsked::Ambiguous)),
        Some(second(40, Positive, None, WhyAsked::Language)),
        Some(second(-30, Negative, Some((-30, Negative)), WhyAsked::Always)),
        Some(kept(0, Neutral)),
        None,
    ];
    let truths = [Positive, Negative, Negative, Positive, Negative, Positive, Neutral];
    let told = effect(&verdicts, &truths);
    assert_eq!((told.texts, told.right_before, told.right_after), (7, 3, 4));
    assert_eq!((told.mended, told.spoilt), (2, 1));
    let sums = Sums {
        verdicts: 6,
        asked: 5,
        unanswered: 1,
        changed: 2,
        disagreed: 2,
        tokens_in: 800,
        tokens_out: 200,
        cost_micros: 360,
    };
    assert_eq!(told.sums, sums);
    assert_eq!(
        told.why,
        [1, 1, 1, 2].iter().zip(WhyAsked::ALL).map(|(n, why)| (why, *n)).collect::<Vec<_>>()
    );
    assert!((sums.asked_share() - 5.0 / 6.0).abs() < 1e-12 && Sums::default().asked_share() == 0.0);
    assert_eq!(sums.plus(sums).tokens_in, 1600);
    assert_eq!(Sums::of(&verdict(0, Neutral)), Sums::default(), "no cascade, nothing counted");
}

#[test]
fn what_was_not_asked_is_estimated_by_what_was() {
    assert_eq!(Sums::default().spared(), None, "the cascade did nothing");
    let sums = Sums {
        verdicts: 100,
        asked: 23,
        unanswered: 3,
        tokens_in: 15_990,
        tokens_out: 4_000,
        cost_micros: 1_010,
        ..Sums::default()
    };
    // 77 times 19,990 tokens and $0.001010 divided by 20.
    let spared = Spared {
        texts: 77,
        answered: 20,
        tokens_each: Some(1_000),
        tokens: Some(76_962),
        cost_micros: Some(3_889),
    };
    assert_eq!(sums.spared(), Some(spared));
    let nobody = Sums { asked: 3, ..sums }.spared().unwrap();
    assert_eq!((nobody.texts, nobody.tokens_each, nobody.tokens, nobody.cost_micros), (97, None, None, None));
    let huge = Sums { verdicts: u64::MAX, asked: 1, unanswered: 0, tokens_in: u64::MAX, ..sums };
    assert_eq!(huge.spared().unwrap().tokens, Some(u64::MAX));
}
