//! Measures the store, for `make bench-service`. It speaks JSON, a line for each figure.
//!
//! `measure URL fill ROWS` makes a tenant with that many scored interactions; `measure URL reads SLUG` times what pages and the API read;
//! `measure URL hot WRITERS ROWS` lets that many writers claim and record for one tenant, with `agents` at the end while its numbers of agents
//! are on; `measure URL agents SLUG AGENTS` gives the interactions of a tenant to that many agents, counts their contacts and times a look;
//! `measure URL known ROWS` looks up whom the texts of batches of 32 may name, as workers do.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    clippy::panic,
    reason = "a measurement, not the product"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use sea_orm::{ConnectionTrait, Database};
use undertone_core::arrival::CustomerDetails;
use undertone_core::verdict::{Coverage, Provenance, ScorerKind};
use undertone_core::{
    Arrival, CategoryId, Clock, Confidence, Emotion, Ids, Interaction, Score, Urgency, Verdict,
};
use undertone_store::accept::Incoming;
use undertone_store::agents::NewSwitch;
use undertone_store::interactions::Filter;
use undertone_store::queue::Claim;
use undertone_store::record::{Finished, Outcome};
use undertone_store::tenants::NewTenant;
use undertone_store::{Act, Options, Store, Tenant};

struct Now;

impl Clock for Now {
    fn now(&self) -> DateTime<Utc> {
        Utc::now().trunc_subsecs(6)
    }
}

struct Counted(AtomicU64);

impl Ids for Counted {
    fn next(&self, at: DateTime<Utc>) -> String {
        let n = self.0.fetch_add(1, Ordering::Relaxed);
        let ms = at.timestamp_millis();
        format!("{:08x}-{:04x}-7000-8000-{n:012x}", (ms >> 16) & 0xffff_ffff, ms & 0xffff)
    }
}

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let [url, what, rest @ ..] = words.as_slice() else { panic!("measure URL fill|reads|hot …") };
    let options = Options { url: (*url).to_owned(), connections: 40 };
    let seed = u64::from(std::process::id()) << 24;
    let store = Store::open(&options, Arc::new(Now), Arc::new(Counted(AtomicU64::new(seed)))).await.unwrap();
    store.migrate().await.unwrap();
    match (*what, rest) {
        ("fill", [rows]) => fill(&store, url, rows.parse().unwrap()).await,
        ("reads", [slug]) => reads(&store, &store.tenant_by_slug(slug).await.unwrap().unwrap()).await,
        ("hot", [writers, rows, agents @ ..]) => {
            hot(&store, writers.parse().unwrap(), rows.parse().unwrap(), agents == ["agents"]).await;
        }
        ("agents", [slug, agents]) => {
            let tenant = store.tenant_by_slug(slug).await.unwrap().unwrap();
            count_agents(&store, url, &tenant, agents.parse().unwrap()).await;
        }
        ("known", [rows]) => known(&store, rows.parse().unwrap()).await,
        _ => {
            panic!(
                "measure URL fill ROWS | reads SLUG | hot WRITERS ROWS [agents] | agents SLUG AGENTS | known ROWS"
            )
        }
    }
}

async fn tenant(store: &Store, slug: &str) -> Tenant {
    let new = NewTenant { slug, name: slug, zone: chrono_tz::Tz::UTC, actor: "bench" };
    store.create_tenant(&new).await.unwrap()
}

