//! What LLM calls may take of a tenant's day and month, and what they took.
//!
//! [`Store::reserve_call`] sets the most a call can take aside before it is made, or says why it may not be made.
//! [`Store::settle_call`] puts what the provider reports in its place, [`Store::release_call`] gives back what was never charged. What is
//! neither settled nor released before its lease ends is lost: nobody knows whether the provider charged for it.
//! [`Store::expire_calls`] counts the most it can have taken as spent, until a late report says otherwise. So a cap is never exceeded by
//! what the provider charges within the bounds that were reserved, whoever crashes when; at worst some of a day's tokens are not used.
//!
//! A call counts for the day it was reserved on, and caps are those the caller brings along: a cap that is raised holds at the next call.

mod counter;
mod ending;
mod report;
mod telling;
mod together;

use std::fmt;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use chrono_tz::Tz;
use sea_orm::{DatabaseTransaction, FromQueryResult, Value};
use undertone_core::Settings;
use undertone_core::gate::DeferReason;
use undertone_core::usage::Feature;
use undertone_core::usage::calendar::{day_ends, day_of, month_ends, month_of};
use undertone_core::verdict::ScorerKind;

pub use counter::{Amount, Budget, Counter};
pub use ending::{Bill, Settled};
pub use report::{Call, Line, UsageReport};

use counter::Signed;
pub(crate) use together::Together;

use crate::rows::as_word;
use crate::statement::sql;
use crate::{Result, Store, StoreError, Tenant, TenantId};

/// No call has more tokens, and none costs more millionths of a dollar. What a provider reports beyond is taken for this much, so that no
/// sum of many calls leaves what a database counts with.
const MOST: u64 = 1_000_000_000_000;

/// What may be used, and who is told when it runs low. 0 is unlimited.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Caps {
    /// Tokens in a day of the tenant.
    pub day_tokens: u64,
    /// Tokens in a month of the tenant.
    pub month_tokens: u64,
    /// Millionths of a US dollar in a month of the tenant. Calls whose model has no price cost nothing here.
    pub month_micros: u64,
    /// `budget.threshold` goes to the workflow engine.
    pub to_workflow: bool,
    /// `budget.threshold` goes to subscribed webhooks.
    pub to_webhooks: bool,
}

/// A call that is to be made.
#[derive(Debug, Clone, Copy)]
pub struct ReserveRequest<'a> {
    /// What for.
    pub feature: Feature,
    /// The model that will be asked, 1 to 200 bytes.
    pub model: &'a str,
    /// The scorer that asks.
    pub scorer: ScorerKind,
    /// Who asks: a name of the process, at most 200 bytes.
    pub owner: &'a str,
    /// Texts in it.
    pub texts: u32,
    /// It is part of a batch.
    pub batched: bool,
    /// The most tokens it can take, 1 to 10^12; see [`undertone_core::usage::RequestSize`].
    pub most_tokens: u64,
    /// The most it can cost, in millionths of a US dollar, at most 10^12; `None` where the model has no price. What costs nothing, or
    /// nobody knows what, is not held back by [`Caps::month_micros`].
    pub most_micros: Option<u64>,
    /// It is lost when nothing was heard of it for so long. Longer than the call can take, retries included.
    pub lease: TimeDelta,
}

/// Whether a call may be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reserved {
    /// It may; its most is set aside.
    Granted(Reservation),
    /// It may not.
    Refused(Refusal),
}

/// A call that may be made. It has to be settled or released.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reservation {
    /// Its id in the ledger.
    pub id: String,
    /// The tenant's day it counts for.
    pub day: NaiveDate,
    /// It is lost then.
    pub lease_until: DateTime<Utc>,
}

/// What a cap is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// [`Caps::day_tokens`].
    DayTokens,
    /// [`Caps::month_tokens`].
    MonthTokens,
    /// [`Caps::month_micros`].
    MonthCost,
}

/// When there is room again for a call that was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Frees {
    /// As soon as calls under way are settled: they hold their most, and as a rule take a fraction of it.
    WhenCallsSettle,
    /// When the day or month ends. Sooner only if the cap is raised.
    At(DateTime<Utc>),
    /// Never: the call can take more than the whole cap. Make it smaller, or raise the cap.
    WithHigherCap,
}

/// Why a call may not be made. The figures are tokens or millionths of a US dollar, as the limit says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// The cap that stands in its way; of several the one that does so longest.
    pub limit: Limit,
    /// When there is room again.
    pub frees: Frees,
    /// The cap.
    pub cap: u64,
    /// What was used of it, lost calls included.
    pub used: u64,
    /// What calls under way hold of it.
    pub held: u64,
    /// The most the refused call can take.
    pub wanted: u64,
    /// What it would have to leave of the cap to others; 0 for a call that somebody waits for.
    pub left: u64,
}

