use serde_json::json;

use super::*;
use crate::Confidence;
use crate::verdict::Suspicion;
use crate::verdict::tests::verdict;

fn ids() -> impl Iterator<Item = String> {
    (0..20_000).map(|n| format!("00000000-0000-7000-8000-{n:012x}"))
}

#[test]
fn a_share_draws_about_that_many_always_the_same_and_more_where_it_is_greater() {
    for percent in [0.0, 0.25, 1.0, 20.0, 50.0, 100.0] {
        let share = Share::try_from(percent).unwrap();
        let drawn: Vec<String> = ids().filter(|id| share.draws("random", id)).collect();
        let part = drawn.len() as f64 / 20_000.0 * 100.0;
        // Within four standard deviations.
        let bound = 4.0 * (percent * (100.0 - percent) / 20_000.0).sqrt();
        assert!((part - percent).abs() <= bound, "{part} of {percent}");
        let twice = Share::try_from((percent * 2.0).min(100.0)).unwrap();
        assert!(drawn.iter().all(|id| share.draws("random", id) && twice.draws("random", id)));
    }
    // Whoever is in one sample is in another no more often than anybody.
    let tenth = Share::percent(10);
    let both = ids().filter(|id| tenth.draws("random", id) && tenth.draws("labelled_twice", id)).count();
    assert!((120..280).contains(&both), "{both}");
}

#[test]
fn shares_are_percentages() {
    assert_eq!(json!(Share::try_from(0.25).unwrap()), json!(0.25));
    assert_eq!(json!(Share::percent(20)), json!(20.0));
    for wrong in [json!(-1), json!(100.01), json!(0.001), json!("5"), json!(null)] {
        assert!(serde_json::from_value::<Share>(wrong.clone()).is_err(), "{wrong}");
    }
    assert!(serde_json::from_value::<Shares>(json!({"randm": 1})).is_err());
    let some: Shares = serde_json::from_value(json!({"random": 50})).unwrap();
    assert_eq!(some, Shares { random: Share::percent(50), ..Shares::default() });
}

#[test]
fn each_reason_is_given_for_what_it_says() {
    let all = Share::percent(100);
    let shares = Shares { unsure: all, called_positive: all, ..Shares::default() };
    let none = Shares { random: Share::percent(0), ..shares.clone() };
    assert_eq!(none.reasons("x", &verdict(60, Label::Positive)), [Reason::CalledPositive]);
    assert_eq!(none.reasons("x", &verdict(-60, Label::Negative)), []);
    let mut unsure = verdict(-60, Label::Negative);
    unsure.confidence = Confidence::try_from(59).unwrap();
    assert_eq!(none.reasons("x", &unsure), [Reason::Unsure]);
    // What is suspicious is checked whatever the shares are.
    let off = Share::percent(0);
    let nothing = Shares {
        unsure: off,
        disagreed: off,
        overridden: off,
        called_positive: off,
        random: off,
        labelled_twice: off,
    };
    assert_eq!(nothing.reasons("x", &unsure), []);
    let suspicious = Verdict { suspicions: vec![Suspicion::HiddenCharacters], ..unsure.clone() };
    assert_eq!(nothing.reasons("x", &suspicious), [Reason::Suspicious]);
    let everything = Shares { random: all, ..shares };
    assert_eq!(everything.reasons("x", &unsure), [Reason::Unsure, Reason::Random]);
}

#[test]
fn two_that_differ_call_a_third_and_most_settle_it() {
    use Label::{Mixed, Negative, Neutral, Positive};
    for (labels, wanted, expected) in [
        (&[][..], 1, Standing::Open { wanted: 1 }),
        (&[Negative], 1, Standing::Done(Some(Negative))),
        (&[Negative], 2, Standing::Open { wanted: 2 }),
        (&[Negative, Negative], 2, Standing::Done(Some(Negative))),
        (&[Negative, Neutral], 2, Standing::Open { wanted: 3 }),
        (&[Negative, Neutral, Neutral], 3, Standing::Done(Some(Neutral))),
        (&[Negative, Neutral, Mixed], 3, Standing::Done(None)),
        (&[Negative, Positive], 3, Standing::Open { wanted: 3 }),
    ] {
        assert_eq!(standing(labels, wanted), expected, "{labels:?} {wanted}");
    }
}
