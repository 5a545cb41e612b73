//! Who heard of an alert hears how it ended, and what nobody waits for any more is sent to nobody.

use undertone_core::notification::When;
use undertone_store::notices::{FinishedMail, MailEnd, Part, Telling};
use undertone_store::privacy::erase::Whom;
use undertone_store::privacy::retention::Clocks;

use super::*;

on_both_databases!(sqlite, postgres, suite);

async fn suite(url: String) {
    let bench = Bench::open(url).await;
    who_heard_is_known(&bench).await;
    what_is_erased_is_withdrawn_for_who_heard_of_it(&bench).await;
    what_is_not_kept_is_withdrawn_too(&bench).await;
    what_waited_too_long_is_dropped(&bench).await;
    three_days_count_from_when_it_was_due(&bench).await;
    preferences_of_a_newer_version_silence_nobody(&bench).await;
    whose_mailbox_takes_nothing_is_told_once(&bench).await;
    what_a_server_said_goes_with_everybody_in_the_letter(&bench).await;
}

impl Bench {
    /// Tells a user of everything there is: in the inbox, and by e-mail at a moment.
    pub(crate) async fn tell_by(&self, tenant: &Tenant, user: &str, in_app: bool, email: Option<When>) {
        self.events(tenant).await;
        let untold = self.store.untold(tenant.id).await.unwrap();
        let tellings: Vec<Telling<'_>> =
            untold.events.iter().map(|event| Telling { event, user, in_app, email }).collect();
        assert!(self.store.tell(tenant.id, &untold, &tellings).await.unwrap());
    }

    /// A user of this tenant.
    pub(crate) async fn user(&self, tenant: &Tenant, name: &str) -> String {
        let address = format!("{name}@{}.example", tenant.slug);
        self.store.save_user(&act(tenant), &address, "supervisor", "no hash").await.unwrap()
    }

    /// The alerts of which somebody heard, of these.
    async fn heard(&self, tenant: &Tenant, who: &str, alerts: &[&Alert]) -> Vec<String> {
        let ids: Vec<&str> = alerts.iter().map(|alert| alert.id.as_str()).collect();
        self.store.heard_of(tenant.id, who, &ids).await.unwrap().into_iter().collect()
    }

    async fn erase(&self, tenant: &Tenant, customer: &str) {
        for begun in self.store.erase(&act(tenant), &Whom::Id(customer)).await.unwrap() {
            let next = async || self.store.continue_erasure(tenant.id, &begun.id).await.unwrap();
            while next().await.is_some_and(|erasure| erasure.done_at.is_none()) {}
        }
    }

    /// What is told of alerts that were withdrawn.
    async fn withdrawn(&self, tenant: &Tenant) -> Vec<serde_json::Value> {
        self.events(tenant).await;
        let wanted = Following { kinds: Some(&[EventKind::AlertWithdrawn]), most: 50 };
        let (told, _) = self.store.events_after(tenant.id, 0, &wanted).await.unwrap();
        told.into_iter().map(|one| one.payload).collect()
    }

    pub(crate) async fn finish(&self, tenant: &Tenant, user: &str, end: MailEnd) -> usize {
        let claimed =
            self.store.claim_mail(tenant.id, user, ("me", TimeDelta::minutes(10)), 100).await.unwrap();
        let finished: Vec<FinishedMail> = claimed
            .iter()
            .map(|mail| FinishedMail {
                position: mail.position,
                attempts: mail.attempts,
                due_at: mail.due_at,
                end: end.clone(),
                said: Some("5.1.1 nobody is here".to_owned()),
            })
            .collect();
        self.store.finish_mail(tenant.id, user, "me", &finished).await.unwrap()
    }
}

