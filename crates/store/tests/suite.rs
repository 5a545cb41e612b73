//! One suite of behaviour, run on SQLite and on PostgreSQL: every public function of the store, with the same outcome on both.

#![allow(clippy::unwrap_used, clippy::panic, clippy::too_many_lines, reason = "tests")]

#[path = "suite/agents.rs"]
mod agents;
#[path = "suite/aliases.rs"]
mod aliases;
#[path = "suite/audit.rs"]
mod audit;
#[path = "suite/backfill.rs"]
mod backfill;
#[path = "suite/basis.rs"]
mod basis;
#[path = "suite/cascade.rs"]
mod cascade;
#[path = "suite/model.rs"]
mod model;
#[path = "suite/overrides.rs"]
mod overrides;
#[path = "suite/privacy.rs"]
mod privacy;
#[path = "suite/provider_keys.rs"]
mod provider_keys;
#[path = "suite/reach.rs"]
mod reach;
#[path = "suite/review.rs"]
mod review;
#[path = "suite/second_factor.rs"]
mod second_factor;
#[path = "suite/sign_on.rs"]
mod sign_on;
#[path = "suite/users.rs"]
mod users;
#[path = "suite/visibility.rs"]
mod visibility;

use std::sync::Arc;

use chrono::{NaiveDate, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;
use serde_json::json;
use undertone_core::arrival::{AccountDetails, AgentDetails, ConversationDetails, CustomerDetails};
use undertone_core::clock::{CountedIds, SetClock};
use undertone_core::overview::Totals;
use undertone_core::verdict::{Coverage, Evidence, Provenance, ScorerKind, Span};
use undertone_core::{
    Arrival, CategoryId, Channel, Confidence, Emotion, Interaction, Kind, Label, Score, SkipReason, Urgency,
    Verdict,
};
use undertone_store::accept::{Accepted, Incoming};
use undertone_store::interactions::Filter;
use undertone_store::lessons::{LabelledText, NewLesson};
use undertone_store::people::{Person, Traces};
use undertone_store::queue::{Claim, Claimed};
use undertone_store::record::{Events, Finished, Outcome, Recorded};
use undertone_store::tenants::NewTenant;
use undertone_store::{Act, Options, Store, StoreError, Tenant};
use undertone_testkit::on_both_databases;
use undertone_testkit::postgres::Postgres;

struct Bench {
    store: Store,
    clock: Arc<SetClock>,
    ids: Arc<CountedIds>,
    url: String,
}

impl Bench {
    async fn open(url: String) -> Self {
        let clock = Arc::new(SetClock::new(Utc.with_ymd_and_hms(2026, 11, 20, 22, 30, 0).unwrap()));
        let ids = Arc::new(CountedIds::default());
        let options = Options { url: url.clone(), connections: 8 };
        let store = Store::open(&options, clock.clone(), ids.clone()).await.unwrap();
        Self { store, clock, ids, url }
    }

    async fn tenant(&self, slug: &str) -> Tenant {
        self.store
            .create_tenant(&NewTenant { slug, name: slug, zone: Tz::Europe__Berlin, actor: "test" })
            .await
            .unwrap()
    }

    fn advance(&self, seconds: i64) {
        self.clock.advance(TimeDelta::seconds(seconds));
    }

    /// Claims everything due and scores it with what `score` says of each text.
    async fn score_all(&self, tenant: &Tenant, score: impl Fn(&str) -> i64) -> Recorded {
        let claimed = self.claim(tenant, "worker").await;
        let finished = claimed
            .into_iter()
            .map(|claimed| {
                let verdict = verdict(score(&claimed.interaction.text), &claimed.interaction.text);
                Finished { claimed, outcome: Outcome::Scored(Box::new(verdict)) }
            })
            .collect::<Vec<_>>();
        self.store.record(tenant.id, "worker", EVENTS, &finished).await.unwrap()
    }

    async fn claim(&self, tenant: &Tenant, owner: &str) -> Vec<Claimed> {
        let claim = Claim { owner, lease: TimeDelta::seconds(60), limit: 500, suspect: false };
        self.store.claim(tenant.id, claim).await.unwrap()
    }

    async fn assert_verified(&self, tenant: &Tenant) {
        assert_eq!(self.store.verify(tenant.id).await.unwrap(), []);
    }
}

const EVENTS: Events = Events { to_workflow: true, to_webhooks: false, threshold: -50, alerts: true };

fn act(tenant: &Tenant) -> Act<'_> {
    Act::new(tenant.id, "test")
}

fn verdict(score: i64, text: &str) -> Verdict {
    let score = Score::new(score).unwrap();
    let end = text.find(' ').unwrap_or(text.len());
    Verdict {
        score,
        label: score.label(),
        confidence: Confidence::try_from(80).unwrap(),
        dominant_emotion: Emotion::new("frustration").unwrap(),
        emotions: Vec::new(),
        urgency: Urgency::Medium,
        category: CategoryId::new("billing").unwrap(),
        aspects: Vec::new(),
        summary: "They say so.".to_owned(),
        outside: None,
        evidence: vec![Evidence::found(Span { start: 0, end }, text[..end].to_owned(), -3.0)],
        coverage: Coverage { truncated: false, unread_percent: 0 },
        provenance: Provenance {
            scorer: ScorerKind::Local,
            model: "reader-1".to_owned(),
            model_version: "1".to_owned(),
            prompt_version: None,
            language: "en".to_owned(),
            tokens_in: 7,
            tokens_out: 0,
            cost_micros: 0,
            duration_us: 900,
        },
        cascade: None,
        suspicions: vec![],
    }
}

fn item(id: &str, customer: &str, text: &str) -> Incoming {
    let mut interaction = Interaction::message("api", id, text);
    interaction.customer = Some(customer.to_owned());
    interaction.channel = Channel::Email;
    Incoming { digest: format!("{text}|{customer}"), arrival: Arrival::of(interaction) }
}

on_both_databases!(sqlite, postgres, suite);

// Who adds, and who changes what is known.
on_both_databases!(reach_on_sqlite, reach_on_postgres, reached);

async fn reached(url: String) {
    let bench = Bench::open(url).await;
    bench.store.migrate().await.unwrap();
    reach::who_adds_changes_nothing_that_decides_who_sees_what(&bench).await;
}

// What waits for an LLM, and what changes that.
on_both_databases!(basis_on_sqlite, basis_on_postgres, based);

