//! Counting everything anew, to compare or to repair.

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDate;
use sea_orm::{
    ConnectionTrait, DatabaseTransaction, DbBackend, FromQueryResult, IsolationLevel, TransactionOptions,
    TransactionTrait, Value,
};
use undertone_core::overview::Totals;

use super::{ALL_TIME, BEGINNING, Counts, MOVE_COUNTERS, hold_days, row};
use crate::statement::{pieces, sql};
use crate::{Result, Store, TenantId, overrides};

/// At most so many differences of one kind are told.
const MOST: usize = 20;

/// A counter that is not what counting anew finds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Which counter, in words.
    pub counter: String,
    /// What it says.
    pub kept: Totals,
    /// What was counted.
    pub counted: Totals,
}

/// Sums over the rows of `interaction_sentiment`, by `$group`.
macro_rules! sums {
    ($key:literal, $where:literal, $group:literal) => {
        concat!(
            "SELECT ",
            $key,
            ", COUNT(*) AS scored, CAST(SUM(effective_score) AS bigint) AS sum_score, ",
            "CAST(SUM(CASE WHEN effective_label = 'positive' THEN 1 ELSE 0 END) AS bigint) AS positive, ",
            "CAST(SUM(CASE WHEN effective_label = 'neutral' THEN 1 ELSE 0 END) AS bigint) AS neutral, ",
            "CAST(SUM(CASE WHEN effective_label = 'negative' THEN 1 ELSE 0 END) AS bigint) AS negative, ",
            "CAST(SUM(CASE WHEN effective_label = 'mixed' THEN 1 ELSE 0 END) AS bigint) AS mixed ",
            "FROM interaction_sentiment WHERE tenant_id = ?",
            $where,
            " GROUP BY ",
            $group
        )
    };
}

const CUSTOMERS: &str =
    sums!("tenant_id, customer_id", " AND customer_id IS NOT NULL", "tenant_id, customer_id");
const DAILY: &str = sums!(
    "tenant_id, occurred_on AS day, channel, language, scorer, category, segment",
    " AND occurred_on >= ?",
    "tenant_id, occurred_on, channel, language, scorer, category, segment"
);

/// What is counted anew by day.
#[derive(Debug, Clone, Copy)]
pub(super) enum Recount {
    /// By day of occurrence.
    Occurred,
    /// By day of scoring.
    Scored,
    /// Not by day.
    All,
}

#[derive(FromQueryResult)]
struct DayRow {
    day: NaiveDate,
    #[sea_orm(nested)]
    counts: Counts,
}

type ByDay = BTreeMap<NaiveDate, Totals>;

fn by_day(rows: Vec<DayRow>) -> ByDay {
    rows.into_iter().map(|row| (row.day, row.counts.into())).collect()
}

/// Counts the rows of days from `sealed` on.
pub(super) async fn recount(
    on: &impl ConnectionTrait,
    tenant: TenantId,
    what: Recount,
    sealed: NaiveDate,
) -> Result<ByDay> {
    let statement = match what {
        Recount::Scored => sums!("scored_on AS day", " AND occurred_on >= ?", "scored_on"),
        Recount::Occurred | Recount::All => {
            sums!("occurred_on AS day", " AND occurred_on >= ?", "occurred_on")
        }
    };
    let days = by_day(sql(statement).bind(tenant.0).bind(sealed).all::<DayRow>(on).await?);
    Ok(match what {
        Recount::Occurred | Recount::Scored => days,
        Recount::All => ByDay::from([(ALL_TIME, days.into_values().fold(Totals::default(), Totals::plus))]),
    })
}

/// What a counter says.
pub(super) async fn counter(on: &impl ConnectionTrait, tenant: TenantId, counter: &str) -> Result<ByDay> {
    let rows =
        sql("SELECT day, scored, sum_score, positive, neutral, negative, mixed FROM sentiment_counter \
         WHERE tenant_id = ? AND counter = ?")
        .bind(tenant.0)
        .bind(counter)
        .all(on)
        .await?;
    Ok(by_day(rows))
}

