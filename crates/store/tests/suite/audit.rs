//! The audit log: append-only, chained, and whoever changes it by hand is found out.

use chrono::TimeDelta;
use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend};
use serde_json::json;
use undertone_store::audit::{Entry, Filter, Head, RETENTION, Verified, Wrong, chain};
use undertone_store::{Act, Tenant};

use super::{Bench, futures_of};

async fn acts(bench: &Bench, tenant: &Tenant, count: usize) {
    for n in 0..count {
        bench.advance(1);
        let act = Act { from: Some("192.0.2.7"), ..Act::new(tenant.id, "user:1") };
        bench
            .store
            .note(&act, ("looked", &format!("thing {n}")), &json!({"before": n, "after": n + 1}))
            .await
            .unwrap();
    }
}

async fn all(bench: &Bench, tenant: &Tenant) -> Vec<Entry> {
    let mut all: Vec<Entry> = Vec::new();
    loop {
        let page = bench.store.audit_in_order(tenant.id, &Filter::default(), all.last(), 1000).await.unwrap();
        if page.is_empty() {
            return all;
        }
        all.extend(page);
    }
}

async fn verified(bench: &Bench, tenant: &Tenant, published: Option<Head>) -> Verified {
    bench.store.verify_audit(tenant.id, published).await.unwrap()
}

async fn wrong(bench: &Bench, tenant: &Tenant, published: Option<Head>) -> Vec<Wrong> {
    verified(bench, tenant, published).await.findings.into_iter().map(|finding| finding.kind).collect()
}

/// What somebody does who can write to the database: how many rows changed, or what the database says.
async fn by_hand(bench: &Bench, statement: &str) -> Result<u64, String> {
    let raw = sea_orm::Database::connect(bench.url.clone()).await.unwrap();
    let done = raw.execute_unprepared(statement).await;
    raw.close().await.unwrap();
    done.map(|done| done.rows_affected()).map_err(|e| e.to_string())
}

/// The same by somebody who may take the guards away, and puts them back.
async fn unguarded(bench: &Bench, statement: &str) {
    let raw = sea_orm::Database::connect(bench.url.clone()).await.unwrap();
    let postgres = raw.get_database_backend() == DbBackend::Postgres;
    let mut again = vec!["ALTER TABLE audit_log ENABLE TRIGGER USER".to_owned()];
    if postgres {
        run(&raw, "ALTER TABLE audit_log DISABLE TRIGGER USER").await;
    } else {
        let query = "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'audit_log'";
        let rows =
            raw.query_all_raw(sea_orm::Statement::from_string(DbBackend::Sqlite, query)).await.unwrap();
        again = rows.iter().map(|row| row.try_get("", "sql").unwrap()).collect();
        assert_eq!(again.len(), 3);
        for row in rows {
            run(&raw, &format!("DROP TRIGGER {}", row.try_get::<String>("", "name").unwrap())).await;
        }
    }
    assert!(run(&raw, statement).await > 0, "{statement}");
    for statement in again {
        run(&raw, &statement).await;
    }
    raw.close().await.unwrap();
}

async fn run(raw: &DatabaseConnection, statement: &str) -> u64 {
    raw.execute_unprepared(statement).await.unwrap().rows_affected()
}

