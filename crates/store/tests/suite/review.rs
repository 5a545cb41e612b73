//! The review queue: what enters, who may label it, and what comes of the labels.

use std::collections::BTreeSet;

use undertone_core::cascade::{Cascaded, FirstReading, WhyAsked};
use undertone_core::correction::Correction;
use undertone_core::review::{Reason, Share, Shares};
use undertone_core::verdict::Suspicion;
use undertone_store::lessons::{LabelCount, Source};
use undertone_store::overrides::{Said, Seen};
use undertone_store::review::{Handed, Label as Rating, Outcomes, Page};

use super::*;

const EVERYTHING: Outcomes<'static> = Outcomes { id: None, differing: false, before: None, limit: 100 };
const FIRST_PAGE: Page<'static> = Page { mine: false, before: None, limit: 100 };

/// A tenant with `shares`, and interactions whose texts are their scores; answers their ids.
async fn with(bench: &Bench, slug: &str, shares: serde_json::Value, texts: &[&str]) -> (Tenant, Vec<String>) {
    let tenant = bench.tenant(slug).await;
    bench.store.change_settings(&act(&tenant), &json!({"review": shares})).await.unwrap();
    let items: Vec<Incoming> =
        texts.iter().enumerate().map(|(n, text)| item(&n.to_string(), &format!("c{n}"), text)).collect();
    let taken = bench.store.accept(tenant.id, &items).await.unwrap();
    bench.score_all(&tenant, |text| text.parse().unwrap()).await;
    (tenant, taken.iter().map(|a| a.id().to_owned()).collect())
}

async fn queue(bench: &Bench, tenant: &Tenant, rater: &str) -> Vec<Handed> {
    bench.store.review_items(tenant.id, rater, FIRST_PAGE).await.unwrap()
}

async fn label(
    bench: &Bench,
    tenant: &Tenant,
    (rater, item): (&str, &str),
    label: Label,
) -> undertone_store::Result<Option<bool>> {
    let actor = format!("user:{rater}");
    let rating = Rating { label, score: Some(label.middle()), note: None };
    let done = bench.store.label_review(&Act::new(tenant.id, &actor), rater, item, rating).await?;
    Ok(done.map(|done| done.done))
}

fn conflicts<T: std::fmt::Debug>(done: undertone_store::Result<T>, with: &str) {
    let Err(StoreError::Conflict(told)) = done else { panic!("{done:?}") };
    assert!(told.contains(with), "{told}");
}

pub(crate) async fn shares_that_several_change_are_all_kept(bench: &Bench) {
    let tenant = bench.tenant("shares").await;
    // Each changes another one, at once, and nobody has set anything before.
    let set = |shares: &Shares, n: usize| {
        let mut shares = shares.clone();
        let of = [
            &mut shares.unsure,
            &mut shares.disagreed,
            &mut shares.overridden,
            &mut shares.called_positive,
            &mut shares.random,
            &mut shares.labelled_twice,
        ];
        *of.into_iter().nth(n).unwrap() = Share::percent(31 + n as u8);
        shares
    };
    let change = async |n: usize| {
        bench.store.change_review_shares(&act(&tenant), |before| set(before, n)).await.unwrap()
    };
    futures_of(6, change).await;
    let wanted = (0..6).fold(Shares::default(), |shares, n| set(&shares, n));
    assert_eq!(bench.store.module(tenant.id).await.unwrap().settings.review, wanted);
    let entries = async || {
        let all = undertone_store::audit::Filter::default();
        bench.store.audit(tenant.id, &all, None, 100).await.unwrap().len()
    };
    let before = entries().await;
    futures_of(2, change).await;
    assert_eq!(entries().await, before, "what is so already is not noted again");
    // Settings that several are the first to set, whichever they are.
    let tenant = bench.tenant("first-settings").await;
    let changes =
        [json!({"alert_threshold": -40}), json!({"cooldown_minutes": 7}), json!({"min_note_length": 9})];
    futures_of(3, async |n| bench.store.change_settings(&act(&tenant), &changes[n]).await.unwrap()).await;
    let settings = bench.store.module(tenant.id).await.unwrap().settings;
    assert_eq!((settings.alert_threshold, settings.cooldown_minutes, settings.min_note_length), (-40, 7, 9));
}