async fn based(url: String) {
    let bench = Bench::open(url).await;
    bench.store.migrate().await.unwrap();
    basis::what_is_put_off_while_its_reason_passes_is_due_at_once(&bench).await;
    model::a_tenants_default_holds_where_the_module_has_none(&bench).await;
}

on_both_databases!(signing_in_on_sqlite, signing_in_on_postgres, signing_in);

async fn signing_in(url: String) {
    let bench = Bench::open(url).await;
    bench.store.migrate().await.unwrap();
    second_factor::codes_are_used_once_whoever_comes_at_once(&bench).await;
    second_factor::log_ins_wait_for_one_session(&bench).await;
    sign_on::somebody_is_who_they_were(&bench).await;
    sign_on::a_provider_is_changed_by_who_saw_it(&bench).await;
}

// People and their sessions: time passes in weeks here, so they have a database of their own.
on_both_databases!(people_on_sqlite, people_on_postgres, people);

async fn people(url: String) {
    let bench = Bench::open(url).await;
    bench.store.migrate().await.unwrap();
    users::people_are_saved_with_a_password(&bench).await;
    users::people_are_invited_once(&bench).await;
    users::nobody_appoints_above_themselves(&bench).await;
    users::two_who_change_the_same_do_not_overwrite(&bench).await;
    users::somebody_is_left_who_can_undo_it(&bench).await;
    users::links_work_once(&bench).await;
    users::guessing_is_held_up_whether_there_is_an_account_or_not(&bench).await;
    users::sessions_end_by_themselves_and_when_told(&bench).await;
    users::tokens_are_replaced_and_an_old_one_ends_the_session(&bench).await;
    users::people_are_listed_in_pages(&bench).await;
    users::keys_end_when_they_should(&bench).await;
}

// Who sees what: days pass here, so it has a database of its own.
on_both_databases!(visibility_on_sqlite, visibility_on_postgres, visible);

async fn visible(url: String) {
    let bench = Bench::open(url).await;
    bench.store.migrate().await.unwrap();
    visibility::a_conversation_is_open_until_it_is_closed(&bench).await;
    visibility::two_who_open_conversations_again_do_not_lock_each_other_out(&bench).await;
    visibility::viewers_are_who_they_are_now(&bench).await;
    visibility::groups_are_published_once_and_hide_each_customer(&bench).await;
}

// The audit log: its guards are taken away here, so it has a database of its own.
on_both_databases!(audit_on_sqlite, audit_on_postgres, audit_log);

/// How long and how large, told in docs/decisions/0023.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes a minute or two"]
async fn a_long_audit_log() {
    let folder = tempfile::tempdir().unwrap();
    let server = Postgres::start();
    for url in [format!("sqlite://{}/undertone.db", folder.path().display()), server.url()] {
        let bench = Bench::open(url).await;
        bench.store.migrate().await.unwrap();
        audit::a_million_entries_are_followed_in_little_memory(&bench).await;
    }
}

async fn audit_log(url: String) {
    let bench = Bench::open(url).await;
    bench.store.migrate().await.unwrap();
    audit::entries_are_found_by_who_what_and_when(&bench).await;
    audit::entries_are_sealed_once_and_wait_for_nobody(&bench).await;
    audit::the_log_is_append_only(&bench).await;
    audit::whoever_changes_it_by_hand_is_found(&bench).await;
    audit::old_entries_go_and_leave_a_checkpoint(&bench).await;
}

// The rights of customers: time passes in years here, so they have a database of their own.
on_both_databases!(privacy_on_sqlite, privacy_on_postgres, privacy_of);

async fn privacy_of(url: String) {
    let bench = Bench::open(url).await;
    bench.store.migrate().await.unwrap();
    privacy::every_table_is_thought_of(&bench).await;
    privacy::an_erased_customer_is_gone_everywhere(&bench).await;
    privacy::what_is_under_way_is_not_kept(&bench).await;
    privacy::who_is_meant_and_who_is_held(&bench).await;
    aliases::an_alias_belongs_to_one(&bench).await;
    aliases::items_tell_aliases_one_after_the_other(&bench).await;
    aliases::what_is_not_taken_in_tells_no_aliases(&bench).await;
    aliases::numbers_of_before_are_respelled(&bench).await;
    aliases::a_list_that_replaces_is_audited_without_its_values(&bench).await;
    privacy::a_restored_backup_is_erased_again(&bench).await;
    privacy::retention::what_quotes_a_text_goes_with_it(&bench).await;
    privacy::retention::a_run_keeps_nothing_of_a_text_that_went_meanwhile(&bench).await;
    privacy::retention::a_conversation_says_what_it_is_about_as_long_as_it_is_read(&bench).await;
    privacy::retention::labels_go_with_their_text_or_by_their_own_clock(&bench).await;
    privacy::retention::what_would_go_is_told_as_it_goes(&bench).await;
    privacy::retention::alerts_have_a_clock_of_their_own(&bench).await;
    privacy::retention::what_no_surge_can_be_seen_in_goes(&bench).await;
    privacy::retention::clocks_remove_what_is_due_and_nothing_else(&bench).await;
    privacy::retention::what_waits_goes_with_its_text(&bench).await;
    privacy::retention::upkeep_is_done_by_one(&bench).await;
}

// Agents' numbers: time passes in months here, so they have a database of their own.
on_both_databases!(agents_on_sqlite, agents_on_postgres, agents_of);

async fn agents_of(url: String) {
    let bench = Bench::open(url).await;
    bench.store.migrate().await.unwrap();
    agents::numbers_of_agents_follow_the_rows(&bench).await;
    agents::counting_beside_recording_misses_nothing(&bench).await;
}

// Corrections, and the review of verdicts.
on_both_databases!(corrections_on_sqlite, corrections_on_postgres, corrections);

async fn corrections(url: String) {
    let bench = Bench::open(url).await;
    bench.store.migrate().await.unwrap();
    overrides::corrections_move_every_counter_and_stay(&bench).await;
    overrides::nobody_is_overwritten_unseen(&bench).await;
    overrides::many_at_once_leave_one_and_true_counters(&bench).await;
    overrides::who_opted_out_is_left_alone(&bench).await;
    review::shares_that_several_change_are_all_kept(&bench).await;
    review::verdicts_are_drawn_into_the_queue(&bench).await;
    review::what_is_unsure_or_contradicted_is_checked(&bench).await;
    review::what_is_suspicious_is_always_checked(&bench).await;
    review::raters_work_apart_until_it_is_settled(&bench).await;
    review::the_queue_keeps_what_may_be_read(&bench).await;
    review::many_raters_at_once(&bench).await;
}

