//! Corrections of verdicts: what they move, what they survive, and whom they stop.

use undertone_core::correction::Correction;
use undertone_store::overrides::{Override, Said, Seen};

use super::*;

fn set(score: Option<i64>, label: Option<Label>) -> Said<'static> {
    let correction = Correction::of(score.map(|s| Score::new(s).unwrap()), label).unwrap().unwrap();
    Said::Set { correction, reason: None }
}

/// Corrects the score of an interaction as it is found.
pub(crate) async fn correct(bench: &Bench, tenant: &Tenant, interaction: &str, score: i64) -> Override {
    bench.store.say(&act(tenant), interaction, set(Some(score), None), Seen::Unknown).await.unwrap().unwrap()
}

async fn told(bench: &Bench, tenant: &Tenant, id: &str) -> (i64, String, i64, Option<i64>) {
    let s = bench.store.sentiment(tenant.id, id).await.unwrap().unwrap();
    (s.score, s.label, s.ai_score, s.human_override_score)
}

fn conflicts<T: std::fmt::Debug>(done: undertone_store::Result<T>, with: &str) {
    let Err(StoreError::Conflict(told)) = done else { panic!("{done:?}") };
    assert!(told.contains(with), "{told}");
}

async fn audited(bench: &Bench, tenant: &Tenant, action: &str) -> Vec<serde_json::Value> {
    #[derive(sea_orm::FromQueryResult)]
    struct Row {
        payload: String,
    }
    let raw = sea_orm::Database::connect(bench.url.clone()).await.unwrap();
    let statement = sea_orm::Statement::from_string(
        sea_orm::ConnectionTrait::get_database_backend(&raw),
        format!(
            "SELECT payload FROM audit_log WHERE tenant_id = {} AND action = '{action}' ORDER BY id",
            tenant.id.0
        ),
    );
    let rows = sea_orm::ConnectionTrait::query_all_raw(&raw, statement).await.unwrap();
    raw.close().await.unwrap();
    rows.iter()
        .map(|row| <Row as sea_orm::FromQueryResult>::from_query_result(row, "").unwrap())
        .map(|row| serde_json::from_str(&row.payload).unwrap())
        .collect()
}

