//! What else customers go by: each of it belongs to one of them, whichever way it is told.

use undertone_core::arrival::Alias;
use undertone_store::privacy::erase::Whom;

use super::*;

fn alias(kind: &str, value: &str) -> Alias {
    Alias { kind: kind.to_owned(), value: value.to_owned() }
}

pub async fn an_alias_belongs_to_one(bench: &Bench) {
    let tenant = bench.tenant("aliasing").await;
    let other = bench.tenant("aliasing-too").await;
    let save = async |tenant: &Tenant, id: &str, aliases: Option<&[Alias]>| {
        let told = CustomerDetails { aliases: aliases.map(<[Alias]>::to_vec), ..CustomerDetails::default() };
        bench.store.save_person(&act(tenant), id, &Person::Customer(told, Some("acme".to_owned()))).await
    };
    let found = async |id: &str| bench.store.customer(tenant.id, id).await.unwrap().map(|c| c.external_id);
    let all = [alias("email", " Ana@Home.example"), alias("phone", "+49 (170) 1-2"), alias("zendesk", "77")];
    let ana = save(&tenant, "ana", Some(&all)).await.unwrap();
    assert_eq!(save(&tenant, "ana", None).await.unwrap(), ana, "what is not told stays");
    save(&other, "bo", Some(&all)).await.unwrap();
    for taken in [
        alias("email", "ana@home.EXAMPLE"),
        alias("phone", "+49170 12"),
        alias("phone", "0049 170/12"),
        alias("zendesk", "77"),
    ] {
        let refused = save(&tenant, "bo", Some(&[alias("crm", "1"), taken])).await.unwrap_err();
        assert!(matches!(&refused, StoreError::Conflict(_)), "{refused}");
        assert_eq!((found("bo").await, found("crm:1").await), (None, None), "nothing is saved");
    }
    // Several who want the same at once: one gets it.
    let won = futures_of(4, async |n| {
        save(&tenant, &format!("racer-{n}"), Some(&[alias("crm", "9"), alias("shop", "9")])).await.is_ok()
    })
    .await;
    assert_eq!(won.iter().filter(|won| **won).count(), 1);
    assert_eq!(found("zendesk:77").await.as_deref(), Some("ana"));
    for nobody in ["77", "zendesk", "zendesk:7", "email:ana@home.example", "phone:+4917012", ":77"] {
        assert_eq!(found(nobody).await, None, "{nobody}");
    }
    // The source's own id comes first.
    save(&tenant, "zendesk:77", None).await.unwrap();
    assert_eq!(found("zendesk:77").await.as_deref(), Some("zendesk:77"));
    assert_eq!(bench.store.aliases(tenant.id, &ana).await.unwrap().len(), 3);
    save(&tenant, "ana", Some(&[alias("shop", "5")])).await.unwrap();
    assert_eq!(
        bench.store.aliases(tenant.id, &ana).await.unwrap(),
        [alias("shop", "5")],
        "the list is all of them"
    );
    save(&tenant, "bo", Some(&all)).await.unwrap();
    let erased = bench.store.erase(&act(&tenant), &Whom::Id("shop:5")).await.unwrap();
    assert_eq!((erased.len(), erased[0].customer_id.as_str()), (1, ana.as_str()));
    assert_eq!(found("shop:5").await, None);
    for (tenant, erasure) in bench.store.open_erasures().await.unwrap() {
        while bench.store.continue_erasure(tenant, &erasure).await.unwrap().unwrap().done_at.is_none() {}
    }
}

/// An item that tells what else its customer goes by.
fn telling(id: &str, customer: &str, aliases: &[Alias]) -> Incoming {
    let mut item = item(id, customer, "It broke");
    item.arrival.interaction.conversation = Some(format!("talk-{id}"));
    item.arrival.conversation.closed = Some(true);
    item.arrival.customer = CustomerDetails { aliases: Some(aliases.to_vec()), ..CustomerDetails::default() };
    item
}

