//! How a call ends: with what the provider reports, with nothing charged, or with silence.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, Utc};
use sea_orm::{DatabaseTransaction, FromQueryResult, Value};
use undertone_core::Usage;
use undertone_core::usage::calendar::month_of;
use undertone_core::usage::sums::{Saved, Sums};

use super::counter::{Amount, Counter, Row, Signed};
use super::report::{FIGURES, figures};
use super::{Caps, MOST};
use crate::statement::{pieces, skip_locked, sql};
use crate::{Result, Store, StoreError, TenantId};

/// What a call took, by the provider's own numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Bill {
    /// Its tokens.
    pub usage: Usage,
    /// What they cost, in millionths of a US dollar; `None` where the model has no price.
    pub micros: Option<u64>,
    /// What was not paid because of how it was made.
    pub saved: Saved,
}

/// What became of a bill.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// It counts.
    Counted {
        /// What it is beyond what was reserved for the call; nothing is, if the bound was one. A call that had been released had nothing
        /// reserved any more.
        overrun: Amount,
    },
    /// It was settled before; this changes nothing.
    Already,
}

/// So many lost calls are counted in one transaction.
const EXPIRE_AT_ONCE: i64 = 500;

/// A call that ended, as the ledger knew it.
#[derive(Debug, Clone, FromQueryResult)]
struct Ended {
    day: NaiveDate,
    feature: String,
    model: String,
    scorer: String,
    texts: i64,
    most_tokens: i64,
    most_micros: Option<i64>,
    expired_at: Option<DateTime<Utc>>,
    released_at: Option<DateTime<Utc>>,
}

/// Where the most of a call was counted before it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Before {
    Held,
    Assumed,
    Nowhere,
}

impl Ended {
    fn most(&self) -> Amount {
        Amount::of_row(self.most_tokens, self.most_micros.unwrap_or(0))
    }

    /// Where it was counted, of a call that is being settled.
    fn before(&self) -> Before {
        match (self.released_at, self.expired_at) {
            (Some(_), _) => Before::Nowhere,
            (None, Some(_)) => Before::Assumed,
            (None, None) => Before::Held,
        }
    }

    /// What it is among the lost calls.
    fn lost(&self) -> Sums {
        let most = self.most();
        Sums { lost_calls: 1, lost_tokens: most.tokens, lost_micros: most.micros, ..Sums::default() }
    }
}

/// How the counters of a day or month move.
#[derive(Debug, Clone, Copy, Default)]
struct Move {
    held: Signed,
    assumed: Signed,
    spent: Signed,
}

/// How all counters move, in the order of their keys, so that nobody waits for another in a circle.
#[derive(Debug, Default)]
struct Moves {
    budget: BTreeMap<(&'static str, NaiveDate), Move>,
    usage: BTreeMap<(NaiveDate, String, String, String), [i64; FIGURES]>,
}

fn add(to: &mut Signed, more: Signed) {
    to.tokens += more.tokens;
    to.micros += more.micros;
}

impl Moves {
    fn budget(&mut self, day: NaiveDate, by: Move) {
        for key in [("day", day), ("month", month_of(day))] {
            let sum = self.budget.entry(key).or_default();
            add(&mut sum.held, by.held);
            add(&mut sum.assumed, by.assumed);
            add(&mut sum.spent, by.spent);
        }
    }

    fn usage(&mut self, call: &Ended, by: &Sums, sign: i64) {
        let key = (call.day, call.feature.clone(), call.model.clone(), call.scorer.clone());
        let sum = self.usage.entry(key).or_insert([0; FIGURES]);
        sum.iter_mut().zip(figures(by)).for_each(|(sum, more)| *sum += sign * more);
    }

    /// Takes the most of a call from where it was counted.
    fn take_away(&mut self, call: &Ended, before: Before) {
        let back = -call.most().signed();
        match before {
            Before::Held => self.budget(call.day, Move { held: back, ..Move::default() }),
            Before::Assumed => {
                self.budget(call.day, Move { assumed: back, ..Move::default() });
                self.usage(call, &call.lost(), -1);
            }
            Before::Nowhere => {}
        }
    }