pub async fn entries_are_found_by_who_what_and_when(bench: &Bench) {
    let (mine, theirs) = (bench.tenant("auditlist1").await, bench.tenant("auditlist2").await);
    let key = bench
        .store
        .create_key(&Act::new(mine.id, "command line"), "crm", &["read"], "ut_auditlist")
        .await
        .unwrap();
    let begun = bench.store.now() + TimeDelta::seconds(1);
    acts(bench, &mine, 5).await;
    acts(bench, &theirs, 2).await;
    let by_key = format!("key:{key}");
    bench.store.note(&Act::new(mine.id, &by_key), ("looked", "thing 1"), &json!({})).await.unwrap();
    let list = async |filter: Filter<'_>| bench.store.audit(mine.id, &filter, None, 100).await.unwrap();
    let told = list(Filter::default()).await;
    assert_eq!(told.len(), 9, "{told:?}");
    assert!(
        told.windows(2).all(|pair| (pair[0].at, &pair[0].id) > (pair[1].at, &pair[1].id)),
        "the latest first"
    );
    let first = &told[5];
    assert_eq!(
        (
            first.actor.as_str(),
            first.action.as_str(),
            first.subject.as_str(),
            first.from.as_deref(),
            first.payload.as_deref()
        ),
        ("user:1", "looked", "thing 0", Some("192.0.2.7"), Some("{\"before\":0,\"after\":1}"))
    );
    assert_eq!(list(Filter { actor: Some(&by_key), ..Filter::default() }).await.len(), 1);
    assert_eq!(list(Filter { action: Some("key_created"), ..Filter::default() }).await.len(), 1);
    assert_eq!(list(Filter { subject: Some("thing 1"), ..Filter::default() }).await.len(), 2);
    let between =
        Filter { since: Some(begun), until: Some(begun + TimeDelta::seconds(3)), ..Filter::default() };
    assert_eq!(
        list(between).await.iter().map(|e| e.subject.as_str()).collect::<Vec<_>>(),
        ["thing 2", "thing 1", "thing 0"]
    );
    let mut paged: Vec<Entry> = Vec::new();
    loop {
        let before = paged.last().map(|entry| (entry.at, entry.id.as_str()));
        let page = bench.store.audit(mine.id, &Filter::default(), before, 3).await.unwrap();
        if page.is_empty() {
            break;
        }
        paged.extend(page);
    }
    assert_eq!(paged, told);
    let names = bench.store.actors(mine.id, &told).await.unwrap();
    assert_eq!(names.into_iter().collect::<Vec<_>>(), [(by_key, "crm".to_owned())]);
    assert_eq!(bench.store.actors(theirs.id, &told).await.unwrap().len(), 0);

    // In order of the chain: the sealed ones, then the others, in pages of any size.
    bench.store.seal_audit(mine.id).await.unwrap();
    acts(bench, &mine, 3).await;
    for size in [1, 4, 11] {
        let mut ordered: Vec<Entry> = Vec::new();
        loop {
            let page =
                bench.store.audit_in_order(mine.id, &Filter::default(), ordered.last(), size).await.unwrap();
            if page.is_empty() {
                break;
            }
            ordered.extend(page);
        }
        let seqs: Vec<Option<i64>> = ordered.iter().map(|entry| entry.seq).collect();
        let expected: Vec<Option<i64>> = (1..=9).map(Some).chain([None; 3]).collect();
        assert_eq!(seqs, expected, "in pages of {size}");
    }
}

pub async fn entries_are_sealed_once_and_wait_for_nobody(bench: &Bench) {
    let (mine, theirs) = (bench.tenant("auditseal1").await, bench.tenant("auditseal2").await);
    assert!(bench.store.tenants_with_unsealed_audit().await.unwrap().contains(&mine.id));
    // Writers and sealers at once.
    let (writers, sealers) = tokio::join!(
        futures_of(4, async |_| acts(bench, &mine, 100).await),
        futures_of(4, async |_| {
            let mut sealed = 0;
            for _ in 0..20 {
                sealed += bench.store.seal_audit(mine.id).await.unwrap();
                tokio::task::yield_now().await;
            }
            sealed
        })
    );
    assert_eq!(writers.len(), 4);
    let rest = bench.store.seal_audit(mine.id).await.unwrap();
    let count = all(bench, &mine).await.len() as u64;
    assert!(count >= 400);
    assert_eq!(sealers.iter().sum::<u64>() + rest, count, "each is sealed once");
    assert_eq!(bench.store.seal_audit(mine.id).await.unwrap(), 0);
    assert!(!bench.store.tenants_with_unsealed_audit().await.unwrap().contains(&mine.id));
    let head = bench.store.audit_head(mine.id).await.unwrap();
    let told = verified(bench, &mine, Some(head.clone())).await;
    assert_eq!((told.ok, told.entries, told.unsealed, &told.head), (true, count, 0, &head), "{told:?}");
    let last = all(bench, &mine).await.pop().unwrap();
    let linked = chain::link(
        &all(bench, &mine).await[last.seq.unwrap() as usize - 2].digest.clone().unwrap(),
        mine.id,
        head.seq,
        &last,
    );
    assert_eq!((last.seq, &linked), (Some(head.seq), &head.digest));

    // The chain of another tenant is its own, and begins at 1.
    bench.store.seal_audit(theirs.id).await.unwrap();
    assert_ne!(
        bench.store.audit_head(theirs.id).await.unwrap().digest,
        all(bench, &mine).await[0].digest.clone().unwrap()
    );

    // Whoever writes does not wait for who seals.
    if bench.url.starts_with("postgres") {
        let raw = sea_orm::Database::connect(bench.url.clone()).await.unwrap();
        let held = sea_orm::TransactionTrait::begin(&raw).await.unwrap();
        held.execute_unprepared("SELECT * FROM audit_chain FOR UPDATE").await.unwrap();
        let written = tokio::time::timeout(std::time::Duration::from_secs(10), acts(bench, &mine, 1)).await;
        assert!(written.is_ok(), "an act waits for the sealing");
        assert_eq!(
            bench.store.seal_audit(mine.id).await.unwrap(),
            0,
            "nor does a second who seals wait for the first"
        );
        held.rollback().await.unwrap();
        raw.close().await.unwrap();
        assert_eq!(bench.store.seal_audit(mine.id).await.unwrap(), 1);
    }
}

