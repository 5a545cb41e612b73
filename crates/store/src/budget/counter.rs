//! The two rows that a budget is: the tenant's day and the month it lies in.

use chrono::{DateTime, NaiveDate, Utc};
use sea_orm::{ConnectionTrait, FromQueryResult};
use serde::Serialize;
use undertone_core::usage::calendar::{day_of, month_of};

use super::MOST;
use crate::statement::sql;
use crate::{Result, Store, Tenant, TenantId};

/// Tokens, and what they cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Amount {
    /// Tokens.
    pub tokens: u64,
    /// Millionths of a US dollar; 0 where there is no price.
    pub micros: u64,
}

/// An amount, or what one is to be taken back by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Signed {
    pub(super) tokens: i64,
    pub(super) micros: i64,
}

impl Amount {
    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            tokens: self.tokens.saturating_add(other.tokens),
            micros: self.micros.saturating_add(other.micros),
        }
    }

    /// What of it is beyond `other`.
    #[must_use]
    pub fn beyond(self, other: Self) -> Self {
        Self {
            tokens: self.tokens.saturating_sub(other.tokens),
            micros: self.micros.saturating_sub(other.micros),
        }
    }

    pub(super) fn signed(self) -> Signed {
        Signed { tokens: self.tokens.min(MOST).cast_signed(), micros: self.micros.min(MOST).cast_signed() }
    }

    pub(super) fn of_row(tokens: i64, micros: i64) -> Self {
        Self { tokens: tokens.max(0).cast_unsigned(), micros: micros.max(0).cast_unsigned() }
    }
}

impl std::ops::Neg for Signed {
    type Output = Self;

    fn neg(self) -> Self {
        Self { tokens: -self.tokens, micros: -self.micros }
    }
}

/// What a day or month holds and took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Counter {
    /// The tenant's day; of a month the first.
    pub begins: NaiveDate,
    /// The most that calls under way can take.
    pub held: Amount,
    /// The most that lost calls can have taken.
    pub assumed: Amount,
    /// What the provider reported.
    pub spent: Amount,
    #[serde(skip)]
    pub(super) told: Told,
}

/// Which thresholds were told of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) tokens: Marks,
    pub(super) micros: Marks,
}

/// Thresholds that were told of, of one measure.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Marks {
    /// Each a bit, in the order of [`undertone_core::usage::THRESHOLDS`].
    pub(super) bits: i64,
    /// The cap of which the last of them was told.
    pub(super) cap: i64,
}

impl Marks {
    /// What of it holds under `cap`: of one that was raised nothing was told yet.
    pub(super) fn under(self, cap: i64) -> Self {
        if cap > self.cap { Self { bits: 0, cap } } else { self }
    }
}

impl Counter {
    /// A counter of which nobody was told yet.
    #[must_use]
    pub fn new(begins: NaiveDate, held: Amount, assumed: Amount, spent: Amount) -> Self {
        Self { begins, held, assumed, spent, told: Told::default() }
    }

    fn empty(begins: NaiveDate) -> Self {
        let none = Amount::default();
        Self::new(begins, none, none, none)
    }

    /// What is used up: spent, and lost calls at their most.
    #[must_use]
    pub fn used(&self) -> Amount {
        self.spent.plus(self.assumed)
    }
}

/// What there is of a tenant's day and the month it lies in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Budget {
    /// The day.
    pub day: Counter,
    /// The month.
    pub month: Counter,
}

impl Budget {
    /// As if `amount` were held besides.
    pub(super) fn hold(&mut self, amount: Amount) {
        for counter in [&mut self.day, &mut self.month] {
            counter.held = counter.held.plus(amount);
        }
    }

    /// As if `amount` were not held in `period`.
    pub(super) fn take_back(&mut self, period: &str, amount: Amount) {
        let counter = if period == "day" { &mut self.day } else { &mut self.month };
        counter.held = counter.held.beyond(amount);
    }
}

#[derive(FromQueryResult)]
pub(super) struct Row {
    pub(super) period: String,
    begins: NaiveDate,
    held_tokens: i64,
    held_micros: i64,
    assumed_tokens: i64,
    assumed_micros: i64,
    spent_tokens: i64,
    spent_micros: i64,
    told_tokens: i64,
    told_tokens_cap: i64,
    told_micros: i64,
    told_micros_cap: i64,
}

impl From<&Row> for Counter {
    fn from(row: &Row) -> Self {
        Self {
            begins: row.begins,
            held: Amount::of_row(row.held_tokens, row.held_micros),
            assumed: Amount::of_row(row.assumed_tokens, row.assumed_micros),
            spent: Amount::of_row(row.spent_tokens, row.spent_micros),
            told: Told {
                tokens: Marks { bits: row.told_tokens, cap: row.told_tokens_cap },
                micros: Marks { bits: row.told_micros, cap: row.told_micros_cap },
            },
        }
    }
}

/// The counters of `day` and its month; those nobody used yet are empty.
pub(super) async fn read(on: &impl ConnectionTrait, tenant: TenantId, day: NaiveDate) -> Result<Budget> {
    let month = month_of(day);
    let rows: Vec<Row> = sql("SELECT period, begins, held_tokens, held_micros, assumed_tokens, assumed_micros, spent_tokens, spent_micros, \
         told_tokens, told_tokens_cap, told_micros, told_micros_cap FROM ai_budget WHERE tenant_id = ? AND (period = 'day' AND begins = ? OR period = 'month' AND begins = ?)")
    .bind(tenant.0)
    .bind(day)
    .bind(month)
    .all(on)
    .await?;
    let of = |period: &str, begins| {
        rows.iter().find(|row| row.period == period).map_or(Counter::empty(begins), Counter::from)
    };
    Ok(Budget { day: of("day", day), month: of("month", month) })
}

impl Store {
    /// What there is of the tenant's budget at this moment.
    pub async fn budget(&self, tenant: &Tenant) -> Result<Budget> {
        self.budget_at(tenant, self.now()).await
    }

    /// What there is of the tenant's budget of the day and month in which `at` lies.
    pub async fn budget_at(&self, tenant: &Tenant, at: DateTime<Utc>) -> Result<Budget> {
        read(&self.reader, tenant.id, day_of(tenant.zone, at)).await
    }
}
