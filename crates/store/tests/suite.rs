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
#[path = "suite/counters.rs"]
mod counters;
#[path = "suite/intake.rs"]
mod intake;
#[path = "suite/lists.rs"]
mod lists;
#[path = "suite/logins.rs"]
mod logins;
#[path = "suite/model.rs"]
mod model;
#[path = "suite/overrides.rs"]
mod overrides;
#[path = "suite/privacy.rs"]
mod privacy;
#[path = "suite/provider_keys.rs"]
mod provider_keys;
#[path = "suite/queue.rs"]
mod queue;
#[path = "suite/reach.rs"]
mod reach;
#[path = "suite/review.rs"]
mod review;
#[path = "suite/second_factor.rs"]
mod second_factor;
#[path = "suite/sign_on.rs"]
mod sign_on;
#[path = "suite/tenants.rs"]
mod tenants;
#[path = "suite/users.rs"]
mod users;
#[path = "suite/visibility.rs"]
mod visibility;
#[path = "suite/whose.rs"]
mod whose;

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
use undertone_store::record::{Finished, Outcome, Recorded};
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
        let finished = finished(claimed, |text| verdict(score(text), text));
        self.store.record(tenant.id, "worker", &finished).await.unwrap()
    }

    async fn claim(&self, tenant: &Tenant, owner: &str) -> Vec<Claimed> {
        let claim = Claim { owner, lease: TimeDelta::seconds(60), limit: 500, suspect: false };
        self.store.claim(tenant.id, claim).await.unwrap()
    }

    async fn assert_verified(&self, tenant: &Tenant) {
        assert_eq!(self.store.verify(tenant.id).await.unwrap(), []);
    }
}

fn act(tenant: &Tenant) -> Act<'_> {
    Act::new(tenant.id, "test")
}

/// What was claimed, each with what `verdict_of` says of its text.
fn finished(
    claimed: impl IntoIterator<Item = Claimed>,
    verdict_of: impl Fn(&str) -> Verdict,
) -> Vec<Finished> {
    let scored = |claimed: Claimed| {
        let verdict = verdict_of(&claimed.interaction.text);
        Finished { claimed, outcome: Outcome::Scored(Box::new(verdict)) }
    };
    claimed.into_iter().map(scored).collect()
}

/// The score that a text ends with.
fn score_of(text: &str) -> i64 {
    text.rsplit(' ').next().unwrap().parse().unwrap()
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
    reach::who_adds_moves_no_conversation(&bench).await;
    reach::what_people_change_is_noted(&bench).await;
    reach::what_people_change_of_what_belongs_to_customers_is_noted(&bench).await;
    reach::to_whom_people_give_a_conversation_is_noted(&bench).await;
}

// What waits for an LLM, and what changes that.
on_both_databases!(basis_on_sqlite, basis_on_postgres, based);

async fn based(url: String) {
    let bench = Bench::open(url).await;
    bench.store.migrate().await.unwrap();
    basis::what_is_put_off_while_its_reason_passes_is_due_at_once(&bench).await;
    model::a_tenants_default_holds_where_the_module_has_none(&bench).await;
    second_factor::a_role_of_another_version_opens_nothing(&bench).await;
}

on_both_databases!(signing_in_on_sqlite, signing_in_on_postgres, signing_in);

async fn signing_in(url: String) {
    let bench = Bench::open(url).await;
    bench.store.migrate().await.unwrap();
    second_factor::codes_are_used_once_whoever_comes_at_once(&bench).await;
    second_factor::log_ins_wait_for_one_session(&bench).await;
    sign_on::somebody_is_who_they_were(&bench).await;
    sign_on::a_provider_is_changed_by_who_saw_it(&bench).await;
    sign_on::what_an_admin_vouches_for_is_an_admins(&bench).await;
    sign_on::whoever_has_no_password_can_log_in_at_the_provider_alone(&bench).await;
    second_factor::a_seed_belongs_to_who_set_it_up(&bench).await;
    logins::a_lock_is_noted(&bench).await;
    logins::a_log_in_ends_the_session_before(&bench).await;
    logins::strangers_keep_nobody_out_who_was_in_before(&bench).await;
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
    visibility::a_small_day_is_not_made_large_later(&bench).await;
    visibility::a_queue_that_one_agent_answers_is_theirs(&bench).await;
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
    privacy::an_address_is_found_however_its_letters_are_written(&bench).await;
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
    privacy::retention::held::a_hold_stops_no_clock_of_what_is_not_kept_by_customer(&bench).await;
}

