//! Figures of groups that nobody can be worked out from.
//!
//! A day is published once: when it is over and nothing of it was scored for a while. Its interactions are put into groups that do not
//! overlap, by team and queue and by whether they name an agent; a group that is too small, or says too much about one of its customers or
//! agents, is pooled with its like, and what the pool can not hide stays out. Everything that is told is a sum of whole groups, so whatever is subtracted from whatever, a whole group
//! is left. What was published never changes: see the decision record on visibility.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Days, NaiveDate, TimeDelta, Utc};
use sea_orm::{DatabaseTransaction, FromQueryResult, Value};
use undertone_core::Label;
use undertone_core::overview::Totals;
use undertone_core::usage::calendar::begins;

use crate::rollups::Counts;
use crate::rows::day_in;
use crate::statement::{pieces, sql};
use crate::{Result, Store, Tenant, TenantId};

/// Days that are published, back from today: what two periods of the longest overview cover.
const DAYS_BACK: u64 = 732;
/// A day is looked at again after this long where nothing could be published of it yet.
const LOOK_AGAIN: TimeDelta = TimeDelta::hours(6);
/// Nothing of a day was scored for this long when it is published, so that an import is not published by halves.
const QUIET: TimeDelta = TimeDelta::hours(24);

/// What came later than this after the day, or where all of it did, after the first of it, is in no published figure: whoever hands in could make a
/// small group large enough with texts of their own, whenever they like.
const LATE: TimeDelta = TimeDelta::days(7);

/// Figures that name agents are of so many at least: those of one are an agent's, and those of two tell each the other's.
const FEWEST_AGENTS: usize = 3;

/// What was published of a day, over all groups that are large enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublishedDay {
    /// The tenant's day.
    pub day: NaiveDate,
    /// The counts.
    pub totals: Totals,
}

/// What was published of a team or a queue in a period.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// The source's id of the team, or the queue's name; `None`: no team, no queue.
    pub id: Option<String>,
    /// The team's name.
    pub name: Option<String>,
    /// The counts.
    pub totals: Totals,
}

/// One customer's part in a group of a day, with one agent.
#[derive(FromQueryResult)]
struct Part {
    team_id: String,
    queue: String,
    agent_id: String,
    customer_id: String,
    last_scored_at: DateTime<Utc>,
    #[sea_orm(nested)]
    counts: Counts,
}

/// What is published together.
#[derive(Debug, Default, Clone)]
struct Gathered {
    customers: BTreeSet<String>,
    /// Interactions of each customer, to know whether one of them makes up most of it.
    each: BTreeMap<String, i64>,
    /// The same of each agent; what none had to do with is not among it.
    agents: BTreeMap<String, i64>,
    totals: Totals,
}

impl Gathered {
    fn add(&mut self, agent: &str, customer: &str, totals: Totals) {
        self.customers.insert(customer.to_owned());
        *self.each.entry(customer.to_owned()).or_default() += totals.scored;
        if !agent.is_empty() {
            *self.agents.entry(agent.to_owned()).or_default() += totals.scored;
        }
        self.totals = self.totals.plus(totals);
    }

    fn merge(&mut self, other: Self) {
        self.customers.extend(other.customers);
        for (customer, scored) in other.each {
            *self.each.entry(customer).or_default() += scored;
        }
        for (agent, scored) in other.agents {
            *self.agents.entry(agent).or_default() += scored;
        }
        self.totals = self.totals.plus(other.totals);
    }

    /// Nobody can be worked out from it: there are enough customers, none of them makes up more than half, and they are not all of one
    /// label, which would tell everybody's.
    fn hides_each(&self, min_group: u16) -> bool {
        let most = self.each.values().copied().max().unwrap_or_default();
        let labels = [Label::Positive, Label::Neutral, Label::Negative, Label::Mixed];
        self.customers.len() >= usize::from(min_group)
            && 2 * most <= self.totals.scored
            && labels.iter().all(|label| self.totals.of(*label) < self.totals.scored)
    }