/// A year of interactions of a customer base that grows with it: a customer for every 20.
async fn fill(store: &Store, url: &str, rows: i64) {
    let slug = format!("fill-{rows}");
    let id = tenant(store, &slug).await.id.0;
    let db = Database::connect(url).await.unwrap();
    let postgres = db.get_database_backend() == sea_orm::DbBackend::Postgres;
    let numbers = |n: i64| {
        if postgres {
            format!("FROM (SELECT generate_series(1::bigint, {n}) AS n) AS numbers")
        } else {
            format!(
                "FROM (WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < {n}) SELECT n FROM c) AS numbers"
            )
        }
    };
    let (at, day, key, json) = if postgres {
        (
            format!("now() - interval '1 second' * (31536000.0 * ({rows} - n) / {rows})"),
            format!("(now() - interval '1 second' * (31536000.0 * ({rows} - n) / {rows}))::date"),
            "'019c0000-0000-7000-8000-' || lpad(to_hex(n), 12, '0')".to_owned(),
            "'[]'::jsonb",
        )
    } else {
        let moment = format!("(strftime('%s','now') - 31536000.0 * ({rows} - n) / {rows})");
        (
            format!("strftime('%Y-%m-%dT%H:%M:%S', {moment}, 'unixepoch') || '.000000+00:00'"),
            format!("date({moment}, 'unixepoch')"),
            "'019c0000-0000-7000-8000-' || printf('%012x', n)".to_owned(),
            "'[]'",
        )
    };
    let customers = (rows / 20).max(1);
    let customer = format!("'c-' || (1 + (n * 7919) % {customers})");
    let points = "((n * 104729) % 201 - 100)";
    let label = format!(
        "CASE WHEN {points} <= -20 THEN 'negative' WHEN {points} >= 20 THEN 'positive' ELSE 'neutral' END"
    );
    let channel = "CASE n % 4 WHEN 0 THEN 'email' WHEN 1 THEN 'chat' WHEN 2 THEN 'phone' ELSE 'web' END";
    let category = "CASE n % 5 WHEN 0 THEN 'billing' WHEN 1 THEN 'delivery' WHEN 2 THEN 'technical' WHEN 3 THEN 'refund' ELSE 'other' END";
    let body = "'The parcel came late again and nobody told me; number ' || n || ' of this year, and I am tired of it.'";
    let verdict = "'{\"score\":-40,\"label\":\"negative\",\"confidence\":81,\"dominant_emotion\":\"frustration\",\"emotions\":[],\"urgency\":\"low\",\"category\":\"delivery\",\"aspects\":[],\"summary\":\"The customer is frustrated.\",\"evidence\":[],\"coverage\":{\"truncated\":false,\"unread_percent\":0},\"provenance\":{\"scorer\":\"local\",\"model\":\"reader\",\"model_version\":\"1\",\"language\":\"en\",\"tokens_in\":30,\"tokens_out\":0,\"cost_micros\":0,\"duration_us\":900}}'";
    let begun = Instant::now();
    for statement in [
        format!(
            "INSERT INTO customer (tenant_id, id, external_id, name, created_at, updated_at) SELECT {id}, 'c-' || n, 'e-' || n, 'Customer ' || n, {at}, {at} {}",
            numbers(customers)
        ),
        format!(
            "INSERT INTO interaction (tenant_id, id, source, external_id, digest, revision, kind, author_kind, direction, visibility, channel, customer_id, segment, occurred_at, received_at, score_state, attempts, next_attempt_at, decided_at) SELECT {id}, {key}, 'bench', 'x-' || n, 'd', 1, 'message', 'customer', 'incoming', 'public', {channel}, {customer}, '', {at}, {at}, 'scored', 1, {at}, {at} {}",
            numbers(rows)
        ),
        format!(
            "INSERT INTO interaction_text (tenant_id, interaction_id, revision, body) SELECT {id}, {key}, 1, {body} {}",
            numbers(rows)
        ),
        format!(
            "INSERT INTO verdict (tenant_id, id, interaction_id, text_revision, body, scored_at) SELECT {id}, {key}, {key}, 1, {verdict}, {at} {}",
            numbers(rows)
        ),
        format!(
            "INSERT INTO interaction_sentiment (tenant_id, interaction_id, verdict_id, customer_id, channel, segment, language, scorer, model, score, label, confidence, needs_review, dominant_emotion, urgency, category, summary, keywords, tokens, cost_micros, occurred_at, occurred_on, scored_at, scored_on, created_at) SELECT {id}, {key}, {key}, {customer}, {channel}, '', 'en', 'local', 'reader', {points}, {label}, 81, {}, 'frustration', 'low', {category}, 'The customer is frustrated.', {json}, 30, 0, {at}, {day}, {at}, {day}, {at} {}",
            if postgres { "false" } else { "0" },
            numbers(rows)
        ),
    ] {
        db.execute_unprepared(&statement).await.unwrap();
    }
    store.rebuild(undertone_store::TenantId(id)).await.unwrap();
    if postgres {
        db.execute_unprepared("ANALYZE").await.unwrap();
    }
    println!("{{\"slug\": \"{slug}\", \"rows\": {rows}, \"seconds\": {:.1}}}", begun.elapsed().as_secs_f64());
}

