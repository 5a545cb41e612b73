//! Whose what names nobody in a conversation is: the conversation's customer's, whenever that is told, with everything that follows.

use std::time::Duration;

use sea_orm::{ConnectionTrait, Database};
use undertone_core::{AuthorKind, Direction};
use undertone_store::privacy::erase::Whom;
use undertone_store::privacy::retention::Clocks;

use super::backfill::count;
use super::*;

/// A note about whoever the conversation is with.
fn note(id: &str, conversation: &str, text: &str) -> Incoming {
    let mut item = item(id, "", text);
    let interaction = &mut item.arrival.interaction;
    interaction.customer = None;
    interaction.conversation = Some(conversation.to_owned());
    interaction.agent = Some("bo".to_owned());
    interaction.author_kind = AuthorKind::Agent;
    interaction.direction = Direction::Outgoing;
    interaction.kind = Kind::Note;
    item
}

/// What a customer wrote in a conversation.
fn line(id: &str, customer: &str, conversation: &str, text: &str) -> Incoming {
    let mut item = item(id, customer, text);
    item.arrival.interaction.conversation = Some(conversation.to_owned());
    item
}

async fn take(bench: &Bench, tenant: &Tenant, items: &[Incoming]) -> Vec<String> {
    let taken = bench.store.accept(tenant.id, items).await.unwrap();
    taken.iter().map(|one| one.id().to_owned()).collect()
}

/// Our id of the customer an interaction belongs to.
async fn whose(bench: &Bench, tenant: &Tenant, id: &str) -> Option<String> {
    bench.store.interaction(tenant.id, id).await.unwrap().unwrap().customer_id
}

async fn customer(bench: &Bench, tenant: &Tenant, id: &str) -> String {
    bench.store.customer(tenant.id, id).await.unwrap().unwrap().id
}

async fn erase(bench: &Bench, tenant: &Tenant, id: &str) -> undertone_store::privacy::erase::Erasure {
    let erasure = bench.store.erase(&act(tenant), &Whom::Id(id)).await.unwrap().remove(0);
    loop {
        let now = bench.store.continue_erasure(tenant.id, &erasure.id).await.unwrap().unwrap();
        bench.assert_verified(tenant).await;
        if now.done_at.is_some() {
            return now;
        }
    }
}

pub async fn what_names_nobody_is_the_conversations_customers(bench: &Bench) {
    let tenant = bench.tenant("whose").await;
    let store = &bench.store;
    // Before anybody was named: a scored note, and one that waits.
    let early = take(bench, &tenant, &[note("n1", "t1", "they sound cross: -60")]).await;
    bench.score_all(&tenant, score_of).await;
    let waiting = take(bench, &tenant, &[note("n2", "t1", "rang again: -20")]).await;
    assert_eq!(whose(bench, &tenant, &early[0]).await, None);

    // Then the customer writes, and others after them.
    let mut hers = line("1", "ana", "t1", "It broke: -40");
    hers.arrival.customer.name = Some("Ana Lopez".to_owned());
    hers.arrival.customer.segment = Some("gold".to_owned());
    take(bench, &tenant, &[hers, line("2", "cy", "t1", "For me too: -10")]).await;
    let ana = customer(bench, &tenant, "ana").await;
    let late = take(bench, &tenant, &[note("n3", "t1", "Dear Ana Lopez: 5")]).await;
    for id in early.iter().chain(&waiting).chain(&late) {
        assert_eq!(whose(bench, &tenant, id).await.as_ref(), Some(&ana), "whoever is named first");
    }
    // Her sums moved, and the sums by segment.
    bench.assert_verified(&tenant).await;
    let sums = store.customer_sentiment(tenant.id, &ana).await.unwrap().totals;
    assert_eq!((sums.scored, sums.sum_score, sums.negative), (1, -60, 1));
    let all = store.overview(&tenant, 30).await.unwrap().all_time.totals;
    assert_eq!(all.scored, 1, "nothing is counted twice");

    // Her name is taken out of what an LLM is asked; what she does not want is not done.
    let claimed = bench.claim(&tenant, "w").await;
    let one = claimed.iter().find(|one| one.id == late[0]).unwrap();
    assert_eq!((one.segment.as_str(), one.opted_out), ("gold", false));
    let people = store.people_of(tenant.id, &claimed).await.unwrap();
    assert!(people.of(one).any(|traces| traces.names == ["Ana Lopez"]));
    store.set_opted_out(&act(&tenant), &ana, true).await.unwrap();
    let finished = finished(claimed, |text| verdict(score_of(text), text));
    let recorded = store.record(tenant.id, "w", &finished).await.unwrap();
    assert_eq!((recorded.scored, recorded.skipped), (1, 3), "only Cy's: {recorded:?}");
    let after = take(bench, &tenant, &[note("n4", "t1", "and now: 5")]).await;
    let claimed = bench.claim(&tenant, "w").await;
    assert!(claimed.iter().find(|one| one.id == after[0]).unwrap().opted_out);

    // What a clock removes is not removed while she is under hold.
    store.place_hold(&act(&tenant), &ana, "a suit").await.unwrap().unwrap();
    bench.advance(91 * 24 * 3600);
    let clocks = Clocks::of(&tenant, &store.module(tenant.id).await.unwrap().settings, store.now());
    let run = store.purge(&tenant, &clocks, &act(&tenant), Duration::ZERO).await.unwrap();
    assert_eq!(run.removed.of("texts"), 1, "Cy's: {:?}", run.removed);
    assert!(store.text(tenant.id, &early[0]).await.unwrap().is_some());
    store.lift_hold(&act(&tenant), &ana).await.unwrap();

    // And when she is erased, it goes.
    let done = erase(bench, &tenant, "ana").await;
    assert_eq!((done.removed.of("interactions"), done.removed.of("sentiments")), (5, 1));
    for id in early.iter().chain(&waiting).chain(&late).chain(&after) {
        assert!(store.interaction(tenant.id, id).await.unwrap().is_none());
        assert_eq!(store.text(tenant.id, id).await.unwrap(), None);
    }
}