pub(crate) async fn corrections_move_every_counter_and_stay(bench: &Bench) {
    let tenant = bench.tenant("correct").await;
    let mut old = item("1", "ana", "-60");
    old.arrival.interaction.occurred_at = Some(Utc.with_ymd_and_hms(2025, 1, 5, 12, 0, 0).unwrap());
    let taken = bench.store.accept(tenant.id, &[old, item("2", "ana", "30")]).await.unwrap();
    let (first, second) = (taken[0].id().to_owned(), taken[1].id().to_owned());
    bench.score_all(&tenant, |text| text.parse().unwrap()).await;
    // One of them stands in days that are sealed.
    bench.store.seal_days(tenant.id, NaiveDate::from_ymd_opt(2025, 6, 1).unwrap()).await.unwrap();
    let sum = async || bench.store.overview(&tenant, 30).await.unwrap().all_time.totals;
    let ana = bench.store.customer(tenant.id, "ana").await.unwrap().unwrap().id;
    let pulse = bench.store.pulse(tenant.id).await.unwrap();

    let only_a_label = set(None, Some(Label::Positive));
    let done = bench.store.say(&act(&tenant), &first, only_a_label, Seen::Unknown).await.unwrap().unwrap();
    assert_eq!(done.correction.map(|c| (c.score.get(), c.label)), Some((60, Label::Positive)));
    assert_eq!((done.made_by.as_deref(), done.made_at), (Some("test"), Some(bench.store.now())));
    assert_eq!(told(bench, &tenant, &first).await, (60, "positive".to_owned(), -60, Some(60)));
    assert_eq!(sum().await, Totals { scored: 2, sum_score: 90, positive: 2, ..Totals::default() });
    assert_eq!(bench.store.customer_sentiment(tenant.id, &ana).await.unwrap().totals.sum_score, 90);
    assert_ne!(bench.store.pulse(tenant.id).await.unwrap(), pulse, "open pages learn of it");
    bench.assert_verified(&tenant).await;

    // It survives another verdict, of the same content and of other content.
    let mut update = item("2", "ana", "-35");
    update.arrival.update = true;
    correct(bench, &tenant, &second, 5).await;
    bench.store.accept(tenant.id, &[update]).await.unwrap();
    bench.score_all(&tenant, |text| text.parse().unwrap()).await;
    assert_eq!(told(bench, &tenant, &second).await, (5, "neutral".to_owned(), -35, Some(5)));
    let labelled = bench.store.labelled(tenant.id).await.unwrap();
    let learnt: Vec<_> = labelled.iter().map(|(_, text)| (text.text.as_str(), text.label)).collect();
    assert_eq!(
        learnt,
        [("30", Label::Neutral), ("-60", Label::Positive)],
        "what was before them, not what is now"
    );
    assert!(labelled.iter().all(|(source, _)| source.is_chosen()), "a verdict was wrong about them");
    bench.assert_verified(&tenant).await;

    // Cleared, the scorer's verdict counts again, and nothing is forgotten.
    let version = bench.store.sentiment(tenant.id, &first).await.unwrap().unwrap().version;
    let seen = Seen::Version(&version);
    let done = bench.store.say(&act(&tenant), &first, Said::Clear, seen).await.unwrap().unwrap();
    assert_eq!((done.correction, done.made_by), (None, None));
    assert_eq!(sum().await.sum_score, -55);
    assert_eq!(told(bench, &tenant, &first).await, (-60, "negative".to_owned(), -60, None));
    bench.store.say(&act(&tenant), &first, Said::Clear, Seen::Unknown).await.unwrap();
    let agreed = bench.store.say(&act(&tenant), &first, Said::Agree, Seen::Unknown).await.unwrap().unwrap();
    assert_eq!(agreed.version, done.version, "to agree changes nothing");
    bench.store.say(&act(&tenant), &first, Said::Agree, Seen::Unknown).await.unwrap();
    assert!(bench.store.sentiment(tenant.id, &first).await.unwrap().unwrap().agreed);
    assert_eq!(sum().await.sum_score, -55);
    let acts = bench.store.override_revisions(tenant.id, &first).await.unwrap();
    assert_eq!(acts.iter().map(|r| r.act.as_str()).collect::<Vec<_>>(), ["agree", "clear", "set"]);
    assert_eq!((acts[2].score, acts[2].label.as_deref()), (Some(60), Some("positive")));
    bench.assert_verified(&tenant).await;

    let noted = audited(bench, &tenant, "sentiment_override").await;
    assert_eq!(noted.len(), 3);
    assert_eq!(noted[0]["before"], json!(null));
    assert_eq!(noted[0]["after"], json!({"score": 60, "label": "positive"}));
    assert_eq!(
        (&noted[0]["verdict"]["score"], &noted[0]["verdict"]["label"]),
        (&json!(-60), &json!("negative"))
    );
    assert_eq!((&noted[2]["before"]["score"], &noted[2]["after"]), (&json!(60), &json!(null)));
    assert_eq!(audited(bench, &tenant, "sentiment_agreed").await.len(), 1);
    // What a correction comes from is kept: changed by hand, it is found and put back.
    let raw = sea_orm::Database::connect(bench.url.clone()).await.unwrap();
    for change in
        ["human_override_label = 'positive'", "human_override_score = NULL", "human_override_id = NULL"]
    {
        let statement = format!(
            "UPDATE interaction_sentiment SET {change} WHERE interaction_id = '{second}' AND tenant_id = {}",
            tenant.id.0
        );
        sea_orm::ConnectionTrait::execute_unprepared(&raw, &statement).await.unwrap();
        let found = bench.store.verify(tenant.id).await.unwrap();
        assert!(
            found.iter().any(|d| d.counter == format!("correction of interaction {second}")),
            "{found:?}"
        );
        bench.store.rebuild(tenant.id).await.unwrap();
        bench.assert_verified(&tenant).await;
    }
    raw.close().await.unwrap();
}

