//! Counters are what the rows say.

use super::*;

pub(crate) async fn counters_follow_sentiments(bench: &Bench) {
    let tenant = bench.tenant("counters").await;
    let items =
        [item("1", "ana", "-60"), item("2", "ana", "-20"), item("3", "bo", "80"), item("4", "bo", "0")];
    bench.store.accept(tenant.id, &items).await.unwrap();
    assert_eq!(bench.score_all(&tenant, |text| text.parse().unwrap()).await.scored, 4);
    let ana = bench.store.customer(tenant.id, "ana").await.unwrap().unwrap();
    let sums = bench.store.customer_sentiment(tenant.id, &ana.id).await.unwrap();
    assert_eq!(sums.totals, Totals { scored: 2, sum_score: -80, negative: 2, ..Totals::default() });
    assert_eq!(sums.first_scored_at, Some(bench.store.now()));
    assert!(sums.last.is_some_and(|last| last.label == "negative"));
    let overview = bench.store.overview(&tenant, 30).await.unwrap();
    let all = Totals { scored: 4, sum_score: 0, positive: 1, neutral: 1, negative: 2, mixed: 0 };
    assert_eq!(
        (overview.all_time.totals, overview.today.summary.unwrap().totals, overview.period.totals),
        (all, all, all)
    );
    assert_eq!(
        (overview.at_risk.unwrap().count, overview.customers_at_risk[0].external_id.as_str()),
        (1, "ana")
    );
    let escalations = bench.store.escalations(tenant.id, TimeDelta::hours(24), 10).await.unwrap();
    assert_eq!(escalations.iter().map(|e| e.score).collect::<Vec<_>>(), [-60, -20]);
    bench.assert_verified(&tenant).await;
}

pub(crate) async fn revisions_replace_the_verdict_and_keep_the_override(bench: &Bench) {
    let tenant = bench.tenant("revisions").await;
    let id = bench.store.accept(tenant.id, &[item("1", "ana", "-60")]).await.unwrap()[0].id().to_owned();
    bench.score_all(&tenant, |text| text.parse().unwrap()).await;
    let mut update = item("1", "bo", "40");
    update.arrival.update = true;
    bench.store.accept(tenant.id, &[update]).await.unwrap();
    // Until it is read, the earlier verdict stands.
    assert_eq!(bench.store.sentiment(tenant.id, &id).await.unwrap().unwrap().score, -60);
    bench.score_all(&tenant, |text| text.parse().unwrap()).await;
    assert_eq!(bench.store.sentiment(tenant.id, &id).await.unwrap().unwrap().score, 40);
    assert_eq!(bench.store.revisions(tenant.id, &id).await.unwrap().len(), 2);
    let ana = bench.store.customer(tenant.id, "ana").await.unwrap().unwrap();
    assert_eq!(bench.store.customer_sentiment(tenant.id, &ana.id).await.unwrap().totals, Totals::default());
    bench.assert_verified(&tenant).await;
    // Content that is not scored any more takes the verdict along.
    let mut empty = item("1", "bo", "");
    empty.arrival.update = true;
    bench.store.accept(tenant.id, &[empty]).await.unwrap();
    let claimed = bench.claim(&tenant, "w").await.remove(0);
    let skipped = Finished { claimed, outcome: Outcome::Skipped { reason: SkipReason::Empty, detail: None } };
    bench.store.record(tenant.id, "w", &[skipped]).await.unwrap();
    assert_eq!(bench.store.sentiment(tenant.id, &id).await.unwrap(), None);
    assert_eq!(bench.store.overview(&tenant, 30).await.unwrap().all_time.totals, Totals::default());
    bench.assert_verified(&tenant).await;
}

pub(crate) async fn days_move_with_the_zone(bench: &Bench) {
    let tenant = bench.tenant("zones").await;
    let mut late = item("1", "ana", "-60");
    // 23:30 in Berlin, the next day in Auckland, the day before nowhere.
    late.arrival.interaction.occurred_at = Some(Utc.with_ymd_and_hms(2026, 11, 19, 22, 30, 0).unwrap());
    bench.store.accept(tenant.id, &[late, item("2", "bo", "30")]).await.unwrap();
    bench.score_all(&tenant, |text| text.parse().unwrap()).await;
    let day = |d| NaiveDate::from_ymd_opt(2026, 11, d).unwrap();
    let scored_on = async |tenant: &Tenant, d| {
        let overview = bench.store.overview(tenant, 30).await.unwrap();
        overview.days.iter().find(|x| x.day == day(d)).map_or(0, |x| x.summary.totals.scored)
    };
    assert_eq!(scored_on(&tenant, 19).await, 1);
    bench.store.set_zone(&act(&tenant), Tz::Pacific__Auckland).await.unwrap();
    let changing = bench.store.tenant(tenant.id).await.unwrap().unwrap();
    assert!(
        changing.zone_is_changing && bench.store.tenants_changing_zone().await.unwrap().contains(&tenant.id)
    );
    bench.assert_verified(&tenant).await;
    while bench.store.move_days(tenant.id).await.unwrap() {}
    let moved = bench.store.tenant(tenant.id).await.unwrap().unwrap();
    assert!(!moved.zone_is_changing);
    assert_eq!((scored_on(&moved, 19).await, scored_on(&moved, 20).await), (0, 1));
    bench.assert_verified(&tenant).await;
}