impl Refusal {
    /// The reason that goes with the interaction.
    #[must_use]
    pub fn reason(&self) -> DeferReason {
        match self.limit {
            Limit::DayTokens => DeferReason::DailyTokenCap,
            Limit::MonthTokens | Limit::MonthCost => DeferReason::MonthlyBudget,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, tokens) = match self.limit {
            Limit::DayTokens => ("daily token cap", true),
            Limit::MonthTokens => ("monthly token budget", true),
            Limit::MonthCost => ("monthly AI budget", false),
        };
        let amount = |n: u64| {
            if tokens { format!("{n} tokens") } else { format!("${}.{:06}", n / 1_000_000, n % 1_000_000) }
        };
        let (cap, used, held, wanted) =
            (amount(self.cap), amount(self.used), amount(self.held), amount(self.wanted));
        if self.left > 0 {
            let left = amount(self.left);
            return write!(
                f,
                "a batch leaves {left} of the {name} of {cap} to what is new: {used} used, up to {held} by calls under way, and the request \
                 can take up to {wanted}"
            );
        }
        match self.frees {
            Frees::WithHigherCap => {
                write!(f, "the request can take up to {wanted}, more than the whole {name} of {cap}")
            }
            Frees::At(at) => write!(
                f,
                "the {name} of {cap} is reached: {used} used, and the request can take up to {wanted}; free again at {}",
                at.format("%Y-%m-%dT%H:%M:%SZ")
            ),
            Frees::WhenCallsSettle => write!(
                f,
                "the {name} of {cap} is held: {used} used, up to {held} by calls under way, and the request can take up to {wanted}; \
                 free again when they are settled"
            ),
        }
    }
}

/// `cap` as a statement compares with it: 0 is none.
fn bound(cap: u64) -> i64 {
    if cap == 0 { i64::MAX } else { i64::try_from(cap).unwrap_or(i64::MAX) }
}

/// Millionths of a dollar in a cent.
const MICROS_PER_CENT: u64 = 10_000;

impl Caps {
    /// Those of a tenant's settings.
    #[must_use]
    pub fn of(settings: &Settings) -> Self {
        Self {
            day_tokens: settings.daily_token_cap,
            month_tokens: settings.monthly_token_cap,
            month_micros: settings.monthly_cost_cap_cents.saturating_mul(MICROS_PER_CENT),
            to_workflow: settings.emit_workflow_events,
            to_webhooks: settings.dispatch_webhooks,
        }
    }

    /// Every limit, with its cap.
    fn limits(&self) -> [(Limit, u64); 3] {
        [
            (Limit::DayTokens, self.day_tokens),
            (Limit::MonthTokens, self.month_tokens),
            (Limit::MonthCost, self.month_micros),
        ]
    }

    /// Why `wanted` does not fit beside what `budget` holds; `None` where it does.
    fn refusal(&self, budget: &Budget, wanted: Amount, zone: Tz, at: DateTime<Utc>) -> Option<Refusal> {
        let refused = self.limits().into_iter().filter(|(_, cap)| *cap > 0).filter_map(|(limit, cap)| {
            let (counter, ends) = match limit {
                Limit::DayTokens => (&budget.day, day_ends(zone, at)),
                Limit::MonthTokens | Limit::MonthCost => (&budget.month, month_ends(zone, at)),
            };
            let (used, held, wanted) = (limit.of(counter.used()), limit.of(counter.held), limit.of(wanted));
            let frees = if wanted == 0 {
                // What costs nothing needs no money.
                return None;
            } else if wanted > cap {
                Frees::WithHigherCap
            } else if used.saturating_add(wanted) > cap {
                Frees::At(ends)
            } else if used.saturating_add(held).saturating_add(wanted) > cap {
                Frees::WhenCallsSettle
            } else {
                return None;
            };
            Some(Refusal { limit, frees, cap, used, held, wanted, left: 0 })
        });
        // The first of equals: the day's before the month's.
        refused.reduce(|one, other| if other.frees > one.frees { other } else { one })
    }
}

impl Limit {
    /// The part of an amount this is on.
    fn of(self, amount: Amount) -> u64 {
        match self {
            Self::DayTokens | Self::MonthTokens => amount.tokens,
            Self::MonthCost => amount.micros,
        }
    }
}

impl ReserveRequest<'_> {
    /// The most it can take, once it is known to make sense.
    fn wanted(&self) -> Result<Amount> {
        let invalid = |text: String| Err(StoreError::Invalid(text));
        if !(1..=200).contains(&self.model.len()) || self.model.contains('\0') {
            return invalid("a model's name has 1 to 200 bytes".to_owned());
        }
        if self.owner.len() > 200 || self.owner.contains('\0') {
            return invalid("the name of who makes a call has at most 200 bytes".to_owned());
        }
        let wanted = Amount { tokens: self.most_tokens, micros: self.most_micros.unwrap_or(0) };
        if wanted.tokens == 0 {
            return invalid("a call takes at least a token".to_owned());
        }
        if wanted.tokens > MOST || wanted.micros > MOST {
            return invalid(format!("no call takes more than {MOST} tokens or millionths of a dollar"));
        }
        Ok(wanted)
    }

    fn lease_until(&self, at: DateTime<Utc>) -> Result<DateTime<Utc>> {
        let fits = self.lease > TimeDelta::zero() && self.lease <= TimeDelta::days(366);
        at.checked_add_signed(self.lease).filter(|_| fits).ok_or_else(|| {
            StoreError::Invalid("a lease lasts longer than nothing and at most a year".to_owned())
        })
    }
}

