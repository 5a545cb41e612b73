//! What people are told: once, through their channels, and nothing of what was erased.

use chrono::TimeDelta;
use serde_json::json;
use undertone_core::notification::{Category, Channels, Preferences, When};
use undertone_store::notices::{FinishedMail, InboxItem, Mail, MailEnd, Part, Telling};
use undertone_store::privacy::erase::Whom;
use undertone_store::{StoreError, Tenant, TenantId};
use undertone_testkit::on_both_databases;

use super::{Bench, act};

on_both_databases!(sqlite, postgres, suite);

async fn suite(url: String) {
    let bench = Bench::open(url).await;
    each_event_is_told_once_whoever_comes_at_once(&bench).await;
    mail_is_sent_by_one_and_tried_again(&bench).await;
    a_letter_stays_what_it_was_when_it_was_begun(&bench).await;
    what_is_erased_is_told_to_nobody(&bench).await;
    people_choose_and_links_end_e_mail(&bench).await;
}

const ALL: Part = Part::Before(i64::MAX);

impl Bench {
    async fn place_all(&self, tenant: &Tenant) {
        while self.store.place_events(tenant.id, 100).await.unwrap().events > 0 {}
    }

    /// Tells a user of everything there is by both channels; answers whether nobody else had.
    async fn tell(&self, tenant: &Tenant, user: &str, together: bool) -> bool {
        let untold = self.store.untold(tenant.id).await.unwrap();
        let email = Some(When { at: self.store.now(), together });
        let tellings: Vec<Telling<'_>> =
            untold.events.iter().map(|event| Telling { event, user, in_app: true, email }).collect();
        self.store.tell(tenant.id, &untold, &tellings).await.unwrap()
    }

    async fn inbox(&self, tenant: TenantId, user: &str, part: Part) -> Vec<InboxItem> {
        self.store.inbox(tenant, user, part, 100).await.unwrap()
    }

    async fn claim_mail(&self, tenant: &Tenant, user: &str, owner: &str) -> Vec<Mail> {
        self.store.claim_mail(tenant.id, user, (owner, TimeDelta::minutes(10)), 100).await.unwrap()
    }

    async fn finish_mail(
        &self,
        tenant: &Tenant,
        user: &str,
        owner: &str,
        mails: &[Mail],
        end: &MailEnd,
    ) -> usize {
        let of = |mail: &Mail| FinishedMail {
            position: mail.position,
            attempts: mail.attempts,
            due_at: mail.due_at,
            end: end.clone(),
            said: Some("5.1.1 nobody is here".to_owned()),
        };
        let finished: Vec<FinishedMail> = mails.iter().map(of).collect();
        self.store.finish_mail(tenant.id, user, owner, &finished).await.unwrap()
    }

    /// Somebody has e-mail that is due.
    async fn is_mail_due(&self, tenant: &Tenant) -> bool {
        self.store.mail_due(10).await.unwrap().iter().any(|(of, _)| *of == tenant.id)
    }
}