pub async fn what_is_being_read_meanwhile_is_theirs(bench: &Bench) {
    let tenant = bench.tenant("whose-read").await;
    let early = take(bench, &tenant, &[note("n1", "t1", "cross: -60"), note("n2", "t2", "fine: 60")]).await;
    let claimed = bench.claim(&tenant, "w").await;
    assert!(claimed.iter().all(|one| one.interaction.customer.is_none()));
    take(bench, &tenant, &[line("1", "ana", "t1", "It broke: -40"), line("2", "cy", "t2", "Thanks: 40")])
        .await;
    let (ana, cy) = (customer(bench, &tenant, "ana").await, customer(bench, &tenant, "cy").await);
    bench.store.set_opted_out(&act(&tenant), &cy, true).await.unwrap();
    let finished = finished(claimed, |text| verdict(score_of(text), text));
    let recorded = bench.store.record(tenant.id, "w", &finished).await.unwrap();
    assert_eq!((recorded.scored, recorded.skipped), (1, 1), "not Cy's");
    bench.assert_verified(&tenant).await;
    let sums = bench.store.customer_sentiment(tenant.id, &ana).await.unwrap().totals;
    assert_eq!((sums.scored, sums.sum_score), (1, -60));
    assert_eq!(whose(bench, &tenant, &early[1]).await, Some(cy));
    // An alert that it raised is hers, too, also where she is named afterwards.
    let later = take(bench, &tenant, &[note("n3", "t3", "very cross: -90")]).await;
    bench.score_all(&tenant, score_of).await;
    let wanted = undertone_store::alerts::Wanted { most: 10, ..Default::default() };
    let alert = async || {
        let alerts = bench.store.alerts(tenant.id, &wanted).await.unwrap();
        alerts.into_iter().find(|alert| alert.interaction_id == later[0]).unwrap().customer_id
    };
    assert_eq!(alert().await, None);
    let told = ConversationDetails::default();
    let person = Person::Conversation(told, Some("ana".to_owned()));
    bench.store.save_person(&act(&tenant), "t3", &person).await.unwrap();
    assert_eq!((alert().await, whose(bench, &tenant, &later[0]).await), (Some(ana.clone()), Some(ana)));
    bench.assert_verified(&tenant).await;
}

