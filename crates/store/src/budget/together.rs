//! Calls that are set aside together, within the transaction that writes down what they are for: where that is not kept, nothing is held.

use chrono::{DateTime, Utc};
use sea_orm::DatabaseTransaction;

use super::counter::{self, Amount, Budget};
use super::{Caps, ENTER, Frees, Refusal, ReserveRequest, Row, day_of, hold, row};
use crate::statement::{pieces, sql};
use crate::{Result, Store, StoreError, Tenant};

/// What was set aside together.
#[derive(Debug)]
pub(crate) struct Together {
    /// The ids in the ledger of the calls that may be made: those of the first requests.
    pub(crate) calls: Vec<String>,
    /// Why the next one may not.
    pub(crate) refusal: Option<Refusal>,
    budget: Budget,
    at: DateTime<Utc>,
}

impl Caps {
    /// The caps without what is left of each to whoever waits for an answer: a quarter.
    fn leaving(&self) -> Self {
        let without = |cap: u64| cap - cap / 4;
        Self {
            day_tokens: without(self.day_tokens),
            month_tokens: without(self.month_tokens),
            month_micros: without(self.month_micros),
            ..*self
        }
    }

    /// The same as [`Self::refusal`] for a call that nobody waits for, which takes nothing of what is left to others.
    fn refusal_of_patient(
        &self,
        budget: &Budget,
        wanted: Amount,
        to: (&Tenant, DateTime<Utc>),
    ) -> Option<Refusal> {
        let refusal = self.leaving().refusal(budget, wanted, to.0.zone, to.1)?;
        let cap =
            self.limits().into_iter().find(|(limit, _)| *limit == refusal.limit).map_or(0, |(_, cap)| cap);
        Some(Refusal { cap, left: cap - refusal.cap, ..refusal })
    }

    /// Whether a call that can take `wanted` can be made at all, on a day and in a month in which nothing was used.
    #[must_use]
    pub fn ever_admit(&self, wanted: Amount) -> bool {
        self.limits().into_iter().all(|(limit, cap)| cap == 0 || limit.of(wanted) <= cap)
    }

    /// Whether there is room for `wanted` beside what `budget` holds and used. Only for who wants to know about how much there is: whoever
    /// makes a call sets it aside.
    #[must_use]
    pub fn have_room(&self, budget: &Budget, wanted: Amount) -> bool {
        let whole = |counter: &counter::Counter| counter.used().plus(counter.held).plus(wanted);
        self.limits().into_iter().all(|(limit, cap)| {
            let counter = if limit == super::Limit::DayTokens { &budget.day } else { &budget.month };
            cap == 0 || limit.of(whole(counter)) <= cap
        })
    }
}

impl Store {
    /// Sets aside as many of `requests` as there is room for, the first ones, in `tx`. They are calls that nobody waits for: a quarter of
    /// each cap is left to others. The first may take that too where `first_fits` says so: a small cap would let none go at all.
    ///
    /// The day's and the month's row are held until the transaction ends.
    pub(crate) async fn reserve_together(
        &self,
        tx: &DatabaseTransaction,
        tenant: &Tenant,
        caps: &Caps,
        requests: &[ReserveRequest<'_>],
        first_fits: bool,
    ) -> Result<Together> {
        let at = self.now();
        let day = day_of(tenant.zone, at);
        // Nobody else moves the rows from here on: what is read of them decides.
        hold(tx, tenant.id, caps, day, Amount::default()).await?;
        let mut budget = counter::read(tx, tenant.id, day).await?;
        let (mut refusal, mut sum, mut rows) = (None, Amount::default(), Vec::<Row>::new());
        let mut calls = Vec::new();
        for request in requests {
            let wanted = request.wanted()?;
            refusal = caps.refusal(&budget, wanted, tenant.zone, at);
            if refusal.is_none() && !(first_fits && calls.is_empty()) {
                refusal = caps.refusal_of_patient(&budget, wanted, (tenant, at));
            }
            if refusal.is_some() {
                break;
            }
            budget.hold(wanted);
            sum = sum.plus(wanted);
            let id = self.new_id(at);
            rows.push(row(tenant.id, request, (&id, day, request.lease_until(at)?), at));
            calls.push(id);
        }
        if !calls.is_empty() && hold(tx, tenant.id, caps, day, sum).await?.len() < 2 {
            return Err(StoreError::Conflict("the budget changed while it was read; ask again".to_owned()));
        }
        for piece in pieces(&rows) {
            sql(ENTER).rows(piece.iter().cloned()).run(tx).await?;
        }
        Ok(Together { calls, refusal, budget, at })
    }

    /// Tells that nothing more of a cap is to be had until its day or month ends, where that is why a call was refused.
    pub(crate) async fn tell_refused(&self, tenant: &Tenant, caps: &Caps, together: &Together) -> Result<()> {
        match &together.refusal {
            Some(refusal) if refusal.left == 0 && matches!(refusal.frees, Frees::At(_)) => {
                self.tell_stopped(tenant.id, caps, &together.budget, refusal, together.at).await
            }
            _ => Ok(()),
        }
    }
}