pub(crate) async fn verdicts_are_drawn_into_the_queue(bench: &Bench) {
    let off = json!({"unsure": 0, "disagreed": 0, "overridden": 0, "called_positive": 0, "random": 0});
    let (tenant, ids) = with(bench, "drawn", off, &["70", "-60"]).await;
    assert_eq!(queue(bench, &tenant, "r").await, []);
    // What is scored from then on goes by the new shares.
    let positive = json!({"unsure": 0, "random": 0, "called_positive": 100, "labelled_twice": 0});
    bench.store.change_settings(&act(&tenant), &json!({"review": positive})).await.unwrap();
    for n in 0..2 {
        let mut update = item(&n.to_string(), &format!("c{n}"), ["71", "-61"][n]);
        update.arrival.update = true;
        bench.store.accept(tenant.id, &[update]).await.unwrap();
    }
    bench.score_all(&tenant, |text| text.parse().unwrap()).await;
    let texts = |queue: &[Handed]| queue.iter().map(|item| item.text.clone()).collect::<Vec<_>>();
    assert_eq!(texts(&queue(bench, &tenant, "r").await), ["71"]);
    // A correction is a reason of its own, for everybody but whoever made it.
    let act = Act::new(tenant.id, "user:r");
    let said =
        Said::Set { correction: Correction::of(None, Some(Label::Positive)).unwrap().unwrap(), reason: None };
    bench.store.say(&act, &ids[1], said, Seen::Unknown).await.unwrap();
    assert_eq!(texts(&queue(bench, &tenant, "r").await), ["71"]);
    let theirs = queue(bench, &tenant, "s").await;
    assert_eq!(texts(&theirs), ["-61", "71"]);
    conflicts(label(bench, &tenant, ("r", &theirs[0].id), Label::Neutral).await, "yourself");
    // Revised before anybody labelled it, it is another item: whoever read the old text labels nothing with it.
    let held = bench.store.claim_review(tenant.id, "r", 5).await.unwrap();
    assert_eq!(texts(&held), ["71"]);
    let mut update = item("0", "c0", "80");
    update.arrival.update = true;
    bench.store.accept(tenant.id, &[update.clone()]).await.unwrap();
    bench.score_all(&tenant, |text| text.parse().unwrap()).await;
    assert_eq!(label(bench, &tenant, ("r", &held[0].id), Label::Negative).await.unwrap(), None);
    let free = queue(bench, &tenant, "r").await;
    assert_eq!((texts(&free), free[0].claimed_until), (vec!["80".to_owned()], None));
    let held = bench.store.claim_review(tenant.id, "r", 5).await.unwrap();
    assert_eq!(texts(&held), ["80"]);
    assert_eq!(label(bench, &tenant, ("r", &held[0].id), Label::Negative).await.unwrap(), Some(true));
    let learnt = bench.store.labelled(tenant.id).await.unwrap();
    assert_eq!(learnt[0].0, Source::Review, "it is there for what its verdict said");
    // One that somebody labelled is compared with the verdict it was.
    update = item("0", "c0", "90");
    update.arrival.update = true;
    bench.store.accept(tenant.id, &[update]).await.unwrap();
    bench.score_all(&tenant, |text| text.parse().unwrap()).await;
    let outcomes = bench.store.review_outcomes(tenant.id, EVERYTHING).await.unwrap();
    let [outcome] = outcomes.as_slice() else { panic!("{outcomes:?}") };
    assert_eq!((outcome.score, outcome.settled_label.as_deref()), (80, Some("negative")));
    assert_eq!(
        (outcome.interaction_id.as_str(), &*outcome.reasons),
        (ids[0].as_str(), &[Reason::CalledPositive][..])
    );
    // Of a share, about that many enter, and the same wherever it is drawn.
    let half = json!({"unsure": 0, "disagreed": 0, "overridden": 0, "called_positive": 0, "random": 50});
    let many: Vec<String> = (0..200).map(|n| (n % 100).to_string()).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let (tenant, ids) = with(bench, "half", half, &many).await;
    let share = undertone_core::review::Share::percent(50);
    let drawn = ids.iter().filter(|id| share.draws("random", id)).count();
    let entered = bench.store.review_items(tenant.id, "r", Page { limit: 500, ..FIRST_PAGE }).await.unwrap();
    assert_eq!(entered.len(), drawn);
    assert!((60..140).contains(&drawn), "{drawn}");
}