pub(crate) async fn nobody_is_overwritten_unseen(bench: &Bench) {
    let (tenant, other) = (bench.tenant("unseen").await, bench.tenant("unseen2").await);
    let id = bench.store.accept(tenant.id, &[item("1", "ana", "-60")]).await.unwrap()[0].id().to_owned();
    let say = async |who: &'static str, said, seen: &Seen<'_>| {
        bench.store.say(&Act::new(tenant.id, who), &id, said, *seen).await
    };
    conflicts(say("ana", set(Some(5), None), &Seen::Unknown).await, "no verdict");
    bench.score_all(&tenant, |text| text.parse().unwrap()).await;
    let shown = async || bench.store.sentiment(tenant.id, &id).await.unwrap().unwrap().version;
    let first = shown().await;
    let seen = Seen::Version(&first);
    let done = say("ana", set(Some(5), None), &seen).await.unwrap().unwrap();
    assert_eq!(done.version, shown().await);
    assert_ne!(done.version, first);
    // Both looked before either said anything.
    conflicts(say("bo", set(Some(70), None), &seen).await, "not as you saw it");
    conflicts(say("bo", Said::Clear, &seen).await, "not as you saw it");
    conflicts(say("bo", Said::Agree, &Seen::Version(&done.version)).await, "a correction is in force");
    // An answer that was lost is asked for again.
    assert_eq!(say("ana", set(Some(5), None), &seen).await.unwrap().unwrap(), done);
    // Whoever can not say what they saw replaces what is theirs, and nobody else's.
    conflicts(say("bo", set(Some(70), None), &Seen::Unknown).await, "somebody else");
    say("ana", set(Some(10), None), &Seen::Unknown).await.unwrap();
    let version = shown().await;
    say("bo", set(Some(70), None), &Seen::Version(&version)).await.unwrap();
    assert_eq!(told(bench, &tenant, &id).await.0, 70);
    // Another verdict, and other content, are to be looked at first.
    let version = shown().await;
    let mut update = item("1", "ana", "-20");
    update.arrival.update = true;
    bench.store.accept(tenant.id, &[update]).await.unwrap();
    conflicts(say("bo", Said::Clear, &Seen::Version(&version)).await, "not as you saw it");
    let version = shown().await;
    bench.score_all(&tenant, |text| text.parse().unwrap()).await;
    conflicts(say("bo", Said::Clear, &Seen::Version(&version)).await, "not as you saw it");
    say("bo", Said::Clear, &Seen::Version(&shown().await)).await.unwrap();
    // What somebody else ended does not come back with an old request that is sent again.
    conflicts(say("ana", set(Some(10), None), &Seen::Unknown).await, "somebody else cleared");
    say("bo", set(Some(30), None), &Seen::Unknown).await.unwrap();
    say("bo", Said::Clear, &Seen::Unknown).await.unwrap();
    let version = shown().await;
    say("ana", set(Some(10), None), &Seen::Version(&version)).await.unwrap();
    bench.assert_verified(&tenant).await;

    assert_eq!(bench.store.say(&act(&other), &id, Said::Clear, Seen::Unknown).await.unwrap(), None);
    assert_eq!(bench.store.override_of(other.id, &id).await.unwrap(), None);
    assert!(bench.store.override_revisions(other.id, &id).await.unwrap().is_empty());
}

pub(crate) async fn many_at_once_leave_one_and_true_counters(bench: &Bench) {
    let tenant = bench.tenant("corrcrowd").await;
    let items: Vec<Incoming> = (0..6).map(|n| item(&n.to_string(), "ana", "-60")).collect();
    let taken = bench.store.accept(tenant.id, &items).await.unwrap();
    let ids: Vec<String> = taken.iter().map(|a| a.id().to_owned()).collect();
    bench.score_all(&tenant, |text| text.parse().unwrap()).await;
    let mut versions = Vec::new();
    for id in &ids {
        versions.push(bench.store.sentiment(tenant.id, id).await.unwrap().unwrap().version);
    }
    // Eight people who all saw the same, beside somebody who hands in anew and a worker that scores again.
    let won = futures_of(10, async |n| {
        if n >= 8 {
            for (i, _) in ids.iter().enumerate() {
                let mut update = item(&i.to_string(), "ana", if n == 8 { "-61" } else { "-62" });
                update.arrival.update = true;
                bench.store.accept(tenant.id, &[update]).await.unwrap();
                bench.score_all(&tenant, |text| text.parse().unwrap()).await;
            }
            return 0;
        }
        let who = format!("user:{n}");
        let mut won = 0;
        for (id, version) in ids.iter().zip(&versions) {
            let said = set(Some(i64::try_from(n).unwrap() * 10), None);
            match bench.store.say(&Act::new(tenant.id, &who), id, said, Seen::Version(version)).await {
                Ok(Some(_)) => won += 1,
                Err(StoreError::Conflict(_)) => {}
                other => panic!("{other:?}"),
            }
        }
        won
    })
    .await;
    let won: usize = won.iter().sum();
    assert!(won <= ids.len(), "{won} of {} were corrected", ids.len());
    bench.score_all(&tenant, |text| text.parse().unwrap()).await;
    let mut in_force = 0;
    for id in &ids {
        let acts = bench.store.override_revisions(tenant.id, id).await.unwrap();
        assert!(acts.len() <= 1, "{acts:?}");
        in_force += usize::from(told(bench, &tenant, id).await.3.is_some());
    }
    assert_eq!(in_force, won, "what was answered stands");
    bench.assert_verified(&tenant).await;
}

pub(crate) async fn who_opted_out_is_left_alone(bench: &Bench) {
    let tenant = bench.tenant("corropt").await;
    let id = bench.store.accept(tenant.id, &[item("1", "ana", "-60")]).await.unwrap()[0].id().to_owned();
    bench.score_all(&tenant, |text| text.parse().unwrap()).await;
    correct(bench, &tenant, &id, 5).await;
    assert_eq!(bench.store.labelled(tenant.id).await.unwrap().len(), 1);
    let ana = bench.store.customer(tenant.id, "ana").await.unwrap().unwrap().id;
    bench.store.set_opted_out(&act(&tenant), &ana, true).await.unwrap();
    for said in [set(Some(70), None), Said::Clear, Said::Agree] {
        conflicts(bench.store.say(&act(&tenant), &id, said, Seen::Unknown).await, "opted out");
    }
    assert!(bench.store.labelled(tenant.id).await.unwrap().is_empty(), "nor is anything learnt from them");
}
