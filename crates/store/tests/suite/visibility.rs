//! What a visibility policy asks: who looks, where conversations stand, and what is published of groups.

use chrono::{Days, NaiveDate, TimeDelta};
use undertone_core::Role;
use undertone_core::arrival::ConversationDetails;
use undertone_core::overview::Totals;
use undertone_core::visibility::Standing;
use undertone_store::accept::Incoming;
use undertone_store::audit::Filter;
use undertone_store::people::Person;
use undertone_store::visibility::Group;
use undertone_store::{Act, StoreError, Tenant};

use super::{AgentDetails, Bench, act, item};

const EVER: (NaiveDate, NaiveDate) =
    (NaiveDate::from_ymd_opt(2020, 1, 1).unwrap(), NaiveDate::from_ymd_opt(2100, 1, 1).unwrap());

/// A text of a customer, handled by an agent of a team of their name and what follows it, in a conversation of a queue.
fn handled(id: &str, customer: &str, (agent, queue): (&str, &str), text: &str) -> Incoming {
    let mut incoming = item(id, customer, text);
    let interaction = &mut incoming.arrival.interaction;
    interaction.agent = Some(agent.to_owned());
    interaction.conversation = Some(format!("talk-{id}"));
    let team = agent.split('-').next().unwrap_or_default();
    incoming.arrival.agent =
        AgentDetails { team: Some(format!("team-of-{team}")), ..AgentDetails::default() };
    incoming.arrival.conversation.queue = Some(queue.to_owned());
    incoming
}

/// A person closes a conversation or opens it again; answers whether that was noted, as what changes something is.
async fn close(bench: &Bench, tenant: &Tenant, conversation: &str, closed: bool) -> bool {
    let noted = async || bench.store.audit(tenant.id, &Filter::default(), None, 1000).await.unwrap().len();
    let before = noted().await;
    let told = ConversationDetails { closed: Some(closed), ..ConversationDetails::default() };
    let person = Act::new(tenant.id, "user:lead");
    bench.store.save_person(&person, conversation, &Person::Conversation(told, None)).await.unwrap();
    noted().await > before
}

async fn standing_of(bench: &Bench, tenant: &Tenant, customer: &str) -> Standing {
    let id = bench.store.customer(tenant.id, customer).await.unwrap().unwrap().id;
    bench.store.customer_facts(tenant.id, &[id.as_str()]).await.unwrap()[&id].standing
}

pub async fn a_conversation_is_open_until_it_is_closed(bench: &Bench) {
    let tenant = bench.tenant("standing").await;
    let items = [handled("1", "ana", ("ann", "q"), "It broke"), item("2", "bob", "It broke")];
    let taken = bench.store.accept(tenant.id, &items).await.unwrap();
    bench.score_all(&tenant, |_| -80).await;
    let ids: Vec<&str> = taken.iter().map(undertone_store::accept::Accepted::id).collect();
    let standings = async || {
        let facts = bench.store.interaction_facts(tenant.id, &ids).await.unwrap();
        ids.iter().map(|id| facts[*id].standing).collect::<Vec<_>>()
    };
    assert_eq!(standings().await, [Standing::Open, Standing::Apart]);
    assert_eq!(standing_of(bench, &tenant, "ana").await, Standing::Open);
    assert_eq!(standing_of(bench, &tenant, "bob").await, Standing::Apart);
    bench.advance(60);
    assert!(close(bench, &tenant, "talk-1", true).await);
    assert!(!close(bench, &tenant, "talk-1", true).await, "it is closed already");
    assert_eq!(standing_of(bench, &tenant, "ana").await, Standing::Closed);
    // What was written before and comes late opens nothing; what is written after does.
    let mut late = handled("3", "ana", ("ann", "q"), "It broke, I said");
    late.arrival.interaction.conversation = Some("talk-1".to_owned());
    late.arrival.interaction.occurred_at = Some(bench.store.now() - TimeDelta::days(3));
    bench.store.accept(tenant.id, &[late.clone()]).await.unwrap();
    assert_eq!(standing_of(bench, &tenant, "ana").await, Standing::Closed);
    bench.advance(60);
    let mut again = handled("4", "ana", ("ann", "q"), "It is still broken");
    again.arrival.interaction.conversation = Some("talk-1".to_owned());
    bench.store.accept(tenant.id, &[again.clone()]).await.unwrap();
    assert_eq!(standings().await, [Standing::Open, Standing::Apart]);
    // A word that it is closed, said of a moment before it was opened again, comes late and counts for nothing.
    let mut stale = late;
    stale.arrival.conversation = ConversationDetails { closed: Some(true), ..ConversationDetails::default() };
    bench.store.accept(tenant.id, &[stale]).await.unwrap();
    assert_eq!(standings().await[0], Standing::Open);
    again.arrival.conversation = ConversationDetails { closed: Some(true), ..ConversationDetails::default() };
    bench.store.accept(tenant.id, &[again]).await.unwrap();
    assert_eq!(standings().await[0], Standing::Closed);
    // A guest in another's conversation.
    let mut guest = handled("5", "cyd", ("ann", "q"), "For me too");
    guest.arrival.interaction.conversation = Some("talk-1".to_owned());
    bench.advance(60);
    bench.store.accept(tenant.id, &[guest]).await.unwrap();
    assert_eq!(standing_of(bench, &tenant, "cyd").await, Standing::Open);
    assert!(close(bench, &tenant, "talk-1", true).await);
    assert_eq!(standing_of(bench, &tenant, "cyd").await, Standing::Closed);
    let other = bench.tenant("standing-elsewhere").await;
    assert!(bench.store.interaction_facts(other.id, &ids).await.unwrap().is_empty());
    assert!(!close(bench, &other, "talk-1", false).await);
}