    /// Moves the counters and tells of the thresholds they reach.
    async fn apply(
        self,
        store: &Store,
        tx: &DatabaseTransaction,
        tenant: TenantId,
        caps: &Caps,
    ) -> Result<()> {
        let rows: Vec<[Value; 9]> = self
            .budget
            .into_iter()
            .map(|((period, begins), by)| {
                [
                    tenant.0.into(),
                    period.into(),
                    begins.into(),
                    by.held.tokens.into(),
                    by.held.micros.into(),
                    by.assumed.tokens.into(),
                    by.assumed.micros.into(),
                    by.spent.tokens.into(),
                    by.spent.micros.into(),
                ]
            })
            .collect();
        for piece in pieces(&rows) {
            let moved: Vec<Row> = sql(MOVE_BUDGET).rows(piece.iter().cloned()).all(tx).await?;
            for row in moved {
                store.tell_reached(tx, tenant, caps, &row.period, &Counter::from(&row)).await?;
            }
        }
        let rows: Vec<Vec<Value>> = self
            .usage
            .into_iter()
            .map(|((day, feature, model, scorer), sums)| {
                let key = [tenant.0.into(), day.into(), feature.into(), model.into(), scorer.into()];
                key.into_iter().chain(sums.map(Value::from)).collect()
            })
            .collect();
        for piece in pieces(&rows) {
            sql(MOVE_USAGE).rows(piece.iter().cloned()).run(tx).await?;
        }
        Ok(())
    }
}

const MOVE_BUDGET: &str = "INSERT INTO ai_budget AS b (tenant_id, period, begins, held_tokens, held_micros, assumed_tokens, assumed_micros, \
    spent_tokens, spent_micros) VALUES ? ON CONFLICT (tenant_id, period, begins) DO UPDATE SET \
    held_tokens = b.held_tokens + excluded.held_tokens, held_micros = b.held_micros + excluded.held_micros, \
    assumed_tokens = b.assumed_tokens + excluded.assumed_tokens, assumed_micros = b.assumed_micros + excluded.assumed_micros, \
    spent_tokens = b.spent_tokens + excluded.spent_tokens, spent_micros = b.spent_micros + excluded.spent_micros \
    RETURNING period, begins, held_tokens, held_micros, assumed_tokens, assumed_micros, spent_tokens, spent_micros, told_tokens, \
    told_tokens_cap, told_micros, told_micros_cap";

const MOVE_USAGE: &str = "INSERT INTO ai_usage AS u (tenant_id, day, feature, model, scorer, calls, texts, input_tokens, cache_read_tokens, \
    cache_write_5m_tokens, cache_write_1h_tokens, output_tokens, cost_micros, unpriced_calls, overrun_tokens, overrun_micros, lost_calls, \
    lost_tokens, lost_micros, saved_cache_micros, saved_packing_tokens, saved_packing_micros, saved_batch_micros) VALUES ? \
    ON CONFLICT (tenant_id, day, feature, model, scorer) DO UPDATE SET calls = u.calls + excluded.calls, texts = u.texts + excluded.texts, \
    input_tokens = u.input_tokens + excluded.input_tokens, cache_read_tokens = u.cache_read_tokens + excluded.cache_read_tokens, \
    cache_write_5m_tokens = u.cache_write_5m_tokens + excluded.cache_write_5m_tokens, \
    cache_write_1h_tokens = u.cache_write_1h_tokens + excluded.cache_write_1h_tokens, \
    output_tokens = u.output_tokens + excluded.output_tokens, cost_micros = u.cost_micros + excluded.cost_micros, \
    unpriced_calls = u.unpriced_calls + excluded.unpriced_calls, overrun_tokens = u.overrun_tokens + excluded.overrun_tokens, \
    overrun_micros = u.overrun_micros + excluded.overrun_micros, lost_calls = u.lost_calls + excluded.lost_calls, \
    lost_tokens = u.lost_tokens + excluded.lost_tokens, lost_micros = u.lost_micros + excluded.lost_micros, \
    saved_cache_micros = u.saved_cache_micros + excluded.saved_cache_micros, \
    saved_packing_tokens = u.saved_packing_tokens + excluded.saved_packing_tokens, \
    saved_packing_micros = u.saved_packing_micros + excluded.saved_packing_micros, \
    saved_batch_micros = u.saved_batch_micros + excluded.saved_batch_micros";

const SETTLE: &str = "UPDATE ai_call SET state = 'settled', settled_at = ?, input_tokens = ?, cache_read_tokens = ?, cache_write_5m_tokens = ?, \
    cache_write_1h_tokens = ?, output_tokens = ?, cost_micros = ?, saved_cache_micros = ?, saved_packing_tokens = ?, \
    saved_packing_micros = ?, saved_batch_micros = ? WHERE tenant_id = ? AND id = ? AND state <> 'settled' \
    RETURNING day, feature, model, scorer, texts, most_tokens, most_micros, expired_at, released_at";

/// Numbers of a provider's that a sum of many calls can bear.
fn bearable(bill: &Bill) -> Bill {
    let most = |n: u64| n.min(MOST);
    let usage = bill.usage;
    let limit = MOST.cast_signed();
    Bill {
        usage: Usage {
            input: most(usage.input),
            cache_read: most(usage.cache_read),
            cache_write_5m: most(usage.cache_write_5m),
            cache_write_1h: most(usage.cache_write_1h),
            output: most(usage.output),
        },
        micros: bill.micros.map(most),
        saved: Saved {
            cache_micros: bill.saved.cache_micros.clamp(-limit, limit),
            packing_tokens: most(bill.saved.packing_tokens),
            packing_micros: most(bill.saved.packing_micros),
            batch_micros: most(bill.saved.batch_micros),
        },
    }
}

impl Store {
    /// Counts what a call took in place of what was set aside for it. Once: said twice, it counts once. Whatever the call was taken for
    /// meanwhile, lost or not charged, the provider's report is what counts.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] where the tenant has no such call.
    pub async fn settle_call(
        &self,
        tenant: TenantId,
        caps: &Caps,
        call: &str,
        bill: &Bill,
    ) -> Result<Settled> {
        let Bill { usage, micros, saved } = bearable(bill);
        let tx = self.begin().await?;
        let ended = sql(SETTLE)
            .bind(self.now())
            .bind(usage.input.cast_signed())
            .bind(usage.cache_read.cast_signed())
            .bind(usage.cache_write_5m.cast_signed())
            .bind(usage.cache_write_1h.cast_signed())
            .bind(usage.output.cast_signed())
            .bind(micros.map(u64::cast_signed))
            .bind(saved.cache_micros)
            .bind(saved.packing_tokens.cast_signed())
            .bind(saved.packing_micros.cast_signed())
            .bind(saved.batch_micros.cast_signed())
            .bind(tenant.0)
            .bind(call)
            .one::<Ended>(&tx)
            .await?;
        let Some(ended) = ended else {
            tx.rollback().await?;
            self.known(tenant, call).await?;
            return Ok(Settled::Already);
        };
        let before = ended.before();
        let spent = Amount { tokens: usage.total(), micros: micros.unwrap_or(0) };
        let reserved = if before == Before::Nowhere { Amount::default() } else { ended.most() };
        let overrun = spent.beyond(reserved);
        let mut moves = Moves::default();
        moves.take_away(&ended, before);
        let (tokens, cost) = (spent.tokens.cast_signed(), spent.micros.cast_signed());
        moves.budget(ended.day, Move { spent: Signed { tokens, micros: cost }, ..Move::default() });
        let sums = Sums {
            calls: 1,
            texts: ended.texts.max(0).cast_unsigned(),
            usage,
            cost_micros: spent.micros,
            unpriced_calls: u64::from(micros.is_none()),
            overrun_tokens: overrun.tokens,
            overrun_micros: overrun.micros,
            saved,
            ..Sums::default()
        };
        moves.usage(&ended, &sums, 1);
        moves.apply(self, &tx, tenant, caps).await?;
        tx.commit().await?;
        if overrun != Amount::default() {
            tracing::warn!(
                tenant = tenant.0,
                call,
                tokens = overrun.tokens,
                micros = overrun.micros,
                "call {call} took {} tokens more than its bound",
                overrun.tokens
            );
        }
        Ok(Settled::Counted { overrun })
    }

