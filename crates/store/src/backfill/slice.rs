//! Slices of a run: interactions become items in the transaction in which the cursor passes them, and items are handed out to be scored.

use chrono::{DateTime, Days, NaiveDate, TimeDelta, Utc};
use chrono_tz::Tz;
use sea_orm::{DatabaseTransaction, FromQueryResult};
use serde::Serialize;
use undertone_core::backfill::{Asked, Mode};
use undertone_core::usage::calendar::begins;
use undertone_core::{Channel, Settings, SkipReason};

use super::RunState;
use crate::queue::{CLAIMED, Claimed, Row, SUSPECT_AFTER};
use crate::statement::{Sql, pieces, sql};
use crate::{Result, Store, Tenant, TenantId};

/// So many interactions are looked at in one transaction, whether or not they are what the run is about: nobody waits long for it.
const LOOK_AT: i64 = 1000;

/// What opening a slice came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slice {
    /// Interactions that became items.
    pub opened: usize,
    /// Nothing is left to be looked at.
    pub exhausted: bool,
}

/// What of a run waits.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Waiting {
    /// Items that are not decided.
    pub items: i64,
    /// Of them those that are part of a batch at the provider's.
    pub in_batches: i64,
    /// Why one of the others waits, as a word, where it does.
    pub reason: Option<String>,
    /// The same for a person.
    pub detail: Option<String>,
    /// When the next of them is due.
    pub until: Option<DateTime<Utc>>,
}

/// An interaction that was looked at, and whether the run is about it.
#[derive(FromQueryResult)]
struct Looked {
    id: String,
    wanted: bool,
}

/// What a run is about, in the words of a statement.
pub(super) struct Wanted<'a> {
    asked: &'a Asked,
    from: Option<DateTime<Utc>>,
    until: Option<DateTime<Utc>>,
}

impl<'a> Wanted<'a> {
    pub(super) fn of(asked: &'a Asked, zone: Tz) -> Self {
        let after = |day: NaiveDate| day.checked_add_days(Days::new(1)).unwrap_or(day);
        Self {
            asked,
            from: asked.from.map(|day| begins(zone, day)),
            until: asked.to.map(|day| begins(zone, after(day))),
        }
    }

    /// Days, customer and channel.
    pub(super) fn narrow(&self, mut query: Sql) -> Sql {
        if let Some(from) = self.from {
            query = query.then(" AND occurred_at >= ?").bind(from);
        }
        if let Some(until) = self.until {
            query = query.then(" AND occurred_at < ?").bind(until);
        }
        if let Some(customer) = &self.asked.customer {
            query = query.then(" AND customer_id = ?").bind(customer);
        }
        if let Some(channel) = self.asked.channel {
            query = query.then(" AND channel = ?").bind(channel.as_str());
        }
        query
    }

    /// State and reason.
    fn choose(&self, query: Sql, settings: &Settings) -> Sql {
        if self.asked.mode == Mode::Refresh {
            return query.then(" AND score_state = 'scored'");
        }
        // Whether one is taken depends on the channel for a single reason.
        let takes = |reason, channel| self.asked.takes(reason, channel, settings);
        let whole = SkipReason::ALL.into_iter().filter(|reason| *reason != SkipReason::ChannelDisabled);
        let reasons = whole.filter(|reason| takes(*reason, Channel::Other)).map(SkipReason::as_str);
        let disabled = Channel::ALL.into_iter().filter(|c| takes(SkipReason::ChannelDisabled, *c));
        query
            .then(" AND (score_state = 'failed' OR score_state = 'skipped' AND (reason IN ? OR reason = 'channel_disabled' AND channel IN ?))")
            .list(reasons)
            .list(disabled.map(Channel::as_str))
    }
}

