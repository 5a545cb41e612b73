//! Counters of effective sentiments. They move only inside the transaction that changes a sentiment, by the difference, as integers, in
//! the order of their keys. [`Store::verify`] counts everything anew and compares.

mod verify;

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, Utc};
use sea_orm::{DatabaseTransaction, FromQueryResult, Value};
use undertone_core::Label;
use undertone_core::overview::Totals;

use crate::rows::{day_in, word, zone};
use crate::statement::{for_share, for_update, pieces, sql};
use crate::{Result, Store, TenantId};
pub use verify::Difference;
use verify::Recount;

/// The day under which counters of all time stand.
pub(crate) const ALL_TIME: NaiveDate = date(1970);

/// A day before all others, which both databases know.
pub(crate) const BEGINNING: NaiveDate = date(1);

const fn date(year: i32) -> NaiveDate {
    match NaiveDate::from_ymd_opt(year, 1, 1) {
        Some(day) => day,
        None => NaiveDate::MIN,
    }
}

/// How many rows are moved to days of another zone in one transaction.
const MOVE_AT_ONCE: i64 = 1000;

/// An effective sentiment as it is counted.
#[derive(Debug, Clone, PartialEq, Eq, FromQueryResult)]
pub(crate) struct Counted {
    pub(crate) interaction_id: String,
    pub(crate) customer_id: Option<String>,
    pub(crate) channel: String,
    pub(crate) language: String,
    pub(crate) scorer: String,
    pub(crate) category: String,
    pub(crate) segment: String,
    pub(crate) occurred_on: NaiveDate,
    pub(crate) scored_on: NaiveDate,
    pub(crate) human_override_score: Option<i64>,
    pub(crate) human_override_label: Option<String>,
    pub(crate) effective_score: i64,
    pub(crate) effective_label: String,
}

pub(crate) const COUNTED: &str = "SELECT interaction_id, customer_id, channel, language, scorer, category, segment, occurred_on, scored_on, \
    human_override_score, human_override_label, effective_score, effective_label FROM interaction_sentiment WHERE tenant_id = ?";

/// How counters move.
#[derive(Debug, Default)]
pub(crate) struct Deltas {
    daily: BTreeMap<(NaiveDate, [String; 5]), Totals>,
    counters: BTreeMap<(&'static str, NaiveDate), Totals>,
    customers: BTreeMap<String, Totals>,
}

impl Deltas {
    /// Counts one in (`sign` 1) or out (-1). What occurred before `sealed` counts among the sealed too.
    pub(crate) fn add(&mut self, row: &Counted, sign: i64, sealed: Option<NaiveDate>) -> Result<()> {
        let label: Label = word("interaction_sentiment", &row.effective_label)?;
        let one = |wanted: Label| if label == wanted { sign } else { 0 };
        let totals = Totals {
            scored: sign,
            sum_score: sign * row.effective_score,
            positive: one(Label::Positive),
            neutral: one(Label::Neutral),
            negative: one(Label::Negative),
            mixed: one(Label::Mixed),
        };
        let key = [&row.channel, &row.language, &row.scorer, &row.category, &row.segment].map(String::clone);
        let mut counters = vec![("all", ALL_TIME), ("occurred", row.occurred_on), ("scored", row.scored_on)];
        if sealed.is_some_and(|before| row.occurred_on < before) {
            counters.extend([("sealed", ALL_TIME), ("sealed_scored", row.scored_on)]);
        }
        for counter in counters {
            add_to(&mut self.counters, counter, totals);
        }
        add_to(&mut self.daily, (row.occurred_on, key), totals);
        if let Some(customer) = &row.customer_id {
            add_to(&mut self.customers, customer.clone(), totals);
        }
        Ok(())
    }

    /// Counts one in or out for its customer alone: the days it counted for stand for themselves.
    pub(crate) fn add_of_customer(&mut self, row: &Counted, sign: i64) -> Result<()> {
        let mut whole = Self::default();
        whole.add(row, sign, None)?;
        for (customer, totals) in whole.customers {
            add_to(&mut self.customers, customer, totals);
        }
        Ok(())
    }