pub async fn two_who_open_conversations_again_do_not_lock_each_other_out(bench: &Bench) {
    const MANY: usize = 60;
    let tenant = bench.tenant("opened-again").await;
    let written = |round: &str, name: &str, talk: usize| {
        let mut incoming = item(&format!("{round}-{name}-{talk}"), name, "It is still broken");
        incoming.arrival.interaction.conversation = Some(format!("talk-{talk}"));
        incoming
    };
    let first: Vec<Incoming> = (0..MANY).map(|talk| written("first", "ana", talk)).collect();
    bench.store.accept(tenant.id, &first).await.unwrap();
    bench.store.accept(tenant.id, &[item("bob", "bob", "Hello")]).await.unwrap();
    for round in ["second", "third", "fourth"] {
        bench.advance(60);
        for talk in 0..MANY {
            close(bench, &tenant, &format!("talk-{talk}"), true).await;
        }
        bench.advance(60);
        let ana: Vec<Incoming> = (0..MANY).map(|talk| written(round, "ana", talk)).collect();
        let bob: Vec<Incoming> = (0..MANY).rev().map(|talk| written(round, "bob", talk)).collect();
        let (ana, bob) =
            futures::future::join(bench.store.accept(tenant.id, &ana), bench.store.accept(tenant.id, &bob))
                .await;
        assert_eq!((ana.unwrap().len(), bob.unwrap().len()), (MANY, MANY));
        assert_eq!(standing_of(bench, &tenant, "ana").await, Standing::Open);
    }
}

pub async fn viewers_are_who_they_are_now(bench: &Bench) {
    let tenant = bench.tenant("viewers").await;
    let user =
        bench.store.save_user(&act(&tenant), "am@viewers.example", "account_manager", "x").await.unwrap();
    let company = Person::Account(undertone_core::arrival::AccountDetails::default());
    let account = bench.store.save_person(&act(&tenant), "acme", &company).await.unwrap();
    let viewer = bench.store.viewer(tenant.id, &user).await.unwrap().unwrap();
    assert_eq!((viewer.role, viewer.accounts.len()), (Some(Role::AccountManager), 0));
    assert!(bench.store.set_account_manager(&act(&tenant), "acme", Some(&user)).await.unwrap());
    let viewer = bench.store.viewer(tenant.id, &user).await.unwrap().unwrap();
    assert!(viewer.accounts.contains(&account));
    let nobody = bench.store.set_account_manager(&act(&tenant), "acme", Some("nobody")).await;
    assert!(matches!(nobody, Err(StoreError::Invalid(_))));
    let other = bench.tenant("viewers-elsewhere").await;
    assert!(bench.store.viewer(other.id, &user).await.unwrap().is_none());
    let theirs = bench.store.set_account_manager(&act(&other), "acme", None).await.unwrap();
    assert!(!theirs, "another tenant has no such account");
}

fn sum<'a>(groups: impl IntoIterator<Item = &'a Totals>) -> Totals {
    groups.into_iter().fold(Totals::default(), |sum, one| sum.plus(*one))
}