async fn who_heard_is_known(bench: &Bench) {
    let (tenant, other) = (bench.tenant("heard").await, bench.tenant("heard-other").await);
    let (reads, writes) = (bench.user(&tenant, "reads").await, bench.user(&tenant, "writes").await);
    let to = bench.destination(&tenant, "to", &["alert.*"], Detail::Thin).await;
    let away = bench.destination(&tenant, "away", &["alert.*"], Detail::Thin).await;
    bench.score(&tenant, &[("ana", "billing", -80)]).await;
    let alert = bench.alerts(&tenant, None).await.remove(0);
    bench.tell_by(&tenant, &reads, true, None).await;
    bench.score(&tenant, &[("ben", "billing", -80)]).await;
    let second = bench.alerts(&tenant, None).await.remove(0);
    bench.tell_by(&tenant, &writes, false, Some(When { at: bench.store.now(), together: false })).await;
    let both = [&alert, &second];
    assert_eq!(
        bench.heard(&tenant, &reads, &both).await,
        std::slice::from_ref(&alert.id),
        "in the inbox it is there"
    );
    assert_eq!(bench.heard(&tenant, &writes, &both).await, Vec::<String>::new(), "not before it was sent");
    assert_eq!(bench.finish(&tenant, &writes, MailEnd::Sent).await, 1);
    assert_eq!(bench.heard(&tenant, &writes, &both).await, std::slice::from_ref(&second.id));
    bench.send(&tenant, &to.id, |_| Sent::Delivered).await;
    bench.send(&tenant, &away.id, |_| Sent::Failed("it answers 500".to_owned())).await;
    assert_eq!(bench.heard(&tenant, &to.id, &both).await.len(), 2);
    assert_eq!(bench.heard(&tenant, &away.id, &both).await.len(), 0, "it never got there");
    assert_eq!(bench.heard(&other, &to.id, &both).await.len(), 0);
    let all = bench.store.who_heard(tenant.id, &[&alert.id]).await.unwrap();
    assert_eq!(all[&alert.id], [reads.clone(), to.id.clone()].into());
    // It is kept while the alert is open, however long, and while a notice shows it.
    let tidy = async || while bench.store.tidy_heard(tenant.id, TimeDelta::days(30)).await.unwrap() {};
    let done = (second.id.as_str(), None);
    bench.store.move_alert(&act(&tenant), done, Move::Resolve(None)).await.unwrap();
    bench.advance(60 * 24 * 31);
    tidy().await;
    assert_eq!(bench.heard(&tenant, &to.id, &both).await.len(), 2);
    while bench.store.tidy_notices(tenant.id, TimeDelta::days(30)).await.unwrap() {}
    tidy().await;
    assert_eq!(
        bench.heard(&tenant, &to.id, &both).await,
        std::slice::from_ref(&alert.id),
        "that one is still open"
    );
}

async fn what_is_erased_is_withdrawn_for_who_heard_of_it(bench: &Bench) {
    let tenant = bench.tenant("heard-erased").await;
    let user = bench.user(&tenant, "lead").await;
    let to = bench.destination(&tenant, "to", &["alert.*"], Detail::Full).await;
    bench.score(&tenant, &[("ana", "billing", -80), ("ben", "delivery", -80)]).await;
    let alerts = bench.alerts(&tenant, None).await;
    bench.tell_by(&tenant, &user, true, None).await;
    bench.send(&tenant, &to.id, |_| Sent::Delivered).await;
    let ben = alerts.iter().find(|alert| alert.category == "delivery").unwrap();
    bench.store.move_alert(&act(&tenant), (&ben.id, None), Move::Resolve(None)).await.unwrap();
    bench.send(&tenant, &to.id, |_| Sent::Delivered).await;
    bench.erase(&tenant, "ana").await;
    bench.erase(&tenant, "ben").await;
    let told = bench.withdrawn(&tenant).await;
    assert_eq!(told.len(), 1, "what had ended ends no second time: {told:?}");
    let (told, ana) = (&told[0], alerts.iter().find(|alert| alert.category == "billing").unwrap());
    assert_eq!((&told["alert_id"], &told["state"]), (&json!(ana.id), &json!("withdrawn")));
    assert_eq!(told["made_by"], "an erasure");
    for gone in [
        "interaction_id",
        "customer_id",
        "customer_external_id",
        "customer_name",
        "score",
        "label",
        "summary",
    ] {
        assert!(told[gone].is_null(), "{gone}: {told}");
    }
    assert!(bench.alerts(&tenant, None).await.is_empty());
    assert_eq!(bench.heard(&tenant, &user, &[ana]).await.len(), 1, "that is no word of the customer");
    assert_eq!(bench.heard(&tenant, &to.id, &[ana]).await.len(), 1);
    let sent = bench.send(&tenant, &to.id, |_| Sent::Delivered).await;
    assert!(sent.len() == 1 && sent[0].starts_with("alert.withdrawn"), "{sent:?}");
}

