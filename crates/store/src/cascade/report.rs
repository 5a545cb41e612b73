//! What is read of the cascade: the report, what the advisor needs, and the verdicts that somebody should look at.

use std::collections::BTreeMap;

use chrono::{DateTime, Days, NaiveDate, Utc};
use sea_orm::FromQueryResult;
use serde::Serialize;
use undertone_core::Verdict;
use undertone_core::cascade::advice::{DAYS, Readings, Taken};
use undertone_core::cascade::sums::Sums;
use undertone_core::cascade::{FirstReading, WhyAsked};

use crate::rows::day_in;
use crate::statement::sql;
use crate::{Result, Store, StoreError, Tenant, TenantId};

/// A part of a report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Line {
    /// The day (`2026-11-20`), or why the LLM was asked; `sure` where it was not.
    pub key: String,
    /// What was done.
    #[serde(flatten)]
    pub sums: Sums,
}

/// What the cascade did in a stretch of days.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CascadeReport {
    /// The first of the tenant's days in it.
    pub from: NaiveDate,
    /// The last.
    pub to: NaiveDate,
    /// All of it.
    pub total: Sums,
    /// By why the LLM was asked.
    pub why: Vec<Line>,
    /// By day of scoring. A day on which the cascade scored nothing has none.
    pub days: Vec<Line>,
}

/// A verdict in which the two scorers contradict each other.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Disagreement {
    /// Our id of the interaction.
    pub interaction_id: String,
    /// When it was scored.
    pub scored_at: DateTime<Utc>,
    /// Why the LLM was asked.
    pub why: Option<WhyAsked>,
    /// What the embedded model said.
    pub first: Option<FirstReading>,
    /// The LLM's score, which stands.
    pub score: i64,
    /// Its label.
    pub label: String,
}

#[derive(FromQueryResult)]
struct DoneRow {
    day: NaiveDate,
    why: String,
    verdicts: i64,
    asked: i64,
    unanswered: i64,
    changed: i64,
    disagreed: i64,
    tokens_in: i64,
    tokens_out: i64,
    cost_micros: i64,
}

impl DoneRow {
    fn sums(&self) -> Sums {
        Sums {
            verdicts: whole(self.verdicts),
            asked: whole(self.asked),
            unanswered: whole(self.unanswered),
            changed: whole(self.changed),
            disagreed: whole(self.disagreed),
            tokens_in: whole(self.tokens_in),
            tokens_out: whole(self.tokens_out),
            cost_micros: whole(self.cost_micros),
        }
    }
}

fn whole(count: i64) -> u64 {
    count.max(0).cast_unsigned()
}

impl Store {
    /// What the cascade did on the tenant's days `from` to `to`, both included.
    pub async fn cascade_report(
        &self,
        tenant: TenantId,
        from: NaiveDate,
        to: NaiveDate,
    ) -> Result<CascadeReport> {
        let rows: Vec<DoneRow> = sql("SELECT day, why, verdicts, asked, unanswered, changed, disagreed, tokens_in, tokens_out, cost_micros \
             FROM cascade_day WHERE tenant_id = ? AND day BETWEEN ? AND ?")
        .bind(tenant.0)
        .bind(from)
        .bind(to)
        .all(&self.reader)
        .await?;
        let (mut why, mut days, mut total) = (BTreeMap::new(), BTreeMap::new(), Sums::default());
        for row in rows {
            let sums = row.sums();
            total = total.plus(sums);
            let day = row.day.format("%Y-%m-%d").to_string();
            for (lines, key) in [(&mut why, row.why), (&mut days, day)] {
                let line: &mut Sums = lines.entry(key).or_default();
                *line = line.plus(sums);
            }
        }
        let lines = |lines: BTreeMap<String, Sums>| {
            lines.into_iter().map(|(key, sums)| Line { key, sums }).collect::<Vec<_>>()
        };
        Ok(CascadeReport { from, to, total, why: lines(why), days: lines(days) })
    }

