use futures::FutureExt;
use futures::future::BoxFuture;
use serde_json::{Value, json};
use undertone_core::Interaction;

use super::*;

/// Answers every text alike.
struct Says {
    kind: ScorerKind,
    answer: Answer,
}

impl Scorer for Says {
    fn kind(&self) -> ScorerKind {
        self.kind
    }

    fn score(&self, batch: Batch) -> BoxFuture<'_, Vec<Answer>> {
        futures::future::ready(batch.utterances.iter().map(|_| self.answer.clone()).collect()).boxed()
    }
}

const TEXT: &str = "I have been waiting for an answer since Tuesday.";

fn now() -> DateTime<Utc> {
    "2026-11-20T22:30:00Z".parse().unwrap()
}

fn claimed(attempts: i64) -> Claimed {
    Claimed {
        id: "1".to_owned(),
        attempts,
        revision: 1,
        interaction: Interaction::message("api", "1", TEXT),
        segment: String::new(),
        opted_out: false,
        occurred_at: now(),
        received_at: now(),
    }
}

fn verdict(scorer: &str) -> Verdict {
    serde_json::from_value(json!({
        "score": -40, "label": "negative", "confidence": 80, "dominant_emotion": "frustration", "emotions": [], "urgency": "medium",
        "category": "other", "aspects": [], "summary": "They wait.", "evidence": [],
        "coverage": {"truncated": false, "unread_percent": 0},
        "provenance": {"scorer": scorer, "model": "m", "model_version": "1", "language": "en", "tokens_in": 1, "tokens_out": 1,
                       "cost_micros": 0, "duration_us": 1, "prompt_version": null},
    }))
    .unwrap()
}

/// What becomes of a text under `settings`, where the LLM and the embedded model answer so.
async fn concluded(settings: Value, llm: Answer, local: Answer) -> Outcome {
    let settings = Settings::from_json(&settings).unwrap();
    let llm = Chosen::Llm(Arc::new(Says { kind: ScorerKind::Claude, answer: llm }));
    let local = Says { kind: ScorerKind::Local, answer: local };
    let rules =
        Rules { active: true, settings: &settings, knowledge: Arc::default(), local: &local, chosen: &llm };
    conclude(&rules, &now, &People::default(), vec![claimed(1)]).await.remove(0).outcome
}

fn unavailable(reason: DeferReason, seconds: Option<i64>) -> Answer {
    let until = seconds.map(|seconds| now() + TimeDelta::seconds(seconds));
    Err(NoVerdict::Unavailable { reason, detail: "why not".to_owned(), until })
}

#[tokio::test]
async fn waiting_ends_neither_at_once_nor_with_the_calendar() {
    use DeferReason::{DailyTokenCap, LlmUnavailable, MonthlyBudget, NoKey};
    const DAY: i64 = 24 * 3600;
    for (reason, until, waits) in [
        (LlmUnavailable, None, 30),
        (LlmUnavailable, Some(-7), 5),
        (LlmUnavailable, Some(1), 5),
        (LlmUnavailable, Some(100), 100),
        (LlmUnavailable, Some(20 * DAY), DAY),
        // A cap may be raised, a key may come.
        (DailyTokenCap, Some(10), 10),
        (DailyTokenCap, Some(DAY / 2), 300),
        (DailyTokenCap, None, 300),
        (MonthlyBudget, Some(20 * DAY), 300),
        (NoKey, None, 300),
    ] {
        let settings = json!({"scorer": "claude", "when_unavailable": "wait"});
        let outcome = concluded(settings, unavailable(reason, until), Ok(verdict("local"))).await;
        let Outcome::Deferred { reason: told, detail, until } = outcome else { panic!("{outcome:?}") };
        assert_eq!((told, detail.as_deref()), (reason.into(), Some("why not")));
        assert_eq!((until - now()).num_seconds(), waits, "{reason:?}");
    }
}

#[tokio::test]
async fn what_is_done_instead_says_why() {
    let settings = json!({"scorer": "claude"});
    let down = || unavailable(DeferReason::MonthlyBudget, None);
    let outcome = concluded(settings.clone(), down(), Ok(verdict("local"))).await;
    let Outcome::ScoredInstead { verdict: given, reason, detail } = outcome else { panic!("{outcome:?}") };
    assert_eq!((given.provenance.scorer, reason), (ScorerKind::Local, SkipReason::MonthlyBudget));
    assert_eq!(detail, "the LLM could not be asked: why not");
    // Busy or broken, the embedded model is asked again later.
    let outcome = concluded(settings.clone(), down(), Err(NoVerdict::Busy)).await;
    assert!(matches!(outcome, Outcome::Failed { retry_at: Some(_), .. }), "{outcome:?}");
    let nothing = Err(SkipReason::NoWords.into());
    let outcome = concluded(settings.clone(), down(), nothing).await;
    let Outcome::Skipped { reason, detail } = outcome else { panic!("{outcome:?}") };
    assert_eq!(
        (reason, detail.as_deref()),
        (SkipReason::NoWords, Some("the LLM could not be asked: why not"))
    );

    let skip = json!({"scorer": "claude", "when_unavailable": "skip"});
    let outcome = concluded(skip, down(), Ok(verdict("local"))).await;
    let Outcome::Skipped { reason, detail } = outcome else { panic!("{outcome:?}") };
    assert_eq!((reason, detail.as_deref()), (SkipReason::MonthlyBudget, Some("why not")));
}