/// Whatever they said of it, and whatever became of that since.
pub(crate) async fn who_said_something_of_a_verdict_does_not_label_it(bench: &Bench) {
    let (tenant, ids) = with(bench, "saidso", json!({"random": 100}), &["70", "-60", "5"]).await;
    let say = async |who: &str, id: &str, said: Said<'_>| {
        let version = bench.store.override_of(tenant.id, id).await.unwrap().unwrap().version;
        let actor = format!("user:{who}");
        let done = bench.store.say(&Act::new(tenant.id, &actor), id, said, Seen::Version(&version)).await;
        assert!(done.unwrap().is_some());
    };
    let to =
        |label| Said::Set { correction: Correction::of(None, Some(label)).unwrap().unwrap(), reason: None };
    say("r", &ids[0], to(Label::Negative)).await;
    say("s", &ids[0], to(Label::Neutral)).await;
    say("r", &ids[1], to(Label::Positive)).await;
    say("r", &ids[1], Said::Clear).await;
    say("r", &ids[2], Said::Agree).await;
    assert_eq!(queue(bench, &tenant, "r").await, []);
    assert!(bench.store.claim_review(tenant.id, "r", 5).await.unwrap().is_empty());
    assert_eq!(queue(bench, &tenant, "s").await.len(), 2);
    let all = queue(bench, &tenant, "t").await;
    assert_eq!(all.len(), 3);
    for item in &all {
        conflicts(label(bench, &tenant, ("r", &item.id), Label::Mixed).await, "yourself");
    }
}

/// What the scorer was not sure of, and where the cascade's two scorers contradict each other: each for its own share, and told as such.
pub(crate) async fn what_is_unsure_or_contradicted_is_checked(bench: &Bench) {
    let sure = |score: i64, confidence: u8| Verdict {
        confidence: Confidence::try_from(confidence).unwrap(),
        ..verdict(score, "It broke again")
    };
    let contradicted = || {
        let first = Some(FirstReading::of(&sure(-50, 65)));
        let cascade = Cascaded { threshold: 70, why: Some(WhyAsked::Unsure), first, unanswered: None };
        Verdict { cascade: Some(cascade), ..sure(60, 90) }
    };
    let none = json!({"unsure": 0, "disagreed": 0, "overridden": 0, "called_positive": 0, "random": 0, "labelled_twice": 0});
    for (reason, slug) in [(Reason::Unsure, "unsure"), (Reason::Disagreed, "contradicted")] {
        let mut shares = none.clone();
        shares[reason.as_str()] = json!(100);
        let tenant = bench.tenant(slug).await;
        bench.store.change_settings(&act(&tenant), &json!({"review": shares})).await.unwrap();
        let texts = ["at the bound", "under it", "contradicted"];
        let items: Vec<Incoming> = texts.iter().map(|text| item(text, text, text)).collect();
        bench.store.accept(tenant.id, &items).await.unwrap();
        let verdict_of = |text: &str| match text {
            "at the bound" => sure(-50, Confidence::REVIEW_BELOW),
            "under it" => sure(-50, Confidence::REVIEW_BELOW - 1),
            _ => contradicted(),
        };
        let claimed = bench.claim(&tenant, "worker").await;
        let scored = |claimed: Claimed| {
            let verdict = verdict_of(&claimed.interaction.text);
            Finished { claimed, outcome: Outcome::Scored(Box::new(verdict)) }
        };
        let finished: Vec<Finished> = claimed.into_iter().map(scored).collect();
        bench.store.record(tenant.id, "worker", &finished).await.unwrap();
        let queued = queue(bench, &tenant, "r").await;
        let [one] = queued.as_slice() else { panic!("{reason:?}: {queued:?}") };
        assert_eq!(one.text, if reason == Reason::Unsure { "under it" } else { "contradicted" });
        assert_eq!(label(bench, &tenant, ("r", &one.id), Label::Negative).await.unwrap(), Some(true));
        let outcomes = bench.store.review_outcomes(tenant.id, EVERYTHING).await.unwrap();
        assert_eq!(&*outcomes[0].reasons, &[reason][..]);
    }
}

