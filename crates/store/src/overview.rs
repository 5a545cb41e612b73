//! The first page, from counters whose size does not grow with history.

use std::collections::HashMap;

use chrono::{DateTime, Days, NaiveDate, Utc};
use sea_orm::FromQueryResult;
use undertone_core::overview::{Count, CustomerAtRisk, Day, Overview, Seen, Summary, Today, Totals, Waiting};
use undertone_core::text;

use crate::rollups::{ALL_TIME, Counts};
use crate::rows::day_in;
use crate::statement::sql;
use crate::{Result, Store, Tenant, TenantId};

/// Counting stops here and says that there are more.
const COUNT_TO: i64 = 1000;
/// How many customers at risk are shown.
pub const AT_RISK: i64 = 8;
/// How many of the latest verdicts are shown.
pub const LATEST: i64 = 8;
/// How much of what a customer at risk last said is shown, in characters.
const LAST_SAID: usize = 240;

#[derive(FromQueryResult)]
struct CounterRow {
    counter: String,
    day: NaiveDate,
    #[sea_orm(nested)]
    counts: Counts,
}

/// The day `days` before `today`.
fn back(today: NaiveDate, days: u32) -> NaiveDate {
    today.checked_sub_days(Days::new(days.into())).unwrap_or(today)
}

/// What differs between figures of this moment and published ones.
struct Figured {
    seen: Seen,
    all_time: Totals,
    today: Option<Totals>,
    by_day: HashMap<NaiveDate, Totals>,
    at_risk: Option<Count>,
}

impl Store {
    /// All of the first page as it is this moment, over the last `days` days, today included (1 to 366).
    pub async fn overview(&self, tenant: &Tenant, days: u32) -> Result<Overview> {
        let (at, days) = (self.now(), days.clamp(1, 366));
        let today = day_in(tenant.zone, at);
        let counters = self.counters(tenant.id, back(today, 2 * days - 1), today).await?;
        let of = |counter: &str, day| counters.get(&(counter.to_owned(), day)).copied().unwrap_or_default();
        let by_day = counters.iter().filter(|((counter, _), _)| counter == "occurred");
        let figured = Figured {
            seen: Seen::ALL,
            all_time: of("all", ALL_TIME),
            today: Some(of("scored", today)),
            by_day: by_day.map(|((_, day), totals)| (*day, *totals)).collect(),
            at_risk: Some(self.count_at_risk(tenant.id).await?),
        };
        let overview = self.page(tenant, (at, days), figured).await?;
        Ok(Overview {
            customers_at_risk: self.customers_at_risk(tenant.id, AT_RISK).await?,
            latest: self.latest(tenant.id, LATEST).await?,
            ..overview
        })
    }

    /// The same from what was published of groups of `min_group` customers and more, without customers at risk and latest verdicts.
    pub async fn published_overview(
        &self,
        tenant: &Tenant,
        days: u32,
        seen: Seen,
        min_group: u16,
    ) -> Result<Overview> {
        let (at, days) = (self.now(), days.clamp(1, 366));
        let today = day_in(tenant.zone, at);
        let published = self.published_days(tenant.id, (back(today, 732), today), min_group).await?;
        let figured = Figured {
            seen,
            all_time: published.iter().fold(Totals::default(), |sum, day| sum.plus(day.totals)),
            today: None,
            by_day: published.into_iter().map(|day| (day.day, day.totals)).collect(),
            at_risk: None,
        };
        self.page(tenant, (at, days), figured).await
    }

    async fn page(
        &self,
        tenant: &Tenant,
        (at, days): (DateTime<Utc>, u32),
        figured: Figured,
    ) -> Result<Overview> {
        let today = day_in(tenant.zone, at);
        let (first, before) = (back(today, days - 1), back(today, 2 * days - 1));
        let of = |day| figured.by_day.get(&day).copied().unwrap_or_default();
        let trend: Vec<Day> = (0..days)
            .map(|n| {
                let day = first + Days::new(n.into());
                let earlier = before + Days::new(n.into());
                Day { day, summary: of(day).into(), before: of(earlier).into() }
            })
            .collect();
        let sum = |summaries: &mut dyn Iterator<Item = Summary>| -> Summary {
            summaries.fold(Totals::default(), |sum, one| sum.plus(one.totals)).into()
        };
        let module = self.module(tenant.id).await?;
        let tokens_used = self.budget_at(tenant, at).await?.day.used().tokens;
        Ok(Overview {
            tenant: tenant.name.clone(),
            zone: tenant.zone.name().to_owned(),
            at,
            active: module.active && module.settings.enabled,
            visibility: figured.seen,
            all_time: figured.all_time.into(),
            today: Today {
                day: today,
                summary: figured.today.map(Into::into),
                tokens_used: i64::try_from(tokens_used).unwrap_or(i64::MAX),
                token_cap: i64::try_from(module.settings.daily_token_cap).unwrap_or(i64::MAX),
            },
            period: sum(&mut trend.iter().map(|day| day.summary)),
            period_before: sum(&mut trend.iter().map(|day| day.before)),
            days: trend,
            at_risk: figured.at_risk,
            customers_at_risk: Vec::new(),
            latest: Vec::new(),
            waiting: self.waiting(tenant.id).await?,
        })
    }

    async fn counters(
        &self,
        tenant: TenantId,
        from: NaiveDate,
        to: NaiveDate,
    ) -> Result<HashMap<(String, NaiveDate), Totals>> {
        let rows = sql("SELECT counter, day, scored, sum_score, positive, neutral, negative, mixed FROM sentiment_counter \
             WHERE tenant_id = ? AND (counter = 'occurred' AND day BETWEEN ? AND ? OR counter = 'scored' AND day = ? OR counter = 'all')")
        .bind(tenant.0)
        .bind(from)
        .bind(to)
        .bind(to)
        .all::<CounterRow>(&self.reader)
        .await?;
        Ok(rows.into_iter().map(|row| ((row.counter, row.day), row.counts.into())).collect())
    }