async fn each_event_is_told_once_whoever_comes_at_once(bench: &Bench) {
    let (tenant, other) = (bench.tenant("told").await, bench.tenant("told-other").await);
    let store = &bench.store;
    let user = store.save_user(&act(&tenant), "told@example.com", "supervisor", "hash").await.unwrap();
    bench.score(&tenant, &[("ana", "billing", -80), ("bo", "billing", -90), ("cy", "other", 50)]).await;
    bench.place_all(&tenant).await;
    assert!(store.tenants_with_untold().await.unwrap().contains(&tenant.id));
    // Six nodes at once: one of them tells, the others find that it was done.
    let all = futures::future::join_all((0..6).map(|_| bench.tell(&tenant, &user, false))).await;
    let inbox = bench.inbox(tenant.id, &user, ALL).await;
    assert_eq!(inbox.len(), 2, "two alerts, told once: {all:?}");
    assert!(inbox[0].position > inbox[1].position && inbox.iter().all(|item| item.event == "alert.raised"));
    assert_eq!(inbox[0].payload["summary"], "canary-summary.");
    assert!(!store.tenants_with_untold().await.unwrap().contains(&tenant.id));
    assert_eq!(store.inbox_place(tenant.id).await.unwrap(), store.untold(tenant.id).await.unwrap().from);
    // Pages, what came since, what is unread.
    let (young, old) = (inbox[0].position, inbox[1].position);
    assert_eq!(bench.inbox(tenant.id, &user, Part::Before(young)).await.len(), 1);
    assert_eq!(bench.inbox(tenant.id, &user, Part::After(old)).await[0].position, young);
    assert!(store.read_notice(tenant.id, &user, old).await.unwrap());
    let unread = bench.inbox(tenant.id, &user, Part::Unread(i64::MAX)).await;
    assert_eq!(unread.iter().map(|item| item.position).collect::<Vec<_>>(), [young]);
    // Nobody else's, whatever they guess.
    assert_eq!(bench.inbox(other.id, &user, ALL).await, []);
    assert_eq!(bench.inbox(tenant.id, "somebody", ALL).await, []);
    assert!(!store.read_notice(other.id, &user, young).await.unwrap());
    assert!(!store.read_notice(tenant.id, "somebody", young).await.unwrap());
    assert_eq!(store.read_notices(tenant.id, &user, old).await.unwrap(), 0, "what came later stays unread");
    assert_eq!(store.read_notices(tenant.id, &user, young).await.unwrap(), 1);
}

async fn mail_is_sent_by_one_and_tried_again(bench: &Bench) {
    let tenant = bench.tenant("mail").await;
    let store = &bench.store;
    let user = store.save_user(&act(&tenant), "mail@example.com", "supervisor", "hash").await.unwrap();
    bench.score(&tenant, &[("ana", "billing", -80), ("bo", "billing", -90)]).await;
    bench.place_all(&tenant).await;
    assert!(bench.tell(&tenant, &user, false).await);
    assert!(bench.is_mail_due(&tenant).await);
    let claimed = futures::future::join_all((0..4).map(|_| bench.claim_mail(&tenant, &user, "me"))).await;
    let mails = claimed.concat();
    assert_eq!(mails.len(), 2, "each is held once");
    assert_eq!(mails[0].attempts, 1);
    assert!(!bench.is_mail_due(&tenant).await);
    // Whoever lost the lease keeps nothing.
    let later = MailEnd::Later("the SMTP server answered 451".to_owned());
    assert_eq!(bench.finish_mail(&tenant, &user, "somebody", &mails, &MailEnd::Sent).await, 0);
    assert_eq!(bench.finish_mail(&tenant, &user, "me", &mails[..1], &MailEnd::Sent).await, 1);
    assert_eq!(bench.finish_mail(&tenant, &user, "me", &mails[1..], &later).await, 1);
    assert!(!bench.is_mail_due(&tenant).await);
    bench.advance(1);
    let again = bench.claim_mail(&tenant, &user, "me").await;
    assert_eq!((again.len(), again[0].attempts, &again[0].id), (1, 2, &mails[1].id), "the same message");
    // The process dies: it is due when the lease ends. Not its turn: at once, and no try counts.
    bench.advance(11);
    let again = bench.claim_mail(&tenant, &user, "you").await;
    assert_eq!(bench.finish_mail(&tenant, &user, "me", &again, &MailEnd::Sent).await, 0);
    assert_eq!(bench.finish_mail(&tenant, &user, "you", &again, &MailEnd::Untried).await, 1);
    let again = bench.claim_mail(&tenant, &user, "you").await;
    assert_eq!(again[0].attempts, 3);
    // Three days of that, and it is given up.
    bench.finish_mail(&tenant, &user, "you", &again, &later).await;
    let mut tries = 0;
    while tries < 100 {
        bench.advance(60);
        let again = bench.claim_mail(&tenant, &user, "you").await;
        if again.is_empty() && store.now() - mails[1].due_at > TimeDelta::hours(80) {
            break;
        }
        tries += usize::from(!again.is_empty());
        bench.finish_mail(&tenant, &user, "you", &again, &later).await;
    }
    assert!((8..25).contains(&tries), "{tries} tries");
    assert_eq!(store.mail_waiting(tenant.id).await.unwrap(), None);
    // What is old goes, with everything that was made of it.
    bench.advance(31 * 24 * 60);
    while store.tidy_notices(tenant.id, TimeDelta::days(30)).await.unwrap() {}
    assert_eq!(bench.inbox(tenant.id, &user, ALL).await, []);
}