pub(crate) async fn what_is_suspicious_is_always_checked(bench: &Bench) {
    let off = json!({"unsure": 0, "disagreed": 0, "overridden": 0, "called_positive": 0, "random": 0, "labelled_twice": 0});
    let (tenant, ids) = with(bench, "suspicious", off, &["-60", "-70"]).await;
    assert_eq!(queue(bench, &tenant, "r").await, []);
    let verdict_with = async |suspicions: Vec<Suspicion>| {
        let mut update = item("1", "c1", &format!("-71 {}", suspicions.len()));
        update.arrival.update = true;
        bench.store.accept(tenant.id, &[update]).await.unwrap();
        let claimed = bench.claim(&tenant, "w").await.remove(0);
        let verdict = Verdict { suspicions, ..verdict(-71, &claimed.interaction.text) };
        let finished = Finished { claimed, outcome: Outcome::Scored(Box::new(verdict)) };
        bench.store.record(tenant.id, "w", &[finished]).await.unwrap();
    };
    verdict_with(vec![Suspicion::Instructions, Suspicion::InventedQuotes]).await;
    let waiting = queue(bench, &tenant, "r").await;
    assert_eq!(waiting.len(), 1);
    let told = bench.store.sentiment(tenant.id, &ids[1]).await.unwrap().unwrap();
    assert_eq!(told.suspicions, [Suspicion::Instructions, Suspicion::InventedQuotes]);
    assert!(told.needs_review, "however sure the model was");
    assert_eq!(bench.store.sentiment(tenant.id, &ids[0]).await.unwrap().unwrap().suspicions, []);
    let count = async || bench.store.suspicious(tenant.id).await.unwrap().count;
    assert_eq!(count().await, 1);
    label(bench, &tenant, ("r", &waiting[0].id), Label::Negative).await.unwrap();
    assert_eq!(count().await, 0, "somebody looked");
    let outcomes = bench.store.review_outcomes(tenant.id, EVERYTHING).await.unwrap();
    assert_eq!(outcomes[0].reasons, [Reason::Suspicious]);
}