    /// A figure that changes whenever anything was scored or corrected; cheap enough to ask every second.
    pub async fn pulse(&self, tenant: TenantId) -> Result<(Totals, Option<DateTime<Utc>>)> {
        let totals = self.counters(tenant, ALL_TIME, ALL_TIME).await?;
        let all = totals.get(&("all".to_owned(), ALL_TIME)).copied().unwrap_or_default();
        let last = sql(
            "SELECT scored_at FROM interaction_sentiment WHERE tenant_id = ? ORDER BY scored_at DESC LIMIT 1",
        )
        .bind(tenant.0)
        .value::<DateTime<Utc>>(&self.reader)
        .await?;
        Ok((all, last))
    }

    async fn count_at_risk(&self, tenant: TenantId) -> Result<Count> {
        self.count(
            "SELECT COUNT(*) FROM (SELECT 1 FROM customer_sentiment WHERE tenant_id = ? AND scored >= 2 AND sum_score <= 0 LIMIT ?) AS counted",
            tenant,
        )
        .await
    }

    /// Counts the rows of a statement whose places are the tenant and how far to count.
    pub(crate) async fn count(&self, statement: &'static str, tenant: TenantId) -> Result<Count> {
        let counted = sql(statement)
            .bind(tenant.0)
            .bind(COUNT_TO + 1)
            .value::<i64>(&self.reader)
            .await?
            .unwrap_or_default();
        Ok(Count { count: counted.min(COUNT_TO), more: counted > COUNT_TO })
    }

    /// What waits for a verdict, and what failed.
    pub async fn waiting(&self, tenant: TenantId) -> Result<Waiting> {
        let oldest = sql("SELECT received_at FROM interaction WHERE tenant_id = ? AND score_state = 'pending' AND score_state <> 'scored' \
             ORDER BY id LIMIT 1")
        .bind(tenant.0)
        .value::<DateTime<Utc>>(&self.reader)
        .await?;
        Ok(Waiting {
            pending: self
                .count(
                    "SELECT COUNT(*) FROM (SELECT 1 FROM interaction WHERE tenant_id = ? AND score_state = 'pending' \
                     AND score_state <> 'scored' LIMIT ?) AS counted",
                    tenant,
                )
                .await?,
            oldest,
            failed: self
                .count(
                    "SELECT COUNT(*) FROM (SELECT 1 FROM interaction WHERE tenant_id = ? AND score_state = 'failed' \
                     AND score_state <> 'scored' LIMIT ?) AS counted",
                    tenant,
                )
                .await?,
        })
    }

    /// The customers at risk, the lowest average first.
    pub async fn customers_at_risk(&self, tenant: TenantId, limit: i64) -> Result<Vec<CustomerAtRisk>> {
        #[derive(FromQueryResult)]
        struct Row {
            customer_id: String,
            external_id: String,
            name: Option<String>,
            account: Option<String>,
            #[sea_orm(nested)]
            counts: Counts,
            last_id: String,
            last_score: i64,
            last_scored_at: DateTime<Utc>,
            body: Option<String>,
        }
        let rows = sql("SELECT r.customer_id, c.external_id, c.name, COALESCE(a.name, a.external_id, c.segment) AS account, r.scored, r.sum_score, \
             r.positive, r.neutral, r.negative, r.mixed, r.last_id, l.effective_score AS last_score, l.scored_at AS last_scored_at, \
             (SELECT t.body FROM interaction_text t WHERE t.tenant_id = l.tenant_id AND t.interaction_id = l.interaction_id \
             ORDER BY t.revision DESC LIMIT 1) AS body FROM \
             (SELECT x.*, (SELECT s.interaction_id FROM interaction_sentiment s WHERE s.tenant_id = x.tenant_id \
             AND s.customer_id = x.customer_id ORDER BY s.scored_at DESC, s.interaction_id DESC LIMIT 1) AS last_id FROM customer_sentiment x \
             WHERE x.tenant_id = ? AND x.scored >= 2 AND x.sum_score <= 0 ORDER BY x.average, x.customer_id LIMIT ?) r \
             JOIN customer c ON c.tenant_id = r.tenant_id AND c.id = r.customer_id \
             JOIN interaction_sentiment l ON l.tenant_id = r.tenant_id AND l.interaction_id = r.last_id \
             LEFT JOIN account a ON a.tenant_id = c.tenant_id AND a.id = c.account_id ORDER BY r.average, r.customer_id")
        .bind(tenant.0)
        .bind(limit)
        .all::<Row>(&self.reader)
        .await?;
        Ok(rows
            .into_iter()
            .map(|row| CustomerAtRisk {
                summary: Totals::from(row.counts).into(),
                id: row.customer_id,
                external_id: row.external_id,
                name: row.name,
                account: row.account,
                last_id: row.last_id,
                last_score: Some(row.last_score),
                last_scored_at: row.last_scored_at,
                last_said: row.body.map(|body| one_line(&body)),
            })
            .collect())
    }
}

/// The beginning of a text, on one line.
fn one_line(body: &str) -> String {
    let start = &body[..text::cut(body, 4 * LAST_SAID)];
    let words: Vec<&str> = start.split_whitespace().collect();
    let line = words.join(" ");
    let end = text::cut(&line, LAST_SAID);
    if end < line.len() || start.len() < body.len() { format!("{}…", &line[..end]) } else { line }
}