async fn suite(url: String) {
    let bench = Bench::open(url).await;
    migrations_are_taken_once_by_many_at_a_time(&bench).await;
    tenants_have_names_of_their_own(&bench).await;
    the_module_has_a_ledger(&bench).await;
    settings_are_changed_whole_or_not(&bench).await;
    keys_open_their_tenant_until_they_end(&bench).await;
    the_same_again_is_the_same(&bench).await;
    mentions_create_and_fill_in(&bench).await;
    work_is_claimed_once_and_fenced(&bench).await;
    what_ends_a_process_is_tried_alone(&bench).await;
    outcomes_are_told(&bench).await;
    people_are_known_by_all_their_names(&bench).await;
    counters_follow_sentiments(&bench).await;
    revisions_replace_the_verdict_and_keep_the_override(&bench).await;
    days_move_with_the_zone(&bench).await;
    sealed_days_stay(&bench).await;
    a_false_counter_is_found_and_repaired(&bench).await;
    writers_at_once_neither_lose_nor_double(&bench).await;
    labels_and_lessons_are_each_tenants_own(&bench).await;
    provider_keys::keys_are_sealed_and_each_tenants_own(&bench).await;
    provider_keys::keys_are_sealed_anew_and_open_meanwhile(&bench).await;
    nothing_crosses_a_tenant(&bench).await;
    lists_and_overview(&bench).await;
    many_tenants_with_work(&bench).await;
    old_events_go_and_young_ones_stay(&bench).await;
    cascade::the_cascade_is_counted(&bench).await;
    backfill::what_was_not_scored_is_scored_once(&bench).await;
    backfill::what_is_scored_again_keeps_its_past(&bench).await;
    backfill::a_run_goes_on_where_it_was(&bench).await;
    backfill::runs_are_stopped_and_wait(&bench).await;
    backfill::one_is_scored_again_by_itself(&bench).await;
    backfill::batches_are_known_before_they_are_sent(&bench).await;
}

async fn migrations_are_taken_once_by_many_at_a_time(bench: &Bench) {
    let all = [
        "0001_initial",
        "0002_lessons",
        "0003_provider_keys",
        "0004_budget",
        "0005_usage",
        "0006_told",
        "0007_backfill",
        "0008_cascade",
        "0009_users",
        "0010_review",
        "0011_audit",
        "0012_privacy",
        "0013_visibility",
        "0014_agents",
        "0015_delivery",
        "0016_alerts",
        "0017_notices",
        "0018_suspicious",
        "0019_surge",
        "0020_outside",
        "0021_letter",
        "0022_reasons",
        "0023_assigned",
        "0024_numbers",
        "0026_failing",
        "0027_model",
    ];
    assert_eq!(bench.store.pending_migrations().await.unwrap(), all);
    let others = futures_of(4, async |_| {
        let options = Options { url: bench.url.clone(), connections: 2 };
        let store = Store::open(&options, bench.clock.clone(), bench.ids.clone()).await.unwrap();
        store.migrate().await.unwrap().len()
    })
    .await;
    assert_eq!(others.iter().sum::<usize>(), all.len());
    assert!(bench.store.pending_migrations().await.unwrap().is_empty());
    bench.store.ping().await.unwrap();
}

/// Runs `count` of the same side by side.
async fn futures_of<T>(count: usize, work: impl AsyncFn(usize) -> T) -> Vec<T> {
    futures::future::join_all((0..count).map(|n| work(n))).await
}

async fn tenants_have_names_of_their_own(bench: &Bench) {
    let tenant = bench.tenant("acme").await;
    let again = NewTenant { slug: "acme", name: "x", zone: Tz::UTC, actor: "test" };
    assert!(matches!(bench.store.create_tenant(&again).await, Err(StoreError::Conflict(_))));
    for slug in ["", "Acme", "1acme", "a b", &"a".repeat(41)] {
        let wrong = NewTenant { slug, ..again.clone() };
        assert!(matches!(bench.store.create_tenant(&wrong).await, Err(StoreError::Invalid(_))), "{slug}");
    }
    assert_eq!(bench.store.tenant_by_slug("acme").await.unwrap(), Some(tenant.clone()));
    assert_eq!(bench.store.tenant(tenant.id).await.unwrap(), Some(tenant.clone()));
    assert!(bench.store.tenants().await.unwrap().contains(&tenant));
}

async fn the_module_has_a_ledger(bench: &Bench) {
    let tenant = bench.tenant("ledger").await;
    assert!(bench.store.module(tenant.id).await.unwrap().active);
    assert!(!bench.store.set_module_active(&act(&tenant), true).await.unwrap());
    bench.advance(60);
    assert!(bench.store.set_module_active(&act(&tenant), false).await.unwrap());
    bench.advance(60);
    assert!(bench.store.set_module_active(&act(&tenant), true).await.unwrap());
    let periods = bench.store.module_periods(tenant.id).await.unwrap();
    assert_eq!(periods.len(), 2);
    assert!(periods[0].deactivated_at.is_none() && periods[1].deactivated_at.is_some());
    assert_eq!(periods[0].monthly_price_cents, 9999);
}

async fn settings_are_changed_whole_or_not(bench: &Bench) {
    let tenant = bench.tenant("settings").await;
    let changed =
        bench.store.change_settings(&act(&tenant), &json!({"alert_threshold": -40, "model": "x"})).await;
    assert_eq!(changed.unwrap().alert_threshold, -40);
    let wrong = json!({"alert_threshold": -101, "enabled": false, "nope": 1});
    let Err(StoreError::Invalid(told)) = bench.store.change_settings(&act(&tenant), &wrong).await else {
        panic!("it must be refused")
    };
    assert_eq!(told.lines().count(), 2, "{told}");
    let settings = bench.store.module(tenant.id).await.unwrap().settings;
    assert!(settings.enabled && settings.alert_threshold == -40);
    let back = bench.store.change_settings(&act(&tenant), &json!({"alert_threshold": null})).await.unwrap();
    assert_eq!((back.alert_threshold, back.model.as_deref()), (-50, Some("x")));
    assert_eq!(bench.store.reset_settings(&act(&tenant)).await.unwrap().model, None);
    assert_eq!(bench.store.module(tenant.id).await.unwrap().saved, json!({}));
    assert!(bench.store.module(tenant.id).await.unwrap().active);
}