async fn a_letter_stays_what_it_was_when_it_was_begun(bench: &Bench) {
    let tenant = bench.tenant("letter").await;
    let store = &bench.store;
    let user = store.save_user(&act(&tenant), "letter@example.com", "supervisor", "hash").await.unwrap();
    let tell = async |customers: &[&str]| {
        let scores: Vec<(&str, &str, i64)> = customers.iter().map(|who| (*who, "billing", -80)).collect();
        bench.score(&tenant, &scores).await;
        bench.place_all(&tenant).await;
        assert!(bench.tell(&tenant, &user, true).await);
    };
    let places = |mails: &[Mail]| mails.iter().map(|mail| mail.position).collect::<Vec<_>>();
    tell(&["ana"]).await;
    // It was held once before the others came, so that it waits longer than they do.
    let first = bench.claim_mail(&tenant, &user, "me").await;
    let later = MailEnd::Later("451".to_owned());
    bench.finish_mail(&tenant, &user, "me", &first, &later).await;
    bench.advance(2);
    tell(&["bo"]).await;
    let both = bench.claim_mail(&tenant, &user, "me").await;
    assert_eq!(both.len(), 2);
    assert!(!store.keep_letter(tenant.id, &user, ("you", "x"), &places(&both)).await.unwrap(), "it is mine");
    assert!(store.keep_letter(tenant.id, &user, ("me", "letter-1"), &places(&both)).await.unwrap());
    assert!(!store.keep_letter(tenant.id, &user, ("me", "letter-2"), &places(&both)).await.unwrap());
    bench.finish_mail(&tenant, &user, "me", &both, &later).await;
    // One of the two is due again; the other comes along, and a third is in no letter yet.
    bench.advance(2);
    tell(&["cy"]).await;
    let all = futures::future::join_all((0..4).map(|_| bench.claim_mail(&tenant, &user, "me"))).await;
    let again: Vec<Mail> = all.into_iter().find(|mails| !mails.is_empty()).unwrap();
    let letters: Vec<Option<&str>> = again.iter().map(|mail| mail.letter_id.as_deref()).collect();
    assert_eq!(letters, [Some("letter-1"), Some("letter-1"), None]);
    assert_eq!(places(&again[..2]), places(&both));
    assert_eq!(bench.finish_mail(&tenant, &user, "me", &again, &MailEnd::Sent).await, 3);
}

