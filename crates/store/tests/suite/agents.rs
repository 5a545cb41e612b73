//! Agents' numbers: counted only while they are on, and from the rows as they are, in whatever order those came.

use chrono::{NaiveDate, TimeDelta};
use undertone_core::agents::Sums;
use undertone_core::{AuthorKind, Direction, SkipReason};
use undertone_store::accept::Incoming;
use undertone_store::agents::{AgentSums, NewSwitch};
use undertone_store::privacy::erase::Whom;
use undertone_store::record::{Finished, Outcome};
use undertone_store::{Act, Tenant};

use super::{Bench, act, item, overrides, verdict};

const ON: NewSwitch<'_> =
    NewSwitch { on: true, reason: Some("Coaching, agreed with the works council."), acknowledged: Some("1") };
const OFF: NewSwitch<'_> = NewSwitch { on: false, reason: None, acknowledged: None };

/// A line of a conversation: `customer: score` or `agent> reply`, so many minutes ago.
fn line(bench: &Bench, conversation: &str, minutes: i64, text: &str) -> Incoming {
    let id = format!("{conversation}-{minutes}");
    let mut incoming = match text.split_once("> ") {
        Some((agent, reply)) => {
            let mut incoming = item(&id, "", reply);
            let interaction = &mut incoming.arrival.interaction;
            interaction.customer = None;
            interaction.agent = Some(agent.to_owned());
            interaction.author_kind = AuthorKind::Agent;
            interaction.direction = Direction::Outgoing;
            incoming
        }
        None => item(&id, text.split_once(": ").unwrap().0, text.split_once(": ").unwrap().1),
    };
    incoming.arrival.interaction.conversation = Some(conversation.to_owned());
    incoming.arrival.interaction.occurred_at = Some(bench.store.now() - TimeDelta::minutes(minutes));
    incoming.digest = format!("{conversation} {minutes} {text}");
    incoming
}

async fn take(bench: &Bench, tenant: &Tenant, lines: &[Incoming]) -> Vec<String> {
    let mut ids = Vec::new();
    for one in lines {
        let taken = bench.store.accept(tenant.id, std::slice::from_ref(one)).await.unwrap();
        ids.push(taken[0].id().to_owned());
    }
    let claimed = bench.claim(tenant, "worker").await.into_iter();
    let finished = claimed.map(|claimed| {
        let text = &claimed.interaction.text;
        let outcome = match claimed.interaction.author_kind {
            AuthorKind::Agent => Outcome::Skipped { reason: SkipReason::AgentMessage, detail: None },
            _ => Outcome::Scored(Box::new(verdict(text.parse().unwrap(), text))),
        };
        Finished { claimed, outcome }
    });
    bench.store.record(tenant.id, "worker", &finished.collect::<Vec<_>>()).await.unwrap();
    ids
}

async fn count(bench: &Bench, tenant: &Tenant) {
    while bench.store.recount_agents(tenant.id).await.unwrap() {}
}

async fn sums(bench: &Bench, tenant: &Tenant) -> Vec<AgentSums> {
    let day = |text: &str| text.parse::<NaiveDate>().unwrap();
    bench.store.agent_sums(tenant.id, (day("2026-01-01"), day("2027-12-31"))).await.unwrap()
}

/// The sums as they are where everything is counted from the beginning.
async fn anew(bench: &Bench, tenant: &Tenant) -> Vec<AgentSums> {
    bench.store.switch_agent_numbers(&act(tenant), &OFF).await.unwrap();
    count(bench, tenant).await;
    bench.store.switch_agent_numbers(&act(tenant), &ON).await.unwrap();
    count(bench, tenant).await;
    sums(bench, tenant).await
}

