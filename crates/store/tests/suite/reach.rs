//! How far those go who only add: what decides who sees what stays as it was, whoever is faster.

use undertone_store::Reach;
use undertone_store::accept::{Accepted, Incoming};
use undertone_store::people::Person;
use undertone_store::{Act, StoreError, Tenant};

use super::{
    AccountDetails, AgentDetails, Bench, ConversationDetails, CustomerDetails, act, futures_of, item, json,
};

/// A text of a customer of an account and a segment, handled by an agent of a team.
fn telling(
    id: &str,
    customer: &str,
    (account, segment): (&str, &str),
    (agent, team): (&str, &str),
) -> Incoming {
    let mut item = item(id, customer, "It broke");
    item.arrival.interaction.account = Some(account.to_owned());
    item.arrival.interaction.agent = Some(agent.to_owned());
    item.arrival.customer.segment = Some(segment.to_owned());
    item.arrival.agent.team = Some(team.to_owned());
    item
}

/// Our id of the customer's account and their segment, and our id of the agent's team.
async fn known(bench: &Bench, tenant: &Tenant, customer: &str, agent: &str) -> [Option<String>; 3] {
    let customer = bench.store.customer(tenant.id, customer).await.unwrap().unwrap();
    let agent = bench.store.agent_by_external_id(tenant.id, agent).await.unwrap().unwrap();
    [customer.account_id, customer.segment, agent.team_id]
}

pub async fn who_adds_changes_nothing_that_decides_who_sees_what(bench: &Bench) {
    let tenant = bench.tenant("reach").await;
    let add = async |items: &[Incoming]| {
        bench.store.accept_within(tenant.id, Reach::Additions, items).await.unwrap()
    };
    let is_new = |accepted: &Accepted| matches!(accepted, Accepted::Created { .. });
    let beyond = |accepted: &Accepted| match accepted {
        Accepted::NotAllowed { field, .. } => *field,
        _ => "",
    };
    // Whom nobody knows is told with everything, and told the same again.
    let first = telling("1", "ana", ("acme", "gold"), ("bo", "north"));
    assert!(is_new(&add(std::slice::from_ref(&first)).await[0]));
    assert!(matches!(add(std::slice::from_ref(&first)).await[0], Accepted::Duplicate { .. }));
    let before = known(bench, &tenant, "ana", "bo").await;
    assert!(before.iter().all(Option::is_some), "{before:?}");
    bench.store.accept(tenant.id, &[item("2", "cy", "It broke")]).await.unwrap();

    let mut revised = Incoming { digest: "other".to_owned(), ..first.clone() };
    revised.arrival.update = true;
    let mut same = first.clone();
    same.arrival.update = true;
    let mut closing = item("7", "ana", "It broke");
    closing.arrival.interaction.conversation = Some("talk".to_owned());
    closing.arrival.conversation.closed = Some(true);
    let mut named = telling("8", "ana", ("acme", "gold"), ("bo", "north"));
    named.arrival.customer.name = Some("Ana".to_owned());
    let taken = add(&[
        telling("3", "ana", ("other", "gold"), ("bo", "north")),
        telling("4", "ana", ("acme", "silver"), ("bo", "north")),
        telling("5", "ana", ("acme", "gold"), ("bo", "south")),
        telling("6", "cy", ("acme", "gold"), ("bo", "north")),
        closing,
        revised.clone(),
        same,
        named,
    ])
    .await;
    let told: Vec<&str> = taken.iter().map(beyond).collect();
    assert_eq!(
        told,
        ["account", "customer.segment", "agent.team", "account", "conversation.state", "on_conflict", "", ""]
    );
    assert!(matches!(taken[6], Accepted::Duplicate { .. }) && is_new(&taken[7]), "{taken:?}");
    assert_eq!(known(bench, &tenant, "ana", "bo").await, before);
    let ana = bench.store.customer(tenant.id, "ana").await.unwrap().unwrap();
    assert_eq!(ana.name.as_deref(), Some("Ana"), "what decides nothing is filled in");

    let customer = |account: Option<&str>, segment: Option<&str>| {
        let details = CustomerDetails {
            name: Some("Someone".to_owned()),
            segment: segment.map(str::to_owned),
            ..CustomerDetails::default()
        };
        Person::Customer(details, account.map(str::to_owned))
    };
    let agent = Person::Agent(AgentDetails { team: Some("south".to_owned()), ..AgentDetails::default() });
    for (id, person) in [
        ("ana", &customer(Some("other"), None)),
        ("ana", &customer(None, Some("silver"))),
        ("cy", &customer(Some("acme"), None)),
        ("bo", &agent),
    ] {
        let saved = bench.store.save_person_within(&act(&tenant), Reach::Additions, id, person).await;
        assert!(matches!(&saved, Err(StoreError::NotAllowed(_))), "{id} {person:?}: {saved:?}");
        let ana = bench.store.customer(tenant.id, "ana").await.unwrap().unwrap();
        assert_eq!(ana.name.as_deref(), Some("Ana"), "nothing of it is saved");
    }
    assert_eq!(known(bench, &tenant, "ana", "bo").await, before);
    let same = customer(Some("acme"), Some("gold"));
    bench.store.save_person_within(&act(&tenant), Reach::Additions, "ana", &same).await.unwrap();

    // A source changes all of it.
    let change = telling("9", "ana", ("other", "silver"), ("bo", "south"));
    let taken = bench.store.accept(tenant.id, &[revised, change]).await.unwrap();
    assert!(matches!(taken[0], Accepted::Updated { .. }) && is_new(&taken[1]), "{taken:?}");
    let after = known(bench, &tenant, "ana", "bo").await;
    assert!(before.iter().zip(&after).all(|(before, after)| before != after), "{after:?}");

    // Both tell of somebody new at the same moment: what the source says stays.
    for round in 0..5 {
        let (customer, agent) = (format!("new-{round}"), format!("agent-{round}"));
        futures_of(6, async |n| {
            let (reach, told, team) = match n % 2 {
                0 => (Reach::Changes, ("theirs", "theirs"), "theirs"),
                _ => (Reach::Additions, ("mine", "mine"), "mine"),
            };
            let one = telling(&format!("race-{round}-{n}"), &customer, told, (&agent, team));
            bench.store.accept_within(tenant.id, reach, &[one]).await.unwrap();
        })
        .await;
        let [_, segment, _] = known(bench, &tenant, &customer, &agent).await;
        let agent = bench.store.agent_by_external_id(tenant.id, &agent).await.unwrap().unwrap();
        assert_eq!((segment.as_deref(), agent.team.as_deref()), (Some("theirs"), Some("theirs")));
    }
}

