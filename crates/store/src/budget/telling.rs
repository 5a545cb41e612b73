//! What is told when a budget runs low: `budget.threshold`, each percentage once for each day and month, in the transaction of its cause. A
//! cap that is raised during the day or month is told of anew, also one that was lowered before, where something was told of the lower one.

use chrono::{DateTime, Utc};
use sea_orm::DatabaseTransaction;
use serde_json::json;
use undertone_core::event::EventKind;
use undertone_core::event::payload::BudgetThreshold;
use undertone_core::usage::{THRESHOLDS, reached};

use super::counter::{Budget, Counter, Marks};
use super::{Caps, Limit, Refusal};
use crate::outbox::{self, Caused};
use crate::statement::sql;
use crate::{Result, Store, TenantId};

/// The bit of the last threshold, 100 percent.
const FULL: i64 = 1 << (THRESHOLDS.len() - 1);

/// A threshold that was reached.
struct Reached<'a> {
    period: &'a str,
    counter: &'a Counter,
    measure: &'static str,
    percent: u8,
    used: u64,
    cap: u64,
    /// What a call wanted that was refused, where that is the reason.
    refused: Option<u64>,
}

/// The thresholds of `used` that are not among those `told` of this cap, and the marks with them.
fn untold(used: u64, cap: u64, told: Marks) -> (Vec<u8>, Marks) {
    let mut marks = told.under(signed(cap));
    let mut percents = Vec::new();
    for percent in reached(used, cap) {
        let bit = THRESHOLDS.iter().position(|t| *t == percent).map_or(0, |place| 1 << place);
        if marks.bits & bit == 0 {
            marks.bits |= bit;
            percents.push(percent);
        }
    }
    if !percents.is_empty() {
        marks.cap = signed(cap);
    }
    (percents, marks)
}

fn signed(cap: u64) -> i64 {
    i64::try_from(cap).unwrap_or(i64::MAX)
}

impl Store {
    /// Tells of the thresholds that a counter has reached and nobody was told of. Its row is held by `tx`.
    pub(super) async fn tell_reached(
        &self,
        tx: &DatabaseTransaction,
        tenant: TenantId,
        caps: &Caps,
        period: &str,
        counter: &Counter,
    ) -> Result<()> {
        let (tokens_cap, micros_cap) =
            if period == "day" { (caps.day_tokens, 0) } else { (caps.month_tokens, caps.month_micros) };
        let used = counter.used();
        let (of_tokens, tokens) = untold(used.tokens, tokens_cap, counter.told.tokens);
        let (of_micros, micros) = untold(used.micros, micros_cap, counter.told.micros);
        if of_tokens.is_empty() && of_micros.is_empty() {
            return Ok(());
        }
        sql(
            "UPDATE ai_budget SET told_tokens = ?, told_tokens_cap = ?, told_micros = ?, told_micros_cap = ? \
             WHERE tenant_id = ? AND period = ? AND begins = ?",
        )
        .bind(tokens.bits)
        .bind(tokens.cap)
        .bind(micros.bits)
        .bind(micros.cap)
        .bind(tenant.0)
        .bind(period)
        .bind(counter.begins)
        .run(tx)
        .await?;
        let told = of_tokens.into_iter().map(|percent| (percent, "tokens", used.tokens, tokens_cap));
        let told = told
            .chain(of_micros.into_iter().map(|percent| (percent, "cost_micros", used.micros, micros_cap)));
        for (percent, measure, used, cap) in told {
            let reached = Reached { period, counter, measure, percent, used, cap, refused: None };
            self.cause(tx, tenant, caps, &reached, self.now()).await?;
        }
        Ok(())
    }