pub async fn what_comes_late_is_kept_without_words(bench: &Bench) {
    let tenant = bench.tenant("whose-late").await;
    let store = &bench.store;
    take(bench, &tenant, &[line("1", "ana", "T1", "It broke: -40"), line("2", "ana", "T2", "Again: -40")])
        .await;
    take(bench, &tenant, &[line("3", "cy", "T2", "For me too: -10")]).await;
    erase(bench, &tenant, "ana").await;
    let mut titled = note("n1", "T1", "Dear Ana: 1");
    titled.arrival.conversation.subject = Some("About Ana".to_owned());
    let ids = take(
        bench,
        &tenant,
        &[
            titled,
            note("n2", "T2", "Dear Ana: 2"),
            note("n3", "t1", "Another's: 3"),
            note("n4", "T9", "New: 4"),
        ],
    )
    .await;
    let mut again = note("n1", "T1", "Dear Ana once more: 1");
    again.arrival.update = true;
    assert!(matches!(store.accept(tenant.id, &[again]).await.unwrap()[0], Accepted::Updated { .. }));
    for id in &ids[..2] {
        let kept = store.interaction(tenant.id, id).await.unwrap().unwrap();
        assert_eq!((kept.state.as_str(), kept.reason.as_deref()), ("skipped", Some("opted_out")));
        assert_eq!((store.text(tenant.id, id).await.unwrap(), kept.customer_id), (None, None));
    }
    for id in &ids[2..] {
        assert!(store.text(tenant.id, id).await.unwrap().is_some(), "of nobody who was erased");
    }
    let told = ConversationDetails { subject: Some("About Ana".to_owned()), ..Default::default() };
    store.save_person(&act(&tenant), "T1", &Person::Conversation(told, None)).await.unwrap();
    let titles = format!(
        "SELECT COUNT(*) FROM conversation WHERE tenant_id = {} AND subject IS NOT NULL",
        tenant.id.0
    );
    assert_eq!(count(bench, &titles).await, 0);
    // Whoever is named in it from then on is somebody, and what names nobody is theirs.
    take(bench, &tenant, &[line("4", "ana", "T1", "Back again: 20")]).await;
    let after = take(bench, &tenant, &[note("n5", "T1", "Dear Ana: 5")]).await;
    assert_eq!(whose(bench, &tenant, &after[0]).await, Some(customer(bench, &tenant, "ana").await));
    assert!(store.text(tenant.id, &after[0]).await.unwrap().is_some());
}

pub async fn what_turns_out_to_be_of_somebody_erased_leaves_nothing(bench: &Bench) {
    let tenant = bench.tenant("whose-turned").await;
    let store = &bench.store;
    take(bench, &tenant, &[line("1", "ana", "t1", "It broke: -40")]).await;
    let ids =
        take(bench, &tenant, &[note("n1", "t2", "she shouted: -90"), line("2", "cy", "t3", "Bad: -50")])
            .await;
    bench.score_all(&tenant, score_of).await;
    erase(bench, &tenant, "ana").await;
    // Both were hers: so it is told once she is gone, for the second time with another that stays.
    let mut turned =
        [note("n1", "t1", "Ana shouted: -80"), note("2", "t1", "Ana: -50"), note("n3", "t2", "calm: 5")];
    turned.iter_mut().for_each(|item| item.arrival.update = true);
    let answers = store.accept(tenant.id, &turned).await.unwrap();
    for (answer, id) in answers.iter().zip(&ids) {
        assert_eq!(*answer, Accepted::Updated { id: id.clone() });
        let kept = store.interaction(tenant.id, id).await.unwrap().unwrap();
        assert_eq!((kept.state.as_str(), kept.reason.as_deref()), ("skipped", Some("opted_out")));
        assert_eq!((kept.score, kept.customer_id), (None, None));
        assert_eq!(store.text(tenant.id, id).await.unwrap(), None);
    }
    assert!(matches!(answers[2], Accepted::Created { .. }));
    let alerts =
        store.alerts(tenant.id, &undertone_store::alerts::Wanted { most: 10, ..Default::default() }).await;
    assert!(alerts.unwrap().is_empty());
    for table in ["verdict", "interaction_sentiment"] {
        let left =
            count(bench, &format!("SELECT COUNT(*) FROM {table} WHERE tenant_id = {}", tenant.id.0)).await;
        assert_eq!(left, 0, "{table}");
    }
    bench.assert_verified(&tenant).await;
    let all = store.overview(&tenant, 30).await.unwrap().all_time.totals;
    assert_eq!(all.scored, 0);
}