    /// How sure the embedded model was of what it read on the last days before today, as many as [`DAYS`] at most; of today alone, where
    /// nothing was read before.
    pub async fn readings(&self, tenant: &Tenant) -> Result<Readings> {
        #[derive(FromQueryResult)]
        struct Row {
            day: NaiveDate,
            why: String,
            confidence: i64,
            readings: i64,
        }
        let today = day_in(tenant.zone, self.now());
        let from = first_day(today);
        let rows: Vec<Row> =
            sql("SELECT day, why, confidence, readings FROM reading_day WHERE tenant_id = ? AND day >= ?")
                .bind(tenant.id.0)
                .bind(from)
                .all(&self.reader)
                .await?;
        // Today is not over: it would look like a quiet day. Where the zone was changed, the day counted last may even be to come.
        let first = rows.iter().map(|row| row.day).filter(|day| *day < today).min();
        let counted = |day: NaiveDate| first.is_none() || day < today;
        let days = first.map_or(1, |first| (today - first).num_days());
        let mut readings = Readings { days: u32::try_from(days).unwrap_or(1).max(1), ..Readings::default() };
        let mut by_day: BTreeMap<NaiveDate, u64> = BTreeMap::new();
        for row in rows.iter().filter(|row| counted(row.day)) {
            let count = whole(row.readings);
            *by_day.entry(row.day).or_default() += count;
            let at = usize::try_from(row.confidence).ok().filter(|_| row.why == WhyAsked::Unsure.as_str());
            match at.and_then(|at| readings.by_confidence.get_mut(at)) {
                Some(slot) => *slot += count,
                None => readings.regardless += count,
            }
        }
        readings.busiest_day = by_day.into_values().max().unwrap_or_default();
        Ok(readings)
    }

    /// What texts that an LLM scored took lately, by the bills of the last [`DAYS`] days; `None` where there are none.
    pub async fn taken_by_verdicts(&self, tenant: &Tenant) -> Result<Option<Taken>> {
        #[derive(FromQueryResult)]
        struct Row {
            texts: i64,
            tokens: i64,
        }
        let today = day_in(tenant.zone, self.now());
        let rows: Vec<Row> = sql("SELECT texts, input_tokens + cache_read_tokens + cache_write_5m_tokens + cache_write_1h_tokens + output_tokens \
             AS tokens FROM ai_usage WHERE tenant_id = ? AND day BETWEEN ? AND ? AND feature = 'scoring'")
        .bind(tenant.id.0)
        .bind(first_day(today))
        .bind(today)
        .all(&self.reader)
        .await?;
        let sum = |of: fn(&Row) -> i64| rows.iter().map(|row| whole(of(row))).sum::<u64>();
        let taken = Taken { tokens: sum(|row| row.tokens), verdicts: sum(|row| row.texts) };
        Ok((taken.verdicts > 0 && taken.tokens > 0).then_some(taken))
    }

    /// The verdicts in which the two scorers contradict each other and that nobody has corrected, the latest first.
    pub async fn disagreements(&self, tenant: TenantId, limit: u16) -> Result<Vec<Disagreement>> {
        #[derive(FromQueryResult)]
        struct Row {
            interaction_id: String,
            scored_at: DateTime<Utc>,
            score: i64,
            label: String,
            body: String,
        }
        let rows: Vec<Row> = sql("SELECT s.interaction_id, s.scored_at, s.score, s.label, v.body FROM interaction_sentiment s \
             JOIN verdict v ON v.tenant_id = s.tenant_id AND v.id = s.verdict_id \
             WHERE s.tenant_id = ? AND s.disagreed AND s.human_override_at IS NULL ORDER BY s.scored_at DESC, s.interaction_id DESC LIMIT ?")
        .bind(tenant.0)
        .bind(i64::from(limit))
        .all(&self.reader)
        .await?;
        rows.into_iter()
            .map(|row| {
                let verdict: Verdict = serde_json::from_str(&row.body)
                    .map_err(|e| StoreError::Unreadable { table: "verdict", detail: e.to_string() })?;
                let (why, first) = verdict.cascade.map(|c| (c.why, c.first)).unwrap_or_default();
                let Row { interaction_id, scored_at, score, label, .. } = row;
                Ok(Disagreement { interaction_id, scored_at, why, first, score, label })
            })
            .collect()
    }
}

/// The first of the days that are looked back on.
fn first_day(today: NaiveDate) -> NaiveDate {
    today.checked_sub_days(Days::new(DAYS.into())).unwrap_or(today)
}