impl Store {
    /// Counts everything anew and compares it with the counters; sealed days are taken as they are. Corrections are compared with the
    /// revisions they come from. Empty: no difference. Reads one moment of the database, so that it may run while the service does.
    pub async fn verify(&self, tenant: TenantId) -> Result<Vec<Difference>> {
        let tx = self.snapshot().await?;
        let days = hold_days_for_reading(&tx, tenant).await?;
        let sealed = days.unwrap_or(BEGINNING);
        let mut differences = Vec::new();
        for (name, part, what) in [
            ("occurred", None, Recount::Occurred),
            ("scored", Some("sealed_scored"), Recount::Scored),
            ("all", Some("sealed"), Recount::All),
        ] {
            let mut kept = counter(&tx, tenant, name).await?;
            for (day, totals) in match part {
                Some(part) => counter(&tx, tenant, part).await?,
                None => ByDay::new(),
            } {
                let entry = kept.entry(day).or_default();
                *entry = entry.minus(totals);
            }
            if matches!(what, Recount::Occurred) {
                kept.retain(|day, _| *day >= sealed);
            }
            let counted = recount(&tx, tenant, what, sealed).await?;
            let all: BTreeSet<NaiveDate> = kept.keys().chain(counted.keys()).copied().collect();
            differences.extend(
                all.into_iter()
                    .filter_map(|day| {
                        let of = |map: &ByDay| map.get(&day).copied().unwrap_or_default();
                        let name = if day == ALL_TIME { name.to_owned() } else { format!("{name} {day}") };
                        (of(&kept) != of(&counted)).then(|| Difference {
                            counter: name,
                            kept: of(&kept),
                            counted: of(&counted),
                        })
                    })
                    .take(MOST),
            );
        }
        differences.extend(named(
            overrides::differing(&tx, tenant, MOST as i64)
                .await?
                .into_iter()
                .map(|interaction| format!("correction of interaction {interaction}"))
                .collect(),
        ));
        differences.extend(self.compare_customers(&tx, tenant).await?);
        differences.extend(self.compare_daily(&tx, tenant, sealed).await?);
        Ok(differences)
    }

    /// Puts every counter that is not sealed to what counting anew finds, and every correction to what its revision says.
    pub async fn rebuild(&self, tenant: TenantId) -> Result<()> {
        let tx = self.begin().await?;
        // Nobody records in the meantime: whoever does, holds the tenant's days.
        sql("UPDATE tenant SET name = name WHERE id = ?").bind(tenant.0).run(&tx).await?;
        let sealed = hold_days(self, &tx, tenant).await?.sealed_before.unwrap_or(BEGINNING);
        overrides::put_back(&tx, tenant).await?;
        sql("DELETE FROM customer_sentiment WHERE tenant_id = ?").bind(tenant.0).run(&tx).await?;
        sql("INSERT INTO customer_sentiment (tenant_id, customer_id, scored, sum_score, positive, neutral, negative, mixed) ")
            .then(CUSTOMERS)
            .bind(tenant.0)
            .run(&tx)
            .await?;
        sql("DELETE FROM sentiment_daily WHERE tenant_id = ? AND day >= ?")
            .bind(tenant.0)
            .bind(sealed)
            .run(&tx)
            .await?;
        sql("INSERT INTO sentiment_daily (tenant_id, day, channel, language, scorer, category, segment, scored, sum_score, positive, neutral, \
             negative, mixed) ")
            .then(DAILY)
            .bind(tenant.0)
            .bind(sealed)
            .run(&tx)
            .await?;
        sql("DELETE FROM sentiment_counter WHERE tenant_id = ? AND counter = 'occurred' AND day >= ?")
            .bind(tenant.0)
            .bind(sealed)
            .run(&tx)
            .await?;
        sql("DELETE FROM sentiment_counter WHERE tenant_id = ? AND counter IN ('all', 'scored')")
            .bind(tenant.0)
            .run(&tx)
            .await?;
        for (name, part, what) in [
            ("occurred", "", Recount::Occurred),
            ("scored", "sealed_scored", Recount::Scored),
            ("all", "sealed", Recount::All),
        ] {
            // What is sealed stays in, on top of what is counted.
            for counts in [recount(&tx, tenant, what, sealed).await?, counter(&tx, tenant, part).await?] {
                let rows: Vec<Vec<Value>> = counts
                    .into_iter()
                    .map(|(day, totals)| row([tenant.0.into(), name.into(), day.into()], totals))
                    .collect();
                for piece in pieces(&rows) {
                    sql(MOVE_COUNTERS).rows(piece.iter().cloned()).run(&tx).await?;
                }
            }
        }
        tx.commit().await?;
        Ok(())
    }