pub async fn numbers_of_agents_follow_the_rows(bench: &Bench) {
    let (tenant, store) = (bench.tenant("numbers").await, &bench.store);
    let ana = [
        line(bench, "t1", 50, "ana: -60"),
        line(bench, "t1", 40, "bo> sorry"),
        line(bench, "t1", 30, "ana: 20"),
        line(bench, "t1", 20, "ana: 40"),
    ];
    take(bench, &tenant, &ana).await;
    // Off, nothing is counted, marked or told.
    assert!(!store.recount_agents(tenant.id).await.unwrap());
    assert_eq!(sums(bench, &tenant).await, []);
    assert!(!store.agent_numbers(tenant.id).await.unwrap().on);
    assert!(!store.note_look(&act(&tenant), &["bo"], 90).await.unwrap(), "there is nothing to look at");

    let switch = store.switch_agent_numbers(&act(&tenant), &ON).await.unwrap();
    assert!(switch.on && !switch.complete);
    assert!(store.tenants_to_recount().await.unwrap().contains(&tenant.id));
    count(bench, &tenant).await;
    assert!(store.agent_numbers(tenant.id).await.unwrap().complete);
    let bo = sums(bench, &tenant).await;
    let expected = Sums {
        agent: bo[0].sums.agent.clone(),
        contacts: 1,
        scored: 2,
        after: (3000, 9_000_000),
        with_before: 1,
        before: (-6000, 36_000_000),
        both: (3000, -18_000_000),
    };
    assert_eq!(bo, [AgentSums { sums: expected, customers: 1 }]);
    let known = store.agents(tenant.id, &[&bo[0].sums.agent]).await.unwrap();
    assert_eq!(known[0].external_id, "bo");
    assert_eq!(store.agent_by_external_id(tenant.id, "bo").await.unwrap().as_ref(), known.first());
    assert!(store.note_look(&act(&tenant), &["bo"], 90).await.unwrap());

    // Another conversation, its reply the last to arrive.
    let di = [
        line(bench, "t2", 30, "di: 10"),
        line(bench, "t2", 10, "di: 30"),
        line(bench, "t2", 20, "bo> hello"),
    ];
    let taken = take(bench, &tenant, &di[..2]).await;
    count(bench, &tenant).await;
    assert_eq!(sums(bench, &tenant).await[0].sums.contacts, 1);
    take(bench, &tenant, &di[2..]).await;
    count(bench, &tenant).await;
    let two = sums(bench, &tenant).await;
    assert_eq!((two[0].sums.contacts, two[0].customers, two[0].sums.after.0), (2, 2, 6000));

    // A correction counts.
    overrides::correct(bench, &tenant, &taken[1], -30).await;
    count(bench, &tenant).await;
    assert_eq!(sums(bench, &tenant).await[0].sums.after.0, 0, "30 and -30");

    // Old contacts go, and those of nobody else.
    bench.clock.advance(TimeDelta::days(100));
    while store.remove_old_contacts(tenant.id).await.unwrap() {}
    assert_eq!(sums(bench, &tenant).await, []);
    bench.clock.advance(TimeDelta::days(-100));
    store.switch_agent_numbers(&act(&tenant), &OFF).await.unwrap();
    count(bench, &tenant).await;
    assert!(!store.tenants_to_recount().await.unwrap().contains(&tenant.id));
    store.switch_agent_numbers(&act(&tenant), &ON).await.unwrap();
    count(bench, &tenant).await;
    assert_eq!(sums(bench, &tenant).await[0].sums.contacts, 2, "counted anew from the rows");
    // Said again while on, nothing begins anew.
    let again = store.switch_agent_numbers(&Act::new(tenant.id, "other"), &ON).await.unwrap();
    assert!(again.complete && again.by.as_deref() == Some("other"));
    store.switch_agent_numbers(&act(&tenant), &OFF).await.unwrap();
    count(bench, &tenant).await;
}

pub async fn counting_beside_recording_misses_nothing(bench: &Bench) {
    let (tenant, store) = (bench.tenant("numbers-at-once").await, &bench.store);
    store.switch_agent_numbers(&act(&tenant), &ON).await.unwrap();
    let conversations = 60;
    let recording = async {
        for n in 0..conversations {
            let of = format!("t{n}");
            let lines = [
                line(bench, &of, 30, &format!("c{}: -10", n % 7)),
                line(bench, &of, 20, "bo> hello"),
                line(bench, &of, 10, &format!("c{}: {}", n % 7, n % 50)),
            ];
            take(bench, &tenant, &lines).await;
        }
    };
    let counting = async {
        for _ in 0..conversations * 2 {
            store.recount_agents(tenant.id).await.unwrap();
        }
    };
    futures::join!(recording, counting, async {
        for _ in 0..conversations * 2 {
            store.recount_agents(tenant.id).await.unwrap();
        }
    });
    count(bench, &tenant).await;
    let followed = sums(bench, &tenant).await;
    assert_eq!((followed[0].sums.contacts, followed[0].customers), (60, 7));
    assert_eq!(anew(bench, &tenant).await, followed, "as if counted once, at the end");
    store.switch_agent_numbers(&act(&tenant), &OFF).await.unwrap();
    count(bench, &tenant).await;
}

/// Contacts as they are added up: how many, of how many customers, what was felt after and before.
fn told(sums: &[AgentSums]) -> (i64, i64, i64, i64) {
    sums.first().map_or_else(Default::default, |one| {
        (one.sums.contacts, one.customers, one.sums.after.0, one.sums.before.0)
    })
}

