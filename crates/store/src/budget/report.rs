//! What is read of LLM use: the report, and the ledger call by call.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use sea_orm::FromQueryResult;
use serde::Serialize;
use undertone_core::Usage;
use undertone_core::usage::calendar::day_of;
use undertone_core::usage::sums::{Group, Saved, Sums};

use crate::modules::Period;
use crate::statement::sql;
use crate::{Result, Store, Tenant, TenantId};

/// A part of a report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Line {
    /// The day (`2026-11-20`), month (`2026-11`), feature, model or scorer.
    pub key: String,
    /// What it took.
    #[serde(flatten)]
    pub sums: Sums,
}

/// What LLM calls took in a stretch of days.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UsageReport {
    /// The first of the tenant's days in it.
    pub from: NaiveDate,
    /// The last.
    pub to: NaiveDate,
    /// By what it is broken down.
    pub group: Group,
    /// The parts, in the order of their keys. A day on which nothing was used has none.
    pub lines: Vec<Line>,
    /// All of them together.
    pub total: Sums,
    /// The stretches of time in which the module was paid for, as far as they touch these days; the latest first.
    pub subscription: Vec<Period>,
}

/// A call in the ledger. Amounts are tokens and millionths of a US dollar.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, FromQueryResult)]
pub struct Call {
    /// Its id.
    pub id: String,
    /// The tenant's day it counts for.
    pub day: NaiveDate,
    /// The first day of that day's month.
    pub month: NaiveDate,
    /// What for.
    pub feature: String,
    /// The model that was to be asked.
    pub model: String,
    /// The scorer that asked.
    pub scorer: String,
    /// The process that asked.
    pub owner: String,
    /// It is part of a batch.
    pub batched: bool,
    /// Texts in it.
    pub texts: i64,
    /// `held`, `settled`, `released` or `expired`.
    pub state: String,
    /// The most it can take.
    pub most_tokens: i64,
    /// The most it can cost; `None` where the model has no price.
    pub most_micros: Option<i64>,
    /// When it was to be made.
    pub reserved_at: DateTime<Utc>,
    /// It is lost then.
    pub lease_until: DateTime<Utc>,
    /// When it was taken for lost.
    pub expired_at: Option<DateTime<Utc>>,
    /// When it was found not to be charged.
    pub released_at: Option<DateTime<Utc>>,
    /// When its bill came.
    pub settled_at: Option<DateTime<Utc>>,
    /// Read, without a cache.
    pub input_tokens: i64,
    /// Read from a cache.
    pub cache_read_tokens: i64,
    /// Put into a cache for five minutes.
    pub cache_write_5m_tokens: i64,
    /// Put into a cache for an hour.
    pub cache_write_1h_tokens: i64,
    /// Written.
    pub output_tokens: i64,
    /// What it cost; `None` where the model has no price, or there is no bill yet.
    pub cost_micros: Option<i64>,
    /// Saved by the cache.
    pub saved_cache_micros: i64,
    /// Prompt not sent again, by packing.
    pub saved_packing_tokens: i64,
    /// Saved by packing.
    pub saved_packing_micros: i64,
    /// Saved by the price of batches.
    pub saved_batch_micros: i64,
}

/// How many figures a row of `ai_usage` has.
pub(super) const FIGURES: usize = 18;

/// The figures of a row of `ai_usage`, in the order of its columns.
pub(super) fn figures(sums: &Sums) -> [i64; FIGURES] {
    [
        sums.calls.cast_signed(),
        sums.texts.cast_signed(),
        sums.usage.input.cast_signed(),
        sums.usage.cache_read.cast_signed(),
        sums.usage.cache_write_5m.cast_signed(),
        sums.usage.cache_write_1h.cast_signed(),
        sums.usage.output.cast_signed(),
        sums.cost_micros.cast_signed(),
        sums.unpriced_calls.cast_signed(),
        sums.overrun_tokens.cast_signed(),
        sums.overrun_micros.cast_signed(),
        sums.lost_calls.cast_signed(),
        sums.lost_tokens.cast_signed(),
        sums.lost_micros.cast_signed(),
        sums.saved.cache_micros,
        sums.saved.packing_tokens.cast_signed(),
        sums.saved.packing_micros.cast_signed(),
        sums.saved.batch_micros.cast_signed(),
    ]
}

#[derive(FromQueryResult)]
struct Row {
    day: NaiveDate,
    feature: String,
    model: String,
    scorer: String,
    calls: i64,
    texts: i64,
    input_tokens: i64,
    cache_read_tokens: i64,
    cache_write_5m_tokens: i64,
    cache_write_1h_tokens: i64,
    output_tokens: i64,
    cost_micros: i64,
    unpriced_calls: i64,
    overrun_tokens: i64,
    overrun_micros: i64,
    lost_calls: i64,
    lost_tokens: i64,
    lost_micros: i64,
    saved_cache_micros: i64,
    saved_packing_tokens: i64,
    saved_packing_micros: i64,
    saved_batch_micros: i64,
}