async fn timed<T, E: std::fmt::Debug>(what: &str, work: impl AsyncFn() -> Result<T, E>) {
    work().await.unwrap();
    let mut millis = Vec::new();
    for _ in 0..21 {
        let begun = Instant::now();
        work().await.unwrap();
        millis.push(begun.elapsed().as_secs_f64() * 1e3);
    }
    millis.sort_by(f64::total_cmp);
    println!("{{\"read\": \"{what}\", \"median_ms\": {:.2}, \"worst_ms\": {:.2}}}", millis[10], millis[20]);
}

async fn reads(store: &Store, tenant: &Tenant) {
    timed("overview, 30 days", async || store.overview(tenant, 30).await).await;
    timed("overview, 90 days", async || store.overview(tenant, 90).await).await;
    timed("customer's sentiment", async || store.customer_sentiment(tenant.id, "c-7").await).await;
    timed("escalations, 24 hours", async || store.escalations(tenant.id, TimeDelta::hours(24), 100).await)
        .await;
    let page = Filter { limit: 50, ..Filter::default() };
    timed("interactions, first page", async || store.interactions(tenant.id, &page).await).await;
    let failed = Filter { state: Some("failed"), limit: 50, ..Filter::default() };
    timed("interactions, failed ones", async || store.interactions(tenant.id, &failed).await).await;
    let whose = Filter { customer_id: Some("c-7"), limit: 50, ..Filter::default() };
    timed("interactions, a customer's", async || store.interactions(tenant.id, &whose).await).await;
    timed("looking for work", async || store.tenants_with_work().await).await;
}

fn verdict() -> Verdict {
    let score = Score::new(-40).expect("in range");
    Verdict {
        score,
        label: score.label(),
        confidence: Confidence::try_from(81).expect("in range"),
        dominant_emotion: Emotion::new("frustration").expect("a word"),
        emotions: Vec::new(),
        urgency: Urgency::Low,
        category: CategoryId::new("delivery").expect("a word"),
        aspects: Vec::new(),
        summary: "The customer is frustrated about a delivery; urgency is low.".to_owned(),
        outside: Some("The customer is frustrated about a delivery; urgency is low.".to_owned()),
        evidence: Vec::new(),
        coverage: Coverage { truncated: false, unread_percent: 0 },
        provenance: Provenance {
            scorer: ScorerKind::Local,
            model: "reader".to_owned(),
            model_version: "1".to_owned(),
            prompt_version: None,
            language: "en".to_owned(),
            tokens_in: 30,
            tokens_out: 0,
            cost_micros: 0,
            duration_us: 900,
        },
        cascade: None,
        suspicions: vec![],
    }
}

async fn switch_on(store: &Store, tenant: &Tenant) {
    let on = NewSwitch { on: true, reason: Some("a measurement"), acknowledged: Some("1") };
    store.switch_agent_numbers(&Act::new(tenant.id, "bench"), &on).await.unwrap();
}

/// Every interaction of the tenant is handled by one of `agents`; then all contacts are counted, and looked at.
async fn count_agents(store: &Store, url: &str, tenant: &Tenant, agents: i64) {
    let db = Database::connect(url).await.unwrap();
    let id = tenant.id.0;
    let whose = format!("'a-' || (CAST(substr(external_id, 3) AS bigint) % {agents})");
    for statement in [
        format!("UPDATE interaction SET agent_id = {whose} WHERE tenant_id = {id}"),
        format!(
            "INSERT INTO agent (tenant_id, id, external_id, created_at, updated_at) SELECT DISTINCT tenant_id, agent_id, agent_id, \
             CURRENT_TIMESTAMP, CURRENT_TIMESTAMP FROM interaction WHERE tenant_id = {id}"
        ),
    ] {
        db.execute_unprepared(&statement).await.unwrap();
    }
    if db.get_database_backend() == sea_orm::DbBackend::Postgres {
        db.execute_unprepared("VACUUM ANALYZE").await.unwrap();
    }
    switch_on(store, tenant).await;
    let begun = Instant::now();
    while store.recount_agents(tenant.id).await.unwrap() {}
    let seconds = begun.elapsed().as_secs_f64();
    if db.get_database_backend() == sea_orm::DbBackend::Postgres {
        db.execute_unprepared("VACUUM ANALYZE agent_contact").await.unwrap();
    }
    let today = store.now().date_naive();
    let sums = store.agent_sums(tenant.id, (today - TimeDelta::days(400), today)).await.unwrap();
    let contacts: i64 = sums.iter().map(|agent| agent.sums.contacts).sum();
    println!("{{\"agents\": {}, \"contacts\": {contacts}, \"counted_in_s\": {seconds:.1}}}", sums.len());
    for (what, days) in [("numbers of agents, 30 days", 30), ("numbers of agents, 92 days", 92)] {
        let span = (today - TimeDelta::days(days - 1), today);
        timed(what, async || store.agent_sums(tenant.id, span).await).await;
    }
}