pub async fn the_log_is_append_only(bench: &Bench) {
    let tenant = bench.tenant("auditguard").await;
    acts(bench, &tenant, 4).await;
    bench.store.seal_audit(tenant.id).await.unwrap();
    acts(bench, &tenant, 1).await;
    let of = format!("WHERE tenant_id = {}", tenant.id.0);
    for change in [
        "UPDATE audit_log SET actor = 'user:2'",
        "UPDATE audit_log SET at = '2020-01-01 00:00:00+00:00'",
        "UPDATE audit_log SET action = 'nothing'",
        "UPDATE audit_log SET subject = 'nobody'",
        "UPDATE audit_log SET from_address = NULL",
        "UPDATE audit_log SET payload = '{}'",
        "UPDATE audit_log SET payload_salt = NULL",
        "UPDATE audit_log SET payload_digest = ''",
        "UPDATE audit_log SET id = 'x' || id",
        "UPDATE audit_log SET seq = seq + 100",
        "UPDATE audit_log SET seq = NULL, digest = NULL",
        "UPDATE audit_log SET digest = 'x'",
        "UPDATE audit_log SET seq = 77",
        "DELETE FROM audit_log",
    ] {
        for which in ["subject = 'thing 0' AND seq IS NULL", "subject = 'thing 2'"] {
            let told = by_hand(bench, &format!("{change} {of} AND {which}")).await;
            // What has no place yet has none to lose.
            if (change.contains("seq = NULL") || change.contains("seq + 100")) && which.contains("IS NULL") {
                assert!(told.is_ok(), "{change}: {told:?}");
            } else {
                assert!(
                    told.as_ref().is_err_and(|told| told.contains("append-only")),
                    "{change} {which}: {told:?}"
                );
            }
        }
    }
    if bench.url.starts_with("postgres") {
        for table in ["audit_log", "audit_log CASCADE", "audit_checkpoint"] {
            let told = by_hand(bench, &format!("TRUNCATE {table}")).await.unwrap_err();
            assert!(told.contains("stay"), "{told}");
        }
    }
    let told = verified(bench, &tenant, None).await;
    assert_eq!(
        (told.ok, told.unsealed, told.oldest_unsealed),
        (true, 1, Some(bench.store.now())),
        "{told:?}"
    );
    // A payload may be erased, once and for all, and its salt goes with it.
    let erased =
        by_hand(bench, &format!("UPDATE audit_log SET payload = NULL {of} AND subject = 'thing 2'")).await;
    assert_eq!(erased, Ok(1));
    let entry = all(bench, &tenant).await.into_iter().find(|entry| entry.subject == "thing 2").unwrap();
    assert_eq!((entry.payload, entry.payload_salt), (None, None));
    let told =
        by_hand(bench, &format!("UPDATE audit_log SET payload = '{{}}' {of} AND subject = 'thing 2'")).await;
    assert!(told.is_err());
    let told = verified(bench, &tenant, None).await;
    assert_eq!((told.ok, told.erased), (true, 1), "{told:?}");
}