    /// No agent can be worked out from it: there are enough of them, and none of them makes up more than half; or there is none.
    fn hides_each_agent(&self) -> bool {
        let most = self.agents.values().copied().max().unwrap_or_default();
        self.agents.is_empty() || self.agents.len() >= FEWEST_AGENTS && 2 * most <= self.totals.scored
    }

    fn is_publishable(&self, min_group: u16) -> bool {
        self.hides_each(min_group) && self.hides_each_agent()
    }
}

/// The groups of a day that can be published, and the pool under `None`.
fn groups(parts: Vec<Part>, min_group: u16) -> BTreeMap<Option<(String, String)>, Gathered> {
    // What no agent had to do with is a group of its own, so that it need not hide any.
    let mut all: BTreeMap<((String, String), bool), Gathered> = BTreeMap::new();
    for part in parts {
        let names_agent = !part.agent_id.is_empty();
        let group = all.entry(((part.team_id, part.queue), names_agent)).or_default();
        group.add(&part.agent_id, &part.customer_id, part.counts.totals());
    }
    let mut published: BTreeMap<Option<(String, String)>, Gathered> = BTreeMap::new();
    let (mut pool, mut without_agents) = (Gathered::default(), Gathered::default());
    for ((key, names_agent), group) in all {
        if group.is_publishable(min_group) {
            published.entry(Some(key)).or_default().merge(group);
            continue;
        }
        if !names_agent {
            without_agents.merge(group.clone());
        }
        pool.merge(group);
    }
    // Where the agents in the pool can be made out, it is published without what they had to do with.
    if let Some(pool) = [pool, without_agents].into_iter().find(|pool| pool.is_publishable(min_group)) {
        published.insert(None, pool);
    }
    published
}

impl Store {
    /// Publishes the figures of the newest day that is due; answers whether it found one, and there may be more. `min_group` is the smallest
    /// number of customers in a group.
    pub async fn publish_groups(&self, tenant: &Tenant, min_group: u16) -> Result<bool> {
        let now = self.now();
        let today = day_in(tenant.zone, now);
        let from = today.checked_sub_days(Days::new(DAYS_BACK)).unwrap_or(today);
        let tx = self.begin().await?;
        let due = sql("SELECT c.day FROM sentiment_counter c LEFT JOIN published_day p ON p.tenant_id = c.tenant_id AND p.day = c.day \
             WHERE c.tenant_id = ? AND c.counter = 'occurred' AND c.scored > 0 AND c.day >= ? AND c.day < ? \
             AND (p.day IS NULL OR p.published_at IS NULL AND p.next_look_at <= ?) ORDER BY c.day DESC LIMIT 1")
        .bind(tenant.id.0)
        .bind(from)
        .bind(today)
        .bind(now)
        .value::<NaiveDate>(&tx)
        .await?;
        let Some(day) = due else { return Ok(false) };
        let held = sql("INSERT INTO published_day AS p (tenant_id, day, next_look_at) VALUES ? ON CONFLICT (tenant_id, day) DO UPDATE SET \
             next_look_at = excluded.next_look_at WHERE p.published_at IS NULL RETURNING day")
        .rows([[tenant.id.0.into(), day.into(), (now + LOOK_AGAIN).into()]])
        .value::<NaiveDate>(&tx)
        .await?;
        // Another node was faster.
        if held.is_none() {
            return Ok(true);
        }
        let parts = self.parts(&tx, tenant, day).await?;
        let is_quiet = parts.iter().all(|part| now - part.last_scored_at >= QUIET);
        let groups = if is_quiet { groups(parts, min_group) } else { BTreeMap::new() };
        let rows: Vec<Vec<Value>> =
            groups.into_iter().map(|(key, group)| row(tenant.id, day, key, &group)).collect();
        for piece in pieces(&rows) {
            sql("INSERT INTO published_group (tenant_id, day, pooled, team_id, queue, customers, scored, sum_score, positive, neutral, negative, \
                 mixed) VALUES ?")
            .rows(piece.iter().cloned())
            .run(&tx)
            .await?;
        }
        if !rows.is_empty() {
            sql("UPDATE published_day SET published_at = ? WHERE tenant_id = ? AND day = ?")
                .bind(now)
                .bind(tenant.id.0)
                .bind(day)
                .run(&tx)
                .await?;
        }
        tx.commit().await?;
        Ok(true)
    }

