//! Labels, lessons, lists and the overview.

use super::*;

pub(crate) async fn labels_and_lessons_are_each_tenants_own(bench: &Bench) {
    let (mine, theirs) = (bench.tenant("taught").await, bench.tenant("untaught").await);
    let store = &bench.store;
    let text = |text: &str, label| LabelledText { text: text.to_owned(), kind: Kind::Message, label };
    let texts: Vec<LabelledText> =
        (0..300).map(|n| text(&format!("late again, order {n}"), Label::Negative)).collect();
    let kept = store.label_texts(&act(&mine), &texts).await.unwrap();
    assert_eq!((kept.added, kept.changed, kept.same), (300, 0, 0));
    // The same again, one of them twice, and one with another label.
    let mut again = texts.clone();
    again.push(texts[0].clone());
    again[7].label = Label::Mixed;
    let kept = store.label_texts(&act(&mine), &again).await.unwrap();
    assert_eq!((kept.added, kept.changed, kept.same), (0, 1, 300));
    let note = LabelledText { kind: Kind::Note, ..texts[0].clone() };
    assert_eq!(store.label_texts(&act(&mine), &[note]).await.unwrap().added, 1, "a note is another text");
    let counts = store.label_counts(mine.id).await.unwrap();
    let told: Vec<(Label, u64)> = counts.iter().map(|count| (count.label, count.handed_in)).collect();
    assert_eq!(told, [(Label::Positive, 0), (Label::Neutral, 0), (Label::Negative, 300), (Label::Mixed, 1)]);
    assert_eq!(store.labelled(mine.id).await.unwrap().len(), 301);
    assert!(store.labelled(theirs.id).await.unwrap().is_empty());

    let lesson = |version, active| NewLesson {
        version,
        model_version: "2",
        body: "{}",
        trial: serde_json::json!({"verdict": "better"}),
        active,
    };
    assert_eq!(store.next_lesson(mine.id).await.unwrap(), 1);
    store.keep_lesson(&act(&mine), &lesson(1, true)).await.unwrap();
    let twice = store.keep_lesson(&act(&mine), &lesson(1, true)).await.unwrap_err();
    assert!(matches!(twice, StoreError::Conflict(_)), "{twice}");
    store.keep_lesson(&act(&mine), &lesson(2, false)).await.unwrap();
    assert_eq!(store.lesson_in_force(mine.id).await.unwrap(), Some(1));
    assert_eq!(store.lesson_entry_in_force(mine.id).await.unwrap().map(|entry| entry.version), Some(1));
    assert_eq!(store.lesson_entry_in_force(theirs.id).await.unwrap(), None);
    assert_eq!(store.lesson_in_force(theirs.id).await.unwrap(), None);
    assert!(store.use_lesson(&act(&mine), Some(2)).await.unwrap());
    let listed: Vec<(i64, bool)> =
        store.lessons(mine.id).await.unwrap().into_iter().map(|l| (l.version, l.active)).collect();
    assert_eq!(listed, [(2, true), (1, false)]);
    assert!(!store.use_lesson(&act(&theirs), Some(2)).await.unwrap(), "it is not theirs");
    assert!(store.lesson(theirs.id, 2).await.unwrap().is_none());
    assert_eq!(store.lesson_in_force(mine.id).await.unwrap(), Some(2));
    assert!(store.use_lesson(&act(&mine), None).await.unwrap());
    assert_eq!(store.lesson_in_force(mine.id).await.unwrap(), None);
    assert_eq!(store.forget_labels(&act(&theirs)).await.unwrap(), 0);
    assert_eq!(store.forget_labels(&act(&mine)).await.unwrap(), 301);
    assert_eq!(store.lessons(mine.id).await.unwrap().len(), 2);
}

pub(crate) async fn lists_and_overview(bench: &Bench) {
    let tenant = bench.tenant("lists").await;
    let items: Vec<Incoming> =
        (0..30).map(|n| item(&n.to_string(), "ana", if n < 25 { "-30" } else { "20" })).collect();
    let ids: Vec<String> =
        bench.store.accept(tenant.id, &items).await.unwrap().iter().map(|a| a.id().to_owned()).collect();
    let list = async |filter: Filter<'_>| bench.store.interactions(tenant.id, &filter).await.unwrap();
    assert_eq!(list(Filter { state: Some("pending"), limit: 100, ..Filter::default() }).await.len(), 30);
    bench.score_all(&tenant, |text| text.parse().unwrap()).await;
    let page = list(Filter { limit: 10, ..Filter::default() }).await;
    assert_eq!(
        page.iter().map(|i| i.id.clone()).collect::<Vec<_>>(),
        ids.iter().rev().take(10).cloned().collect::<Vec<_>>()
    );
    let next = list(Filter { before: Some(&page[9].id), limit: 100, ..Filter::default() }).await;
    assert_eq!(next.len(), 20);
    assert_eq!(list(Filter { state: Some("pending"), limit: 100, ..Filter::default() }).await.len(), 0);
    assert_eq!(list(Filter { state: Some("scored"), limit: 100, ..Filter::default() }).await.len(), 30);
    let found =
        list(Filter { source: Some("api"), external_id: Some("7"), limit: 1, ..Filter::default() }).await;
    assert_eq!(
        (found[0].id.as_str(), found[0].score, found[0].label.as_deref()),
        (ids[7].as_str(), Some(-30), Some("negative"))
    );
    let ana = bench.store.customer(tenant.id, "ana").await.unwrap().unwrap();
    assert_eq!(list(Filter { customer_id: Some(&ana.id), limit: 100, ..Filter::default() }).await.len(), 30);
    // What an export tells beyond the list, of whatever is there and in this tenant.
    bench.store.accept(tenant.id, &[item("unscored", "ben", "later")]).await.unwrap();
    let waiting = list(Filter { state: Some("pending"), limit: 1, ..Filter::default() }).await.remove(0);
    let wanted = [page[0].id.as_str(), waiting.id.as_str(), "nothing"];
    let more = bench.store.details(tenant.id, &wanted, true).await.unwrap();
    assert_eq!(more.len(), 2);
    let (scored, waits) = (&more[&page[0].id], &more[&waiting.id]);
    assert_eq!((scored.customer.as_deref(), scored.text.as_deref()), (Some("ana"), Some("20")));
    let verdict = scored.verdict.as_ref().unwrap();
    assert_eq!((verdict.confidence, verdict.category.as_str(), verdict.corrected), (80, "billing", false));
    assert_eq!((waits.customer.as_deref(), &waits.verdict), (Some("ben"), &None));
    assert_eq!(bench.store.details(tenant.id, &wanted, false).await.unwrap()[&waiting.id].text, None);
    let elsewhere = bench.tenant("lists-elsewhere").await;
    assert!(bench.store.details(elsewhere.id, &wanted, true).await.unwrap().is_empty());
    let overview = bench.store.overview(&tenant, 7).await.unwrap();
    assert_eq!((overview.days.len(), overview.latest.len(), overview.zone.as_str()), (7, 8, "Europe/Berlin"));
    assert_eq!(overview.latest[0].evidence[0].text, overview.latest[0].text.clone().unwrap());
    assert_eq!(overview.customers_at_risk[0].last_said.as_deref(), Some("20"));
    let (before, _) = bench.store.pulse(tenant.id).await.unwrap();
    assert_eq!(before.scored, 30);
}