pub async fn whoever_changes_it_by_hand_is_found(bench: &Bench) {
    let tenant = bench.tenant("auditforge").await;
    let of = format!("WHERE tenant_id = {}", tenant.id.0);
    acts(bench, &tenant, 8).await;
    bench.store.seal_audit(tenant.id).await.unwrap();
    let published = bench.store.audit_head(tenant.id).await.unwrap();
    acts(bench, &tenant, 3).await;
    bench.store.seal_audit(tenant.id).await.unwrap();
    assert_eq!(wrong(bench, &tenant, Some(published.clone())).await, []);

    unguarded(
        bench,
        &format!(
            "UPDATE audit_log SET payload = '{{\"before\":0,\"after\":9}}' {of} AND subject = 'thing 4'"
        ),
    )
    .await;
    assert_eq!(wrong(bench, &tenant, None).await, [Wrong::PayloadChanged]);
    unguarded(
        bench,
        &format!("UPDATE audit_log SET payload = NULL, payload_salt = NULL {of} AND subject = 'thing 4'"),
    )
    .await;
    unguarded(bench, &format!("UPDATE audit_log SET actor = 'user:2' {of} AND subject = 'thing 5'")).await;
    assert_eq!(wrong(bench, &tenant, None).await, [Wrong::EntryChanged]);
    unguarded(bench, &format!("UPDATE audit_log SET actor = 'user:1' {of} AND subject = 'thing 5'")).await;
    assert_eq!(wrong(bench, &tenant, None).await, []);
    let end = bench.store.audit_head(tenant.id).await.unwrap();
    unguarded(bench, &format!("DELETE FROM audit_log {of} AND seq = {}", end.seq)).await;
    assert_eq!(wrong(bench, &tenant, None).await, [Wrong::HeadDiffers]);
    // Who also moves the head back has a chain that holds, and is found by the head that was published.
    let cut = all(bench, &tenant).await.pop().unwrap();
    let back =
        format!("UPDATE audit_chain SET seq = {}, digest = '{}' {of}", cut.seq.unwrap(), cut.digest.unwrap());
    assert_eq!(by_hand(bench, &back).await, Ok(1));
    assert_eq!(wrong(bench, &tenant, None).await, []);
    assert_eq!(wrong(bench, &tenant, Some(published.clone())).await, []);
    assert_eq!(wrong(bench, &tenant, Some(end)).await, [Wrong::PublishedHeadDiffers]);
    // So is who makes the whole chain anew.
    let entries = all(bench, &tenant).await;
    let mut previous = String::new();
    for entry in entries {
        let changed = Entry { actor: "user:3".to_owned(), ..entry };
        previous = chain::link(&previous, tenant.id, changed.seq.unwrap(), &changed);
        let statement = format!(
            "UPDATE audit_log SET actor = 'user:3', digest = '{previous}' {of} AND id = '{}'",
            changed.id
        );
        unguarded(bench, &statement).await;
    }
    assert_eq!(by_hand(bench, &format!("UPDATE audit_chain SET digest = '{previous}' {of}")).await, Ok(1));
    assert_eq!(wrong(bench, &tenant, None).await, []);
    assert_eq!(wrong(bench, &tenant, Some(published)).await, [Wrong::PublishedHeadDiffers]);
    unguarded(bench, &format!("DELETE FROM audit_log {of} AND seq BETWEEN 3 AND 5")).await;
    assert_eq!(wrong(bench, &tenant, None).await, [Wrong::EntriesMissing]);
}

