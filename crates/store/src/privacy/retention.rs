//! The clocks: texts go first, then alerts, then everything else of an interaction, then customers and conversations of which nothing is left. A run does
//! it in slices, each of which finds anew what is due; so a run that ends halfway, or two at once, remove the same.

mod due;
mod slices;
mod texts;
mod waiting;

use chrono::{DateTime, Datelike, Days, NaiveDate, TimeDelta, Utc};
use sea_orm::FromQueryResult;
use serde::Serialize;
use serde_json::{Value as Json, json};
use undertone_core::Settings;
use undertone_core::usage::calendar::begins;

use super::Removed;
use crate::audit::{self, Act};
use crate::rows::day_in;
use crate::statement::sql;
use crate::{Result, Store, Tenant, TenantId};

/// What was kept until when; everything that arrived before goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Clocks {
    /// Texts, and what of verdicts is in the customer's words.
    pub texts_before: DateTime<Utc>,
    /// Interactions with their verdicts and scores; then customers and conversations of which nothing was heard since.
    pub scores_before: DateTime<Utc>,
    /// Alerts and incidents that were raised before.
    pub alerts_before: DateTime<Utc>,
    /// Entries of the audit log.
    pub audit_before: DateTime<Utc>,
    /// Days before this one become counters only, before their scores go. The first of a month, so that it rarely moves.
    pub sealed_before: NaiveDate,
    /// When this was found out. What somebody reads at this moment stays until the next time.
    #[serde(skip)]
    pub now: DateTime<Utc>,
}

impl Clocks {
    /// What is due for a tenant at this moment, by its settings.
    #[must_use]
    pub fn of(tenant: &Tenant, settings: &Settings, now: DateTime<Utc>) -> Self {
        let before = |days: u32| {
            let day = day_in(tenant.zone, now - TimeDelta::days(days.into()));
            begins(tenant.zone, day)
        };
        let scores_before = before(settings.retention_scores_days);
        let day = day_in(tenant.zone, scores_before);
        let next_month = day.with_day(1).and_then(|first| first.checked_add_days(Days::new(31)));
        Self {
            texts_before: before(settings.retention_text_days),
            scores_before,
            alerts_before: before(settings.retention_alerts_days),
            audit_before: before(settings.retention_audit_days),
            sealed_before: next_month.and_then(|day| day.with_day(1)).unwrap_or(day),
            now,
        }
    }
}

/// What a run of the clocks removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PurgeRun {
    /// Its id.
    pub id: String,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When it ended.
    pub ended_at: DateTime<Utc>,
    /// What it removed.
    pub removed: Removed,
}

/// What a slice came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Slice {
    /// What it removed.
    pub removed: Removed,
    /// Where the next one goes on; `None`: nothing more is due.
    pub next: Option<String>,
}

impl Store {
    /// Removes what is due of a tenant, slice by slice, `rest` after each, so that others get their turn. Answers what was removed; where
    /// that is anything, the run is noted.
    pub async fn purge(
        &self,
        tenant: &Tenant,
        clocks: &Clocks,
        act: &Act<'_>,
        rest: std::time::Duration,
    ) -> Result<PurgeRun> {
        let started_at = self.now();
        let mut removed = Removed::default();
        for stage in Stage::ALL {
            let mut cursor = String::new();
            loop {
                let slice = self.purge_slice(tenant, act, clocks, (stage, &cursor)).await?;
                removed.add(&slice.removed);
                let Some(next) = slice.next else { break };
                cursor = next;
                tokio::time::sleep(rest).await;
            }
        }
        let run = PurgeRun { id: self.new_id(started_at), started_at, ended_at: self.now(), removed };
        if !run.removed.is_empty() {
            let tx = self.begin().await?;
            sql("INSERT INTO purge_run (tenant_id, id, started_at, ended_at, removed) VALUES ?")
                .rows([[
                    tenant.id.0.into(),
                    run.id.as_str().into(),
                    run.started_at.into(),
                    run.ended_at.into(),
                    json!(run.removed).into(),
                ]])
                .run(&tx)
                .await?;
            audit::note(self, &tx, act, ("retention_purged", &run.id), &json!({"removed": run.removed}))
                .await?;
            tx.commit().await?;
        }
        Ok(run)
    }