/// The interactions a look is at: the newest before the cursor. Those without a verdict are found by the index of what is undecided.
fn looked_at(query: Sql, tenant: TenantId, asked: &Asked, cursor: &str) -> Sql {
    const EVERY: &str = "SELECT id, revision, score_state, reason, channel, customer_id, occurred_at FROM interaction WHERE tenant_id = ? \
        AND id < ?";
    const NEWEST: &str = " ORDER BY id DESC LIMIT ?";
    let of_customer = |query: Sql| match &asked.customer {
        Some(customer) => query.then(" AND customer_id = ?").bind(customer),
        None => query,
    };
    let every = |query: Sql| of_customer(query.then(EVERY).bind(tenant.0).bind(cursor));
    if asked.mode == Mode::Refresh {
        return every(query).then(NEWEST).bind(LOOK_AT);
    }
    let mut query = query.then("SELECT * FROM (");
    for (n, state) in [
        " AND score_state = 'skipped' AND score_state <> 'scored'",
        " AND score_state = 'failed' AND score_state <> 'scored'",
    ]
    .into_iter()
    .enumerate()
    {
        query = query.then(if n == 0 { "SELECT * FROM (" } else { " UNION ALL SELECT * FROM (" });
        query = every(query).then(state).then(NEWEST).bind(LOOK_AT).then(if n == 0 {
            ") AS skipped"
        } else {
            ") AS failed"
        });
    }
    query.then(") AS undecided").then(NEWEST).bind(LOOK_AT)
}

impl Store {
    /// Opens the next slice of a run that `owner` drives: looks at the newest interactions before the cursor, makes items of at most `size`
    /// that the run is about, and moves the cursor past what was looked at. `None` where nobody may: it is not driven by `owner`, or does not
    /// run.
    pub async fn open_slice(
        &self,
        tenant: &Tenant,
        run: &str,
        owner: &str,
        settings: &Settings,
        size: u16,
    ) -> Result<Option<Slice>> {
        let tx = self.begin().await?;
        let Some(held) = self.driven(&tx, tenant.id, run, owner).await? else { return Ok(None) };
        if held.state != RunState::Running {
            return Ok(None);
        }
        if held.exhausted {
            return Ok(Some(Slice { opened: 0, exhausted: true }));
        }
        let left =
            held.asked.limit.map_or(i64::MAX, |limit| i64::try_from(limit).unwrap_or(i64::MAX) - held.opened);
        let size = i64::from(size).min(left);
        let cursor = sql("SELECT cursor FROM backfill_run WHERE tenant_id = ? AND id = ?")
            .bind(tenant.id.0)
            .bind(run)
            .value::<String>(&tx)
            .await?
            .unwrap_or_default();
        // One look for all: what is decided meanwhile would make the next another one, and the cursor one of neither.
        let wanted = Wanted::of(&held.asked, tenant.zone);
        let query = wanted.choose(wanted.narrow(sql("SELECT id, CASE WHEN true")), settings);
        let query = query.then(" THEN true ELSE false END AS wanted FROM (");
        let query = looked_at(query, tenant.id, &held.asked, &cursor).then(") AS looked ORDER BY id DESC");
        let looked: Vec<Looked> = query.all(&tx).await?;
        let ids = looked.iter().filter(|one| one.wanted).map(|one| one.id.clone());
        let ids: Vec<String> = ids.take(usize::try_from(size).unwrap_or_default()).collect();
        let opened = self.make_items(&tx, tenant.id, run, &ids).await?;
        let filled = ids.len().cast_signed() as i64 == size;
        let passed = if filled { ids.last().cloned() } else { looked.last().map(|one| one.id.clone()) };
        let exhausted = opened == left || !filled && (looked.len().cast_signed() as i64) < LOOK_AT;
        sql("UPDATE backfill_run SET cursor = ?, exhausted = ? WHERE tenant_id = ? AND id = ?")
            .bind(passed.unwrap_or(cursor))
            .bind(exhausted)
            .bind(tenant.id.0)
            .bind(run)
            .run(&tx)
            .await?;
        tx.commit().await?;
        Ok(Some(Slice { opened: usize::try_from(opened).unwrap_or_default(), exhausted }))
    }

