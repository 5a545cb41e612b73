//! What comes in: the same again, whom it mentions, and by what they are known.

use super::*;

pub(crate) async fn the_same_again_is_the_same(bench: &Bench) {
    let tenant = bench.tenant("same").await;
    let take = async |items: &[Incoming]| bench.store.accept(tenant.id, items).await.unwrap();
    let first = take(&[item("1", "ana", "It broke"), item("2", "bo", "Fine now")]).await;
    assert!(first.iter().all(|a| matches!(a, Accepted::Created { .. })));
    let again =
        take(&[item("2", "bo", "Fine now"), item("1", "ana", "It broke again"), item("3", "ana", "x")]).await;
    assert_eq!(again[0], Accepted::Duplicate { id: first[1].id().to_owned() });
    assert_eq!(again[1], Accepted::Conflict { id: first[0].id().to_owned() });
    assert!(matches!(again[2], Accepted::Created { .. }));
    // The same id several times in one batch, and one without an id twice.
    let mut update = item("4", "ana", "later");
    update.arrival.update = true;
    let batch = [
        item("4", "ana", "now"),
        item("4", "ana", "now"),
        update,
        item("4", "ana", "now"),
        item("", "x", "a"),
        item("", "x", "a"),
    ];
    let mixed = take(&batch).await;
    let id = mixed[0].id().to_owned();
    assert!(matches!(&mixed[0], Accepted::Created { .. }));
    assert_eq!(mixed[1], Accepted::Duplicate { id: id.clone() });
    assert_eq!(mixed[2], Accepted::Updated { id: id.clone() });
    assert_eq!(mixed[3], Accepted::Conflict { id: id.clone() });
    assert!(mixed[4] != mixed[5] && matches!(mixed[5], Accepted::Created { .. }));
    assert_eq!(bench.store.text(tenant.id, &id).await.unwrap().as_deref(), Some("later"));
    assert_eq!(bench.store.interaction(tenant.id, &id).await.unwrap().unwrap().revision, 2);
    // A text as long as they come, in one piece.
    let long = "😀 ".repeat(200_000);
    let kept = take(&[item("5", "ana", &long)]).await;
    assert_eq!(bench.store.text(tenant.id, kept[0].id()).await.unwrap(), Some(long));
}

pub(crate) async fn mentions_create_and_fill_in(bench: &Bench) {
    let tenant = bench.tenant("people").await;
    let mut told = item("1", "ana", "It broke");
    told.arrival.interaction.account = Some("acme".to_owned());
    told.arrival.interaction.agent = Some("a7".to_owned());
    told.arrival.interaction.conversation = Some("t1".to_owned());
    told.arrival.customer = CustomerDetails {
        name: Some("Ana".to_owned()),
        segment: Some("gold".to_owned()),
        ..CustomerDetails::default()
    };
    told.arrival.agent = AgentDetails { team: Some("north".to_owned()), ..AgentDetails::default() };
    bench.store.accept(tenant.id, &[told, item("2", "ana", "Again")]).await.unwrap();
    let ana = bench.store.customer(tenant.id, "ana").await.unwrap().unwrap();
    assert_eq!((ana.name.as_deref(), ana.segment.as_deref()), (Some("Ana"), Some("gold")));
    assert!(ana.account_id.is_some());
    // What is told later is filled in, and what is not told stays.
    let phone = CustomerDetails {
        phone: Some("+49 30 1".to_owned()),
        attributes: json!({"tier": 2}).as_object().cloned(),
        ..CustomerDetails::default()
    };
    let id = bench.store.save_person(&act(&tenant), "ana", &Person::Customer(phone, None)).await.unwrap();
    let ana = bench.store.customer(tenant.id, &id).await.unwrap().unwrap();
    assert_eq!((ana.name.as_deref(), ana.phone.as_deref()), (Some("Ana"), Some("+49 30 1")));
    assert_eq!(ana.attributes, Some(json!({"tier": 2})));
    let account = AccountDetails { name: Some("Acme".to_owned()), ..AccountDetails::default() };
    bench.store.save_person(&act(&tenant), "acme", &Person::Account(account)).await.unwrap();
    bench.store.save_person(&act(&tenant), "north", &Person::Team(Some("North".to_owned()))).await.unwrap();
    let agent = AgentDetails {
        name: Some("Mei".to_owned()),
        team: Some("south".to_owned()),
        ..AgentDetails::default()
    };
    bench.store.save_person(&act(&tenant), "a7", &Person::Agent(agent)).await.unwrap();
    let talk = ConversationDetails { tags: Some(vec!["vip".to_owned()]), ..ConversationDetails::default() };
    bench
        .store
        .save_person(&act(&tenant), "t1", &Person::Conversation(talk, Some("ana".to_owned())))
        .await
        .unwrap();
    assert!(bench.store.set_opted_out(&act(&tenant), &ana.id, true).await.unwrap());
    let since = async || bench.store.customer(tenant.id, "ana").await.unwrap().unwrap().opted_out_at;
    let first = since().await;
    assert!(first.is_some());
    bench.advance(60);
    assert!(bench.store.set_opted_out(&act(&tenant), &ana.id, true).await.unwrap());
    assert_eq!(since().await, first, "said again, it holds since it was said first");
    let filter = undertone_store::audit::Filter { action: Some("customer_opt_out"), ..Default::default() };
    assert_eq!(bench.store.audit(tenant.id, &filter, None, 10).await.unwrap().len(), 1);
    let claimed = bench.claim(&tenant, "w").await;
    assert!(claimed.iter().all(|c| c.opted_out && c.segment == "gold"));
    assert!(!bench.store.set_opted_out(&act(&tenant), "nobody", true).await.unwrap());
}