pub async fn old_entries_go_and_leave_a_checkpoint(bench: &Bench) {
    let tenant = bench.tenant("auditage").await;
    let of = format!("WHERE tenant_id = {}", tenant.id.0);
    let job = Act::new(tenant.id, "retention");
    acts(bench, &tenant, 6).await;
    let before = bench.store.now() + TimeDelta::seconds(1);
    acts(bench, &tenant, 1).await;
    let removed = bench.store.remove_old_audit(&job, before).await.unwrap();
    assert_eq!((removed.entries, removed.more), (0, false), "what is not sealed stays");
    bench.store.seal_audit(tenant.id).await.unwrap();
    let old_head = Head { seq: 2, digest: all(bench, &tenant).await[1].digest.clone().unwrap() };
    acts(bench, &tenant, 2).await;
    let count = all(bench, &tenant).await.len() as u64;
    let removed = bench.store.remove_old_audit(&job, before).await.unwrap();
    assert_eq!((removed.entries, removed.more), (count - 3, false));
    assert_eq!(
        bench.store.remove_old_audit(&job, before).await.unwrap().entries,
        0,
        "said again, nothing is left"
    );
    bench.store.seal_audit(tenant.id).await.unwrap();
    let told = verified(bench, &tenant, None).await;
    let checkpoint = told.checkpoint.clone().unwrap();
    assert_eq!((told.ok, told.entries, checkpoint.removed), (true, 4, count as i64 - 3), "{told:?}");
    let kept = all(bench, &tenant).await;
    assert!(kept.iter().any(|entry| entry.action == RETENTION
        && entry.subject == checkpoint.head().to_string()
        && entry.actor == "retention"));
    assert_eq!(wrong(bench, &tenant, Some(checkpoint.head())).await, []);
    assert_eq!(wrong(bench, &tenant, Some(old_head)).await, [Wrong::PublishedHeadGone]);
    // Nobody deletes beyond it, moves it, or makes one that does not fit.
    let next = checkpoint.seq + 1;
    for statement in [
        format!("DELETE FROM audit_log {of} AND seq = {next}"),
        format!("DELETE FROM audit_checkpoint {of}"),
        format!("UPDATE audit_checkpoint SET seq = {next} {of}"),
        format!(
            "INSERT INTO audit_checkpoint (tenant_id, seq, digest, removed, created_at) VALUES ({}, {next}, 'x', 1, '2026-01-01 00:00:00+00:00')",
            tenant.id.0
        ),
    ] {
        let told = by_hand(bench, &statement).await;
        assert!(told.as_ref().is_err_and(|told| told.contains("audit log")), "{statement}: {told:?}");
    }
    // One that fits lets entries go, and nothing in the log bears it out.
    let digest =
        kept.iter().find(|entry| entry.seq == Some(next)).and_then(|entry| entry.digest.clone()).unwrap();
    let forged = format!(
        "INSERT INTO audit_checkpoint (tenant_id, seq, digest, removed, created_at) VALUES ({}, {next}, '{digest}', 1, '2026-01-01 00:00:00+00:00')",
        tenant.id.0
    );
    assert_eq!(by_hand(bench, &forged).await, Ok(1));
    assert_eq!(by_hand(bench, &format!("DELETE FROM audit_log {of} AND seq = {next}")).await, Ok(1));
    assert_eq!(wrong(bench, &tenant, None).await, [Wrong::CheckpointUnproven]);
}

/// The most memory this process ever had, in MiB.
fn most_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").trim().parse::<u64>().unwrap() / 1024
}

pub async fn a_million_entries_are_followed_in_little_memory(bench: &Bench) {
    const ENTRIES: u64 = 1_000_000;
    let tenant = bench.tenant("auditlong").await;
    let payload = "{\"before\":{\"alert_threshold\":-40},\"after\":{\"alert_threshold\":-30}}";
    let insert = format!(
        "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {ENTRIES}) \
         INSERT INTO audit_log (tenant_id, id, at, actor, action, subject, from_address, payload, payload_salt, payload_digest) \
         SELECT {}, 'x' || (10000000 + n), '2026-11-20 22:30:00+00:00', 'user:1', 'settings_saved', 'sentiment_analysis', '192.0.2.7', \
         '{payload}', 'salt', '{}' FROM n",
        tenant.id.0,
        chain::digest_of_payload(Some("salt"), payload)
    );
    assert_eq!(by_hand(bench, &insert).await, Ok(ENTRIES));
    let begun = std::time::Instant::now();
    assert!(bench.store.seal_audit(tenant.id).await.unwrap() >= ENTRIES);
    let (sealed, memory) = (begun.elapsed(), most_memory());
    let begun = std::time::Instant::now();
    let told = verified(bench, &tenant, None).await;
    let (took, grown) = (begun.elapsed(), most_memory() - memory);
    assert!(told.ok && told.entries >= ENTRIES, "{told:?}");
    println!("sealed in {sealed:.1?}, verified in {took:.1?}, with {grown} MiB more than before");
    assert!(grown < 64, "{grown} MiB more");
}