    /// Makes items of these interactions, and answers of how many. One that somebody has scored again by itself at this moment is not scored
    /// twice, nor one that was an item of the run.
    pub(super) async fn make_items(
        &self,
        tx: &DatabaseTransaction,
        tenant: TenantId,
        run: &str,
        ids: &[String],
    ) -> Result<i64> {
        let at = self.now();
        let mut opened = 0;
        for piece in pieces(ids) {
            opened += sql("INSERT INTO backfill_item (tenant_id, run_id, interaction_id, revision, attempts, next_attempt_at, alone, \
                 old_verdict_id, old_score, old_label) SELECT i.tenant_id, CAST(? AS text), i.id, i.revision, 0, ?, false, s.verdict_id, s.score, \
                 s.label FROM interaction i LEFT JOIN interaction_sentiment s ON s.tenant_id = i.tenant_id AND s.interaction_id = i.id \
                 WHERE i.tenant_id = ? AND i.id IN ? AND NOT EXISTS (SELECT 1 FROM backfill_run r JOIN backfill_item o \
                 ON o.tenant_id = r.tenant_id AND o.run_id = r.id WHERE r.tenant_id = ? AND r.to_do AND o.interaction_id = i.id \
                 AND o.outcome IS NULL) ON CONFLICT DO NOTHING")
            .bind(run)
            .bind(at)
            .bind(tenant.0)
            .list(piece.iter().map(String::as_str))
            .bind(tenant.0)
            .run(tx)
            .await?
            .cast_signed();
        }
        sql("UPDATE backfill_run SET opened = opened + ? WHERE tenant_id = ? AND id = ?")
            .bind(opened)
            .bind(tenant.0)
            .bind(run)
            .run(tx)
            .await?;
        Ok(opened)
    }

    /// Whether an interaction is an item of a run that has something to do.
    pub(super) async fn is_open(&self, tx: &DatabaseTransaction, tenant: TenantId, id: &str) -> Result<bool> {
        let open = sql("SELECT o.interaction_id FROM backfill_run r JOIN backfill_item o ON o.tenant_id = r.tenant_id AND o.run_id = r.id \
             WHERE r.tenant_id = ? AND r.to_do AND o.interaction_id = ? AND o.outcome IS NULL LIMIT 1")
        .bind(tenant.0)
        .bind(id)
        .value::<String>(tx)
        .await?;
        Ok(open.is_some())
    }

    /// Begins at most `limit` items that are due, the newest first; one alone that was begun [`SUSPECT_AFTER`] times and never finished,
    /// where there is nothing else: it may be what ends the process. Those whose interaction was revised, or waits as new, are out of it.
    pub async fn begin_items(
        &self,
        tenant: TenantId,
        run: &str,
        owner: &str,
        limit: u16,
    ) -> Result<Vec<Claimed>> {
        let tx = self.begin().await?;
        let Some(held) = self.driven(&tx, tenant, run, owner).await? else { return Ok(Vec::new()) };
        if held.state != RunState::Running {
            return Ok(Vec::new());
        }
        self.supersede(&tx, tenant, run).await?;
        let mut due = self.due_items(&tx, tenant, run, "attempts < ?", i64::from(limit)).await?;
        if due.is_empty() {
            due = self.due_items(&tx, tenant, run, "attempts >= ?", 1).await?;
        }
        for piece in pieces(&due) {
            sql("UPDATE backfill_item SET attempts = attempts + 1, begun_by = ? WHERE tenant_id = ? AND run_id = ? AND interaction_id IN ?")
                .bind(owner)
                .bind(tenant.0)
                .bind(run)
                .list(piece.iter().map(String::as_str))
                .run(&tx)
                .await?;
        }
        let claimed = self.items(&tx, tenant, run, &due).await?;
        tx.commit().await?;
        Ok(claimed)
    }

    async fn due_items(
        &self,
        tx: &DatabaseTransaction,
        tenant: TenantId,
        run: &str,
        attempts: &'static str,
        limit: i64,
    ) -> Result<Vec<String>> {
        sql("SELECT interaction_id FROM backfill_item WHERE tenant_id = ? AND run_id = ? AND outcome IS NULL AND request_id IS NULL \
             AND next_attempt_at <= ? AND ")
        .bind(tenant.0)
        .bind(run)
        .bind(self.now())
        .then(attempts)
        .bind(SUSPECT_AFTER)
        .then(" ORDER BY interaction_id DESC LIMIT ?")
        .bind(limit)
        .column(tx)
        .await
    }