    /// What is put into groups of a day. One who is unknown counts as one customer with all others. What names no agent is theirs who was the last to
    /// have to do with its conversation: a queue that one answers is about one, whether or not customers name them.
    async fn parts(&self, tx: &DatabaseTransaction, tenant: &Tenant, day: NaiveDate) -> Result<Vec<Part>> {
        let first = sql("SELECT MIN(i.received_at) FROM interaction_sentiment s \
             JOIN interaction i ON i.tenant_id = s.tenant_id AND i.id = s.interaction_id WHERE s.tenant_id = ? AND s.occurred_on = ?")
        .bind(tenant.id.0)
        .bind(day)
        .value::<Option<DateTime<Utc>>>(tx)
        .await?
        .flatten();
        let over = begins(tenant.zone, day.succ_opt().unwrap_or(day));
        let until = first.map_or(over, |first| first.max(over)) + LATE;
        sql("SELECT COALESCE(a.team_id, '') AS team_id, COALESCE(v.queue, '') AS queue, COALESCE(a.id, (SELECT x.agent_id FROM interaction x \
             WHERE x.tenant_id = i.tenant_id AND x.conversation_id = i.conversation_id AND x.agent_id IS NOT NULL ORDER BY x.id DESC LIMIT 1), '') \
             AS agent_id, COALESCE(s.customer_id, '') AS customer_id, MAX(s.scored_at) AS last_scored_at, COUNT(*) AS scored, \
             CAST(SUM(s.effective_score) AS bigint) AS sum_score, \
             CAST(SUM(CASE WHEN s.effective_label = 'positive' THEN 1 ELSE 0 END) AS bigint) AS positive, \
             CAST(SUM(CASE WHEN s.effective_label = 'neutral' THEN 1 ELSE 0 END) AS bigint) AS neutral, \
             CAST(SUM(CASE WHEN s.effective_label = 'negative' THEN 1 ELSE 0 END) AS bigint) AS negative, \
             CAST(SUM(CASE WHEN s.effective_label = 'mixed' THEN 1 ELSE 0 END) AS bigint) AS mixed FROM interaction_sentiment s \
             JOIN interaction i ON i.tenant_id = s.tenant_id AND i.id = s.interaction_id \
             LEFT JOIN agent a ON a.tenant_id = s.tenant_id AND a.id = s.agent_id \
             LEFT JOIN conversation v ON v.tenant_id = i.tenant_id AND v.id = i.conversation_id \
             WHERE s.tenant_id = ? AND s.occurred_on = ? AND i.received_at <= ? GROUP BY 1, 2, 3, 4")
        .bind(tenant.id.0)
        .bind(day)
        .bind(until)
        .all::<Part>(tx)
        .await
    }

    /// What was published of each day from `from` to `to`, in order; days of which nothing was are left out.
    pub async fn published_days(
        &self,
        tenant: TenantId,
        (from, to): (NaiveDate, NaiveDate),
        min_group: u16,
    ) -> Result<Vec<PublishedDay>> {
        #[derive(FromQueryResult)]
        struct Row {
            day: NaiveDate,
            #[sea_orm(nested)]
            counts: Counts,
        }
        let rows = sql("SELECT day, CAST(SUM(scored) AS bigint) AS scored, CAST(SUM(sum_score) AS bigint) AS sum_score, \
             CAST(SUM(positive) AS bigint) AS positive, CAST(SUM(neutral) AS bigint) AS neutral, CAST(SUM(negative) AS bigint) AS negative, \
             CAST(SUM(mixed) AS bigint) AS mixed FROM published_group WHERE tenant_id = ? AND day BETWEEN ? AND ? AND customers >= ? \
             GROUP BY day ORDER BY day")
        .bind(tenant.0)
        .bind(from)
        .bind(to)
        .bind(i64::from(min_group))
        .all::<Row>(&self.reader)
        .await?;
        Ok(rows.into_iter().map(|row| PublishedDay { day: row.day, totals: row.counts.totals() }).collect())
    }