pub(crate) async fn raters_work_apart_until_it_is_settled(bench: &Bench) {
    let all = json!({"random": 100, "labelled_twice": 100});
    let (tenant, _) = with(bench, "raters", all, &["70", "-60", "5"]).await;
    let other = bench.tenant("raters2").await;
    // Pages go on where they were.
    let page = Page { limit: 2, ..FIRST_PAGE };
    let first = bench.store.review_items(tenant.id, "r", page).await.unwrap();
    let rest = Page { before: Some(&first[1].id), ..page };
    let rest = bench.store.review_items(tenant.id, "r", rest).await.unwrap();
    assert_eq!((first.len(), rest.len()), (2, 1));
    assert!(first[0].id > first[1].id && first[1].id > rest[0].id);

    let mine = bench.store.claim_review(tenant.id, "r", 1).await.unwrap();
    assert_eq!(mine.len(), 1);
    assert_eq!(mine[0].claimed_until, Some(bench.store.now() + undertone_store::review::CLAIM));
    let again = bench.store.claim_review(tenant.id, "r", 1).await.unwrap();
    assert_eq!(again[0].id, mine[0].id, "whoever asks twice gets the same");
    let theirs = bench.store.claim_review(tenant.id, "s", 5).await.unwrap();
    assert!(theirs.len() == 2 && theirs.iter().all(|item| item.id != mine[0].id));
    conflicts(label(bench, &tenant, ("s", &mine[0].id), Label::Neutral).await, "in hand");
    assert!(queue(bench, &tenant, "t").await.is_empty(), "all are in somebody's hands");
    let in_hand = Page { mine: true, ..FIRST_PAGE };
    assert_eq!(bench.store.review_items(tenant.id, "s", in_hand).await.unwrap().len(), 2);
    assert!(!bench.store.release_review(tenant.id, "t", &theirs[0].id).await.unwrap());
    assert!(bench.store.release_review(tenant.id, "s", &theirs[0].id).await.unwrap());
    assert_eq!(queue(bench, &tenant, "t").await.len(), 1);
    // Time gives back what its rater forgot.
    bench.advance(31 * 60);
    assert_eq!(queue(bench, &tenant, "t").await.len(), 3);

    let item = &mine[0].id;
    assert_eq!(label(bench, &tenant, ("r", item), Label::Negative).await.unwrap(), Some(false));
    assert_eq!(
        label(bench, &tenant, ("r", item), Label::Negative).await.unwrap(),
        Some(false),
        "the same again"
    );
    conflicts(label(bench, &tenant, ("r", item), Label::Neutral).await, "stays");
    assert!(queue(bench, &tenant, "r").await.iter().all(|one| one.id != *item));
    assert!(bench.store.review_outcomes(tenant.id, EVERYTHING).await.unwrap().is_empty(), "it is not done");
    // What another labelled already goes first.
    assert_eq!(bench.store.claim_review(tenant.id, "s", 1).await.unwrap()[0].id, *item);
    // Two that differ call a third.
    assert_eq!(label(bench, &tenant, ("s", item), Label::Mixed).await.unwrap(), Some(false));
    assert_eq!(label(bench, &tenant, ("t", item), Label::Negative).await.unwrap(), Some(true));
    conflicts(label(bench, &tenant, ("u", item), Label::Negative).await, "enough raters");
    let outcomes = bench.store.review_outcomes(tenant.id, EVERYTHING).await.unwrap();
    assert_eq!(outcomes[0].settled_label.as_deref(), Some("negative"));
    let raters: Vec<&str> = outcomes[0].ratings.iter().map(|r| r.rater.as_str()).collect();
    assert_eq!(raters, ["r", "s", "t"]);
    let differing = Outcomes { differing: true, ..EVERYTHING };
    let differs = bench.store.review_outcomes(tenant.id, differing).await.unwrap().len();
    assert_eq!(differs, usize::from(outcomes[0].label != "negative"));
    // What was settled is a label to learn from, and agreement is counted from it.
    let learnt = bench.store.labelled(tenant.id).await.unwrap();
    assert_eq!(learnt.iter().map(|(_, text)| text.label).collect::<Vec<_>>(), [Label::Negative]);
    assert_eq!(bench.store.labelled(tenant.id).await.unwrap()[0].0, Source::Random);
    let counts = bench.store.label_counts(tenant.id).await.unwrap();
    let negative = counts.iter().find(|count| count.label == Label::Negative).unwrap();
    assert_eq!((negative.reviewed, negative.texts(), negative.handed_in), (1, 1, 0));
    assert_eq!(counts.iter().map(LabelCount::texts).sum::<u64>(), 1);
    let now = bench.store.now();
    let span = (now - TimeDelta::hours(1), now + TimeDelta::seconds(1));
    let rated = bench.store.rated(tenant.id, span, 10).await.unwrap();
    assert_eq!((rated.rated.len(), rated.more), (1, false));
    assert_eq!((rated.rated[0].given.len(), rated.rated[0].settled), (3, Some(Label::Negative)));
    assert!(bench.store.rated(tenant.id, (span.0, now), 10).await.unwrap().rated.is_empty());

    // Nothing of it is another tenant's.
    assert_eq!(queue(bench, &other, "r").await, []);
    assert!(bench.store.claim_review(other.id, "r", 9).await.unwrap().is_empty());
    assert_eq!(label(bench, &other, ("r", &rest[0].id), Label::Mixed).await.unwrap(), None);
    assert!(!bench.store.release_review(other.id, "s", &theirs[1].id).await.unwrap());
    assert!(bench.store.review_outcomes(other.id, EVERYTHING).await.unwrap().is_empty());
    assert!(bench.store.rated(other.id, span, 10).await.unwrap().rated.is_empty());
}