/// Takes in `rows` of customers with a name, an address and a number, and looks up whom each batch may name.
async fn known(store: &Store, rows: usize) {
    let tenant = tenant(store, &format!("known-{}", std::process::id())).await;
    for chunk in (0..rows).collect::<Vec<_>>().chunks(500) {
        let items: Vec<Incoming> = chunk
            .iter()
            .map(|n| {
                let mut interaction =
                    Interaction::message("bench", &n.to_string(), "The parcel came late again.");
                interaction.customer = Some(format!("c{n}"));
                interaction.agent = Some(format!("a{}", n % 50));
                let mut arrival = Arrival::of(interaction);
                arrival.customer = CustomerDetails {
                    name: Some(format!("Customer {n}")),
                    email: Some(format!("c{n}@example.com")),
                    phone: Some(format!("+49 170 {n:07}")),
                    ..CustomerDetails::default()
                };
                Incoming { arrival, digest: "d".to_owned() }
            })
            .collect();
        store.accept(tenant.id, &items).await.unwrap();
    }
    let (mut texts, mut took) = (0, Duration::ZERO);
    loop {
        let claim = Claim { owner: "w", lease: TimeDelta::seconds(600), limit: 32, suspect: false };
        let claimed = store.claim(tenant.id, claim).await.unwrap();
        if claimed.is_empty() {
            break;
        }
        let begun = Instant::now();
        let people = store.people_of(tenant.id, &claimed).await.unwrap();
        took += begun.elapsed();
        texts += claimed.len();
        assert!(claimed.iter().all(|one| people.of(one).next().is_some()), "each has a name");
    }
    println!("{{\"texts\": {texts}, \"known_us\": {:.1}}}", took.as_secs_f64() * 1e6 / texts as f64);
}

/// Takes in `rows`, then lets `writers` claim and record them, as workers do that need no time to read.
async fn hot(store: &Store, writers: usize, rows: usize, agents: bool) {
    let tenant = tenant(store, &format!("hot-{}", std::process::id())).await;
    if agents {
        switch_on(store, &tenant).await;
    }
    let text = "The parcel came late again and nobody told me, so I am tired of it.";
    let begun = Instant::now();
    for chunk in (0..rows).collect::<Vec<_>>().chunks(500) {
        let items: Vec<Incoming> = chunk
            .iter()
            .map(|n| {
                let mut interaction = Interaction::message("bench", &n.to_string(), text);
                interaction.customer = Some(format!("c{}", n % 500));
                interaction.agent = Some(format!("a{}", n % 50));
                Incoming { arrival: Arrival::of(interaction), digest: "d".to_owned() }
            })
            .collect();
        store.accept(tenant.id, &items).await.unwrap();
    }
    let accepted = begun.elapsed().as_secs_f64();
    let begun = Instant::now();
    let tasks: Vec<_> = (0..writers)
        .map(|n| {
            let (store, tenant) = (store.clone(), tenant.clone());
            tokio::spawn(async move {
                let owner = format!("w{n}");
                loop {
                    let claim =
                        Claim { owner: &owner, lease: TimeDelta::seconds(60), limit: 32, suspect: false };
                    let claimed = store.claim(tenant.id, claim).await.unwrap();
                    if claimed.is_empty() {
                        return;
                    }
                    let finished: Vec<Finished> = claimed
                        .into_iter()
                        .map(|claimed| Finished { claimed, outcome: Outcome::Scored(Box::new(verdict())) })
                        .collect();
                    store.record(tenant.id, &owner, &finished).await.unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let recorded = begun.elapsed().as_secs_f64();
    assert!(store.verify(tenant.id).await.unwrap().is_empty(), "the counters are what the rows say");
    println!(
        "{{\"writers\": {writers}, \"agents\": {agents}, \"accepted_per_s\": {:.0}, \"recorded_per_s\": {:.0}}}",
        rows as f64 / accepted,
        rows as f64 / recorded
    );
}