pub async fn groups_are_published_once_and_hide_each_customer(bench: &Bench) {
    let tenant = bench.tenant("groups").await;
    let scores = |text: &str| text.rsplit(' ').next().and_then(|score| score.parse().ok()).unwrap_or(0);
    let mut items = Vec::new();
    let mut add = |count: usize, place: (&str, &str), who: &str| {
        for n in 0..count {
            let score = if n % 2 == 0 { -70 } else { 40 };
            let id = format!("{who}-{n}");
            // By three agents of the team in turn.
            let agent = format!("{}-{}", place.0, n % 3);
            items.push(handled(&id, &id, (&agent, place.1), &format!("It is so {score}")));
        }
    };
    // Large enough; too small by itself, and pooled with another; all of one customer, who is pooled as well.
    add(6, ("ann", "eu"), "a");
    add(3, ("ann", "us"), "b");
    add(2, ("bert", "us"), "c");
    for n in 0..12 {
        items.push(handled(&format!("d-{n}"), "loud", ("carl", "eu"), "It is so -90"));
    }
    // A team of one, of which nothing is told: it would be that agent's.
    for n in 0..6 {
        let score = if n % 2 == 0 { -60 } else { 20 };
        items.push(handled(
            &format!("e-{n}"),
            &format!("e-{n}"),
            ("dora", "apac"),
            &format!("It is so {score}"),
        ));
    }
    let (store, min_group) = (&bench.store, 5);
    store.accept(tenant.id, &items).await.unwrap();
    bench.score_all(&tenant, scores).await;
    let publish = async || {
        let mut steps = 0;
        while store.publish_groups(&tenant, min_group).await.unwrap() {
            steps += 1;
            assert!(steps < 20, "it comes to an end");
        }
    };
    let days = async || store.published_days(tenant.id, EVER, min_group).await.unwrap();
    publish().await;
    assert_eq!(days().await, [], "the day is not over");
    bench.advance(12 * 3600);
    publish().await;
    assert_eq!(days().await, [], "it is, and it was scored a moment ago");
    bench.advance(24 * 3600);
    publish().await;
    let published = days().await;
    // The pool is three and two customers, those of the team of one, and the loud one, who makes up more than half of it: it stays out.
    assert_eq!(published.len(), 1);
    let total = published[0].totals;
    assert_eq!((total.scored, total.negative, total.sum_score), (6, 3, -90));
    let teams = async || store.published_teams(tenant.id, EVER, min_group).await.unwrap();
    let queues = async || store.published_queues(tenant.id, EVER, min_group).await.unwrap();
    let told = |groups: &[Group]| {
        groups.iter().map(|group| (group.id.clone(), group.totals.scored)).collect::<Vec<_>>()
    };
    assert_eq!(told(&teams().await), [(Some("team-of-ann".to_owned()), 6)]);
    assert_eq!(told(&queues().await), [(Some("eu".to_owned()), 6)]);

    // Whoever looks before and after one verdict, correction or late arrival sees the same figures.
    let mut late = handled("late", "newcomer", ("ann", "eu"), "It is so -100");
    late.arrival.interaction.occurred_at = Some(items_day(bench));
    store.accept(tenant.id, &[late]).await.unwrap();
    bench.score_all(&tenant, scores).await;
    bench.advance(7 * 24 * 3600);
    publish().await;
    assert_eq!(days().await, published);

    // Whatever is told of any period is a sum of whole groups, and teams and queues are sums of the same.
    for back in 0..20 {
        let from = published[0].day - Days::new(10) + Days::new(back);
        let span = (from, from + Days::new(6));
        let all = sum(store
            .published_days(tenant.id, span, min_group)
            .await
            .unwrap()
            .iter()
            .map(|day| &day.totals));
        let by_team = store.published_teams(tenant.id, span, min_group).await.unwrap();
        let by_queue = store.published_queues(tenant.id, span, min_group).await.unwrap();
        assert_eq!(sum(by_team.iter().map(|group| &group.totals)), all);
        assert_eq!(sum(by_queue.iter().map(|group| &group.totals)), all);
        assert!(all == Totals::default() || all == total);
    }
    // A larger group asked for since hides what was published of smaller ones.
    assert_eq!(store.published_days(tenant.id, EVER, 7).await.unwrap(), []);
    let other = bench.tenant("groups-elsewhere").await;
    assert_eq!(store.published_days(other.id, EVER, min_group).await.unwrap(), []);
    assert!(!store.publish_groups(&other, min_group).await.unwrap());
}