pub(crate) async fn the_queue_keeps_what_may_be_read(bench: &Bench) {
    let all = json!({"random": 100, "labelled_twice": 100});
    let (tenant, _) = with(bench, "kept", all, &["70", "-60", "5"]).await;
    let waiting = queue(bench, &tenant, "r").await;
    assert_eq!(waiting.len(), 3);
    let opted_out = bench.store.customer(tenant.id, "c0").await.unwrap().unwrap().id;
    label(bench, &tenant, ("r", &waiting[2].id), Label::Positive).await.unwrap();
    bench.store.set_opted_out(&act(&tenant), &opted_out, true).await.unwrap();
    assert_eq!(queue(bench, &tenant, "s").await.len(), 2, "who opted out is not read");
    conflicts(label(bench, &tenant, ("s", &waiting[2].id), Label::Positive).await, "opted out");
    // One labelled by one of two, and time goes by.
    label(bench, &tenant, ("r", &waiting[1].id), Label::Neutral).await.unwrap();
    bench.advance(3 * 86_400);
    assert!(!bench.store.expire_review(tenant.id, TimeDelta::days(4)).await.unwrap());
    assert_eq!(queue(bench, &tenant, "s").await.len(), 2);
    assert!(!bench.store.expire_review(tenant.id, TimeDelta::days(2)).await.unwrap());
    assert_eq!(queue(bench, &tenant, "s").await, []);
    let outcomes = bench.store.review_outcomes(tenant.id, EVERYTHING).await.unwrap();
    let settled: Vec<_> = outcomes.iter().map(|o| o.settled_label.as_deref()).collect();
    assert_eq!(
        settled,
        [Some("neutral"), Some("positive")],
        "what was said is kept, what nobody looked at is gone"
    );
    let learnt = bench.store.labelled(tenant.id).await.unwrap();
    assert_eq!(learnt.iter().map(|(_, text)| text.label).collect::<Vec<_>>(), [Label::Neutral]);
}

pub(crate) async fn many_raters_at_once(bench: &Bench) {
    let all = json!({"random": 100, "labelled_twice": 100});
    let texts = vec!["70"; 40];
    let (tenant, _) = with(bench, "manyrate", all, &texts).await;
    // Each of five takes what is free and labels it, until there is nothing left for them.
    futures_of(5, async |n| {
        let rater = format!("r{n}");
        for _ in 0..200 {
            let handed = bench.store.claim_review(tenant.id, &rater, 3).await.unwrap();
            if handed.is_empty() {
                if bench.store.review_outcomes(tenant.id, EVERYTHING).await.unwrap().len() == 40 {
                    return;
                }
                tokio::task::yield_now().await;
            }
            for item in handed {
                let label = label(bench, &tenant, (&rater, &item.id), Label::Positive).await;
                assert!(label.is_ok(), "nobody is handed what they may not label: {label:?}");
            }
        }
    })
    .await;
    let outcomes = bench.store.review_outcomes(tenant.id, EVERYTHING).await.unwrap();
    assert_eq!(outcomes.len(), 40);
    for outcome in outcomes {
        let raters: BTreeSet<&str> = outcome.ratings.iter().map(|r| r.rater.as_str()).collect();
        assert_eq!((outcome.ratings.len(), raters.len()), (2, 2), "two, and not the same twice");
    }
}