// What names nobody in a conversation: months pass here, so it has a database of its own.
on_both_databases!(whose_on_sqlite, whose_on_postgres, whose_it_is);

async fn whose_it_is(url: String) {
    let bench = Bench::open(url).await;
    bench.store.migrate().await.unwrap();
    whose::what_names_nobody_is_the_conversations_customers(&bench).await;
    whose::what_is_being_read_meanwhile_is_theirs(&bench).await;
    whose::what_comes_late_is_kept_without_words(&bench).await;
    whose::what_turns_out_to_be_of_somebody_erased_leaves_nothing(&bench).await;
    whose::many_follow_in_slices(&bench).await;
    whose::whoever_is_faster_nobody_is_left_out(&bench).await;
    whose::conversations_of_before_are_given(&bench).await;
}

// Agents' numbers: time passes in months here, so they have a database of their own.
on_both_databases!(agents_on_sqlite, agents_on_postgres, agents_of);

async fn agents_of(url: String) {
    let bench = Bench::open(url).await;
    bench.store.migrate().await.unwrap();
    agents::numbers_of_agents_follow_the_rows(&bench).await;
    agents::counting_beside_recording_misses_nothing(&bench).await;
    agents::what_an_agent_writes_counts_for_everybody_in_the_conversation(&bench).await;
    agents::what_becomes_somebody_elses_counts_there(&bench).await;
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
    review::who_said_something_of_a_verdict_does_not_label_it(&bench).await;
    review::what_is_unsure_or_contradicted_is_checked(&bench).await;
    review::what_is_suspicious_is_always_checked(&bench).await;
    review::raters_work_apart_until_it_is_settled(&bench).await;
    review::the_queue_keeps_what_may_be_read(&bench).await;
    review::many_raters_at_once(&bench).await;
}

async fn suite(url: String) {
    let bench = Bench::open(url).await;
    tenants::migrations_are_taken_once_by_many_at_a_time(&bench).await;
    tenants::tenants_have_names_of_their_own(&bench).await;
    tenants::the_module_has_a_ledger(&bench).await;
    tenants::settings_are_changed_whole_or_not(&bench).await;
    tenants::keys_open_their_tenant_until_they_end(&bench).await;
    intake::the_same_again_is_the_same(&bench).await;
    intake::mentions_create_and_fill_in(&bench).await;
    queue::work_is_claimed_once_and_fenced(&bench).await;
    queue::what_ends_a_process_is_tried_alone(&bench).await;
    queue::outcomes_are_told(&bench).await;
    intake::people_are_known_by_all_their_names(&bench).await;
    counters::counters_follow_sentiments(&bench).await;
    counters::revisions_replace_the_verdict_and_keep_the_override(&bench).await;
    counters::days_move_with_the_zone(&bench).await;
    counters::sealed_days_stay(&bench).await;
    counters::a_false_counter_is_found_and_repaired(&bench).await;
    counters::writers_at_once_neither_lose_nor_double(&bench).await;
    lists::labels_and_lessons_are_each_tenants_own(&bench).await;
    provider_keys::keys_are_sealed_and_each_tenants_own(&bench).await;
    provider_keys::keys_are_sealed_anew_and_open_meanwhile(&bench).await;
    tenants::nothing_crosses_a_tenant(&bench).await;
    lists::lists_and_overview(&bench).await;
    tenants::many_tenants_with_work(&bench).await;
    queue::old_events_go_and_young_ones_stay(&bench).await;
    cascade::the_cascade_is_counted(&bench).await;
    backfill::what_was_not_scored_is_scored_once(&bench).await;
    backfill::what_is_scored_again_keeps_its_past(&bench).await;
    backfill::a_run_goes_on_where_it_was(&bench).await;
    backfill::runs_are_stopped_and_wait(&bench).await;
    backfill::one_is_scored_again_by_itself(&bench).await;
    backfill::batches_are_known_before_they_are_sent(&bench).await;
}

/// Runs `count` of the same side by side.
async fn futures_of<T>(count: usize, work: impl AsyncFn(usize) -> T) -> Vec<T> {
    futures::future::join_all((0..count).map(|n| work(n))).await
}