    /// What a run would remove, of what its stages are named for ([`Stage::what`]); what goes with those is not counted. It counts all of it, so
    /// that it takes longer the more is due.
    pub async fn purge_preview(&self, tenant: TenantId, clocks: &Clocks) -> Result<Removed> {
        let mut told = Removed::default();
        for stage in Stage::ALL {
            told.count(stage.what(), due::count(self, tenant, clocks, stage).await?);
        }
        Ok(told)
    }

    /// The latest runs that removed anything, the latest first; those before `before`.
    pub async fn purge_runs(
        &self,
        tenant: TenantId,
        before: Option<&str>,
        limit: i64,
    ) -> Result<Vec<PurgeRun>> {
        #[derive(FromQueryResult)]
        struct Row {
            id: String,
            started_at: DateTime<Utc>,
            ended_at: DateTime<Utc>,
            removed: Json,
        }
        let mut query =
            sql("SELECT id, started_at, ended_at, removed FROM purge_run WHERE tenant_id = ?").bind(tenant.0);
        if let Some(before) = before {
            query = query.then(" AND id < ?").bind(before);
        }
        let rows = query.then(" ORDER BY id DESC LIMIT ?").bind(limit).all::<Row>(&self.reader).await?;
        let told = |row: Row| {
            let Row { id, started_at, ended_at, removed } = row;
            PurgeRun { id, started_at, ended_at, removed: Removed::read(removed) }
        };
        Ok(rows.into_iter().map(told).collect())
    }

    /// Takes a task of a tenant's in hand that is done every now and then; false where it is not due, or somebody else does it. Whoever dies
    /// over it leaves it for `patience`.
    pub async fn take_upkeep(&self, tenant: TenantId, task: &str, patience: TimeDelta) -> Result<bool> {
        let (tx, now) = (self.begin().await?, self.now());
        let taken = sql("INSERT INTO upkeep AS u (tenant_id, task, due_at) VALUES (?, ?, ?) \
             ON CONFLICT (tenant_id, task) DO UPDATE SET due_at = excluded.due_at WHERE u.due_at <= ?")
        .bind(tenant.0)
        .bind(task)
        .bind(now + patience)
        .bind(now)
        .run(&tx)
        .await?;
        tx.commit().await?;
        Ok(taken > 0)
    }

    /// The task is done, and due again after `pause`.
    pub async fn end_upkeep(&self, tenant: TenantId, task: &str, pause: TimeDelta) -> Result<()> {
        let tx = self.begin().await?;
        sql("UPDATE upkeep SET due_at = ? WHERE tenant_id = ? AND task = ?")
            .bind(self.now() + pause)
            .bind(tenant.0)
            .bind(task)
            .run(&tx)
            .await?;
        tx.commit().await?;
        Ok(())
    }
}

/// What a run removes, one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Texts that were labelled to teach the model, by when they were.
    Labels,
    /// Texts, with what quotes them and what people noted of them.
    Texts,
    /// What conversations are about, once no text is left in them.
    Subjects,
    /// Alerts, with what became of them and what was told of them.
    Alerts,
    /// Incidents that ended and of which no alert is left.
    Incidents,
    /// When people were last told of a customer.
    Cooldowns,
    /// Interactions and what they left behind.
    Scores,
    /// Customers of whom nothing is left.
    Customers,
    /// Conversations of which nothing is left.
    Conversations,
    /// Entries of the audit log.
    Audit,
}

impl Stage {
    /// All of them, in their order.
    pub const ALL: [Self; 10] = [
        Self::Labels,
        Self::Texts,
        Self::Subjects,
        Self::Alerts,
        Self::Incidents,
        Self::Cooldowns,
        Self::Scores,
        Self::Customers,
        Self::Conversations,
        Self::Audit,
    ];

    /// What it is there to remove, as it is counted. Other things go with it.
    #[must_use]
    pub fn what(self) -> &'static str {
        match self {
            Self::Labels => "old_labels",
            Self::Texts => "texts",
            Self::Subjects => "subjects",
            Self::Alerts => "alerts",
            Self::Incidents => "incidents",
            Self::Cooldowns => "cooldowns",
            Self::Scores => "interactions",
            Self::Customers => "customers",
            Self::Conversations => "conversations",
            Self::Audit => "audit_entries",
        }
    }
}