/// The moment at which the items of the test above happened.
fn items_day(bench: &Bench) -> chrono::DateTime<chrono::Utc> {
    bench.store.now() - TimeDelta::hours(36)
}

/// So many customers' texts that came now and are told to be of a moment.
fn backdated(round: &str, many: usize, at: chrono::DateTime<chrono::Utc>) -> Vec<Incoming> {
    let one = |n: usize| {
        let (id, score) = (format!("{round}-{n}"), if n.is_multiple_of(2) { -70 } else { 40 });
        let mut one = handled(&id, &id, (&format!("ann-{}", n % 3), "eu"), &format!("It is so {score}"));
        one.arrival.interaction.occurred_at = Some(at);
        one
    };
    (0..many).map(one).collect()
}

pub async fn a_small_day_is_not_made_large_later(bench: &Bench) {
    let tenant = bench.tenant("small-day").await;
    let (store, min_group) = (&bench.store, 5);
    let hand_in = async |items: Vec<Incoming>| {
        store.accept(tenant.id, &items).await.unwrap();
        bench.score_all(&tenant, |text| text.rsplit(' ').next().unwrap().parse().unwrap()).await;
        bench.advance(25 * 3600);
    };
    let published = async || {
        while store.publish_groups(&tenant, min_group).await.unwrap() {}
        let days = store.published_days(tenant.id, EVER, min_group).await.unwrap();
        days.iter().map(|day| day.totals.scored).collect::<Vec<_>>()
    };
    // Three customers' day is not published, then or later, whatever comes to it once it is over for a week.
    let small = store.now();
    hand_in(backdated("small", 3, small)).await;
    bench.advance(24 * 3600);
    assert!(published().await.is_empty());
    bench.advance(8 * 24 * 3600);
    hand_in(backdated("invented", 4, small)).await;
    assert!(published().await.is_empty());
    // What comes late within the week counts.
    let other = store.now();
    hand_in(backdated("begun", 3, other)).await;
    hand_in(backdated("late", 4, other)).await;
    assert_eq!(published().await, [7]);
    // A day that is imported as a whole is published, and a small one is no more made large later than any other.
    let (large, little) = (store.now() - TimeDelta::days(100), store.now() - TimeDelta::days(90));
    hand_in(backdated("imported", 6, large)).await;
    hand_in(backdated("little", 3, little)).await;
    assert_eq!(published().await, [6, 7]);
    bench.advance(8 * 24 * 3600);
    hand_in(backdated("more", 4, little)).await;
    assert_eq!(published().await, [6, 7]);
}

/// Customers do not name who answers them: who wrote in their conversation does.
pub async fn a_queue_that_one_agent_answers_is_theirs(bench: &Bench) {
    let tenant = bench.tenant("answered").await;
    let (store, min_group) = (&bench.store, 5);
    for (queue, agents) in [("alone", 1), ("shared", 3)] {
        let mut items = Vec::new();
        for n in 0..6 {
            let id = format!("{queue}-{n}");
            let mut asks = item(&id, &id, &format!("It is so {}", if n % 2 == 0 { -70 } else { 40 }));
            asks.arrival.interaction.conversation = Some(format!("talk-{id}"));
            asks.arrival.conversation.queue = Some(queue.to_owned());
            let mut answers = item(&format!("{id}-answer"), &id, "Let me see");
            answers.arrival.interaction.customer = None;
            answers.arrival.interaction.author_kind = undertone_core::AuthorKind::Agent;
            answers.arrival.interaction.conversation = Some(format!("talk-{id}"));
            answers.arrival.interaction.agent = Some(format!("{queue}-agent-{}", n % agents));
            items.extend([asks, answers]);
        }
        store.accept(tenant.id, &items).await.unwrap();
    }
    bench.score_all(&tenant, |text| text.rsplit(' ').next().unwrap().parse().unwrap_or(0)).await;
    bench.advance(49 * 3600);
    while store.publish_groups(&tenant, min_group).await.unwrap() {}
    let queues = store.published_queues(tenant.id, EVER, min_group).await.unwrap();
    let told: Vec<Option<&str>> = queues.iter().map(|group| group.id.as_deref()).collect();
    assert_eq!(told, [Some("shared")]);
}