    /// Tells that calls are refused until the day or month ends. That is 100 percent of a budget, though what is left of it may be
    /// something: too little for a call.
    pub(super) async fn tell_stopped(
        &self,
        tenant: TenantId,
        caps: &Caps,
        budget: &Budget,
        refusal: &Refusal,
        at: DateTime<Utc>,
    ) -> Result<()> {
        let (period, counter) = match refusal.limit {
            Limit::DayTokens => ("day", &budget.day),
            Limit::MonthTokens | Limit::MonthCost => ("month", &budget.month),
        };
        let (measure, told, mark) = match refusal.limit {
            Limit::DayTokens | Limit::MonthTokens => ("tokens", counter.told.tokens, MARK_TOKENS),
            Limit::MonthCost => ("cost_micros", counter.told.micros, MARK_MICROS),
        };
        let cap = signed(refusal.cap);
        if told.under(cap).bits >= FULL {
            return Ok(());
        }
        let tx = self.begin().await?;
        let marked = sql(mark)
            .bind(cap)
            .bind(FULL)
            .bind(FULL)
            .bind(cap)
            .bind(tenant.0)
            .bind(period)
            .bind(counter.begins)
            .bind(FULL)
            .bind(cap)
            .run(&tx)
            .await?;
        // Of several that are refused at once, one tells.
        if marked == 1 {
            let (used, cap, refused) = (refusal.used, refusal.cap, Some(refusal.wanted));
            let reached = Reached { period, counter, measure, percent: 100, used, cap, refused };
            self.cause(&tx, tenant, caps, &reached, at).await?;
        }
        tx.commit().await?;
        Ok(())
    }

    async fn cause(
        &self,
        tx: &DatabaseTransaction,
        tenant: TenantId,
        caps: &Caps,
        reached: &Reached<'_>,
        at: DateTime<Utc>,
    ) -> Result<()> {
        let begins = reached.counter.begins;
        let subject = begins.format(if reached.period == "day" { "%Y-%m-%d" } else { "%Y-%m" }).to_string();
        let payload = json!(BudgetThreshold {
            tenant_id: tenant.0,
            period: reached.period,
            begins,
            measure: reached.measure,
            percent: reached.percent,
            used: reached.used,
            cap: reached.cap,
            refused: reached.refused,
            at,
        });
        let event = Caused {
            kind: EventKind::BudgetThreshold,
            subject: &subject,
            payload,
            to_workflow: caps.to_workflow,
            to_webhooks: caps.to_webhooks,
        };
        outbox::emit(self, tx, tenant, at, vec![event]).await
    }
}

const MARK_TOKENS: &str = "UPDATE ai_budget SET told_tokens = CASE WHEN told_tokens_cap < ? THEN ? ELSE told_tokens + ? END, \
    told_tokens_cap = ? WHERE tenant_id = ? AND period = ? AND begins = ? AND (told_tokens < ? OR told_tokens_cap < ?)";
const MARK_MICROS: &str = "UPDATE ai_budget SET told_micros = CASE WHEN told_micros_cap < ? THEN ? ELSE told_micros + ? END, \
    told_micros_cap = ? WHERE tenant_id = ? AND period = ? AND begins = ? AND (told_micros < ? OR told_micros_cap < ?)";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_threshold_is_told_once_in_whatever_order() {
        let of = |bits| Marks { bits, cap: 100 };
        assert_eq!(untold(64, 100, Marks::default()), (vec![], of(0)));
        assert_eq!(untold(90, 100, Marks::default()), (vec![65, 85], of(3)));
        assert_eq!(untold(90, 100, of(3)), (vec![], of(3)));
        // A call was refused first, at half of the cap.
        assert_eq!(untold(50, 100, of(FULL)), (vec![], of(4)));
        assert_eq!(untold(100, 100, of(FULL)), (vec![65, 85], of(7)));
        assert_eq!(untold(100, 0, of(0)).0, Vec::<u8>::new());
    }

    #[test]
    fn a_cap_that_is_raised_is_told_of_anew_and_one_that_is_lowered_only_of_what_it_reaches() {
        let all = Marks { bits: 7, cap: 100 };
        assert_eq!(untold(100, 200, all).0, Vec::<u8>::new());
        assert_eq!(untold(130, 200, all), (vec![65], Marks { bits: 1, cap: 200 }));
        assert_eq!(untold(100, 110, all), (vec![65, 85], Marks { bits: 3, cap: 110 }));
        assert_eq!(untold(130, 50, all), (vec![], all));
        // One that was lowered, and is put back.
        let of = |bits, cap| Marks { bits, cap };
        assert_eq!(untold(130, 100, of(1, 200)), (vec![85, 100], of(7, 100)));
        assert_eq!(untold(170, 200, of(7, 100)), (vec![65, 85], of(3, 200)));
        assert_eq!(untold(200, 200, of(3, 200)), (vec![100], of(7, 200)));
    }
}