pub async fn items_tell_aliases_one_after_the_other(bench: &Bench) {
    let tenant = bench.tenant("alias-items").await;
    let take = async |items: &[Incoming]| bench.store.accept(tenant.id, items).await.unwrap();
    let held = async |id: &str| match bench.store.customer(tenant.id, id).await.unwrap() {
        Some(customer) => Some(bench.store.aliases(tenant.id, &customer.id).await.unwrap()),
        None => None,
    };
    let refused = |accepted: &Accepted| match accepted {
        Accepted::AliasTaken { at, why } => Some((*at, why.contains("of the kind crm"))),
        _ => None,
    };
    let taken = take(&[
        telling("1", "ana", &[alias("crm", "1"), alias("email", " Ana@Home.example")]),
        item("2", "ana", "nothing told"),
        telling("3", "bo", &[alias("shop", "1"), alias("crm", " 1 ")]),
        telling("4", "ana", &[alias("email", "ana@home.example"), alias("shop", "2")]),
        telling("5", "cy", &[alias("crm", "1")]),
        item("6", "di", "no aliases"),
    ])
    .await;
    // Ana has what Bo and Cy ask for; what she is told of later is added.
    let told: Vec<_> = taken.iter().map(refused).collect();
    assert_eq!(told, [None, None, Some((1, true)), None, Some((0, true)), None]);
    assert!(taken[0..2].iter().chain([&taken[3], &taken[5]]).all(|a| matches!(a, Accepted::Created { .. })));
    let anas = [alias("crm", "1"), alias("email", "ana@home.example"), alias("shop", "2")];
    assert_eq!(held("ana").await, Some(anas.to_vec()));
    for nobody in ["bo", "cy"] {
        assert_eq!(held(nobody).await, None, "nothing of what is refused is taken in");
    }
    let filter = Filter {
        state: None,
        customer_id: None,
        source: Some("test"),
        external_id: Some("3"),
        before: None,
        limit: 10,
    };
    assert_eq!(bench.store.interactions(tenant.id, &filter).await.unwrap().len(), 0);
    // Many at once who want the same: one gets it, and the others' items alone are refused.
    let raced = futures_of(6, async |n| {
        let name = format!("racer-{n}");
        let wanted = telling(&format!("r{n}"), &name, &[alias("shop", "9"), alias("zendesk", "9")]);
        take(&[wanted, item(&format!("beside-{n}"), &name, "beside it")]).await
    })
    .await;
    assert_eq!(raced.iter().filter(|taken| matches!(taken[0], Accepted::Created { .. })).count(), 1);
    assert!(raced.iter().all(|taken| matches!(taken[1], Accepted::Created { .. })));
    // And many who tell of the same customer: all of what they tell.
    futures_of(6, async |n| {
        take(&[telling(&format!("s{n}"), "eve", &[alias("crm", &format!("e{n}"))])]).await
    })
    .await;
    assert_eq!(held("eve").await.unwrap().len(), 6);
}

/// A file that is handed in a second time, or the same id with other content, tells nothing that holds.
pub async fn what_is_not_taken_in_tells_no_aliases(bench: &Bench) {
    let tenant = bench.tenant("alias-again").await;
    let take = async |items: &[Incoming]| bench.store.accept(tenant.id, items).await.unwrap();
    let held = async |id: &str| {
        let customer = bench.store.customer(tenant.id, id).await.unwrap().unwrap();
        bench.store.aliases(tenant.id, &customer.id).await.unwrap()
    };
    let put = async |id: &str, aliases: &[Alias]| {
        let told = CustomerDetails { aliases: Some(aliases.to_vec()), ..CustomerDetails::default() };
        bench.store.save_person(&act(&tenant), id, &Person::Customer(told, None)).await.unwrap()
    };
    let first = telling("1", "ana", &[alias("email", "old@home.example"), alias("crm", "1")]);
    take(std::slice::from_ref(&first)).await;
    take(&[telling("2", "ana", &[alias("email", "new@home.example")]), telling("3", "ana", &[])]).await;
    let all =
        [alias("crm", "1"), alias("email", "new@home.example"), alias("email", "old@home.example")].to_vec();
    assert_eq!(held("ana").await, all, "the list of an interaction is added, and an empty one takes nothing");
    // Ana gave `crm:1` up, and Bo has it; then the old file comes again.
    put("ana", &[alias("email", "new@home.example")]).await;
    put("bo", &[alias("crm", "1")]).await;
    let mut other = Incoming { digest: "other".to_owned(), ..first.clone() };
    let answers = take(&[first.clone(), other.clone(), item("4", "ana", "beside it")]).await;
    assert!(
        matches!(
            answers[..],
            [Accepted::Duplicate { .. }, Accepted::Conflict { .. }, Accepted::Created { .. }]
        ),
        "{answers:?}"
    );
    assert_eq!(held("ana").await, [alias("email", "new@home.example")]);
    assert_eq!(held("bo").await, [alias("crm", "1")]);
    // Revised, it is taken in: then another's is refused, and a further one is added.
    other.arrival.update = true;
    assert!(matches!(take(std::slice::from_ref(&other)).await[..], [Accepted::AliasTaken { at: 1, .. }]));
    other.arrival.customer.aliases = Some(vec![alias("shop", "7")]);
    assert!(matches!(take(std::slice::from_ref(&other)).await[..], [Accepted::Updated { .. }]));
    assert_eq!(held("ana").await, [alias("email", "new@home.example"), alias("shop", "7")]);
    // In one batch: the first of an id is refused, so the second is new, and a third is known.
    let named = |customer: &str, aliases: &[Alias]| telling("5", customer, aliases);
    let answers = take(&[
        named("cy", &[alias("crm", "1")]),
        named("dan", &[alias("crm", "2")]),
        Incoming { digest: "third".to_owned(), ..named("eve", &[alias("crm", "3")]) },
    ])
    .await;
    assert!(
        matches!(
            answers[..],
            [Accepted::AliasTaken { at: 0, .. }, Accepted::Created { .. }, Accepted::Conflict { .. }]
        ),
        "{answers:?}"
    );
    assert_eq!((held("dan").await, held("eve").await), (vec![alias("crm", "2")], vec![]));
    let answers = take(&["a", "b", "c", "d", "e"].map(|who| telling("6", who, &[alias("crm", "1")]))).await;
    assert!(answers.iter().all(|one| matches!(one, Accepted::AliasTaken { at: 0, .. })), "{answers:?}");
    // The same at the same moment: one of them is taken in.
    let raced = futures_of(6, async |n| {
        take(&[telling("race", "fay", &[alias("crm", &format!("f{n}"))])]).await.remove(0)
    })
    .await;
    assert_eq!(raced.iter().filter(|one| matches!(one, Accepted::Created { .. })).count(), 1, "{raced:?}");
    assert_eq!(held("fay").await.len(), 1);
}