async fn keys_open_their_tenant_until_they_end(bench: &Bench) {
    let tenant = bench.tenant("keys").await;
    let id = bench.store.create_key(&act(&tenant), "crm", &["ingest", "read"], "ut_secret").await.unwrap();
    let key = bench.store.key("ut_secret").await.unwrap().unwrap();
    assert_eq!(
        (key.tenant, key.scopes.as_slice()),
        (tenant.id, &["ingest".to_owned(), "read".to_owned()][..])
    );
    assert_eq!(bench.store.key("ut_other").await.unwrap(), None);
    let listed = bench.store.keys(tenant.id).await.unwrap();
    assert!(listed[0].last_used_at.is_some());
    let other = bench.tenant("keys2").await;
    assert!(!bench.store.revoke_key(&act(&other), &id).await.unwrap());
    assert!(bench.store.revoke_key(&act(&tenant), &id).await.unwrap());
    assert_eq!(bench.store.key("ut_secret").await.unwrap(), None);
}

async fn the_same_again_is_the_same(bench: &Bench) {
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

async fn mentions_create_and_fill_in(bench: &Bench) {
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
    assert!(bench.store.customer(tenant.id, "ana").await.unwrap().unwrap().opted_out_at.is_some());
    let claimed = bench.claim(&tenant, "w").await;
    assert!(claimed.iter().all(|c| c.opted_out && c.segment == "gold"));
    assert!(!bench.store.set_opted_out(&act(&tenant), "nobody", true).await.unwrap());
}

async fn work_is_claimed_once_and_fenced(bench: &Bench) {
    let tenant = bench.tenant("claims").await;
    let items: Vec<Incoming> = (0..20).map(|n| item(&n.to_string(), "ana", "It broke again")).collect();
    bench.store.accept(tenant.id, &items).await.unwrap();
    assert!(bench.store.tenants_with_work().await.unwrap().contains(&tenant.id));
    let claim = |owner| Claim { owner, lease: TimeDelta::seconds(60), limit: 10, suspect: false };
    let one = bench.store.claim(tenant.id, claim("one")).await.unwrap();
    let two = bench.store.claim(tenant.id, claim("two")).await.unwrap();
    assert_eq!(
        (one.len(), two.len(), bench.store.claim(tenant.id, claim("three")).await.unwrap().len()),
        (10, 10, 0)
    );
    assert!(one.iter().all(|a| two.iter().all(|b| a.id != b.id)));
    assert!(!bench.store.tenants_with_work().await.unwrap().contains(&tenant.id));

    // The second worker renews its lease, and only its own; the first one's ends, another takes over, and what it then says does not count.
    bench.advance(40);
    let held = |claimed: &[Claimed]| claimed.iter().map(|c| (c.id.clone(), c.attempts)).collect::<Vec<_>>();
    let minute = TimeDelta::seconds(60);
    assert_eq!(bench.store.renew(tenant.id, "two", minute, &held(&two)).await.unwrap(), 10);
    assert_eq!(bench.store.renew(tenant.id, "two", minute, &held(&one)).await.unwrap(), 0);
    bench.advance(21);
    let taken = bench.store.claim(tenant.id, claim("three")).await.unwrap();
    assert_eq!(held(&taken), one.iter().map(|c| (c.id.clone(), 2)).collect::<Vec<_>>());
    let done = |claimed: &[Claimed]| -> Vec<Finished> {
        claimed
            .iter()
            .map(|c| Finished {
                claimed: c.clone(),
                outcome: Outcome::Scored(Box::new(verdict(-60, &c.interaction.text))),
            })
            .collect()
    };
    let late = bench.store.record(tenant.id, "one", EVENTS, &done(&one)).await.unwrap();
    assert_eq!(late.lost, 10);
    let recorded = bench.store.record(tenant.id, "three", EVENTS, &done(&taken)).await.unwrap();
    assert_eq!((recorded.scored, recorded.lost), (10, 0));
    // Said twice, it counts once.
    let twice = bench.store.record(tenant.id, "three", EVENTS, &done(&taken)).await.unwrap();
    assert_eq!((twice.scored, twice.lost), (0, 10));
    bench.assert_verified(&tenant).await;

    bench.advance(61);
    let rest = bench.store.claim(tenant.id, claim("five")).await.unwrap();
    let released = bench.store.release(tenant.id, "five").await.unwrap();
    assert_eq!(released as usize, rest.len());
}

async fn what_ends_a_process_is_tried_alone(bench: &Bench) {
    let tenant = bench.tenant("poison").await;
    bench
        .store
        .accept(tenant.id, &[item("1", "a", "It broke again"), item("2", "a", "It broke once")])
        .await
        .unwrap();
    for _ in 0..2 {
        assert_eq!(bench.store.due(tenant.id, 10).await.unwrap(), 2);
        assert_eq!(bench.store.due(tenant.id, 1).await.unwrap(), 1);
        assert_eq!(bench.claim(&tenant, "dies").await.len(), 2);
        assert_eq!(bench.store.due(tenant.id, 10).await.unwrap(), 0);
        bench.advance(61);
    }
    assert!(bench.claim(&tenant, "w").await.is_empty());
    let claim = Claim { owner: "w", lease: TimeDelta::seconds(60), limit: 500, suspect: true };
    assert_eq!(bench.store.claim(tenant.id, claim).await.unwrap().len(), 1);
    assert_eq!(bench.store.claim(tenant.id, claim).await.unwrap()[0].attempts, 3);
}

async fn outcomes_are_told(bench: &Bench) {
    let tenant = bench.tenant("outcomes").await;
    let items: Vec<Incoming> = (0..6).map(|n| item(&n.to_string(), "ana", "It broke again")).collect();
    let ids: Vec<String> =
        bench.store.accept(tenant.id, &items).await.unwrap().iter().map(|a| a.id().to_owned()).collect();
    let claimed = bench.claim(&tenant, "w").await;
    let now = bench.store.now();
    let outcomes = [
        Outcome::Scored(Box::new(verdict(-70, "It broke again"))),
        Outcome::Skipped { reason: SkipReason::LanguageNotValidated, detail: Some("fi".to_owned()) },
        Outcome::Deferred {
            reason: SkipReason::NoKey,
            detail: Some("no key for claude".to_owned()),
            until: now + TimeDelta::minutes(5),
        },
        Outcome::Failed { detail: "broke".to_owned(), retry_at: Some(now + TimeDelta::seconds(5)) },
        Outcome::Failed { detail: "broke for good".to_owned(), retry_at: None },
        Outcome::ScoredInstead {
            verdict: Box::new(verdict(-70, "It broke again")),
            reason: SkipReason::DailyTokenCap,
            detail: "the daily token cap is reached".to_owned(),
        },
    ];
    let finished: Vec<Finished> =
        claimed.into_iter().zip(outcomes).map(|(claimed, outcome)| Finished { claimed, outcome }).collect();
    let recorded = bench.store.record(tenant.id, "w", EVENTS, &finished).await.unwrap();
    assert_eq!(recorded, Recorded { scored: 2, skipped: 1, deferred: 2, failed: 1, lost: 0 });
    let mut told = Vec::new();
    for id in &ids {
        let listed = bench.store.interaction(tenant.id, id).await.unwrap().unwrap();
        told.push((listed.state, listed.reason, listed.detail, listed.attempts));
    }
    let row = |state: &str, reason: Option<&str>, detail: Option<&str>, attempts| {
        (state.to_owned(), reason.map(str::to_owned), detail.map(str::to_owned), attempts)
    };
    assert_eq!(
        told,
        [
            row("scored", None, None, 1),
            row("skipped", Some("language_not_validated"), Some("fi"), 1),
            row("pending", Some("no_key"), Some("no key for claude"), 0),
            row("pending", Some("retrying"), Some("broke"), 1),
            row("failed", Some("scoring_failed"), Some("broke for good"), 1),
            row("scored", Some("daily_token_cap"), Some("the daily token cap is reached"), 1),
        ]
    );
    // The first page says whose verdict it is, too.
    let latest = bench.store.latest(tenant.id, 9).await.unwrap();
    let instead = |id: &String| latest.iter().find(|one| one.interaction_id == *id).unwrap().read_instead;
    assert_eq!((instead(&ids[0]), instead(&ids[5])), (None, Some(SkipReason::DailyTokenCap)));
    let waiting = bench.store.waiting(tenant.id).await.unwrap();
    assert_eq!((waiting.pending.count, waiting.failed.count), (2, 1));
    let sentiment = bench.store.sentiment(tenant.id, &ids[0]).await.unwrap().unwrap();
    assert_eq!((sentiment.score, sentiment.keywords[0]["text"].as_str()), (-70, Some("It")));
    assert_eq!(
        bench.store.revisions(tenant.id, &ids[0]).await.unwrap()[0].verdict,
        verdict(-70, "It broke again")
    );
    bench.assert_verified(&tenant).await;

    // Whatever is changed in the settings, what waits for an LLM is looked at again, and nothing else is.
    bench.advance(1);
    let due = async |n: usize| {
        bench.store.interaction(tenant.id, &ids[n]).await.unwrap().unwrap().next_attempt_at.unwrap()
    };
    let retried = due(3).await;
    bench.store.change_settings(&act(&tenant), &json!({"daily_token_cap": 200_000})).await.unwrap();
    assert_eq!((due(2).await, due(3).await), (bench.store.now(), retried));
    assert_eq!(bench.claim(&tenant, "w").await.len(), 1);
}

async fn people_are_known_by_all_their_names(bench: &Bench) {
    let (tenant, other) = (bench.tenant("known-people").await, bench.tenant("people2").await);
    let raw = sea_orm::Database::connect(bench.url.clone()).await.unwrap();
    for tenant in [&tenant, &other] {
        let mut with_agent = item("1", "ana", "It broke again");
        with_agent.arrival.interaction.agent = Some("bo".to_owned());
        let items = [with_agent, item("2", "cy", "It broke once"), item("3", "nobody", "It broke")];
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
    assert!(bench.store.people_of(other.id, &claimed).await.unwrap().of(&claimed[0]).next().is_none());
    assert!(bench.store.people_of(tenant.id, &[]).await.unwrap().of(&claimed[0]).next().is_none());
}

async fn counters_follow_sentiments(bench: &Bench) {
    let tenant = bench.tenant("counters").await;
    let items =
        [item("1", "ana", "-60"), item("2", "ana", "-20"), item("3", "bo", "80"), item("4", "bo", "0")];
    bench.store.accept(tenant.id, &items).await.unwrap();
    assert_eq!(bench.score_all(&tenant, |text| text.parse().unwrap()).await.scored, 4);
    let ana = bench.store.customer(tenant.id, "ana").await.unwrap().unwrap();
    let sums = bench.store.customer_sentiment(tenant.id, &ana.id).await.unwrap();
    assert_eq!(sums.totals, Totals { scored: 2, sum_score: -80, negative: 2, ..Totals::default() });
    assert_eq!(sums.first_scored_at, Some(bench.store.now()));
    assert!(sums.last.is_some_and(|last| last.label == "negative"));
    let overview = bench.store.overview(&tenant, 30).await.unwrap();
    let all = Totals { scored: 4, sum_score: 0, positive: 1, neutral: 1, negative: 2, mixed: 0 };
    assert_eq!(
        (overview.all_time.totals, overview.today.summary.unwrap().totals, overview.period.totals),
        (all, all, all)
    );
    assert_eq!(
        (overview.at_risk.unwrap().count, overview.customers_at_risk[0].external_id.as_str()),
        (1, "ana")
    );
    let escalations = bench.store.escalations(tenant.id, TimeDelta::hours(24), 10).await.unwrap();
    assert_eq!(escalations.iter().map(|e| e.score).collect::<Vec<_>>(), [-60, -20]);
    bench.assert_verified(&tenant).await;
}

async fn revisions_replace_the_verdict_and_keep_the_override(bench: &Bench) {
    let tenant = bench.tenant("revisions").await;
    let id = bench.store.accept(tenant.id, &[item("1", "ana", "-60")]).await.unwrap()[0].id().to_owned();
    bench.score_all(&tenant, |text| text.parse().unwrap()).await;
    let mut update = item("1", "bo", "40");
    update.arrival.update = true;
    bench.store.accept(tenant.id, &[update]).await.unwrap();
    // Until it is read, the earlier verdict stands.
    assert_eq!(bench.store.sentiment(tenant.id, &id).await.unwrap().unwrap().score, -60);
    bench.score_all(&tenant, |text| text.parse().unwrap()).await;
    assert_eq!(bench.store.sentiment(tenant.id, &id).await.unwrap().unwrap().score, 40);
    assert_eq!(bench.store.revisions(tenant.id, &id).await.unwrap().len(), 2);
    let ana = bench.store.customer(tenant.id, "ana").await.unwrap().unwrap();
    assert_eq!(bench.store.customer_sentiment(tenant.id, &ana.id).await.unwrap().totals, Totals::default());
    bench.assert_verified(&tenant).await;
    // Content that is not scored any more takes the verdict along.
    let mut empty = item("1", "bo", "");
    empty.arrival.update = true;
    bench.store.accept(tenant.id, &[empty]).await.unwrap();
    let claimed = bench.claim(&tenant, "w").await.remove(0);
    let skipped = Finished { claimed, outcome: Outcome::Skipped { reason: SkipReason::Empty, detail: None } };
    bench.store.record(tenant.id, "w", EVENTS, &[skipped]).await.unwrap();
    assert_eq!(bench.store.sentiment(tenant.id, &id).await.unwrap(), None);
    assert_eq!(bench.store.overview(&tenant, 30).await.unwrap().all_time.totals, Totals::default());
    bench.assert_verified(&tenant).await;
}

async fn days_move_with_the_zone(bench: &Bench) {
    let tenant = bench.tenant("zones").await;
    let mut late = item("1", "ana", "-60");
    // 23:30 in Berlin, the next day in Auckland, the day before nowhere.
    late.arrival.interaction.occurred_at = Some(Utc.with_ymd_and_hms(2026, 11, 19, 22, 30, 0).unwrap());
    bench.store.accept(tenant.id, &[late, item("2", "bo", "30")]).await.unwrap();
    bench.score_all(&tenant, |text| text.parse().unwrap()).await;
    let day = |d| NaiveDate::from_ymd_opt(2026, 11, d).unwrap();
    let scored_on = async |tenant: &Tenant, d| {
        let overview = bench.store.overview(tenant, 30).await.unwrap();
        overview.days.iter().find(|x| x.day == day(d)).map_or(0, |x| x.summary.totals.scored)
    };
    assert_eq!(scored_on(&tenant, 19).await, 1);
    bench.store.set_zone(&act(&tenant), Tz::Pacific__Auckland).await.unwrap();
    let changing = bench.store.tenant(tenant.id).await.unwrap().unwrap();
    assert!(
        changing.zone_is_changing && bench.store.tenants_changing_zone().await.unwrap().contains(&tenant.id)
    );
    bench.assert_verified(&tenant).await;
    while bench.store.move_days(tenant.id).await.unwrap() {}
    let moved = bench.store.tenant(tenant.id).await.unwrap().unwrap();
    assert!(!moved.zone_is_changing);
    assert_eq!((scored_on(&moved, 19).await, scored_on(&moved, 20).await), (0, 1));
    bench.assert_verified(&tenant).await;
}

async fn sealed_days_stay(bench: &Bench) {
    let tenant = bench.tenant("sealed").await;
    let mut old = item("1", "ana", "-60");
    old.arrival.interaction.occurred_at = Some(Utc.with_ymd_and_hms(2025, 1, 5, 12, 0, 0).unwrap());
    bench.store.accept(tenant.id, &[old, item("2", "bo", "30")]).await.unwrap();
    bench.score_all(&tenant, |text| text.parse().unwrap()).await;
    bench.store.seal_days(tenant.id, NaiveDate::from_ymd_opt(2025, 6, 1).unwrap()).await.unwrap();
    bench.assert_verified(&tenant).await;
    // What comes late for a sealed day is counted all the same.
    let mut late = item("3", "ana", "-40");
    late.arrival.interaction.occurred_at = Some(Utc.with_ymd_and_hms(2025, 1, 6, 12, 0, 0).unwrap());
    bench.store.accept(tenant.id, &[late]).await.unwrap();
    bench.score_all(&tenant, |text| text.parse().unwrap()).await;
    bench.assert_verified(&tenant).await;
    bench.store.rebuild(tenant.id).await.unwrap();
    bench.assert_verified(&tenant).await;
    assert_eq!(bench.store.overview(&tenant, 30).await.unwrap().all_time.totals.scored, 3);
    assert_eq!(
        bench.store.tenant(tenant.id).await.unwrap().unwrap().sealed_before,
        NaiveDate::from_ymd_opt(2025, 6, 1)
    );
}

async fn a_false_counter_is_found_and_repaired(bench: &Bench) {
    let tenant = bench.tenant("false").await;
    let taken =
        bench.store.accept(tenant.id, &[item("1", "ana", "-60"), item("2", "bo", "30")]).await.unwrap();
    bench.score_all(&tenant, |text| text.parse().unwrap()).await;
    overrides::correct(bench, &tenant, taken[0].id(), 90).await;
    for statement in [
        "UPDATE customer_sentiment SET scored = scored + 1 WHERE tenant_id = ",
        "UPDATE sentiment_daily SET sum_score = sum_score - 1 WHERE tenant_id = ",
        "DELETE FROM sentiment_counter WHERE counter = 'scored' AND tenant_id = ",
        "UPDATE sentiment_counter SET negative = negative + 1 WHERE counter = 'all' AND tenant_id = ",
        "UPDATE interaction_sentiment SET human_override_score = 40 WHERE human_override_score IS NOT NULL AND tenant_id = ",
    ] {
        let url = bench.url.clone();
        let raw = sea_orm::Database::connect(url).await.unwrap();
        sea_orm::ConnectionTrait::execute_unprepared(&raw, &format!("{statement}{}", tenant.id.0))
            .await
            .unwrap();
        raw.close().await.unwrap();
        assert!(!bench.store.verify(tenant.id).await.unwrap().is_empty(), "{statement}");
        bench.store.rebuild(tenant.id).await.unwrap();
        bench.assert_verified(&tenant).await;
    }
    let all = bench.store.overview(&tenant, 30).await.unwrap().all_time.totals;
    assert_eq!((all.positive, all.negative, all.sum_score), (2, 0, 120));
    // What a person corrected is a label to learn from.
    let corrected = bench.store.labelled_texts(tenant.id).await.unwrap();
    assert_eq!(
        corrected.iter().map(|t| (t.text.as_str(), t.label)).collect::<Vec<_>>(),
        [("-60", Label::Positive)]
    );
    // The override outlives another verdict.
    let mut update = item("1", "ana", "-80");
    update.arrival.update = true;
    bench.store.accept(tenant.id, &[update]).await.unwrap();
    bench.score_all(&tenant, |text| text.parse().unwrap()).await;
    assert_eq!(bench.store.overview(&tenant, 30).await.unwrap().all_time.totals.sum_score, 120);
    bench.assert_verified(&tenant).await;
}

async fn writers_at_once_neither_lose_nor_double(bench: &Bench) {
    let tenant = bench.tenant("crowd").await;
    // Eight at once, each handing in the same 60 in an order of its own, with shared customers.
    let taken = futures_of(8, async |n| {
        let mut items: Vec<Incoming> = (0..60)
            .map(|i| item(&i.to_string(), &format!("c{}", i % 7), &format!("{}", i % 200 - 100)))
            .collect();
        items.rotate_left(n * 7);
        if n % 2 == 0 {
            items.reverse();
        }
        let mut created = 0;
        for chunk in items.chunks(20) {
            let accepted = bench.store.accept(tenant.id, chunk).await.unwrap();
            created += accepted.iter().filter(|a| matches!(a, Accepted::Created { .. })).count();
        }
        created
    })
    .await;
    assert_eq!(taken.iter().sum::<usize>(), 60);
    let scored = futures_of(6, async |n| {
        let owner = format!("w{n}");
        let mut scored = 0;
        loop {
            let claim = Claim { owner: &owner, lease: TimeDelta::seconds(60), limit: 7, suspect: false };
            let claimed = bench.store.claim(tenant.id, claim).await.unwrap();
            if claimed.is_empty() {
                return scored;
            }
            let finished: Vec<Finished> = claimed
                .into_iter()
                .map(|claimed| {
                    let verdict =
                        verdict(claimed.interaction.text.parse().unwrap(), &claimed.interaction.text);
                    Finished { claimed, outcome: Outcome::Scored(Box::new(verdict)) }
                })
                .collect();
            scored += bench.store.record(tenant.id, &owner, EVENTS, &finished).await.unwrap().scored;
        }
    })
    .await;
    assert_eq!(scored.iter().sum::<usize>(), 60);
    bench.assert_verified(&tenant).await;
    assert_eq!(bench.store.overview(&tenant, 7).await.unwrap().all_time.totals.scored, 60);
}

async fn labels_and_lessons_are_each_tenants_own(bench: &Bench) {
    let (mine, theirs) = (bench.tenant("taught").await, bench.tenant("untaught").await);
    let store = &bench.store;
    let text = |text: &str, label| LabelledText { text: text.to_owned(), kind: Kind::Message, label };
    let texts: Vec<LabelledText> =
        (0..300).map(|n| text(&format!("late again, order {n}"), Label::Negative)).collect();
    let kept = store.label_texts(&act(&mine), &texts).await.unwrap();
    assert_eq!((kept.added, kept.changed, kept.same), (300, 0, 0));
    // The same again, one of them twice, and one with another label.
    let mut again = texts.clone();
    again.push(texts[0].clone());
    again[7].label = Label::Mixed;
    let kept = store.label_texts(&act(&mine), &again).await.unwrap();
    assert_eq!((kept.added, kept.changed, kept.same), (0, 1, 300));
    let note = LabelledText { kind: Kind::Note, ..texts[0].clone() };
    assert_eq!(store.label_texts(&act(&mine), &[note]).await.unwrap().added, 1, "a note is another text");
    let counts = store.label_counts(mine.id).await.unwrap();
    let told: Vec<(Label, u64)> = counts.iter().map(|count| (count.label, count.handed_in)).collect();
    assert_eq!(told, [(Label::Positive, 0), (Label::Neutral, 0), (Label::Negative, 300), (Label::Mixed, 1)]);
    assert_eq!(store.labelled_texts(mine.id).await.unwrap().len(), 301);
    assert!(store.labelled_texts(theirs.id).await.unwrap().is_empty());

    let lesson = |version, active| NewLesson {
        version,
        model_version: "2",
        body: "{}",
        trial: serde_json::json!({"verdict": "better"}),
        active,
    };
    assert_eq!(store.next_lesson(mine.id).await.unwrap(), 1);
    store.keep_lesson(&act(&mine), &lesson(1, true)).await.unwrap();
    let twice = store.keep_lesson(&act(&mine), &lesson(1, true)).await.unwrap_err();
    assert!(matches!(twice, StoreError::Conflict(_)), "{twice}");
    store.keep_lesson(&act(&mine), &lesson(2, false)).await.unwrap();
    assert_eq!(store.lesson_in_force(mine.id).await.unwrap(), Some(1));
    assert_eq!(store.lesson_in_force(theirs.id).await.unwrap(), None);
    assert!(store.use_lesson(&act(&mine), Some(2)).await.unwrap());
    let listed: Vec<(i64, bool)> =
        store.lessons(mine.id).await.unwrap().into_iter().map(|l| (l.version, l.active)).collect();
    assert_eq!(listed, [(2, true), (1, false)]);
    assert!(!store.use_lesson(&act(&theirs), Some(2)).await.unwrap(), "it is not theirs");
    assert!(store.lesson(theirs.id, 2).await.unwrap().is_none());
    assert_eq!(store.lesson_in_force(mine.id).await.unwrap(), Some(2));
    assert!(store.use_lesson(&act(&mine), None).await.unwrap());
    assert_eq!(store.lesson_in_force(mine.id).await.unwrap(), None);
    assert_eq!(store.forget_labels(&act(&theirs)).await.unwrap(), 0);
    assert_eq!(store.forget_labels(&act(&mine)).await.unwrap(), 301);
    assert_eq!(store.lessons(mine.id).await.unwrap().len(), 2);
}

async fn nothing_crosses_a_tenant(bench: &Bench) {
    let (mine, theirs) = (bench.tenant("mine").await, bench.tenant("theirs").await);
    let id = bench.store.accept(theirs.id, &[item("1", "ana", "-60")]).await.unwrap()[0].id().to_owned();
    bench.score_all(&theirs, |text| text.parse().unwrap()).await;
    let ana = bench.store.customer(theirs.id, "ana").await.unwrap().unwrap();
    let store = &bench.store;
    assert!(store.interaction(mine.id, &id).await.unwrap().is_none());
    assert!(store.text(mine.id, &id).await.unwrap().is_none());
    assert!(store.sentiment(mine.id, &id).await.unwrap().is_none());
    assert!(store.revisions(mine.id, &id).await.unwrap().is_empty());
    assert!(store.customer(mine.id, &ana.id).await.unwrap().is_none());
    assert!(store.customer(mine.id, "ana").await.unwrap().is_none());
    assert_eq!(store.customer_sentiment(mine.id, &ana.id).await.unwrap().totals.scored, 0);
    assert!(store.escalations(mine.id, TimeDelta::hours(24), 10).await.unwrap().is_empty());
    assert!(
        store.interactions(mine.id, &Filter { limit: 10, ..Filter::default() }).await.unwrap().is_empty()
    );
    assert!(store.latest(mine.id, 10).await.unwrap().is_empty());
    assert_eq!(store.overview(&mine, 30).await.unwrap().all_time.totals.scored, 0);
    assert!(!store.set_opted_out(&act(&mine), &ana.id, true).await.unwrap());
    // The same ids in both worlds are different things.
    let same = store.accept(mine.id, &[item("1", "ana", "other")]).await.unwrap();
    assert!(matches!(same[0], Accepted::Created { .. }) && same[0].id() != id);
}

async fn lists_and_overview(bench: &Bench) {
    let tenant = bench.tenant("lists").await;
    let items: Vec<Incoming> =
        (0..30).map(|n| item(&n.to_string(), "ana", if n < 25 { "-30" } else { "20" })).collect();
    let ids: Vec<String> =
        bench.store.accept(tenant.id, &items).await.unwrap().iter().map(|a| a.id().to_owned()).collect();
    let list = async |filter: Filter<'_>| bench.store.interactions(tenant.id, &filter).await.unwrap();
    assert_eq!(list(Filter { state: Some("pending"), limit: 100, ..Filter::default() }).await.len(), 30);
    bench.score_all(&tenant, |text| text.parse().unwrap()).await;
    let page = list(Filter { limit: 10, ..Filter::default() }).await;
    assert_eq!(
        page.iter().map(|i| i.id.clone()).collect::<Vec<_>>(),
        ids.iter().rev().take(10).cloned().collect::<Vec<_>>()
    );
    let next = list(Filter { before: Some(&page[9].id), limit: 100, ..Filter::default() }).await;
    assert_eq!(next.len(), 20);
    assert_eq!(list(Filter { state: Some("pending"), limit: 100, ..Filter::default() }).await.len(), 0);
    assert_eq!(list(Filter { state: Some("scored"), limit: 100, ..Filter::default() }).await.len(), 30);
    let found =
        list(Filter { source: Some("api"), external_id: Some("7"), limit: 1, ..Filter::default() }).await;
    assert_eq!(
        (found[0].id.as_str(), found[0].score, found[0].label.as_deref()),
        (ids[7].as_str(), Some(-30), Some("negative"))
    );
    let ana = bench.store.customer(tenant.id, "ana").await.unwrap().unwrap();
    assert_eq!(list(Filter { customer_id: Some(&ana.id), limit: 100, ..Filter::default() }).await.len(), 30);
    // What an export tells beyond the list, of whatever is there and in this tenant.
    bench.store.accept(tenant.id, &[item("unscored", "ben", "later")]).await.unwrap();
    let waiting = list(Filter { state: Some("pending"), limit: 1, ..Filter::default() }).await.remove(0);
    let wanted = [page[0].id.as_str(), waiting.id.as_str(), "nothing"];
    let more = bench.store.details(tenant.id, &wanted, true).await.unwrap();
    assert_eq!(more.len(), 2);
    let (scored, waits) = (&more[&page[0].id], &more[&waiting.id]);
    assert_eq!((scored.customer.as_deref(), scored.text.as_deref()), (Some("ana"), Some("20")));
    let verdict = scored.verdict.as_ref().unwrap();
    assert_eq!((verdict.confidence, verdict.category.as_str(), verdict.corrected), (80, "billing", false));
    assert_eq!((waits.customer.as_deref(), &waits.verdict), (Some("ben"), &None));
    assert_eq!(bench.store.details(tenant.id, &wanted, false).await.unwrap()[&waiting.id].text, None);
    let elsewhere = bench.tenant("lists-elsewhere").await;
    assert!(bench.store.details(elsewhere.id, &wanted, true).await.unwrap().is_empty());
    let overview = bench.store.overview(&tenant, 7).await.unwrap();
    assert_eq!((overview.days.len(), overview.latest.len(), overview.zone.as_str()), (7, 8, "Europe/Berlin"));
    assert_eq!(overview.latest[0].evidence[0].text, overview.latest[0].text.clone().unwrap());
    assert_eq!(overview.customers_at_risk[0].last_said.as_deref(), Some("20"));
    let (before, _) = bench.store.pulse(tenant.id).await.unwrap();
    assert_eq!(before.scored, 30);
}

async fn old_events_go_and_young_ones_stay(bench: &Bench) {
    let tenant = bench.tenant("events").await;
    bench.store.accept(tenant.id, &[item("1", "ana", "-60")]).await.unwrap();
    bench.score_all(&tenant, |text| text.parse().unwrap()).await;
    let events = async || {
        let raw = sea_orm::Database::connect(bench.url.clone()).await.unwrap();
        let rows = sea_orm::ConnectionTrait::query_all_raw(
            &raw,
            sea_orm::Statement::from_string(
                sea_orm::ConnectionTrait::get_database_backend(&raw),
                format!("SELECT event FROM outbox WHERE tenant_id = {} ORDER BY event", tenant.id.0),
            ),
        );
        let events: Vec<String> =
            rows.await.unwrap().iter().map(|row| row.try_get_by_index(0).unwrap()).collect();
        raw.close().await.unwrap();
        events
    };
    assert_eq!(events().await, ["alert.raised", "sentiment.negative", "sentiment.scored"]);
    assert!(!bench.store.remove_old_events(tenant.id, TimeDelta::days(7)).await.unwrap());
    assert_eq!(events().await.len(), 3);
    bench.advance(8 * 86_400);
    bench.store.remove_old_events(tenant.id, TimeDelta::days(7)).await.unwrap();
    assert_eq!(events().await.len(), 3, "nobody was told of them yet");
    bench.store.place_events(tenant.id, 100).await.unwrap();
    bench.store.remove_old_events(tenant.id, TimeDelta::days(7)).await.unwrap();
    assert!(events().await.is_empty());
}

async fn many_tenants_with_work(bench: &Bench) {
    let (a, b) = (bench.tenant("work-a").await, bench.tenant("work-b").await);
    for tenant in [&a, &b] {
        bench.store.accept(tenant.id, &[item("1", "ana", "-60")]).await.unwrap();
    }
    let due = bench.store.tenants_with_work().await.unwrap();
    assert!(due.contains(&a.id) && due.contains(&b.id));
}
