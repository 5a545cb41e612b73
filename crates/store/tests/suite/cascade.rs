//! What the cascade did is counted as it is recorded, each tenant's own, and how sure the embedded model was beside it.

use undertone_core::Label;
use undertone_core::cascade::WhyAsked::{self, Always, Ambiguous, Language, Unsure};
use undertone_core::cascade::advice::{DAYS, Readings, Taken};
use undertone_core::cascade::sums::Sums;
use undertone_core::cascade::{Cascaded, FirstReading, NoAnswer, Unanswered};
use undertone_core::usage::Feature;
use undertone_core::usage::sums::Saved;
use undertone_core::verdict::{EmotionStrength, ScorerKind};
use undertone_core::{Confidence, Emotion, SkipReason, Usage, Verdict};
use undertone_store::Tenant;
use undertone_store::budget::{Bill, Caps, ReserveRequest, Reserved};
use undertone_store::record::{Finished, Outcome};

use super::{Bench, TimeDelta, item, verdict};

const TEXT: &str = "It broke again";

fn cascade(why: Option<WhyAsked>) -> Cascaded {
    Cascaded { threshold: 70, why, first: None, unanswered: None }
}

fn local(confidence: u8) -> Verdict {
    Verdict { confidence: Confidence::try_from(confidence).unwrap(), ..verdict(-50, TEXT) }
}

/// The embedded model's, since nobody was asked, or nobody answered.
fn stands(confidence: u8, why: Option<WhyAsked>) -> Verdict {
    let unanswered = why.map(|_| Unanswered {
        reason: NoAnswer::DailyTokenCap,
        detail: "the day's tokens are used up".to_owned(),
        until: None,
    });
    Verdict { cascade: Some(Cascaded { unanswered, ..cascade(why) }), ..local(confidence) }
}

/// An LLM's, after the embedded model said something with this confidence.
fn second(score: i64, why: WhyAsked, first: Option<u8>) -> Verdict {
    let mut second = verdict(score, TEXT);
    second.provenance.scorer = ScorerKind::Claude;
    (second.provenance.tokens_in, second.provenance.tokens_out, second.provenance.cost_micros) =
        (400, 100, 90);
    let first = first.map(|confidence| FirstReading::of(&local(confidence)));
    Verdict { cascade: Some(Cascaded { first, ..cascade(Some(why)) }), ..second }
}

/// Takes in as many texts as there are outcomes, and gives them these; answers their ids.
async fn record(bench: &Bench, tenant: &Tenant, outcomes: Vec<Outcome>) -> Vec<String> {
    let now = bench.store.now().timestamp();
    let items: Vec<_> = (0..outcomes.len()).map(|n| item(&format!("{now}-{n}"), "ana", TEXT)).collect();
    bench.store.accept(tenant.id, &items).await.unwrap();
    let claimed = bench.claim(tenant, "w").await;
    let ids = claimed.iter().map(|one| one.id.clone()).collect();
    let finished: Vec<Finished> =
        claimed.into_iter().zip(outcomes).map(|(claimed, outcome)| Finished { claimed, outcome }).collect();
    let recorded = bench.store.record(tenant.id, "w", &finished).await.unwrap();
    assert_eq!(recorded.lost, 0);
    ids
}

fn scored(verdict: Verdict) -> Outcome {
    Outcome::Scored(Box::new(verdict))
}