    /// Moves the counters.
    pub(crate) async fn apply(self, tx: &DatabaseTransaction, tenant: TenantId) -> Result<()> {
        let moved = |totals: &Totals| *totals != Totals::default();
        let customers: Vec<Vec<Value>> = self
            .customers
            .into_iter()
            .filter(|(_, totals)| moved(totals))
            .map(|(customer, totals)| row([tenant.0.into(), customer.into()], totals))
            .collect();
        let daily: Vec<Vec<Value>> = self
            .daily
            .into_iter()
            .filter(|(_, totals)| moved(totals))
            .map(|((day, [channel, language, scorer, category, segment]), totals)| {
                let key = [channel.into(), language.into(), scorer.into(), category.into(), segment.into()];
                row([tenant.0.into(), day.into()].into_iter().chain(key), totals)
            })
            .collect();
        let counters: Vec<Vec<Value>> = self
            .counters
            .into_iter()
            .filter(|(_, totals)| moved(totals))
            .map(|((counter, day), totals)| row([tenant.0.into(), counter.into(), day.into()], totals))
            .collect();
        for (statement, rows) in [(MOVE_CUSTOMERS, customers), (MOVE_DAILY, daily), (MOVE_COUNTERS, counters)]
        {
            // The rows everybody moves come last, so that they are held as briefly as can be.
            for piece in pieces(&rows) {
                sql(statement).rows(piece.iter().cloned()).run(tx).await?;
            }
        }
        Ok(())
    }
}

fn add_to<K: Ord>(map: &mut BTreeMap<K, Totals>, key: K, totals: Totals) {
    let entry = map.entry(key).or_default();
    *entry = entry.plus(totals);
}

fn row(key: impl IntoIterator<Item = Value>, t: Totals) -> Vec<Value> {
    let counts = [t.scored, t.sum_score, t.positive, t.neutral, t.negative, t.mixed];
    key.into_iter().chain(counts.map(Value::from)).collect()
}

const MOVE_CUSTOMERS: &str = "INSERT INTO customer_sentiment AS c (tenant_id, customer_id, scored, sum_score, positive, neutral, negative, mixed) \
    VALUES ? ON CONFLICT (tenant_id, customer_id) DO UPDATE SET scored = c.scored + excluded.scored, \
    sum_score = c.sum_score + excluded.sum_score, positive = c.positive + excluded.positive, neutral = c.neutral + excluded.neutral, \
    negative = c.negative + excluded.negative, mixed = c.mixed + excluded.mixed";
const MOVE_DAILY: &str = "INSERT INTO sentiment_daily AS c (tenant_id, day, channel, language, scorer, category, segment, scored, sum_score, \
    positive, neutral, negative, mixed) VALUES ? ON CONFLICT (tenant_id, day, channel, language, scorer, category, segment) DO UPDATE SET \
    scored = c.scored + excluded.scored, sum_score = c.sum_score + excluded.sum_score, positive = c.positive + excluded.positive, \
    neutral = c.neutral + excluded.neutral, negative = c.negative + excluded.negative, mixed = c.mixed + excluded.mixed";
const MOVE_COUNTERS: &str = "INSERT INTO sentiment_counter AS c (tenant_id, counter, day, scored, sum_score, positive, neutral, negative, mixed) \
    VALUES ? ON CONFLICT (tenant_id, counter, day) DO UPDATE SET scored = c.scored + excluded.scored, \
    sum_score = c.sum_score + excluded.sum_score, positive = c.positive + excluded.positive, neutral = c.neutral + excluded.neutral, \
    negative = c.negative + excluded.negative, mixed = c.mixed + excluded.mixed";

/// The columns of a row that holds totals.
#[derive(FromQueryResult)]
pub(crate) struct Counts {
    scored: i64,
    sum_score: i64,
    positive: i64,
    neutral: i64,
    negative: i64,
    mixed: i64,
}

impl Counts {
    pub(crate) fn totals(self) -> Totals {
        self.into()
    }
}

#[cfg(test)]
impl From<Totals> for Counts {
    fn from(t: Totals) -> Self {
        Self {
            scored: t.scored,
            sum_score: t.sum_score,
            positive: t.positive,
            neutral: t.neutral,
            negative: t.negative,
            mixed: t.mixed,
        }
    }
}

impl From<Counts> for Totals {
    fn from(row: Counts) -> Self {
        Self {
            scored: row.scored,
            sum_score: row.sum_score,
            positive: row.positive,
            neutral: row.neutral,
            negative: row.negative,
            mixed: row.mixed,
        }
    }
}

/// What a zone change and sealing mean for a tenant's days.
#[derive(FromQueryResult)]
pub(crate) struct Days {
    pub(crate) zone: String,
    pub(crate) sealed_before: Option<NaiveDate>,
}

/// Reads how a tenant's days are counted and keeps that from changing until the transaction ends.
pub(crate) async fn hold_days(store: &Store, tx: &DatabaseTransaction, tenant: TenantId) -> Result<Days> {
    let days = sql("SELECT zone, sealed_before FROM tenant WHERE id = ?")
        .bind(tenant.0)
        .then(for_share(store.backend()))
        .one(tx)
        .await?;
    Ok(days.unwrap_or(Days { zone: "UTC".to_owned(), sealed_before: None }))
}

impl Store {
    /// Moves some rows to the days of the tenant's current zone, with their counters; answers whether there are more. At any moment the
    /// counters are what the rows say.
    pub async fn move_days(&self, tenant: TenantId) -> Result<bool> {
        #[derive(FromQueryResult)]
        struct Moments {
            interaction_id: String,
            occurred_at: DateTime<Utc>,
            scored_at: DateTime<Utc>,
        }
        let tx = self.begin().await?;
        let days = hold_days(self, &tx, tenant).await?;
        let zone = zone(&days.zone);
        let cursor = sql("SELECT zone_cursor FROM tenant WHERE id = ?")
            .bind(tenant.0)
            .value::<Option<String>>(&tx)
            .await?;
        let Some(Some(cursor)) = cursor else { return Ok(false) };
        let rows = sql("SELECT interaction_id, occurred_at, scored_at FROM interaction_sentiment WHERE tenant_id = ? AND interaction_id > ? \
             ORDER BY interaction_id LIMIT ?")
        .bind(tenant.0)
        .bind(cursor)
        .bind(MOVE_AT_ONCE)
        .then(for_update(self.backend()))
        .all::<Moments>(&tx)
        .await?;
        let ids: Vec<&str> = rows.iter().map(|row| row.interaction_id.as_str()).collect();
        let mut counted = BTreeMap::new();
        for piece in pieces(&ids) {
            let found = sql(COUNTED)
                .bind(tenant.0)
                .then(" AND interaction_id IN ?")
                .list(piece.iter().copied())
                .all::<Counted>(&tx)
                .await?;
            counted.extend(found.into_iter().map(|row| (row.interaction_id.clone(), row)));
        }
        let mut deltas = Deltas::default();
        let mut moved: BTreeMap<(NaiveDate, NaiveDate), Vec<&str>> = BTreeMap::new();
        for row in &rows {
            let Some(old) = counted.get(&row.interaction_id) else { continue };
            let mut new = old.clone();
            // Sealed days rest on rows that may be gone; they stay as they were.
            if days.sealed_before.is_none_or(|before| old.occurred_on >= before) {
                new.occurred_on = day_in(zone, row.occurred_at).max(days.sealed_before.unwrap_or(BEGINNING));
            }
            new.scored_on = day_in(zone, row.scored_at);
            if new == *old {
                continue;
            }
            deltas.add(old, -1, days.sealed_before)?;
            deltas.add(&new, 1, days.sealed_before)?;
            moved.entry((new.occurred_on, new.scored_on)).or_default().push(&row.interaction_id);
        }
        for ((occurred_on, scored_on), ids) in moved {
            for piece in pieces(&ids) {
                sql("UPDATE interaction_sentiment SET occurred_on = ?, scored_on = ? WHERE tenant_id = ? AND interaction_id IN ?")
                    .bind(occurred_on)
                    .bind(scored_on)
                    .bind(tenant.0)
                    .list(piece.iter().copied())
                    .run(&tx)
                    .await?;
            }
        }
        deltas.apply(&tx, tenant).await?;
        let last = rows.last().map(|row| row.interaction_id.as_str());
        sql("UPDATE tenant SET zone_cursor = ? WHERE id = ?").bind(last).bind(tenant.0).run(&tx).await?;
        tx.commit().await?;
        Ok(last.is_some())
    }

