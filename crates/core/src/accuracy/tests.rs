use super::*;
use Label::{Mixed, Negative, Neutral, Positive};

fn truth(label: Label) -> Truth {
    Truth::of(label)
}

#[expect(clippy::unnecessary_wraps, reason = "beside abstentions")]
fn answer(label: Label, confidence: u8) -> Option<Answer> {
    let score = if label == Negative { -50.0 } else { 50.0 };
    Some(Answer { label, score, confidence: Some(f64::from(confidence) / 100.0), words: [None, None, None] })
}

fn near(figure: Figure, value: f64) {
    assert!((figure.value - value).abs() < 1e-9, "{figure:?}, not {value}");
    assert!(figure.low <= figure.value + 1e-9 && figure.value <= figure.high + 1e-9, "{figure:?}");
}

#[test]
fn figures_by_hand() {
    let truths: Vec<Truth> = [Negative, Negative, Negative, Negative, Positive, Positive, Neutral, Neutral]
        .into_iter()
        .map(truth)
        .collect();
    let answers = vec![
        answer(Negative, 90),
        answer(Negative, 90),
        answer(Positive, 50),
        None,
        answer(Positive, 90),
        answer(Negative, 50),
        answer(Neutral, 90),
        answer(Neutral, 90),
    ];
    let found = measure(&truths, &answers).unwrap();
    assert_eq!((found.texts, found.abstained), (8, 1));
    near(found.accuracy, 5.0 / 8.0);
    near(found.negative_recall.unwrap(), 2.0 / 4.0);
    near(found.negatives_called_positive.unwrap(), 1.0 / 4.0);
    near(found.macro_recall, (0.5 + 0.5 + 1.0) / 3.0);
    // negative: 2 right of 4 true and 3 said; positive: 1 of 2 and 2; neutral: 2 of 2 and 2.
    near(found.macro_f1, (4.0 / 7.0 + 0.5 + 1.0) / 3.0);
    assert_eq!(found.confusion, [[1, 0, 1, 0, 0], [0, 2, 0, 0, 0], [1, 0, 2, 0, 1], [0; 5]]);
    assert!(
        found.tasks.is_empty() && found.valence_rank_correlation.is_none() && found.raters_agree.is_none()
    );
    // Both wrong answers ask for a person, and no right one does.
    let review = found.review.unwrap();
    near(review.share, 2.0 / 7.0);
    near(review.errors_caught, 1.0);
}

#[test]
fn mixed_counts_as_the_side_it_leans_to_where_nobody_says_mixed() {
    let mixed = |score| Some(Answer { label: Mixed, score, confidence: None, words: [None, None, None] });
    let truths = [truth(Negative), truth(Positive)];
    near(measure(&truths, &[mixed(-5.0), mixed(0.0)]).unwrap().accuracy, 1.0);
    let truths = [truth(Negative), truth(Mixed)];
    near(measure(&truths, &[mixed(-5.0), mixed(0.0)]).unwrap().accuracy, 0.5);
    // A part without a mixed text goes by what people say of the whole.
    near(measure_part(&truths[..1], &[mixed(-5.0)], true).unwrap().negative_recall.unwrap(), 0.0);
}

#[test]
fn order_and_raters_and_words() {
    let mut truths: Vec<Truth> = (0..20).map(|_| truth(Negative)).collect();
    let mut answers: Vec<Option<Answer>> = (0..20).map(|_| answer(Negative, 70)).collect();
    for (i, (t, a)) in truths.iter_mut().zip(&mut answers).enumerate() {
        t.valence = Some(-(i as f64));
        t.words[0] = Some(if i % 2 == 0 { "anger" } else { "worry" }.to_owned());
        t.raters = if i < 10 { vec![Negative, Negative] } else { vec![Negative, Neutral] };
        let a = a.as_mut().unwrap();
        // The order is kept, however the distances differ.
        a.score = -(i as f64).powi(3) / 100.0;
        a.words[0] = Some("anger".to_owned());
    }
    let found = measure(&truths, &answers).unwrap();
    near(found.valence_rank_correlation.unwrap(), 1.0);
    near(found.raters_agree.unwrap(), 0.5);
    // anger: 10 right of 10 true and 20 said; worry: none.
    assert_eq!(found.tasks.len(), 1);
    near(found.tasks[0].1, (2.0 / 3.0) / 2.0);
    // All are right at 70 %.
    near(found.calibration_error.unwrap(), 0.3);
    assert_eq!(found.reliability.len(), 10);
}

#[test]
fn answers_of_one_confidence_are_one_whatever_their_order() {
    let truths: Vec<Truth> = (0..300).map(|_| truth(Negative)).collect();
    let answers: Vec<_> = (0..300).map(|i| answer(if i < 210 { Negative } else { Neutral }, 70)).collect();
    let found = measure(&truths, &answers).unwrap();
    assert!(found.calibration_error.unwrap().value < 1e-9, "{found:?}");
    assert!(found.reliability.iter().all(|bin| (bin.right - 0.7).abs() < 1e-9), "{:?}", found.reliability);
}

#[test]
fn intervals_narrow_with_the_number_of_texts() {
    let width = |n: usize| {
        let truths: Vec<Truth> = (0..n).map(|_| truth(Negative)).collect();
        let answers: Vec<_> =
            (0..n).map(|i| answer(if i % 4 == 0 { Positive } else { Negative }, 80)).collect();
        let found = measure(&truths, &answers).unwrap().accuracy;
        assert_eq!(Some(found), measure(&truths, &answers).map(|a| a.accuracy), "the same draws each time");
        found.high - found.low
    };
    let (few, many) = (width(40), width(1600));
    // By the normal approximation: 2 * 1.96 * sqrt(.25 * .75 / n).
    assert!((0.2..0.34).contains(&few) && (0.035..0.05).contains(&many), "{few} {many}");
}

#[test]
fn nothing_to_compare_is_no_figure() {
    assert!(measure(&[], &[]).is_none());
    let found = measure(&[truth(Positive), truth(Positive)], &[None, None]).unwrap();
    near(found.accuracy, 0.0);
    assert!(found.negative_recall.is_none() && found.calibration_error.is_none());
}

#[test]
fn a_constant_answer_knows_nothing() {
    let truths: Vec<Truth> = [Negative, Negative, Positive, Neutral].into_iter().map(truth).collect();
    let found = measure(&truths, &always(Negative, 4)).unwrap();
    near(found.accuracy, 0.5);
    near(found.macro_recall, 1.0 / 3.0);
}