pub async fn the_cascade_is_counted(bench: &Bench) {
    let (tenant, other) = (bench.tenant("cascade1").await, bench.tenant("cascade2").await);
    let today = || bench.store.now().with_timezone(&tenant.zone).date_naive();
    let first_day = today();
    let ids = record(
        bench,
        &tenant,
        vec![
            scored(stands(95, None)),
            scored(second(-60, Unsure, Some(40))),
            scored(second(50, Unsure, Some(41))),
            scored(second(-95, Ambiguous, Some(88))),
            scored(second(-60, Language, None)),
            scored(second(-60, Always, Some(99))),
            scored(stands(30, Some(Unsure))),
            Outcome::Skipped { reason: SkipReason::LanguageNotValidated, detail: None },
            Outcome::Skipped { reason: SkipReason::NoWords, detail: None },
        ],
    )
    .await;
    record(bench, &other, vec![scored(second(-60, Unsure, Some(40)))]).await;

    let report = bench.store.cascade_report(tenant.id, first_day, first_day).await.unwrap();
    let total = Sums {
        verdicts: 7,
        asked: 6,
        unanswered: 1,
        changed: 1,
        disagreed: 2,
        tokens_in: 2000,
        tokens_out: 500,
        cost_micros: 450,
    };
    assert_eq!(report.total, total);
    let why: Vec<(&str, u64)> = report.why.iter().map(|line| (&*line.key, line.sums.verdicts)).collect();
    assert_eq!(why, [("always", 1), ("ambiguous", 1), ("language", 1), ("sure", 1), ("unsure", 3)]);
    assert_eq!(report.days.iter().map(|line| line.sums).collect::<Vec<_>>(), [total]);
    assert_eq!(report.days[0].key, first_day.to_string());

    // Those two that contradict the embedded model: one by its label, one by 45 points.
    let sentiment = async |n: usize| bench.store.sentiment(tenant.id, &ids[n]).await.unwrap().unwrap();
    for (n, disagreed) in [(0, false), (1, false), (2, true), (3, true), (4, false), (6, false)] {
        let told = sentiment(n).await;
        assert_eq!((told.disagreed, told.needs_review), (disagreed, disagreed || n == 6), "{n}");
        assert!(told.cascade.is_some());
    }
    assert_eq!(sentiment(2).await.cascade.unwrap().first.unwrap().label, Label::Negative);
    let pairs = bench.store.disagreements(tenant.id, 10).await.unwrap();
    let told: Vec<(&str, i64)> = pairs.iter().map(|pair| (&*pair.interaction_id, pair.score)).collect();
    assert_eq!(told, [(&*ids[3], -95), (&*ids[2], 50)], "of one moment, the last to arrive first");
    assert_eq!((pairs[0].why, pairs[0].first.as_ref().unwrap().score.get()), (Some(Ambiguous), -50));
    assert_eq!(bench.store.disagreements(tenant.id, 1).await.unwrap().len(), 1);
    correct(bench, &ids[3]).await;
    assert_eq!(
        bench.store.disagreements(tenant.id, 10).await.unwrap().len(),
        1,
        "a person has said what is so"
    );

    // Of today alone, since nothing was read before.
    let mut expected = Readings { days: 1, busiest_day: 8, regardless: 4, ..Readings::default() };
    for confidence in [95, 40, 41, 30] {
        expected.by_confidence[confidence] += 1;
    }
    assert_eq!(bench.store.readings(&tenant).await.unwrap(), expected);

    // What is scored without the cascade says how sure the embedded model was all the same; an LLM alone does not.
    bench.advance(2 * 86_400);
    let mut torn = local(80);
    torn.emotions = vec![EmotionStrength { emotion: Emotion::new("joy").unwrap(), strength: 0.9 }];
    let mut alone = second(-60, Unsure, None);
    alone.cascade = None;
    record(bench, &tenant, vec![scored(local(80)), scored(torn), scored(alone)]).await;
    assert_eq!(bench.store.cascade_report(tenant.id, today(), today()).await.unwrap().total, Sums::default());
    expected.days = 2;
    assert_eq!(bench.store.readings(&tenant).await.unwrap(), expected, "today is not over yet");
    bench.advance(86_400);
    (expected.days, expected.regardless, expected.by_confidence[80]) = (3, 5, 1);
    assert_eq!(bench.store.readings(&tenant).await.unwrap(), expected);
    bench.advance(86_400 * i64::from(DAYS));
    assert_eq!(bench.store.readings(&tenant).await.unwrap(), Readings { days: 1, ..Readings::default() });
    let all = bench.store.cascade_report(tenant.id, first_day, today()).await.unwrap();
    assert_eq!((all.total, all.days.len()), (total, 1), "the report does not forget");
    let theirs = bench.store.cascade_report(other.id, first_day, today()).await.unwrap();
    assert_eq!((theirs.total.verdicts, theirs.total.disagreed), (1, 0));
    assert_eq!(bench.store.disagreements(other.id, 10).await.unwrap(), []);
    bench.assert_verified(&tenant).await;

    what_verdicts_took_is_what_was_billed(bench, &tenant, &other).await;
}

async fn what_verdicts_took_is_what_was_billed(bench: &Bench, tenant: &Tenant, other: &Tenant) {
    assert_eq!(bench.store.taken_by_verdicts(tenant).await.unwrap(), None);
    let caps = Caps::default();
    for (feature, input) in [(Feature::Scoring, 1_000), (Feature::Scoring, 700), (Feature::Drafts, 90_000)] {
        let request = ReserveRequest {
            feature,
            model: "m",
            scorer: ScorerKind::Claude,
            owner: "w",
            texts: 2,
            batched: false,
            most_tokens: 100_000,
            most_micros: None,
            lease: TimeDelta::minutes(1),
        };
        let reserved = bench.store.reserve_call(tenant, &caps, &request).await.unwrap();
        let Reserved::Granted(reservation) = reserved else { panic!("{reserved:?}") };
        let usage = Usage { input, output: 100, ..Usage::default() };
        let bill = Bill { usage, micros: None, saved: Saved::default() };
        bench.store.settle_call(tenant.id, &caps, &reservation.id, &bill).await.unwrap();
    }
    let taken = bench.store.taken_by_verdicts(tenant).await.unwrap();
    assert_eq!(taken, Some(Taken { tokens: 1_900, verdicts: 4 }), "drafts are no verdicts");
    assert_eq!(bench.store.taken_by_verdicts(other).await.unwrap(), None);
}

/// A person's correction, as the table has it.
async fn correct(bench: &Bench, interaction: &str) {
    let raw = sea_orm::Database::connect(bench.url.clone()).await.unwrap();
    let statement = format!(
        "UPDATE interaction_sentiment SET human_override_at = scored_at WHERE interaction_id = '{interaction}'"
    );
    let done = sea_orm::ConnectionTrait::execute_unprepared(&raw, &statement).await.unwrap();
    assert_eq!(done.rows_affected(), 1);
    raw.close().await.unwrap();
}