    /// Seals the days before `before`: their counters stay as they are from then on, whether or not the rows they rest on are kept.
    pub async fn seal_days(&self, tenant: TenantId, before: NaiveDate) -> Result<()> {
        let tx = self.begin().await?;
        sql("UPDATE tenant SET sealed_before = ? WHERE id = ? AND (sealed_before IS NULL OR sealed_before < ?)")
            .bind(before)
            .bind(tenant.0)
            .bind(before)
            .run(&tx)
            .await?;
        let days = hold_days(self, &tx, tenant).await?;
        let sealed = days.sealed_before.unwrap_or(BEGINNING);
        for counter in ["sealed", "sealed_scored"] {
            sql("DELETE FROM sentiment_counter WHERE tenant_id = ? AND counter = ?")
                .bind(tenant.0)
                .bind(counter)
                .run(&tx)
                .await?;
        }
        // What is sealed is what the counters say beyond the rows that are not.
        for (counter, whole, counted) in [
            ("sealed", "all", verify::recount(&tx, tenant, Recount::All, sealed).await?),
            ("sealed_scored", "scored", verify::recount(&tx, tenant, Recount::Scored, sealed).await?),
        ] {
            let rows: Vec<Vec<Value>> = verify::counter(&tx, tenant, whole)
                .await?
                .into_iter()
                .map(|(day, totals)| (day, totals.minus(counted.get(&day).copied().unwrap_or_default())))
                .filter(|(_, totals)| *totals != Totals::default())
                .map(|(day, totals)| row([tenant.0.into(), counter.into(), day.into()], totals))
                .collect();
            for piece in pieces(&rows) {
                sql(MOVE_COUNTERS).rows(piece.iter().cloned()).run(&tx).await?;
            }
        }
        tx.commit().await?;
        Ok(())
    }
}