    /// Gives back what was set aside for a call that the provider did not charge for. Answers whether that changed anything: a call that
    /// is settled stays so.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] where the tenant has no such call.
    pub async fn release_call(&self, tenant: TenantId, caps: &Caps, call: &str) -> Result<bool> {
        let tx = self.begin().await?;
        let ended = sql("UPDATE ai_call SET state = 'released', released_at = ? WHERE tenant_id = ? AND id = ? AND state IN ('held', 'expired') \
             RETURNING day, feature, model, scorer, texts, most_tokens, most_micros, expired_at, released_at")
        .bind(self.now())
        .bind(tenant.0)
        .bind(call)
        .one::<Ended>(&tx)
        .await?;
        let Some(ended) = ended else {
            tx.rollback().await?;
            self.known(tenant, call).await?;
            return Ok(false);
        };
        let before = if ended.expired_at.is_some() { Before::Assumed } else { Before::Held };
        let mut moves = Moves::default();
        moves.take_away(&ended, before);
        moves.apply(self, &tx, tenant, caps).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Counts the most of every call whose lease has ended as used, since the provider may have charged for it; answers how many there
    /// were. A report that comes later still counts, in its place.
    pub async fn expire_calls(&self, tenant: TenantId, caps: &Caps) -> Result<u64> {
        let mut lost = 0;
        loop {
            let tx = self.begin().await?;
            let at = self.now();
            let expired = sql("WITH lost AS MATERIALIZED (SELECT id FROM ai_call WHERE tenant_id = ? AND state = 'held' AND lease_until <= ? \
                 ORDER BY lease_until, id LIMIT ?")
            .bind(tenant.0)
            .bind(at)
            .bind(EXPIRE_AT_ONCE)
            .then(skip_locked(self.backend()))
            .then(") UPDATE ai_call SET state = 'expired', expired_at = ? WHERE tenant_id = ? AND id IN (SELECT id FROM lost) \
                   RETURNING day, feature, model, scorer, texts, most_tokens, most_micros, expired_at, released_at")
            .bind(at)
            .bind(tenant.0)
            .all::<Ended>(&tx)
            .await?;
            let mut moves = Moves::default();
            for call in &expired {
                moves.take_away(call, Before::Held);
                moves.budget(call.day, Move { assumed: call.most().signed(), ..Move::default() });
                moves.usage(call, &call.lost(), 1);
            }
            moves.apply(self, &tx, tenant, caps).await?;
            tx.commit().await?;
            lost += expired.len() as u64;
            if (expired.len() as u64) < EXPIRE_AT_ONCE.cast_unsigned() {
                return Ok(lost);
            }
        }
    }

    /// The tenants that have calls whose lease has ended.
    pub async fn tenants_with_lost_calls(&self) -> Result<Vec<TenantId>> {
        // One look into the index for each tenant, as for what is due.
        sql("SELECT t.id FROM tenant t WHERE (SELECT 1 FROM ai_call c WHERE c.tenant_id = t.id AND c.state = 'held' \
             AND c.lease_until <= ? LIMIT 1) IS NOT NULL ORDER BY t.id")
        .bind(self.now())
        .tenants(&self.reader).await
    }

    /// An error where the tenant has no such call.
    async fn known(&self, tenant: TenantId, call: &str) -> Result<()> {
        let known = sql("SELECT id FROM ai_call WHERE tenant_id = ? AND id = ?")
            .bind(tenant.0)
            .bind(call)
            .value::<String>(&self.reader)
            .await?;
        if known.is_none() {
            return Err(StoreError::Invalid(format!("there is no call {call} in the ledger")));
        }
        Ok(())
    }
}
