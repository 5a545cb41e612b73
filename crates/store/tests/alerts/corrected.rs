//! Corrections raise and withdraw alerts as scores do.

use super::*;

on_both_databases!(sqlite, postgres, suite);

async fn suite(url: String) {
    let bench = Bench::open(url).await;
    what_a_person_finds_low_is_told(&bench).await;
    a_correction_that_is_cleared_is_as_if_it_was_never_there(&bench).await;
    many_who_correct_raise_one_alert(&bench).await;
    an_incident_holds_back_what_is_corrected(&bench).await;
    a_module_that_is_off_raises_nothing(&bench).await;
    something_else_that_is_low_takes_over(&bench).await;
    a_false_alarm_swallows_no_real_one(&bench).await;
    what_is_negative_is_told_with_the_score_that_makes_it_so(&bench).await;
}

impl Bench {
    /// Takes in what customers say.
    async fn accept(&self, tenant: &Tenant, what: impl Iterator<Item = (String, String)>) {
        let items: Vec<Incoming> = what
            .enumerate()
            .map(|(i, (customer, text))| {
                let mut interaction = Interaction::message("api", &format!("accepted-{i}"), &text);
                interaction.customer = Some(customer);
                Incoming { digest: text, arrival: Arrival::of(interaction) }
            })
            .collect();
        self.store.accept(tenant.id, &items).await.unwrap();
    }

    /// Scores one interaction; answers its id.
    async fn scored_one(&self, tenant: &Tenant, what: (&str, &str, i64)) -> String {
        let wanted = undertone_store::interactions::Filter { limit: 1, ..Default::default() };
        self.score(tenant, &[what]).await;
        self.store.interactions(tenant.id, &wanted).await.unwrap().remove(0).id
    }

    async fn correct(&self, tenant: &Tenant, interaction: &str, score: i64) {
        let correction = Correction::of(Some(Score::new(score).unwrap()), None).unwrap().unwrap();
        let said = Said::Set { correction, reason: None };
        self.store.say(&act(tenant), interaction, said, Seen::Unknown).await.unwrap().unwrap();
    }

    async fn clear(&self, tenant: &Tenant, interaction: &str) {
        self.store.say(&act(tenant), interaction, Said::Clear, Seen::Unknown).await.unwrap().unwrap();
    }

    /// The alerts, the oldest first, each with its score and where it stands.
    async fn standing(&self, tenant: &Tenant) -> Vec<(i64, AlertState)> {
        self.alerts(tenant, None).await.into_iter().rev().map(|a| (a.score.unwrap(), a.state)).collect()
    }
}

async fn what_a_person_finds_low_is_told(bench: &Bench) {
    let tenant = bench.tenant("found").await;
    let id = bench.scored_one(&tenant, ("ana", "billing", 20)).await;
    bench.correct(&tenant, &id, -49).await;
    assert_eq!(bench.standing(&tenant).await, []);
    bench.correct(&tenant, &id, -50).await;
    assert_eq!(bench.standing(&tenant).await, [(-50, AlertState::Open)], "at the threshold");
    let alert = bench.alerts(&tenant, None).await.remove(0);
    assert_eq!((alert.interaction_id.as_str(), alert.threshold), (id.as_str(), Some(-50)));
    assert_eq!((alert.category.as_str(), alert.channel.as_str()), ("billing", "email"));
    assert_eq!((alert.label.as_deref(), alert.customer_id.is_some()), (Some("negative"), true));
    bench.events(&tenant).await;
    let raised = Following { kinds: Some(&[EventKind::AlertRaised]), most: 10 };
    let (told, _) = bench.store.events_after(tenant.id, 0, &raised).await.unwrap();
    assert_eq!(told.len(), 1);
    let payload = serde_json::to_string(&told[0].payload).unwrap();
    assert!(payload.contains("canary-summary") && payload.contains("\"score\":-50"), "{payload}");
    // Lower still, it is the same matter, however late.
    bench.advance(60);
    bench.correct(&tenant, &id, -90).await;
    assert_eq!(bench.standing(&tenant).await, [(-50, AlertState::Open)]);
    bench.clear(&tenant, &id).await;
    assert_eq!(
        bench.standing(&tenant).await,
        [(-50, AlertState::Withdrawn)],
        "the scorer's word is no low one"
    );
}