async fn what_is_erased_is_told_to_nobody(bench: &Bench) {
    let tenant = bench.tenant("told-erased").await;
    let store = &bench.store;
    let user = store.save_user(&act(&tenant), "erased@example.com", "supervisor", "hash").await.unwrap();
    bench.score(&tenant, &[("ana", "billing", -80)]).await;
    bench.place_all(&tenant).await;
    bench.tell(&tenant, &user, true).await;
    bench.score(&tenant, &[("bo", "billing", -80)]).await;
    bench.place_all(&tenant).await;
    // Read before the erasure, told after it.
    let untold = store.untold(tenant.id).await.unwrap();
    let email = Some(When { at: store.now(), together: true });
    let tellings: Vec<Telling<'_>> =
        untold.events.iter().map(|event| Telling { event, user: &user, in_app: true, email }).collect();
    assert_eq!(tellings.len(), 1);
    for id in ["ana", "bo"] {
        let begun = store.erase(&act(&tenant), &Whom::Id(id)).await.unwrap();
        while store
            .continue_erasure(tenant.id, &begun[0].id)
            .await
            .unwrap()
            .is_some_and(|e| e.done_at.is_none())
        {}
    }
    assert_eq!(bench.inbox(tenant.id, &user, ALL).await, [], "it goes from the inbox");
    assert_eq!(bench.claim_mail(&tenant, &user, "me").await, [], "and is not sent any more");
    assert!(store.tell(tenant.id, &untold, &tellings).await.unwrap());
    assert_eq!(bench.inbox(tenant.id, &user, ALL).await, []);
    assert!(!bench.is_mail_due(&tenant).await);
}

async fn people_choose_and_links_end_e_mail(bench: &Bench) {
    let (tenant, other) = (bench.tenant("choice").await, bench.tenant("choice-other").await);
    let store = &bench.store;
    let user = store.save_user(&act(&tenant), "choice@example.com", "agent", "hash").await.unwrap();
    let (nothing, version) = store.notification_preferences(tenant.id, &user).await.unwrap();
    assert_eq!((nothing, version), (Preferences::default(), 0));
    let daily: Preferences =
        serde_json::from_value(json!({"digest_at": "08:00", "zone": "Europe/Berlin"})).unwrap();
    assert_eq!(store.choose_notifications(&act(&tenant), (&user, Some(0)), &daily).await.unwrap(), 1);
    let late = store.choose_notifications(&act(&tenant), (&user, Some(0)), &nothing_chosen()).await;
    assert!(matches!(late, Err(StoreError::Conflict(_))), "{late:?}");
    assert_eq!(store.notification_preferences(tenant.id, &user).await.unwrap(), (daily.clone(), 1));
    assert_eq!(store.recipients(tenant.id).await.unwrap()[0].preferences, daily);
    assert!(store.recipients(other.id).await.unwrap().is_empty());

    let token = store.unsubscribe_token(tenant.id, &user, Some(Category::Alerts)).await.unwrap();
    assert_eq!(token, store.unsubscribe_token(tenant.id, &user, Some(Category::Alerts)).await.unwrap());
    let found = store.subscription(&token).await.unwrap().unwrap();
    assert_eq!((found.tenant, &found.user, found.category), (tenant.id, &user, Some(Category::Alerts)));
    store.unsubscribe_token(other.id, &user, None).await.unwrap();
    let forged = [
        token.replace("alerts", "budget"),
        token.replace("alerts", "all"),
        token.replacen(&tenant.id.0.to_string(), &other.id.0.to_string(), 1),
        token[..token.len() - 2].to_owned(),
        token[..token.len() - 32].to_owned(),
        format!("{token}00"),
        format!("9999.{user}.alerts.{}", "0".repeat(32)),
        "…".to_owned(),
        String::new(),
    ];
    for forged in forged {
        assert_eq!(store.subscription(&forged).await.unwrap(), None, "{forged}");
    }
    for _ in 0..2 {
        store.unsubscribe(&act(&tenant), &user, found.category).await.unwrap();
    }
    let (after, _) = store.notification_preferences(tenant.id, &user).await.unwrap();
    assert_eq!(after.channels(Category::Alerts), Channels { in_app: true, email: false });
    assert_eq!((after.channels(Category::Budget), after.digest_at), (Channels::BOTH, daily.digest_at));
    store.unsubscribe(&act(&tenant), &user, None).await.unwrap();
    let (after, _) = store.notification_preferences(tenant.id, &user).await.unwrap();
    assert!(Category::ALL.iter().all(|one| !after.channels(*one).email && after.channels(*one).in_app));
}

fn nothing_chosen() -> Preferences {
    Preferences::default()
}