    /// Items as they are scored, the newest first.
    pub(super) async fn items(
        &self,
        tx: &DatabaseTransaction,
        tenant: TenantId,
        run: &str,
        ids: &[String],
    ) -> Result<Vec<Claimed>> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let rows = sql("SELECT b.attempts, ")
            .then(CLAIMED)
            .then(
                " FROM backfill_item b JOIN interaction i ON i.tenant_id = b.tenant_id AND i.id = b.interaction_id \
                 LEFT JOIN interaction_text t ON t.tenant_id = i.tenant_id AND t.interaction_id = i.id AND t.revision = b.revision \
                 LEFT JOIN customer c ON c.tenant_id = i.tenant_id AND c.id = i.customer_id WHERE b.tenant_id = ? AND b.run_id = ? \
                 AND b.interaction_id IN ? ORDER BY b.interaction_id DESC",
            )
            .bind(tenant.0)
            .bind(run)
            .list(ids.iter().map(String::as_str))
            .all::<Row>(tx)
            .await?;
        rows.into_iter().map(Claimed::try_from).collect()
    }

    /// Items whose interaction was revised or removed, or waits as new, are out of it: they are scored as what is new. What stands in a
    /// provider's request stays there until that is answered.
    pub(super) async fn supersede(
        &self,
        tx: &DatabaseTransaction,
        tenant: TenantId,
        run: &str,
    ) -> Result<()> {
        let gone = sql("UPDATE backfill_item SET outcome = 'superseded' WHERE tenant_id = ? AND run_id = ? AND outcome IS NULL \
             AND request_id IS NULL AND NOT EXISTS (SELECT 1 FROM interaction i WHERE i.tenant_id = backfill_item.tenant_id \
             AND i.id = backfill_item.interaction_id AND i.revision = backfill_item.revision AND i.score_state <> 'pending')")
        .bind(tenant.0)
        .bind(run)
        .run(tx)
        .await?;
        if gone > 0 {
            sql("UPDATE backfill_run SET superseded = superseded + ? WHERE tenant_id = ? AND id = ?")
                .bind(gone.cast_signed())
                .bind(tenant.0)
                .bind(run)
                .run(tx)
                .await?;
        }
        Ok(())
    }

    /// What of a run waits, and for what.
    pub async fn backfill_waiting(&self, tenant: TenantId, run: &str) -> Result<Waiting> {
        #[derive(FromQueryResult)]
        struct Open {
            items: i64,
            in_batches: i64,
        }
        #[derive(FromQueryResult)]
        struct Next {
            reason: Option<String>,
            detail: Option<String>,
            until: DateTime<Utc>,
        }
        let open = sql("SELECT COUNT(*) AS items, COUNT(request_id) AS in_batches FROM backfill_item WHERE tenant_id = ? AND run_id = ? \
             AND outcome IS NULL")
        .bind(tenant.0)
        .bind(run)
        .one::<Open>(&self.reader)
        .await?
        .unwrap_or(Open { items: 0, in_batches: 0 });
        let next = sql("SELECT reason, detail, next_attempt_at AS until FROM backfill_item WHERE tenant_id = ? AND run_id = ? AND outcome IS NULL \
             AND request_id IS NULL ORDER BY next_attempt_at, interaction_id LIMIT 1")
        .bind(tenant.0)
        .bind(run)
        .one::<Next>(&self.reader)
        .await?;
        let (reason, detail, until) =
            next.map_or((None, None, None), |next| (next.reason, next.detail, Some(next.until)));
        Ok(Waiting { items: open.items, in_batches: open.in_batches, reason, detail, until })
    }

    /// No slice of the run is begun before `pause` has passed.
    pub async fn rest_backfill(&self, tenant: TenantId, run: &str, pause: TimeDelta) -> Result<()> {
        let tx = self.begin().await?;
        sql("UPDATE backfill_run SET rests_until = ? WHERE tenant_id = ? AND id = ?")
            .bind(self.now() + pause)
            .bind(tenant.0)
            .bind(run)
            .run(&tx)
            .await?;
        tx.commit().await?;
        Ok(())
    }
}