#[derive(FromQueryResult)]
struct Held {
    period: String,
}

/// Both rows are there and hold more afterwards, or the one that has no room is left as it was and not answered. PostgreSQL holds the row
/// even then, so that what is read next is what decided.
const HOLD: &str = "INSERT INTO ai_budget AS b (tenant_id, period, begins, held_tokens, held_micros) VALUES ? \
    ON CONFLICT (tenant_id, period, begins) DO UPDATE SET \
    held_tokens = b.held_tokens + excluded.held_tokens, held_micros = b.held_micros + excluded.held_micros \
    WHERE (b.period <> 'day' OR b.held_tokens + b.assumed_tokens + b.spent_tokens + excluded.held_tokens <= ?) \
    AND (b.period = 'day' OR b.held_tokens + b.assumed_tokens + b.spent_tokens + excluded.held_tokens <= ?) \
    AND (b.period = 'day' OR excluded.held_micros = 0 OR b.held_micros + b.assumed_micros + b.spent_micros + excluded.held_micros <= ?) RETURNING period";

impl Store {
    /// Sets aside what a call can take, in the tenant's day and month of this moment, or says why it may not be made. However many ask at
    /// once, on however many nodes: what is held, lost and spent together never exceeds a cap by a call that was granted.
    ///
    /// A refusal that lasts until the day or month ends is told as 100 percent of its cap.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] for a call that makes no sense.
    pub async fn reserve_call(
        &self,
        tenant: &Tenant,
        caps: &Caps,
        request: &ReserveRequest<'_>,
    ) -> Result<Reserved> {
        let wanted = request.wanted()?;
        let at = self.now();
        let lease_until = request.lease_until(at)?;
        let day = day_of(tenant.zone, at);
        let budget = if caps.ever_admit(wanted) {
            let tx = self.begin().await?;
            let held = hold(&tx, tenant.id, caps, day, wanted).await?;
            if held.len() == 2 {
                let reservation = Reservation { id: self.new_id(at), day, lease_until };
                sql(ENTER)
                    .rows([row(tenant.id, request, (&reservation.id, day, lease_until), at)])
                    .run(&tx)
                    .await?;
                tx.commit().await?;
                return Ok(Reserved::Granted(reservation));
            }
            let mut budget = counter::read(&tx, tenant.id, day).await?;
            tx.rollback().await?;
            for Held { period } in held {
                budget.take_back(&period, wanted);
            }
            budget
        } else {
            counter::read(&self.reader, tenant.id, day).await?
        };
        let Some(refusal) = caps.refusal(&budget, wanted, tenant.zone, at) else {
            // What was read decided; only somebody who changes rows by hand can have come between.
            return Err(StoreError::Conflict("the budget changed while it was read; ask again".to_owned()));
        };
        if matches!(refusal.frees, Frees::At(_)) {
            self.tell_stopped(tenant.id, caps, &budget, &refusal, at).await?;
        }
        Ok(Reserved::Refused(refusal))
    }
}

/// Holds `wanted` in the day and its month; answers in which of them there was room.
async fn hold(
    tx: &DatabaseTransaction,
    tenant: TenantId,
    caps: &Caps,
    day: NaiveDate,
    wanted: Amount,
) -> Result<Vec<Held>> {
    let Signed { tokens, micros } = wanted.signed();
    let row = |period: &str, begins: NaiveDate| -> [Value; 5] {
        [tenant.0.into(), period.into(), begins.into(), tokens.into(), micros.into()]
    };
    // The day before the month, as everywhere, so that nobody waits for another in a circle.
    sql(HOLD)
        .rows([row("day", day), row("month", month_of(day))])
        .bind(bound(caps.day_tokens))
        .bind(bound(caps.month_tokens))
        .bind(bound(caps.month_micros))
        .all(tx)
        .await
}

/// Enters calls into the ledger.
const ENTER: &str = "INSERT INTO ai_call (tenant_id, id, day, month, feature, model, scorer, owner, batched, texts, state, most_tokens, most_micros, \
    reserved_at, lease_until) VALUES ?";

/// A call as it is entered.
type Row = [Value; 15];

/// The row of a call that is set aside at this moment: its id, the tenant's day, and when it is lost.
fn row(
    tenant: TenantId,
    request: &ReserveRequest<'_>,
    (id, day, lease_until): (&str, NaiveDate, DateTime<Utc>),
    at: DateTime<Utc>,
) -> Row {
    [
        tenant.0.into(),
        id.into(),
        day.into(),
        month_of(day).into(),
        request.feature.as_str().into(),
        request.model.into(),
        as_word(&request.scorer).into(),
        request.owner.into(),
        request.batched.into(),
        i64::from(request.texts).into(),
        "held".into(),
        request.most_tokens.cast_signed().into(),
        request.most_micros.map(u64::cast_signed).into(),
        at.into(),
        lease_until.into(),
    ]
}

#[cfg(test)]
mod tests;