async fn a_correction_that_is_cleared_is_as_if_it_was_never_there(bench: &Bench) {
    let tenant = bench.tenant("cleared").await;
    let (ana, ben) = (
        bench.scored_one(&tenant, ("ana", "billing", -80)).await,
        bench.scored_one(&tenant, ("ben", "delivery", -70)).await,
    );
    let bens = bench.alerts(&tenant, None).await.remove(0);
    bench.store.move_alert(&act(&tenant), (&bens.id, None), Move::Acknowledge).await.unwrap();
    bench.correct(&tenant, &ana, 10).await;
    bench.correct(&tenant, &ben, 10).await;
    bench.clear(&tenant, &ana).await;
    let mut now =
        vec![(-80, AlertState::Withdrawn), (-70, AlertState::Acknowledged), (-80, AlertState::Open)];
    assert_eq!(
        bench.standing(&tenant).await,
        now,
        "people were told that it is nothing, and it is something"
    );
    bench.correct(&tenant, &ana, 10).await;
    bench.advance(30);
    bench.clear(&tenant, &ana).await;
    bench.clear(&tenant, &ben).await;
    now[2].1 = AlertState::Withdrawn;
    now.push((-80, AlertState::Open));
    assert_eq!(bench.standing(&tenant).await, now, "of ben's somebody takes care already");
    assert_eq!(bench.count(&tenant, "alert.raised").await, 4);
}

async fn many_who_correct_raise_one_alert(bench: &Bench) {
    let tenant = bench.tenant("corrected").await;
    let mut ids = Vec::new();
    for _ in 0..8 {
        ids.push(bench.scored_one(&tenant, ("ana", "billing", 20)).await);
        bench.clock.advance(TimeDelta::seconds(1));
    }
    // Others record what is low about the same at the same moment.
    let text = |i: usize| format!("{} -80", ["billing", "delivery"][i % 2]);
    bench.accept(&tenant, (0..60).map(|i| (format!("customer-{}", i % 5), text(i)))).await;
    let corrected = futures::future::join_all(ids.iter().map(|id| bench.correct(&tenant, id, -60)));
    let workers = (0..4).map(async |i| bench.record_all(&tenant, &format!("worker-{i}")).await);
    let (_, scored) = futures::future::join(corrected, futures::future::join_all(workers)).await;
    assert_eq!(scored.into_iter().sum::<usize>(), 60);
    assert_eq!(bench.alerts(&tenant, None).await.len(), 6, "one of each customer");
}

async fn an_incident_holds_back_what_is_corrected(bench: &Bench) {
    let tenant = bench.tenant("held").await;
    let id = bench.scored_one(&tenant, ("late", "outage", 20)).await;
    for i in 0..12 {
        bench.score(&tenant, &[(&format!("customer-{i}"), "outage", -70)]).await;
    }
    let told = bench.count(&tenant, "alert.raised").await;
    bench.correct(&tenant, &id, -60).await;
    assert_eq!(bench.standing(&tenant).await.last(), Some(&(-60, AlertState::Held)));
    assert_eq!(bench.count(&tenant, "alert.raised").await, told);
    // Workers and people wait for each other at the incident and at the counters, and never in a circle.
    let mut ids = Vec::new();
    for i in 0..60 {
        ids.push(bench.scored_one(&tenant, (&format!("person-{i}"), "outage", 20)).await);
        bench.clock.advance(TimeDelta::seconds(1));
    }
    bench.accept(&tenant, (0..400).map(|i| (format!("other-{i}"), "outage -80".to_owned()))).await;
    let people = ids.chunks(20).map(async |ids| {
        for id in ids {
            bench.correct(&tenant, id, -60).await;
        }
    });
    let workers = (0..4).map(async |i| bench.record_all(&tenant, &format!("worker-{i}")).await);
    futures::future::join(futures::future::join_all(people), futures::future::join_all(workers)).await;
    let held = Wanted { state: Some(AlertState::Held), most: 1000, ..Wanted::default() };
    let held = bench.store.alerts(tenant.id, &held).await.unwrap().len();
    assert_eq!(held, 1 + 1 + 60 + 400, "and nobody is told of any of them");
    assert_eq!(bench.count(&tenant, "alert.raised").await, told);
}

async fn a_module_that_is_off_raises_nothing(bench: &Bench) {
    let tenant = bench.tenant("off").await;
    let id = bench.scored_one(&tenant, ("ana", "billing", 20)).await;
    assert!(bench.store.set_module_active(&act(&tenant), false).await.unwrap());
    bench.correct(&tenant, &id, -60).await;
    assert_eq!(bench.standing(&tenant).await, []);
}

