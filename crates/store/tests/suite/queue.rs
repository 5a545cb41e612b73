//! What waits: claimed once, fenced, and told what became of it.

use super::*;

pub(crate) async fn work_is_claimed_once_and_fenced(bench: &Bench) {
    let tenant = bench.tenant("claims").await;
    let items: Vec<Incoming> = (0..20).map(|n| item(&n.to_string(), "ana", "It broke again")).collect();
    bench.store.accept(tenant.id, &items).await.unwrap();
    assert!(bench.store.tenants_with_work().await.unwrap().contains(&tenant.id));
    let claim = |owner| Claim { owner, lease: TimeDelta::seconds(60), limit: 10, suspect: false };
    let one = bench.store.claim(tenant.id, claim("one")).await.unwrap();
    let two = bench.store.claim(tenant.id, claim("two")).await.unwrap();
    assert_eq!(
        (one.len(), two.len(), bench.store.claim(tenant.id, claim("three")).await.unwrap().len()),
        (10, 10, 0)
    );
    assert!(one.iter().all(|a| two.iter().all(|b| a.id != b.id)));
    assert!(!bench.store.tenants_with_work().await.unwrap().contains(&tenant.id));

    // The second worker renews its lease, and only its own; the first one's ends, another takes over, and what it then says does not count.
    bench.advance(40);
    let held = |claimed: &[Claimed]| claimed.iter().map(|c| (c.id.clone(), c.attempts)).collect::<Vec<_>>();
    let minute = TimeDelta::seconds(60);
    assert_eq!(bench.store.renew(tenant.id, "two", minute, &held(&two)).await.unwrap(), 10);
    assert_eq!(bench.store.renew(tenant.id, "two", minute, &held(&one)).await.unwrap(), 0);
    bench.advance(21);
    let taken = bench.store.claim(tenant.id, claim("three")).await.unwrap();
    assert_eq!(held(&taken), one.iter().map(|c| (c.id.clone(), 2)).collect::<Vec<_>>());
    let done = |claimed: &[Claimed]| -> Vec<Finished> {
        claimed
            .iter()
            .map(|c| Finished {
                claimed: c.clone(),
                outcome: Outcome::Scored(Box::new(verdict(-60, &c.interaction.text))),
            })
            .collect()
    };
    let late = bench.store.record(tenant.id, "one", &done(&one)).await.unwrap();
    assert_eq!(late.lost, 10);
    let recorded = bench.store.record(tenant.id, "three", &done(&taken)).await.unwrap();
    assert_eq!((recorded.scored, recorded.lost), (10, 0));
    // Said twice, it counts once.
    let twice = bench.store.record(tenant.id, "three", &done(&taken)).await.unwrap();
    assert_eq!((twice.scored, twice.lost), (0, 10));
    bench.assert_verified(&tenant).await;

    bench.advance(61);
    let rest = bench.store.claim(tenant.id, claim("five")).await.unwrap();
    let released = bench.store.release(tenant.id, "five").await.unwrap();
    assert_eq!(released as usize, rest.len());
}

pub(crate) async fn what_ends_a_process_is_tried_alone(bench: &Bench) {
    let tenant = bench.tenant("poison").await;
    bench
        .store
        .accept(tenant.id, &[item("1", "a", "It broke again"), item("2", "a", "It broke once")])
        .await
        .unwrap();
    for _ in 0..2 {
        assert_eq!(bench.store.due(tenant.id, 10).await.unwrap(), 2);
        assert_eq!(bench.store.due(tenant.id, 1).await.unwrap(), 1);
        assert_eq!(bench.claim(&tenant, "dies").await.len(), 2);
        assert_eq!(bench.store.due(tenant.id, 10).await.unwrap(), 0);
        bench.advance(61);
    }
    assert!(bench.claim(&tenant, "w").await.is_empty());
    let claim = Claim { owner: "w", lease: TimeDelta::seconds(60), limit: 500, suspect: true };
    assert_eq!(bench.store.claim(tenant.id, claim).await.unwrap().len(), 1);
    assert_eq!(bench.store.claim(tenant.id, claim).await.unwrap()[0].attempts, 3);
}