pub async fn many_follow_in_slices(bench: &Bench) {
    let tenant = bench.tenant("whose-many").await;
    let notes = |conversation: &str| -> Vec<Incoming> {
        (0..300)
            .map(|n| note(&format!("{conversation}-{n}"), conversation, &format!("note: {}", n % 90)))
            .collect()
    };
    for conversation in ["t1", "t2"] {
        take(bench, &tenant, &notes(conversation)).await;
    }
    while bench.score_all(&tenant, score_of).await.scored > 0 {}
    take(bench, &tenant, &[line("1", "ana", "t1", "It broke: -40"), line("2", "cy", "t2", "It broke: -40")])
        .await;
    bench.assert_verified(&tenant).await;
    let (ana, cy) = (customer(bench, &tenant, "ana").await, customer(bench, &tenant, "cy").await);
    let scored = async |id: &str| bench.store.customer_sentiment(tenant.id, id).await.unwrap().totals.scored;
    assert_eq!((scored(&ana).await, scored(&cy).await), (128, 0), "what goes over at once");
    // An erasure does not wait for the rest.
    let done = erase(bench, &tenant, "ana").await;
    assert_eq!(done.removed.of("interactions"), 301);
    while bench.store.fill_conversation().await.unwrap() {
        bench.assert_verified(&tenant).await;
    }
    assert_eq!(scored(&cy).await, 300);
}

pub async fn whoever_is_faster_nobody_is_left_out(bench: &Bench) {
    let tenant = bench.tenant("whose-race").await;
    for round in 0..8 {
        let talk = format!("t{round}");
        futures_of(6, async |n| {
            let id = format!("{round}-{n}");
            let item = match n {
                0 | 3 => line(&id, &format!("c{n}"), &talk, "It broke: -40"),
                _ => note(&id, &talk, "a note: 5"),
            };
            take(bench, &tenant, &[item]).await;
            if n == 1 {
                bench.score_all(&tenant, score_of).await;
            }
        })
        .await;
    }
    bench.score_all(&tenant, score_of).await;
    while bench.store.fill_conversation().await.unwrap() {}
    bench.assert_verified(&tenant).await;
    let filter = Filter { limit: 1000, ..Filter::default() };
    let all = bench.store.interactions(tenant.id, &filter).await.unwrap();
    assert_eq!((all.len(), all.iter().filter(|one| one.customer_id.is_none()).count()), (48, 0));
    for customer in ["c0", "c3"] {
        let id = self::customer(bench, &tenant, customer).await;
        let own = all.iter().filter(|one| one.customer_id.as_ref() == Some(&id));
        let scored = own.filter(|one| one.score.is_some()).count() as i64;
        let sums = bench.store.customer_sentiment(tenant.id, &id).await.unwrap().totals;
        assert_eq!(sums.scored, scored, "{customer}");
    }
}

pub async fn conversations_of_before_are_given(bench: &Bench) {
    const STEP: &str = include_str!("../../migrations/0029_whose.sql");
    let tenant = bench.tenant("whose-before").await;
    let early = take(bench, &tenant, &[note("n1", "t1", "cross: -60"), note("n2", "t2", "cross: -50")]).await;
    take(bench, &tenant, &[line("1", "ana", "t1", "It broke: -40"), line("2", "cy", "t2", "It broke: -40")])
        .await;
    bench.score_all(&tenant, score_of).await;
    // As it was: nobody's, though somebody wrote in it. The second began before all that is left of it, with somebody who was erased.
    let t = tenant.id.0;
    let before = format!(
        "UPDATE interaction SET customer_id = NULL WHERE tenant_id = {t} AND kind = 'note'; \
         UPDATE interaction_sentiment SET customer_id = NULL WHERE tenant_id = {t} AND interaction_id IN ('{}', '{}'); \
         UPDATE conversation SET customer_id = NULL WHERE tenant_id = {t}; \
         UPDATE conversation SET opened_at = '2020-01-01 00:00:00+00:00' WHERE tenant_id = {t} AND external_id = 't2'; \
         INSERT INTO conversation_guest (tenant_id, customer_id, conversation_id) SELECT tenant_id, customer_id, conversation_id \
         FROM interaction WHERE tenant_id = {t} AND customer_id IS NOT NULL",
        early[0], early[1]
    );
    let db = Database::connect(&bench.url).await.unwrap();
    let data =
        STEP.split(";\n").filter(|s| ["UPDATE ", "DELETE ", "INSERT "].iter().any(|word| s.contains(word)));
    for statement in before.split("; ").chain(data) {
        db.execute_unprepared(statement).await.unwrap();
    }
    db.close().await.unwrap();
    bench.store.rebuild(tenant.id).await.unwrap();
    while bench.store.fill_conversation().await.unwrap() {}
    bench.assert_verified(&tenant).await;
    let ana = customer(bench, &tenant, "ana").await;
    assert_eq!(whose(bench, &tenant, &early[0]).await.as_ref(), Some(&ana));
    assert_eq!(bench.store.customer_sentiment(tenant.id, &ana).await.unwrap().totals.sum_score, -100);
    assert_eq!(whose(bench, &tenant, &early[1]).await, None, "that may be about who was erased");
}