pub async fn what_an_agent_writes_counts_for_everybody_in_the_conversation(bench: &Bench) {
    let (tenant, store) = (bench.tenant("numbers-guests").await, &bench.store);
    store.switch_agent_numbers(&act(&tenant), &ON).await.unwrap();
    // The conversation is ana's, who is named first, and so are replies that name nobody; cy writes in it too.
    let talk = [
        line(bench, "t1", 60, "ana: -60"),
        line(bench, "t1", 55, "cy: -40"),
        line(bench, "t1", 50, "bo> sorry, both of you"),
        line(bench, "t1", 40, "ana: 20"),
        line(bench, "t1", 30, "cy: 10"),
    ];
    take(bench, &tenant, &talk).await;
    count(bench, &tenant).await;
    // Each with their own scores: after 20 and 10, before -60 and -40.
    assert_eq!(told(&sums(bench, &tenant).await), (2, 2, 3000, -10_000));

    // A reply that arrives last begins bo's part with whoever wrote there.
    let late = [
        line(bench, "t2", 60, "ana: -50"),
        line(bench, "t2", 50, "cy: -30"),
        line(bench, "t2", 20, "cy: 40"),
        line(bench, "t2", 40, "bo> hello"),
    ];
    take(bench, &tenant, &late[..3]).await;
    count(bench, &tenant).await;
    assert_eq!(told(&sums(bench, &tenant).await), (2, 2, 3000, -10_000));
    take(bench, &tenant, &late[3..]).await;
    count(bench, &tenant).await;
    assert_eq!(told(&sums(bench, &tenant).await), (3, 2, 7000, -13_000));

    // One that names another of them is to that one.
    let mut to_di = line(bench, "t3", 40, "bo> to you, di");
    to_di.arrival.interaction.customer = Some("di".to_owned());
    let named = [
        line(bench, "t3", 60, "ana: 1"),
        line(bench, "t3", 55, "di: 2"),
        to_di,
        line(bench, "t3", 30, "ana: 3"),
        line(bench, "t3", 20, "di: 5"),
    ];
    take(bench, &tenant, &named).await;
    count(bench, &tenant).await;
    let all = sums(bench, &tenant).await;
    assert_eq!(told(&all), (4, 3, 7500, -12_800));

    // As if counted once, at the end.
    assert_eq!(anew(bench, &tenant).await, all);
    // With ana the replies go that were hers, and with those what cy had of them: when bo began is not known any more.
    let erasure = store.erase(&act(&tenant), &Whom::Id("ana")).await.unwrap().remove(0);
    while store.continue_erasure(tenant.id, &erasure.id).await.unwrap().unwrap().done_at.is_none() {}
    count(bench, &tenant).await;
    let left = sums(bench, &tenant).await;
    assert_eq!(told(&left), (1, 1, 500, 200));
    assert_eq!(anew(bench, &tenant).await, left);
    store.switch_agent_numbers(&act(&tenant), &OFF).await.unwrap();
    count(bench, &tenant).await;
}

pub async fn what_becomes_somebody_elses_counts_there(bench: &Bench) {
    let (tenant, store) = (bench.tenant("numbers-revised").await, &bench.store);
    store.switch_agent_numbers(&act(&tenant), &ON).await.unwrap();
    let mut talk = [
        line(bench, "t1", 60, "ana: -60"),
        line(bench, "t1", 55, "cy: -40"),
        line(bench, "t1", 50, "bo> sorry, both of you"),
        line(bench, "t1", 40, "ana: 20"),
        line(bench, "t1", 30, "cy: 10"),
        line(bench, "t2", 60, "ed: 5"),
    ];
    talk.iter_mut().for_each(|line| line.arrival.update = true);
    take(bench, &tenant, &talk).await;
    count(bench, &tenant).await;
    assert_eq!(told(&sums(bench, &tenant).await), (2, 2, 3000, -10_000));

    // It was ed who was content in the end. Of ana nothing came after the reply.
    let revised = |of: &Incoming, line: Incoming| {
        let mut line = Incoming { arrival: line.arrival, digest: format!("revised {}", line.digest) };
        line.arrival.update = true;
        line.arrival.interaction.occurred_at = of.arrival.interaction.occurred_at;
        line
    };
    take(bench, &tenant, &[revised(&talk[3], line(bench, "t1", 40, "ed: 20"))]).await;
    count(bench, &tenant).await;
    let all = sums(bench, &tenant).await;
    assert_eq!(told(&all), (2, 2, 3000, -3500), "ed's before is 5, in another conversation");
    assert_eq!(anew(bench, &tenant).await, all);

    // The reply was in another conversation.
    let mut elsewhere = revised(&talk[2], line(bench, "t3", 50, "bo> sorry, all of you"));
    elsewhere.arrival.interaction.external_id = talk[2].arrival.interaction.external_id.clone();
    take(bench, &tenant, &[elsewhere]).await;
    count(bench, &tenant).await;
    assert_eq!(sums(bench, &tenant).await, []);
    assert_eq!(anew(bench, &tenant).await, []);
    take(bench, &tenant, &[revised(&talk[2], line(bench, "t1", 50, "bo> here after all"))]).await;
    count(bench, &tenant).await;
    assert_eq!(sums(bench, &tenant).await, all);

    // What is now told to be of somebody who was erased was cy's.
    let erasure = store.erase(&act(&tenant), &Whom::Id("ed")).await.unwrap().remove(0);
    while store.continue_erasure(tenant.id, &erasure.id).await.unwrap().unwrap().done_at.is_none() {}
    count(bench, &tenant).await;
    assert_eq!(told(&sums(bench, &tenant).await), (1, 1, 1000, -4000));
    take(bench, &tenant, &[revised(&talk[1], line(bench, "t1", 55, "ed: -40"))]).await;
    count(bench, &tenant).await;
    let left = sums(bench, &tenant).await;
    assert_eq!(told(&left), (1, 1, 1000, 0));
    assert_eq!(anew(bench, &tenant).await, left);
    store.switch_agent_numbers(&act(&tenant), &OFF).await.unwrap();
    count(bench, &tenant).await;
}