pub(crate) async fn outcomes_are_told(bench: &Bench) {
    let tenant = bench.tenant("outcomes").await;
    let items: Vec<Incoming> = (0..6).map(|n| item(&n.to_string(), "ana", "It broke again")).collect();
    let ids: Vec<String> =
        bench.store.accept(tenant.id, &items).await.unwrap().iter().map(|a| a.id().to_owned()).collect();
    let claimed = bench.claim(&tenant, "w").await;
    let now = bench.store.now();
    let outcomes = [
        Outcome::Scored(Box::new(verdict(-70, "It broke again"))),
        Outcome::Skipped { reason: SkipReason::LanguageNotValidated, detail: Some("fi".to_owned()) },
        Outcome::Deferred {
            reason: SkipReason::NoKey,
            detail: Some("no key for claude".to_owned()),
            until: now + TimeDelta::minutes(5),
        },
        Outcome::Failed { detail: "broke".to_owned(), retry_at: Some(now + TimeDelta::seconds(5)) },
        Outcome::Failed { detail: "broke for good".to_owned(), retry_at: None },
        Outcome::ScoredInstead {
            verdict: Box::new(verdict(-70, "It broke again")),
            reason: SkipReason::DailyTokenCap,
            detail: "the daily token cap is reached".to_owned(),
        },
    ];
    let finished: Vec<Finished> =
        claimed.into_iter().zip(outcomes).map(|(claimed, outcome)| Finished { claimed, outcome }).collect();
    let recorded = bench.store.record(tenant.id, "w", &finished).await.unwrap();
    assert_eq!(recorded, Recorded { scored: 2, skipped: 1, deferred: 2, failed: 1, lost: 0 });
    let mut told = Vec::new();
    for id in &ids {
        let listed = bench.store.interaction(tenant.id, id).await.unwrap().unwrap();
        told.push((listed.state, listed.reason, listed.detail, listed.attempts));
    }
    let row = |state: &str, reason: Option<&str>, detail: Option<&str>, attempts| {
        (state.to_owned(), reason.map(str::to_owned), detail.map(str::to_owned), attempts)
    };
    assert_eq!(
        told,
        [
            row("scored", None, None, 1),
            row("skipped", Some("language_not_validated"), Some("fi"), 1),
            row("pending", Some("no_key"), Some("no key for claude"), 0),
            row("pending", Some("retrying"), Some("broke"), 1),
            row("failed", Some("scoring_failed"), Some("broke for good"), 1),
            row("scored", Some("daily_token_cap"), Some("the daily token cap is reached"), 1),
        ]
    );
    // The first page says whose verdict it is, too.
    let latest = bench.store.latest(tenant.id, 9).await.unwrap();
    let instead = |id: &String| latest.iter().find(|one| one.interaction_id == *id).unwrap().read_instead;
    assert_eq!((instead(&ids[0]), instead(&ids[5])), (None, Some(SkipReason::DailyTokenCap)));
    let waiting = bench.store.waiting(tenant.id).await.unwrap();
    assert_eq!((waiting.pending.count, waiting.failed.count), (2, 1));
    let sentiment = bench.store.sentiment(tenant.id, &ids[0]).await.unwrap().unwrap();
    assert_eq!((sentiment.score, sentiment.keywords[0]["text"].as_str()), (-70, Some("It")));
    assert_eq!(
        bench.store.revisions(tenant.id, &ids[0]).await.unwrap()[0].verdict,
        verdict(-70, "It broke again")
    );
    bench.assert_verified(&tenant).await;

    // Whatever is changed in the settings, what waits for an LLM is looked at again, and nothing else is.
    bench.advance(1);
    let due = async |n: usize| {
        bench.store.interaction(tenant.id, &ids[n]).await.unwrap().unwrap().next_attempt_at.unwrap()
    };
    let retried = due(3).await;
    bench.store.change_settings(&act(&tenant), &json!({"daily_token_cap": 200_000})).await.unwrap();
    assert_eq!((due(2).await, due(3).await), (bench.store.now(), retried));
    assert_eq!(bench.claim(&tenant, "w").await.len(), 1);
}

pub(crate) async fn old_events_go_and_young_ones_stay(bench: &Bench) {
    let tenant = bench.tenant("events").await;
    bench.store.accept(tenant.id, &[item("1", "ana", "-60")]).await.unwrap();
    bench.score_all(&tenant, |text| text.parse().unwrap()).await;
    let events = async || {
        let raw = sea_orm::Database::connect(bench.url.clone()).await.unwrap();
        let rows = sea_orm::ConnectionTrait::query_all_raw(
            &raw,
            sea_orm::Statement::from_string(
                sea_orm::ConnectionTrait::get_database_backend(&raw),
                format!("SELECT event FROM outbox WHERE tenant_id = {} ORDER BY event", tenant.id.0),
            ),
        );
        let events: Vec<String> =
            rows.await.unwrap().iter().map(|row| row.try_get_by_index(0).unwrap()).collect();
        raw.close().await.unwrap();
        events
    };
    assert_eq!(events().await, ["alert.raised", "sentiment.negative", "sentiment.scored"]);
    assert!(!bench.store.remove_old_events(tenant.id, TimeDelta::days(7)).await.unwrap());
    assert_eq!(events().await.len(), 3);
    bench.advance(8 * 86_400);
    bench.store.remove_old_events(tenant.id, TimeDelta::days(7)).await.unwrap();
    assert_eq!(events().await.len(), 3, "nobody was told of them yet");
    bench.store.place_events(tenant.id, 100).await.unwrap();
    bench.store.remove_old_events(tenant.id, TimeDelta::days(7)).await.unwrap();
    assert!(events().await.is_empty());
}