pub(crate) async fn sealed_days_stay(bench: &Bench) {
    let tenant = bench.tenant("sealed").await;
    let mut old = item("1", "ana", "-60");
    old.arrival.interaction.occurred_at = Some(Utc.with_ymd_and_hms(2025, 1, 5, 12, 0, 0).unwrap());
    bench.store.accept(tenant.id, &[old, item("2", "bo", "30")]).await.unwrap();
    bench.score_all(&tenant, |text| text.parse().unwrap()).await;
    bench.store.seal_days(tenant.id, NaiveDate::from_ymd_opt(2025, 6, 1).unwrap()).await.unwrap();
    bench.assert_verified(&tenant).await;
    // What comes late for a sealed day is counted all the same.
    let mut late = item("3", "ana", "-40");
    late.arrival.interaction.occurred_at = Some(Utc.with_ymd_and_hms(2025, 1, 6, 12, 0, 0).unwrap());
    bench.store.accept(tenant.id, &[late]).await.unwrap();
    bench.score_all(&tenant, |text| text.parse().unwrap()).await;
    bench.assert_verified(&tenant).await;
    bench.store.rebuild(tenant.id).await.unwrap();
    bench.assert_verified(&tenant).await;
    assert_eq!(bench.store.overview(&tenant, 30).await.unwrap().all_time.totals.scored, 3);
    assert_eq!(
        bench.store.tenant(tenant.id).await.unwrap().unwrap().sealed_before,
        NaiveDate::from_ymd_opt(2025, 6, 1)
    );
}

pub(crate) async fn a_false_counter_is_found_and_repaired(bench: &Bench) {
    let tenant = bench.tenant("false").await;
    let taken =
        bench.store.accept(tenant.id, &[item("1", "ana", "-60"), item("2", "bo", "30")]).await.unwrap();
    bench.score_all(&tenant, |text| text.parse().unwrap()).await;
    overrides::correct(bench, &tenant, taken[0].id(), 90).await;
    for statement in [
        "UPDATE customer_sentiment SET scored = scored + 1 WHERE tenant_id = ",
        "UPDATE sentiment_daily SET sum_score = sum_score - 1 WHERE tenant_id = ",
        "DELETE FROM sentiment_counter WHERE counter = 'scored' AND tenant_id = ",
        "UPDATE sentiment_counter SET negative = negative + 1 WHERE counter = 'all' AND tenant_id = ",
        "UPDATE interaction_sentiment SET human_override_score = 40 WHERE human_override_score IS NOT NULL AND tenant_id = ",
    ] {
        let url = bench.url.clone();
        let raw = sea_orm::Database::connect(url).await.unwrap();
        sea_orm::ConnectionTrait::execute_unprepared(&raw, &format!("{statement}{}", tenant.id.0))
            .await
            .unwrap();
        raw.close().await.unwrap();
        assert!(!bench.store.verify(tenant.id).await.unwrap().is_empty(), "{statement}");
        bench.store.rebuild(tenant.id).await.unwrap();
        bench.assert_verified(&tenant).await;
    }
    let all = bench.store.overview(&tenant, 30).await.unwrap().all_time.totals;
    assert_eq!((all.positive, all.negative, all.sum_score), (2, 0, 120));
    // What a person corrected is a label to learn from.
    let corrected = bench.store.labelled(tenant.id).await.unwrap();
    assert_eq!(
        corrected.iter().map(|(_, text)| (text.text.as_str(), text.label)).collect::<Vec<_>>(),
        [("-60", Label::Positive)]
    );
    // The override outlives another verdict.
    let mut update = item("1", "ana", "-80");
    update.arrival.update = true;
    bench.store.accept(tenant.id, &[update]).await.unwrap();
    bench.score_all(&tenant, |text| text.parse().unwrap()).await;
    assert_eq!(bench.store.overview(&tenant, 30).await.unwrap().all_time.totals.sum_score, 120);
    bench.assert_verified(&tenant).await;
}

pub(crate) async fn writers_at_once_neither_lose_nor_double(bench: &Bench) {
    let tenant = bench.tenant("crowd").await;
    // Eight at once, each handing in the same 60 in an order of its own, with shared customers.
    let taken = futures_of(8, async |n| {
        let mut items: Vec<Incoming> = (0..60)
            .map(|i| item(&i.to_string(), &format!("c{}", i % 7), &format!("{}", i % 200 - 100)))
            .collect();
        items.rotate_left(n * 7);
        if n % 2 == 0 {
            items.reverse();
        }
        let mut created = 0;
        for chunk in items.chunks(20) {
            let accepted = bench.store.accept(tenant.id, chunk).await.unwrap();
            created += accepted.iter().filter(|a| matches!(a, Accepted::Created { .. })).count();
        }
        created
    })
    .await;
    assert_eq!(taken.iter().sum::<usize>(), 60);
    let scored = futures_of(6, async |n| {
        let owner = format!("w{n}");
        let mut scored = 0;
        loop {
            let claim = Claim { owner: &owner, lease: TimeDelta::seconds(60), limit: 7, suspect: false };
            let claimed = bench.store.claim(tenant.id, claim).await.unwrap();
            if claimed.is_empty() {
                return scored;
            }
            let finished = finished(claimed, |text| verdict(text.parse().unwrap(), text));
            scored += bench.store.record(tenant.id, &owner, &finished).await.unwrap().scored;
        }
    })
    .await;
    assert_eq!(scored.iter().sum::<usize>(), 60);
    bench.assert_verified(&tenant).await;
    assert_eq!(bench.store.overview(&tenant, 7).await.unwrap().all_time.totals.scored, 60);
}