impl Row {
    fn key(&self, group: Group) -> String {
        match group {
            Group::Day => self.day.format("%Y-%m-%d").to_string(),
            Group::Month => self.day.format("%Y-%m").to_string(),
            Group::Feature => self.feature.clone(),
            Group::Model => self.model.clone(),
            Group::Scorer => self.scorer.clone(),
        }
    }

    fn sums(&self) -> Sums {
        let whole = |n: i64| n.max(0).cast_unsigned();
        Sums {
            calls: whole(self.calls),
            texts: whole(self.texts),
            usage: Usage {
                input: whole(self.input_tokens),
                cache_read: whole(self.cache_read_tokens),
                cache_write_5m: whole(self.cache_write_5m_tokens),
                cache_write_1h: whole(self.cache_write_1h_tokens),
                output: whole(self.output_tokens),
            },
            cost_micros: whole(self.cost_micros),
            unpriced_calls: whole(self.unpriced_calls),
            overrun_tokens: whole(self.overrun_tokens),
            overrun_micros: whole(self.overrun_micros),
            lost_calls: whole(self.lost_calls),
            lost_tokens: whole(self.lost_tokens),
            lost_micros: whole(self.lost_micros),
            saved: Saved {
                cache_micros: self.saved_cache_micros,
                packing_tokens: whole(self.saved_packing_tokens),
                packing_micros: whole(self.saved_packing_micros),
                batch_micros: whole(self.saved_batch_micros),
            },
        }
    }
}

impl Store {
    /// What LLM calls of the tenant's days `from` to `to`, both included, took.
    pub async fn ai_usage(
        &self,
        tenant: &Tenant,
        from: NaiveDate,
        to: NaiveDate,
        group: Group,
    ) -> Result<UsageReport> {
        let rows: Vec<Row> = sql("SELECT day, feature, model, scorer, calls, texts, input_tokens, cache_read_tokens, cache_write_5m_tokens, \
             cache_write_1h_tokens, output_tokens, cost_micros, unpriced_calls, overrun_tokens, overrun_micros, lost_calls, lost_tokens, \
             lost_micros, saved_cache_micros, saved_packing_tokens, saved_packing_micros, saved_batch_micros FROM ai_usage \
             WHERE tenant_id = ? AND day BETWEEN ? AND ?")
        .bind(tenant.id.0)
        .bind(from)
        .bind(to)
        .all(&self.reader)
        .await?;
        let mut lines: BTreeMap<String, Sums> = BTreeMap::new();
        for row in &rows {
            let sums = lines.entry(row.key(group)).or_default();
            *sums = sums.plus(row.sums());
        }
        let total = lines.values().fold(Sums::default(), |total, sums| total.plus(*sums));
        let mut subscription = self.module_periods(tenant.id).await?;
        subscription.retain(|period| {
            day_of(tenant.zone, period.activated_at) <= to
                && period.deactivated_at.is_none_or(|ended| day_of(tenant.zone, ended) >= from)
        });
        Ok(UsageReport {
            from,
            to,
            group,
            lines: lines.into_iter().map(|(key, sums)| Line { key, sums }).collect(),
            total,
            subscription,
        })
    }

    /// Calls in the ledger, the latest first, from the one before `before` on; at most `limit`.
    pub async fn calls(&self, tenant: TenantId, before: Option<&str>, limit: u16) -> Result<Vec<Call>> {
        let mut query = sql("SELECT id, day, month, feature, model, scorer, owner, batched, texts, state, most_tokens, most_micros, reserved_at, \
             lease_until, expired_at, released_at, settled_at, input_tokens, cache_read_tokens, cache_write_5m_tokens, \
             cache_write_1h_tokens, output_tokens, cost_micros, saved_cache_micros, saved_packing_tokens, saved_packing_micros, \
             saved_batch_micros FROM ai_call WHERE tenant_id = ?")
        .bind(tenant.0);
        if let Some(before) = before {
            query = query.then(" AND id < ?").bind(before);
        }
        query.then(" ORDER BY id DESC LIMIT ?").bind(i64::from(limit)).all(&self.reader).await
    }

    /// Removes some of the ledger's calls that ended and are older than `age`; answers whether there may be more. Counters and reports
    /// stay as they are.
    pub async fn remove_old_calls(&self, tenant: TenantId, age: TimeDelta) -> Result<bool> {
        const SOME: u64 = 1000;
        let tx = self.begin().await?;
        let removed = sql("DELETE FROM ai_call WHERE tenant_id = ? AND id IN (SELECT id FROM ai_call WHERE tenant_id = ? AND reserved_at < ? \
             AND state <> 'held' LIMIT ?)")
        .bind(tenant.0)
        .bind(tenant.0)
        .bind(self.now() - age)
        .bind(SOME.cast_signed())
        .run(&tx)
        .await?;
        tx.commit().await?;
        Ok(removed == SOME)
    }
}