async fn what_is_not_kept_is_withdrawn_too(bench: &Bench) {
    let tenant = bench.tenant("heard-old").await;
    bench.score(&tenant, &[("ana", "billing", -80)]).await;
    let alert = bench.alerts(&tenant, None).await.remove(0);
    let wanted = json!({"retention_alerts_days": 30});
    let settings = bench.store.change_settings(&act(&tenant), &wanted).await.unwrap();
    bench.advance(60 * 24 * 40);
    let clocks = Clocks::of(&tenant, &settings, bench.store.now());
    bench.store.purge(&tenant, &clocks, &act(&tenant), std::time::Duration::ZERO).await.unwrap();
    assert!(bench.alerts(&tenant, None).await.is_empty());
    let told = bench.withdrawn(&tenant).await;
    assert_eq!(told.len(), 1);
    assert_eq!((&told[0]["alert_id"], &told[0]["made_by"]), (&json!(alert.id), &json!("the clock")));
}

async fn what_waited_too_long_is_dropped(bench: &Bench) {
    let tenant = bench.tenant("no-server").await;
    let user = bench.user(&tenant, "lead").await;
    let now = || When { at: bench.store.now(), together: false };
    bench.score(&tenant, &[("ana", "billing", -80)]).await;
    bench.tell_by(&tenant, &user, true, Some(now())).await;
    bench.advance(60 * 72);
    bench.score(&tenant, &[("ben", "billing", -80)]).await;
    bench.tell_by(&tenant, &user, true, Some(now())).await;
    bench.advance(60);
    // Somebody set a server by now: the one of three days ago is nobody's news.
    let claimed =
        bench.store.claim_mail(tenant.id, &user, ("me", TimeDelta::minutes(10)), 100).await.unwrap();
    assert_eq!(claimed.len(), 1, "{claimed:?}");
    assert_eq!(claimed[0].payload["customer_external_id"], "ben");
    bench.advance(60);
    assert_eq!(bench.finish(&tenant, &user, MailEnd::Sent).await, 1, "the other does not come back");
    assert_eq!(bench.store.mail_waiting(tenant.id).await.unwrap(), None);
    let inbox = bench.store.inbox(tenant.id, &user, Part::Before(i64::MAX), 10).await.unwrap();
    assert_eq!(inbox.len(), 2, "in the inbox are both");
}

async fn three_days_count_from_when_it_was_due(bench: &Bench) {
    let tenant = bench.tenant("long-night").await;
    let user = bench.user(&tenant, "lead").await;
    bench.score(&tenant, &[("ana", "billing", -80)]).await;
    // From Friday evening to Tuesday morning.
    let morning = bench.store.now() + TimeDelta::hours(88);
    bench.tell_by(&tenant, &user, false, Some(When { at: morning, together: true })).await;
    bench.advance(60 * 88);
    let later = || MailEnd::Later("the SMTP server answered 451".to_owned());
    assert_eq!(bench.finish(&tenant, &user, later()).await, 1);
    bench.advance(2);
    assert_eq!(bench.finish(&tenant, &user, later()).await, 1, "it is tried again");
    bench.advance(60 * 73);
    assert_eq!(bench.finish(&tenant, &user, MailEnd::Sent).await, 0, "and not for ever");
}