    /// What was published of each team from `from` to `to`, the largest first. What was pooled belongs to none.
    pub async fn published_teams(
        &self,
        tenant: TenantId,
        days: (NaiveDate, NaiveDate),
        min_group: u16,
    ) -> Result<Vec<Group>> {
        let query = sql(
            "SELECT t.external_id AS id, t.name, CAST(SUM(g.scored) AS bigint) AS scored, CAST(SUM(g.sum_score) AS bigint) AS sum_score, \
             CAST(SUM(g.positive) AS bigint) AS positive, CAST(SUM(g.neutral) AS bigint) AS neutral, \
             CAST(SUM(g.negative) AS bigint) AS negative, CAST(SUM(g.mixed) AS bigint) AS mixed FROM published_group g \
             LEFT JOIN team t ON t.tenant_id = g.tenant_id AND t.id = g.team_id \
             WHERE g.tenant_id = ? AND g.day BETWEEN ? AND ? AND g.customers >= ? AND g.pooled = ? \
             GROUP BY g.team_id, t.external_id, t.name ORDER BY SUM(g.scored) DESC, g.team_id LIMIT ?",
        );
        self.published(query, tenant, days, min_group).await
    }

    /// What was published of each queue from `from` to `to`, the largest first. What was pooled belongs to none.
    pub async fn published_queues(
        &self,
        tenant: TenantId,
        days: (NaiveDate, NaiveDate),
        min_group: u16,
    ) -> Result<Vec<Group>> {
        let query = sql(
            "SELECT NULLIF(g.queue, '') AS id, CAST(NULL AS text) AS name, CAST(SUM(g.scored) AS bigint) AS scored, \
             CAST(SUM(g.sum_score) AS bigint) AS sum_score, CAST(SUM(g.positive) AS bigint) AS positive, \
             CAST(SUM(g.neutral) AS bigint) AS neutral, CAST(SUM(g.negative) AS bigint) AS negative, CAST(SUM(g.mixed) AS bigint) AS mixed \
             FROM published_group g WHERE g.tenant_id = ? AND g.day BETWEEN ? AND ? AND g.customers >= ? AND g.pooled = ? \
             GROUP BY g.queue ORDER BY SUM(g.scored) DESC, g.queue LIMIT ?",
        );
        self.published(query, tenant, days, min_group).await
    }

    async fn published(
        &self,
        query: crate::statement::Sql,
        tenant: TenantId,
        (from, to): (NaiveDate, NaiveDate),
        min_group: u16,
    ) -> Result<Vec<Group>> {
        /// Teams or queues told at most.
        const MOST: i64 = 500;
        #[derive(FromQueryResult)]
        struct Row {
            id: Option<String>,
            name: Option<String>,
            #[sea_orm(nested)]
            counts: Counts,
        }
        let rows = query
            .bind(tenant.0)
            .bind(from)
            .bind(to)
            .bind(i64::from(min_group))
            .bind(false)
            .bind(MOST)
            .all::<Row>(&self.reader)
            .await?;
        let told = |row: Row| Group { id: row.id, name: row.name, totals: row.counts.totals() };
        Ok(rows.into_iter().map(told).collect())
    }
}

fn row(tenant: TenantId, day: NaiveDate, key: Option<(String, String)>, group: &Gathered) -> Vec<Value> {
    let pooled = key.is_none();
    let (team, queue) = key.unwrap_or_default();
    let t = group.totals;
    let customers = i64::try_from(group.customers.len()).unwrap_or(i64::MAX);
    let mut row =
        vec![tenant.0.into(), day.into(), pooled.into(), team.into(), queue.into(), customers.into()];
    row.extend([t.scored, t.sum_score, t.positive, t.neutral, t.negative, t.mixed].map(Value::from));
    row
}