async fn something_else_that_is_low_takes_over(bench: &Bench) {
    let tenant = bench.tenant("takes-over").await;
    let first = bench.scored_one(&tenant, ("ana", "billing", -80)).await;
    bench.advance(5);
    let second = bench.scored_one(&tenant, ("ana", "delivery", -60)).await;
    bench.score(&tenant, &[("ana", "app", 30), ("ben", "app", -49)]).await;
    assert_eq!(bench.standing(&tenant).await, [(-80, AlertState::Open)], "one cooldown");
    bench.correct(&tenant, &first, 20).await;
    let alert = bench.alerts(&tenant, None).await.remove(0);
    assert_eq!((alert.interaction_id.as_str(), alert.category.as_str()), (second.as_str(), "delivery"));
    assert_eq!((alert.score, alert.state), (Some(-60), AlertState::Open));
    let (_, steps) = bench.store.alert(tenant.id, &alert.id).await.unwrap().unwrap();
    assert_eq!((steps.len(), steps[0].step.as_str(), steps[0].made_by.as_str()), (1, "moved", "user:ana"));
    assert_eq!(bench.count(&tenant, "alert.raised").await, 2, "people hear of the second");
    assert_eq!(bench.count(&tenant, "alert.withdrawn").await, 0);
    bench.correct(&tenant, &second, 20).await;
    assert_eq!(bench.standing(&tenant).await, [(-60, AlertState::Withdrawn)], "nothing low is left");
    assert_eq!(bench.count(&tenant, "alert.withdrawn").await, 1);
    let withdrawn = Following { kinds: Some(&[EventKind::AlertWithdrawn]), most: 10 };
    let (told, _) = bench.store.events_after(tenant.id, 0, &withdrawn).await.unwrap();
    let told = serde_json::to_value(&told[0].payload).unwrap();
    assert_eq!(
        (&told["score"], &told["label"]),
        (&json!(20), &json!("positive")),
        "score and label in force"
    );
}

async fn a_false_alarm_swallows_no_real_one(bench: &Bench) {
    let tenant = bench.tenant("false-alarm").await;
    let first = bench.scored_one(&tenant, ("ana", "billing", -80)).await;
    bench.advance(5);
    bench.correct(&tenant, &first, 10).await;
    bench.advance(5);
    bench.score(&tenant, &[("ana", "billing", -70)]).await;
    let withdrawn = (-80, AlertState::Withdrawn);
    assert_eq!(bench.standing(&tenant).await, [withdrawn, (-70, AlertState::Open)]);
    // What they were told of since is true, and its cooldown goes on.
    let tenant = bench.tenant("true-alarm").await;
    let first = bench.scored_one(&tenant, ("ana", "billing", -80)).await;
    bench.advance(31);
    bench.score(&tenant, &[("ana", "billing", -70)]).await;
    bench.advance(5);
    bench.correct(&tenant, &first, 10).await;
    bench.score(&tenant, &[("ana", "billing", -90)]).await;
    assert_eq!(bench.standing(&tenant).await, [withdrawn, (-70, AlertState::Open)]);
}

async fn what_is_negative_is_told_with_the_score_that_makes_it_so(bench: &Bench) {
    let tenant = bench.tenant("one-truth").await;
    let of = |text: &str| {
        let mut interaction = Interaction::message("api", "revised", text);
        interaction.customer = Some("ana".to_owned());
        let mut arrival = Arrival::of(interaction);
        arrival.update = true;
        Incoming { digest: text.to_owned(), arrival }
    };
    bench.store.accept(tenant.id, &[of("billing 20")]).await.unwrap();
    bench.record_all(&tenant, "worker").await;
    let wanted = undertone_store::interactions::Filter { limit: 1, ..Default::default() };
    let id = bench.store.interactions(tenant.id, &wanted).await.unwrap().remove(0).id;
    bench.correct(&tenant, &id, -70).await;
    // The text is revised and scored anew; what the person said stays.
    bench.store.accept(tenant.id, &[of("billing 40")]).await.unwrap();
    assert_eq!(bench.record_all(&tenant, "worker").await, 1);
    bench.events(&tenant).await;
    let negative = Following { kinds: Some(&[EventKind::SentimentNegative]), most: 10 };
    let (told, _) = bench.store.events_after(tenant.id, 0, &negative).await.unwrap();
    let told: Vec<String> = told.iter().map(|one| serde_json::to_string(&one.payload).unwrap()).collect();
    assert_eq!(told.len(), 1);
    assert!(told[0].contains("\"score\":-70") && told[0].contains("\"label\":\"negative\""), "{told:?}");
}