async fn whose_mailbox_takes_nothing_is_told_once(bench: &Bench) {
    let tenant = bench.tenant("unreached").await;
    let (user, other) = (bench.user(&tenant, "lead").await, bench.user(&tenant, "other").await);
    let refused = || MailEnd::Failed("the SMTP server answered 550".to_owned());
    let told = async |customer: &str, user: &str, end: MailEnd| {
        bench.score(&tenant, &[(customer, "billing", -80)]).await;
        let at_once = When { at: bench.store.now(), together: false };
        bench.tell_by(&tenant, user, false, Some(at_once)).await;
        bench.finish(&tenant, user, end).await;
        bench.advance(1);
        let unreached = bench.store.mail_unreached(tenant.id).await.unwrap();
        let of = |one: undertone_store::notices::Unreached| (one.email, one.letters);
        (unreached.into_iter().map(of).collect::<Vec<_>>(), bench.count(&tenant, "mail.failing").await)
    };
    let lead = "lead@unreached.example".to_owned();
    assert_eq!(told("ana", &user, refused()).await, (vec![(lead.clone(), 1)], 1));
    let unreached = bench.store.mail_unreached(tenant.id).await.unwrap().remove(0);
    assert_eq!(unreached.error.as_deref(), Some("the SMTP server answered 550: 5.1.1 nobody is here"));
    let only = Following { kinds: Some(&[EventKind::MailFailing]), most: 10 };
    let event = bench.store.events_after(tenant.id, 0, &only).await.unwrap().0.remove(0).payload;
    assert_eq!(
        (&event["email"], &event["user_id"], &event["reason"]),
        (&json!(lead), &json!(user), &json!("the SMTP server answered 550")),
        "what it said stands where an erasure reaches it"
    );
    // Told already: with the second alert the first event is told by e-mail, too.
    assert_eq!(told("ben", &user, refused()).await, (vec![(lead.clone(), 3)], 1));
    // Somebody else's letter arrives, and then one of theirs.
    assert_eq!(told("cy", &other, MailEnd::Sent).await, (vec![(lead.clone(), 3)], 1));
    assert_eq!(told("dan", &user, MailEnd::Sent).await, (vec![], 1));
    assert_eq!(told("eve", &user, refused()).await.1, 2, "another time");
    assert_eq!(told("fay", &user, MailEnd::Sent).await.0, vec![]);
    // Tried for three days, it is given up as well.
    assert_eq!(
        told("gil", &user, MailEnd::Later("the SMTP server answered 452".to_owned())).await,
        (vec![], 2)
    );
    for _ in 0..20 {
        bench.advance(6 * 60);
        bench.finish(&tenant, &user, MailEnd::Later("the SMTP server answered 452".to_owned())).await;
    }
    assert_eq!(bench.count(&tenant, "mail.failing").await, 3);
    assert_eq!(bench.store.mail_unreached(tenant.id).await.unwrap()[0].email, lead);
}

async fn what_a_server_said_goes_with_everybody_in_the_letter(bench: &Bench) {
    let tenant = bench.tenant("said").await;
    let user = bench.user(&tenant, "lead").await;
    bench.score(&tenant, &[("ana", "billing", -80), ("ben", "billing", -80)]).await;
    let together = When { at: bench.store.now(), together: true };
    bench.tell_by(&tenant, &user, false, Some(together)).await;
    let lease = ("me", TimeDelta::minutes(10));
    let claimed = bench.store.claim_mail(tenant.id, &user, lease, 100).await.unwrap();
    let places: Vec<i64> = claimed.iter().map(|mail| mail.position).collect();
    assert!(bench.store.keep_letter(tenant.id, &user, ("me", "letter"), &places).await.unwrap());
    let refused = claimed.iter().map(|mail| FinishedMail {
        position: mail.position,
        attempts: mail.attempts,
        due_at: mail.due_at,
        end: MailEnd::Failed("the SMTP server answered 554".to_owned()),
        said: Some("5.7.1 it says: canary of ana".to_owned()),
    });
    let refused: Vec<FinishedMail> = refused.collect();
    assert_eq!(bench.store.finish_mail(tenant.id, &user, "me", &refused).await.unwrap(), 2);
    let said = async || {
        let unreached = bench.store.mail_unreached(tenant.id).await.unwrap().remove(0);
        (unreached.letters, unreached.error)
    };
    assert_eq!(
        said().await,
        (2, Some("the SMTP server answered 554: 5.7.1 it says: canary of ana".to_owned()))
    );
    bench.erase(&tenant, "ana").await;
    assert_eq!(said().await, (1, None), "what is left of the letter quotes nobody");
}

async fn preferences_of_a_newer_version_silence_nobody(bench: &Bench) {
    use sea_orm::{ConnectionTrait, Database};
    let tenant = bench.tenant("newer").await;
    let (ana, ben) = (bench.user(&tenant, "ana").await, bench.user(&tenant, "ben").await);
    for user in [&ana, &ben] {
        bench
            .store
            .choose_notifications(
                &act(&tenant),
                (user, None),
                &undertone_core::notification::Preferences::default(),
            )
            .await
            .unwrap();
    }
    let raw = Database::connect(bench.url.clone()).await.unwrap();
    let newer = format!(
        "UPDATE notification_preference SET preferences = '{{\"by_telegram\": true}}' WHERE user_id = '{ana}'"
    );
    raw.execute_unprepared(&newer).await.unwrap();
    let people = bench.store.recipients(tenant.id).await.unwrap();
    assert_eq!(people.len(), 2, "both are told");
    let alerts = undertone_core::notification::Category::Alerts;
    for person in people {
        let channels = person.preferences.channels(alerts);
        assert!(channels.in_app, "{}", person.id);
        assert_eq!(channels.email, person.id == ben, "what they want by e-mail is not guessed");
    }
}