/// Numbers that were kept before there was one spelling for them.
pub async fn numbers_of_before_are_respelled(bench: &Bench) {
    const STEP: &str = include_str!("../../migrations/0024_numbers.sql");
    let tenant = bench.tenant("alias-numbers").await;
    let put = async |id: &str, number: &str| {
        let aliases = Some(vec![alias("phone", number)]);
        let told = CustomerDetails { aliases, ..CustomerDetails::default() };
        bench.store.save_person(&act(&tenant), id, &Person::Customer(told, None)).await.unwrap()
    };
    let (ana, bo) = (put("ana", "+49 1").await, put("bo", "+49 2").await);
    let t = tenant.id.0;
    let before = format!(
        "INSERT INTO customer_alias (tenant_id, kind, value, customer_id) VALUES ({t}, 'phone', '00491', '{ana}'), \
         ({t}, 'phone', '00492', '{ana}'), ({t}, 'phone', '00493', '{bo}'), ({t}, 'crm', '00494', '{bo}')"
    );
    let db = sea_orm::Database::connect(&bench.url).await.unwrap();
    for statement in
        std::iter::once(before.as_str()).chain(STEP.split(";\n").filter(|s| !s.trim().is_empty()))
    {
        sea_orm::ConnectionTrait::execute_unprepared(&db, statement).await.unwrap();
    }
    db.close().await.unwrap();
    let held = async |id: &str| bench.store.aliases(tenant.id, id).await.unwrap();
    assert_eq!(held(&ana).await, [alias("phone", "+491"), alias("phone", "00492")], "Bo has the other");
    assert_eq!(held(&bo).await, [alias("crm", "00494"), alias("phone", "+492"), alias("phone", "+493")]);
    let erased = bench.store.erase(&act(&tenant), &Whom::Phone("0049 2")).await.unwrap();
    assert_eq!(erased.len(), 2, "both, since both go by it");
    for (tenant, erasure) in bench.store.open_erasures().await.unwrap() {
        while bench.store.continue_erasure(tenant, &erasure).await.unwrap().unwrap().done_at.is_none() {}
    }
}

pub async fn a_list_that_replaces_is_audited_without_its_values(bench: &Bench) {
    let tenant = bench.tenant("alias-audit").await;
    let put = async |aliases: Option<&[Alias]>| {
        let told = CustomerDetails { aliases: aliases.map(<[Alias]>::to_vec), ..CustomerDetails::default() };
        bench.store.save_person(&act(&tenant), "ana", &Person::Customer(told, None)).await.unwrap()
    };
    let both = [alias("email", "ana@home.example"), alias("phone", "0049 170 1234")];
    let id = put(Some(&both)).await;
    put(Some(&both)).await;
    put(None).await;
    put(Some(&[alias("phone", "+49 170 12 34"), alias("crm", "quoll")])).await;
    let filter = undertone_store::audit::Filter { subject: Some(&id), ..Default::default() };
    let entries = bench.store.audit(tenant.id, &filter, None, 100).await.unwrap();
    let told: Vec<serde_json::Value> = entries
        .iter()
        .rev()
        .map(|entry| serde_json::from_str(entry.payload.as_deref().unwrap()).unwrap())
        .collect();
    assert_eq!(
        told,
        [
            json!({"added": {"email": 1, "phone": 1}, "removed": {}}),
            json!({"added": {"crm": 1}, "removed": {"email": 1}})
        ],
        "what is told and changes nothing is no entry, and the number in another spelling is the same"
    );
    assert!(entries.iter().all(|entry| entry.action == "customer_aliases"));
    let erased = bench.store.erase(&act(&tenant), &Whom::Phone("0049 (170) 1234")).await.unwrap();
    assert_eq!((erased.len(), erased[0].customer_id.as_str()), (1, id.as_str()));
    for (tenant, erasure) in bench.store.open_erasures().await.unwrap() {
        while bench.store.continue_erasure(tenant, &erasure).await.unwrap().unwrap().done_at.is_none() {}
    }
}