    /// One moment of the database, for as long as it is read.
    pub(crate) async fn snapshot(&self) -> Result<DatabaseTransaction> {
        let isolation_level =
            (self.backend() == DbBackend::Postgres).then_some(IsolationLevel::RepeatableRead);
        Ok(self
            .reader
            .begin_with_options(TransactionOptions { isolation_level, ..TransactionOptions::default() })
            .await?)
    }

    async fn compare_customers(&self, tx: &DatabaseTransaction, tenant: TenantId) -> Result<Vec<Difference>> {
        const KEPT: &str = "SELECT tenant_id, customer_id, scored, sum_score, positive, neutral, negative, mixed FROM customer_sentiment \
             WHERE tenant_id = ? AND (scored <> 0 OR sum_score <> 0 OR positive <> 0 OR neutral <> 0 OR negative <> 0 OR mixed <> 0)";
        let mut ids = BTreeSet::new();
        for (one, other) in [(KEPT, CUSTOMERS), (CUSTOMERS, KEPT)] {
            let rows = sql("SELECT customer_id FROM (")
                .then(one)
                .bind(tenant.0)
                .then(" EXCEPT ")
                .then(other)
                .bind(tenant.0)
                .then(") AS differing LIMIT 20")
                .column::<String>(tx)
                .await?;
            ids.extend(rows.into_iter().map(|id| format!("customer {id}")));
        }
        Ok(named(ids))
    }

    async fn compare_daily(
        &self,
        tx: &DatabaseTransaction,
        tenant: TenantId,
        sealed: NaiveDate,
    ) -> Result<Vec<Difference>> {
        const KEPT: &str = "SELECT tenant_id, day, channel, language, scorer, category, segment, scored, sum_score, positive, neutral, negative, \
             mixed FROM sentiment_daily WHERE tenant_id = ? AND day >= ? \
             AND (scored <> 0 OR sum_score <> 0 OR positive <> 0 OR neutral <> 0 OR negative <> 0 OR mixed <> 0)";
        #[derive(FromQueryResult)]
        struct Row {
            day: NaiveDate,
            channel: String,
            category: String,
        }
        let mut cells = BTreeSet::new();
        for (one, other) in [(KEPT, DAILY), (DAILY, KEPT)] {
            let rows = sql("SELECT day, channel, category FROM (")
                .then(one)
                .bind(tenant.0)
                .bind(sealed)
                .then(" EXCEPT ")
                .then(other)
                .bind(tenant.0)
                .bind(sealed)
                .then(") AS differing LIMIT 20")
                .all::<Row>(tx)
                .await?;
            cells.extend(
                rows.into_iter().map(|row| format!("daily {} {} {}", row.day, row.channel, row.category)),
            );
        }
        Ok(named(cells))
    }
}

async fn hold_days_for_reading(tx: &DatabaseTransaction, tenant: TenantId) -> Result<Option<NaiveDate>> {
    let sealed = sql("SELECT sealed_before FROM tenant WHERE id = ?")
        .bind(tenant.0)
        .value::<Option<NaiveDate>>(tx)
        .await?;
    Ok(sealed.flatten())
}

/// Differences whose figures are not told, only where they are.
fn named(names: BTreeSet<String>) -> Vec<Difference> {
    let unknown = Totals::default();
    names.into_iter().map(|counter| Difference { counter, kept: unknown, counted: unknown }).collect()
}