/// Its queue says with whom it is counted, and whose it is who sees it.
pub async fn who_adds_moves_no_conversation(bench: &Bench) {
    let tenant = bench.tenant("reach-moved").await;
    let store = &bench.store;
    let of = |id: &str, customer: Option<&str>, (talk, queue): (&str, Option<&str>)| {
        let mut one = item(id, "", "It broke");
        one.arrival.interaction.customer = customer.map(str::to_owned);
        one.arrival.interaction.conversation = Some(talk.to_owned());
        one.arrival.conversation.queue = queue.map(str::to_owned);
        one
    };
    let add = async |one: Incoming| {
        store.accept_within(tenant.id, Reach::Additions, &[one]).await.unwrap().remove(0)
    };
    let is_new = |accepted: &Accepted| matches!(accepted, Accepted::Created { .. });
    let is_beyond =
        |accepted: &Accepted| matches!(accepted, Accepted::NotAllowed { field: "conversation.queue", .. });
    let put = async |talk: &str, queue: &str| {
        let details = ConversationDetails { queue: Some(queue.to_owned()), ..ConversationDetails::default() };
        let told = Person::Conversation(details, None);
        store.save_person_within(&act(&tenant), Reach::Additions, talk, &told).await
    };
    assert!(is_new(&add(of("1", None, ("with", Some("eu")))).await));
    assert!(is_new(&add(of("2", None, ("without", None))).await));
    for (n, (talk, queue)) in [("with", "us"), ("without", "us")].into_iter().enumerate() {
        assert!(is_beyond(&add(of(&format!("moved-{n}"), None, (talk, Some(queue)))).await));
        assert!(matches!(put(talk, queue).await, Err(StoreError::NotAllowed(_))));
    }
    assert!(is_new(&add(of("3", None, ("with", Some("eu")))).await));
    put("with", "eu").await.unwrap();
    put("new", "us").await.unwrap();

    // What stands in one that is nobody's stays nobody's, until a source says whose it is.
    let note = store.accept(tenant.id, &[of("note", None, ("nobodys", None))]).await.unwrap().remove(0);
    let whose = async || store.interaction(tenant.id, note.id()).await.unwrap().unwrap().customer_id;
    assert!(is_new(&add(of("4", Some("ana"), ("nobodys", None))).await));
    assert_eq!(whose().await, None);
    store.accept(tenant.id, &[of("5", Some("ana"), ("nobodys", None))]).await.unwrap();
    let ana = store.customer(tenant.id, "ana").await.unwrap().unwrap();
    assert_eq!(whose().await, Some(ana.id));
    // One that begins with its customer is theirs, whoever hands that in.
    let named = add(of("6", Some("ana"), ("begun", None))).await;
    let reply = add(of("7", None, ("begun", None))).await;
    assert!(is_new(&named) && is_new(&reply));
    let reply = store.interaction(tenant.id, reply.id()).await.unwrap().unwrap();
    assert!(reply.customer_id.is_some());
}