#[tokio::test]
async fn what_the_llm_itself_says_stands() {
    let settings = json!({"scorer": "claude"});
    let local = || Ok(verdict("local"));
    let outcome = concluded(settings.clone(), Ok(verdict("claude")), local()).await;
    assert!(matches!(outcome, Outcome::Scored(v) if v.provenance.scorer == ScorerKind::Claude));
    let outcome = concluded(settings.clone(), Err(SkipReason::Refused.into()), local()).await;
    assert!(matches!(outcome, Outcome::Skipped { reason: SkipReason::Refused, detail: None }));
    // An answer that can not be used is asked for again, with rests.
    let broken = Err(NoVerdict::Failed { detail: "nonsense".to_owned() });
    let outcome = concluded(settings, broken, local()).await;
    let Outcome::Failed { detail, retry_at } = outcome else { panic!("{outcome:?}") };
    assert_eq!((detail.as_str(), retry_at), ("nonsense", Some(now() + TimeDelta::seconds(5))));
}

#[tokio::test]
async fn a_cascade_without_its_llm_is_met_as_the_tenant_chose() {
    let unanswered = |reason: &str| {
        let mut verdict = serde_json::to_value(verdict("local")).unwrap();
        verdict["cascade"] =
            json!({"threshold": 70, "why": "unsure", "unanswered": {"reason": reason, "detail": "no money"}});
        Ok(serde_json::from_value(verdict).unwrap())
    };
    let under = |when: &str| json!({"scorer": "cascade", "when_unavailable": when});
    let nobody = || Err(NoVerdict::Failed { detail: "not asked".to_owned() });
    let outcome = concluded(under("local"), unanswered("daily_token_cap"), nobody()).await;
    assert!(
        matches!(&outcome, Outcome::ScoredInstead { reason: SkipReason::DailyTokenCap, detail, .. } if detail.ends_with("no money")),
        "{outcome:?}"
    );
    let outcome = concluded(under("wait"), unanswered("daily_token_cap"), nobody()).await;
    assert!(matches!(outcome, Outcome::Deferred { reason: SkipReason::DailyTokenCap, .. }), "{outcome:?}");
    let outcome = concluded(under("skip"), unanswered("llm_unavailable"), nobody()).await;
    assert!(matches!(outcome, Outcome::Skipped { reason: SkipReason::LlmUnavailable, .. }), "{outcome:?}");
    // It was asked, and declined: the embedded model's verdict stands whatever the tenant chose.
    for when in ["local", "wait", "skip"] {
        let outcome = concluded(under(when), unanswered("refused"), nobody()).await;
        assert!(matches!(outcome, Outcome::Scored(_)), "{outcome:?}");
    }
}

#[tokio::test]
async fn without_a_key_the_reason_is_told_and_nobody_is_asked() {
    let local = Says { kind: ScorerKind::Local, answer: Ok(verdict("local")) };
    let chosen = Chosen::Unusable("there is no key".to_owned());
    for (when, told) in [("local", "scored"), ("wait", "deferred"), ("skip", "skipped")] {
        let settings = Settings::from_json(&json!({"scorer": "claude", "when_unavailable": when})).unwrap();
        let rules = Rules {
            active: true,
            settings: &settings,
            knowledge: Arc::default(),
            local: &local,
            chosen: &chosen,
        };
        let outcome = conclude(&rules, &now, &People::default(), vec![claimed(1)]).await.remove(0).outcome;
        let (outcome, reason, detail) = match outcome {
            Outcome::ScoredInstead { reason, detail, .. } => ("scored", reason, Some(detail)),
            Outcome::Deferred { reason, detail, .. } => ("deferred", reason, detail),
            Outcome::Skipped { reason, detail } => ("skipped", reason, detail),
            other => panic!("{other:?}"),
        };
        assert_eq!((outcome, reason), (told, SkipReason::NoKey));
        assert!(detail.unwrap().ends_with("there is no key"));
    }
}

#[tokio::test]
async fn what_was_begun_too_often_is_given_up() {
    let local = Says { kind: ScorerKind::Local, answer: Ok(verdict("local")) };
    let settings = Settings::default();
    let rules = Rules {
        active: true,
        settings: &settings,
        knowledge: Arc::default(),
        local: &local,
        chosen: &Chosen::Local,
    };
    let all = vec![claimed(MAX_ATTEMPTS), claimed(MAX_ATTEMPTS + 1)];
    let finished = conclude(&rules, &now, &People::default(), all).await;
    assert!(matches!(finished[0].outcome, Outcome::Scored(_)));
    assert!(matches!(&finished[1].outcome, Outcome::Failed { retry_at: None, .. }));
}