pub(crate) async fn people_are_known_by_all_their_names(bench: &Bench) {
    let (tenant, other) = (bench.tenant("known-people").await, bench.tenant("people2").await);
    let raw = sea_orm::Database::connect(bench.url.clone()).await.unwrap();
    for tenant in [&tenant, &other] {
        let mut with_agent = item("1", "ana", "It broke again");
        with_agent.arrival.interaction.agent = Some("bo".to_owned());
        // A conversation in which two answer; what is written last tells neither.
        let of_thread = |id: &str, customer: &str, agent: Option<&str>| {
            let mut item = item(id, customer, "Bo B. promised to call");
            item.arrival.interaction.conversation = Some("thread".to_owned());
            item.arrival.interaction.agent = agent.map(str::to_owned);
            item
        };
        let items = [
            with_agent,
            item("2", "cy", "It broke once"),
            item("3", "nobody", "It broke"),
            of_thread("4", "cy", Some("bo")),
            of_thread("5", "cy", Some("cleo")),
            of_thread("6", "cy", None),
        ];
        bench.store.accept(tenant.id, &items).await.unwrap();
        let told = |name: &str, email: &str, phone: &str| CustomerDetails {
            name: Some(format!("{name} {}", tenant.slug)),
            email: Some(email.to_owned()),
            phone: Some(phone.to_owned()),
            ..CustomerDetails::default()
        };
        for (id, details) in
            [("ana", told("Ana", "ana@example.com", "+49 30 1")), ("cy", told("Cy", "cy@example.com", "2"))]
        {
            bench.store.save_person(&act(tenant), id, &Person::Customer(details, None)).await.unwrap();
        }
        let agent = AgentDetails {
            name: Some("Bo B.".to_owned()),
            email: Some("bo@example.com".to_owned()),
            ..AgentDetails::default()
        };
        bench.store.save_person(&act(tenant), "bo", &Person::Agent(agent)).await.unwrap();
        let agent = AgentDetails { name: Some("Cleo D.".to_owned()), ..AgentDetails::default() };
        bench.store.save_person(&act(tenant), "cleo", &Person::Agent(agent)).await.unwrap();
        for (kind, value) in [("email", "old@example.com"), ("phone", "3"), ("nickname", "Anka")] {
            let add = format!(
                "INSERT INTO customer_alias (tenant_id, kind, value, customer_id) \
                 SELECT tenant_id, '{kind}', '{value}', id FROM customer WHERE tenant_id = {} AND external_id = 'ana'",
                tenant.id.0
            );
            sea_orm::ConnectionTrait::execute_unprepared(&raw, &add).await.unwrap();
        }
    }
    raw.close().await.unwrap();
    let claimed = bench.claim(&tenant, "w").await;
    let people = bench.store.people_of(tenant.id, &claimed).await.unwrap();
    let of = |n: usize| {
        let one = claimed.iter().find(|one| one.interaction.external_id == n.to_string()).unwrap();
        let mut all = [Vec::new(), Vec::new(), Vec::new()];
        for Traces { names, emails, phones } in people.of(one).cloned() {
            all.iter_mut().zip([names, emails, phones]).for_each(|(all, more)| all.extend(more));
        }
        all.iter_mut().for_each(|values| values.sort());
        all
    };
    let texts = |values: &[&str]| values.iter().map(|v| (*v).to_owned()).collect::<Vec<_>>();
    assert_eq!(
        of(1),
        [
            texts(&["Ana known-people", "Anka", "Bo B."]),
            texts(&["ana@example.com", "bo@example.com", "old@example.com"]),
            texts(&["+49 30 1", "3"])
        ]
    );
    assert_eq!(of(2), [texts(&["Cy known-people"]), texts(&["cy@example.com"]), texts(&["2"])]);
    assert_eq!(of(3), [texts(&[]), texts(&[]), texts(&[])]);
    for n in 4..=6 {
        let names = texts(&["Bo B.", "Cleo D.", "Cy known-people"]);
        assert_eq!(of(n), [names, texts(&["bo@example.com", "cy@example.com"]), texts(&["2"])], "{n}");
    }
    assert!(bench.store.people_of(other.id, &claimed).await.unwrap().of(&claimed[0]).next().is_none());
    assert!(bench.store.people_of(tenant.id, &[]).await.unwrap().of(&claimed[0]).next().is_none());
    let mut many = vec![claimed[0].clone(); 600];
    for (number, one) in many.iter_mut().enumerate() {
        one.interaction.conversation = Some(format!("c{number}"));
    }
    assert!(bench.store.people_of(tenant.id, &many).await.unwrap().of(&claimed[0]).next().is_some());
}