pub async fn what_people_change_is_noted(bench: &Bench) {
    let tenant = bench.tenant("reach-noted").await;
    let customer = |account: Option<&str>, segment: Option<&str>, email: Option<&str>| {
        let details = CustomerDetails {
            segment: segment.map(str::to_owned),
            email: email.map(str::to_owned),
            ..CustomerDetails::default()
        };
        Person::Customer(details, account.map(str::to_owned))
    };
    let agent =
        |team: &str| Person::Agent(AgentDetails { team: Some(team.to_owned()), ..AgentDetails::default() });
    let lead = Act { from: Some("192.0.2.7"), ..Act::new(tenant.id, "user:lead") };
    let save = async |act: &Act<'_>, id: &str, person: &Person| {
        bench.store.save_person(act, id, person).await.unwrap()
    };
    // A source that hands in says so all the time: the log is of what people do.
    let key = Act::new(tenant.id, "key:crm");
    let ana = save(&key, "ana", &customer(Some("acme"), Some("gold"), Some("ana@example.com"))).await;
    let bo = save(&key, "bo", &agent("north")).await;
    save(&lead, "ana", &customer(Some("other"), None, None)).await;
    save(&lead, "ana", &customer(Some("other"), Some("gold"), None)).await;
    save(&lead, "ana", &customer(None, Some("silver"), Some("elsewhere@example.com"))).await;
    save(&lead, "bo", &agent("south")).await;
    save(&lead, "bo", &agent("south")).await;
    let told = async |action: &'static str, subject: &str| {
        let filter = undertone_store::audit::Filter { action: Some(action), ..Default::default() };
        let mut entries = bench.store.audit(tenant.id, &filter, None, 10).await.unwrap();
        entries.sort_by(|a, b| a.id.cmp(&b.id));
        assert!(entries.iter().all(|one| one.subject == subject && one.actor == "user:lead"));
        assert!(entries.iter().all(|one| one.from.as_deref() == Some("192.0.2.7")));
        let payload = |text: Option<String>| serde_json::from_str(&text.unwrap()).unwrap();
        entries.into_iter().map(|one| payload(one.payload)).collect::<Vec<serde_json::Value>>()
    };
    assert_eq!(
        told("customer_changed", &ana).await,
        [
            json!({"before": {"account": "acme", "segment": "gold"}, "after": {"account": "other", "segment": "gold"}, "changed": []}),
            json!({"before": {"account": "other", "segment": "gold"}, "after": {"account": "other", "segment": "silver"}, "changed": ["email"]}),
        ],
        "what nobody changed is not noted, and no address is"
    );
    let moved = json!({"before": {"team": "north"}, "after": {"team": "south"}, "changed": []});
    assert_eq!(told("agent_changed", &bo).await, [moved]);
}

