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
    for taken in [alias("email", "ana@home.EXAMPLE"), alias("phone", "+49170 12"), alias("zendesk", "77")] {
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
        telling("4", "ana", &[alias("email", "ana@home.example")]),
        telling("5", "cy", &[alias("crm", "1")]),
        item("6", "di", "no aliases"),
    ])
    .await;
    // Ana gives up what Bo asks for too early, and Cy after that.
    let told: Vec<_> = taken.iter().map(refused).collect();
    assert_eq!(told, [None, None, Some((1, true)), None, None, None]);
    assert!(taken[0..2].iter().chain(&taken[3..]).all(|a| matches!(a, Accepted::Created { .. })));
    assert_eq!(held("ana").await, Some(vec![alias("email", "ana@home.example")]));
    assert_eq!(held("cy").await, Some(vec![alias("crm", "1")]));
    assert_eq!(held("bo").await, None, "nothing of what is refused is taken in");
    let filter = Filter {
        state: None,
        customer_id: None,
        source: Some("test"),
        external_id: Some("3"),
        before: None,
        limit: 10,
    };
    assert_eq!(bench.store.interactions(tenant.id, &filter).await.unwrap().len(), 0);
    // The same again is a duplicate and changes nothing; without a list it stays, with an empty one it goes.
    let again = take(&[telling("5", "cy", &[alias("crm", "1")]), item("7", "cy", "no list")]).await;
    assert!(matches!(again[0], Accepted::Duplicate { .. }) && matches!(again[1], Accepted::Created { .. }));
    assert_eq!(held("cy").await, Some(vec![alias("crm", "1")]));
    take(&[telling("8", "cy", &[]), telling("9", "bo", &[alias("crm", "1")])]).await;
    assert_eq!((held("cy").await, held("bo").await), (Some(vec![]), Some(vec![alias("crm", "1")])));

    // Many at once who want the same: one gets it, and the others' items alone are refused.
    let raced = futures_of(6, async |n| {
        let name = format!("racer-{n}");
        let wanted = telling(&format!("r{n}"), &name, &[alias("shop", "9"), alias("zendesk", "9")]);
        take(&[wanted, item(&format!("beside-{n}"), &name, "beside it")]).await
    })
    .await;
    assert_eq!(raced.iter().filter(|taken| matches!(taken[0], Accepted::Created { .. })).count(), 1);
    assert!(raced.iter().all(|taken| matches!(taken[1], Accepted::Created { .. })));
    // And many who tell of the same customer: one of the lists, not all of them together.
    futures_of(6, async |n| {
        take(&[telling(&format!("s{n}"), "eve", &[alias("crm", &format!("e{n}"))])]).await
    })
    .await;
    assert_eq!(held("eve").await.unwrap().len(), 1);
}