pub async fn what_people_change_of_what_belongs_to_customers_is_noted(bench: &Bench) {
    let tenant = bench.tenant("belongs").await;
    let (lead, key) = (Act::new(tenant.id, "user:lead"), Act::new(tenant.id, "key:crm"));
    let account = |name: &str, plan: &str, value: i64| {
        Person::Account(AccountDetails {
            name: Some(name.to_owned()),
            plan: Some(plan.to_owned()),
            value_cents: Some(value),
        })
    };
    let team = |name: &str| Person::Team(Some(name.to_owned()));
    let talk = |subject: &str, priority: &str, tag: &str| {
        let details = ConversationDetails {
            subject: Some(subject.to_owned()),
            priority: Some(priority.to_owned()),
            queue: Some("support".to_owned()),
            tags: Some(vec![tag.to_owned()]),
            ..ConversationDetails::default()
        };
        Person::Conversation(details, None)
    };
    let customer = |note: &str| {
        let attributes = json!({"note": note}).as_object().cloned();
        Person::Customer(CustomerDetails { attributes, ..CustomerDetails::default() }, None)
    };
    let save = async |act: &Act<'_>, id: &str, person: &Person| {
        bench.store.save_person(act, id, person).await.unwrap()
    };
    // What a source hands in is not noted; nor is what somebody says again.
    let mut ids = std::collections::HashMap::new();
    for (by, again) in [(&key, false), (&lead, true)] {
        for (id, person) in [
            ("acme", account("Acme", "basic", 100)),
            ("north", team("North")),
            ("t1", talk("About a canary", "low", "canary")),
            ("ana", customer("canary")),
        ] {
            ids.insert(id, save(by, id, &person).await);
            if again {
                save(by, id, &person).await;
            }
        }
    }
    save(&lead, "acme", &account("Acme Ltd", "gold", 900)).await;
    save(&lead, "north", &team("North and East")).await;
    save(&lead, "t1", &talk("Another canary", "high", "other canary")).await;
    save(&lead, "ana", &customer("other canary")).await;
    for (action, subject, payload) in [
        (
            "account_changed",
            "acme",
            json!({"before": {"plan": "basic", "value_cents": 100}, "after": {"plan": "gold", "value_cents": 900}, "changed": ["name"]}),
        ),
        (
            "team_changed",
            "north",
            json!({"before": {"name": "North"}, "after": {"name": "North and East"}, "changed": []}),
        ),
        (
            "conversation_changed",
            "t1",
            json!({"before": {"priority": "low", "queue": "support"}, "after": {"priority": "high", "queue": "support"}, "changed": ["subject", "tags"]}),
        ),
        (
            "customer_changed",
            "ana",
            json!({"before": {"account": null, "segment": null}, "after": {"account": null, "segment": null}, "changed": ["attributes"]}),
        ),
    ] {
        let filter = undertone_store::audit::Filter { action: Some(action), ..Default::default() };
        let entries = bench.store.audit(tenant.id, &filter, None, 10).await.unwrap();
        assert_eq!(entries.len(), 1, "{action}: {entries:?}");
        let told: serde_json::Value = serde_json::from_str(entries[0].payload.as_deref().unwrap()).unwrap();
        assert_eq!(
            (&told, &entries[0].subject, entries[0].actor.as_str()),
            (&payload, &ids[subject], "user:lead")
        );
    }
}

pub async fn to_whom_people_give_a_conversation_is_noted(bench: &Bench) {
    let tenant = bench.tenant("given").await;
    let store = &bench.store;
    let lead = Act { from: Some("192.0.2.7"), ..Act::new(tenant.id, "user:lead") };
    let key = Act::new(tenant.id, "key:crm");
    let of = |customer: Option<&str>| {
        Person::Conversation(ConversationDetails::default(), customer.map(str::to_owned))
    };
    let save = async |act: &Act<'_>, id: &str, whose: Option<&str>| {
        store.save_person(act, id, &of(whose)).await.unwrap()
    };
    let noted = async || {
        let filter =
            undertone_store::audit::Filter { action: Some("conversation_given"), ..Default::default() };
        store.audit(tenant.id, &filter, None, 10).await.unwrap()
    };
    // A note that names nobody stands in it.
    let mut note = item("n1", "", "they sound cross: -60");
    note.arrival.interaction.customer = None;
    note.arrival.interaction.conversation = Some("t1".to_owned());
    let id = store.accept(tenant.id, &[note]).await.unwrap()[0].id().to_owned();
    let whose = async || store.interaction(tenant.id, &id).await.unwrap().unwrap().customer_id;
    let talk = save(&lead, "t1", None).await;
    assert_eq!(
        (noted().await, whose().await),
        (vec![], None),
        "who says nothing of whose it is gives nothing"
    );
    save(&lead, "t1", Some("ana")).await;
    let ana = store.customer(tenant.id, "ana").await.unwrap().unwrap().id;
    assert_eq!(whose().await.as_ref(), Some(&ana));
    // It is ana's from now on, whatever is said; that is no change.
    for again in [Some("ana"), Some("cy"), None] {
        assert_eq!(save(&lead, "t1", again).await, talk);
    }
    // A conversation that begins with its customer was nobody's never, and what a source says is not noted.
    save(&lead, "t2", Some("ana")).await;
    save(&key, "t3", None).await;
    save(&key, "t3", Some("ana")).await;
    let entries = noted().await;
    assert_eq!(entries.len(), 1, "{entries:?}");
    let entry = &entries[0];
    assert_eq!(
        (&entry.subject, entry.actor.as_str(), entry.from.as_deref()),
        (&talk, "user:lead", Some("192.0.2.7"))
    );
    let change: serde_json::Value = serde_json::from_str(entry.payload.as_ref().unwrap()).unwrap();
    assert_eq!(change, json!({"before": {"customer": null}, "after": {"customer": ana}}));
}
