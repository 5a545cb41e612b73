//! Runs that score what was not scored, or score again.
//!
//! A run takes interactions from the newest to the oldest, a slice at a time, and each becomes an item: a job of its own beside the
//! interaction, which keeps its state and verdict until there is another. One node drives a run at a time, by a lease; what it does not
//! finish stands there for whoever drives it next. `run` is a run as it is kept, `slice` opens slices and hands items out, `finish` says what became of them inside
//! [`crate::record`], `report` tells what a run changed, `batch` is about those that go through a provider's batches.

mod batch;
mod finish;
mod report;
mod run;
mod slice;

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::{ConnectionTrait, DatabaseTransaction, FromQueryResult, Value};
use serde_json::{Value as Json, json};
use undertone_core::backfill::{Asked, Mode};

use crate::audit::{self, Act};
use crate::statement::{for_update, sql};
use crate::{Result, Store, StoreError, TenantId};

pub use batch::{
    Again, BatchRow, BatchState, Entered, NewBatch, NewRequest, RequestItem, RequestResult, RequestRow,
};
pub(crate) use finish::Fence;
pub use report::{Counted, Pair};
use run::{COLUMNS, Row};
pub use run::{Run, RunState};
pub use slice::{Slice, Waiting};

/// Batches of a run at the provider's at a time; none is filled beside them.
pub const MOST_BATCHES: i64 = 4;

/// Which runs have something to do: one that runs and has an item that is due, or none open and rested; a batch whose time it is; one that was
/// cancelled and has a batch to stop, or nothing left to hear of.
const TO_DRIVE: &str = "SELECT r.tenant_id, r.id FROM backfill_run r WHERE r.to_do AND (r.lease_until <= ? OR r.lease_owner = ?) AND (\
    r.state <> 'paused' AND (r.driven_at IS NULL OR r.driven_at <= ?) \
    OR r.state = 'running' AND (r.exhausted OR r.rests_until <= ?) \
        AND NOT EXISTS (SELECT 1 FROM backfill_item i WHERE i.tenant_id = r.tenant_id AND i.run_id = r.id AND i.outcome IS NULL) \
    OR r.state = 'running' AND EXISTS (SELECT 1 FROM backfill_item i WHERE i.tenant_id = r.tenant_id AND i.run_id = r.id AND i.outcome IS NULL \
        AND i.request_id IS NULL AND i.next_attempt_at <= ?) AND (SELECT COUNT(*) FROM message_batch b WHERE b.tenant_id = r.tenant_id \
        AND b.run_id = r.id AND b.state NOT IN ('read', 'lost')) < ? \
    OR EXISTS (SELECT 1 FROM message_batch b WHERE b.tenant_id = r.tenant_id AND b.run_id = r.id AND b.state NOT IN ('read', 'lost') \
        AND (b.next_look_at <= ? OR r.state = 'cancelled' AND b.state = 'in_progress' AND b.detail IS NULL)) \
    OR r.state = 'cancelled' AND NOT EXISTS (SELECT 1 FROM message_batch b WHERE b.tenant_id = r.tenant_id AND b.run_id = r.id \
        AND b.state NOT IN ('read', 'lost'))) \
    ORDER BY r.driven_at IS NOT NULL, r.driven_at, r.tenant_id, r.id";

/// What a person does with a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Pause,
    Resume,
    Cancel,
}

impl Store {
    /// Starts a run over what the tenant has at this moment; what arrives later is not part of it.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] where another one runs or is paused.
    pub async fn start_backfill(&self, act: &Act<'_>, asked: &Asked, estimate: &Json) -> Result<Run> {
        let tx = self.begin().await?;
        let newest = sql("SELECT id FROM interaction WHERE tenant_id = ? ORDER BY id DESC LIMIT 1")
            .bind(act.tenant.0)
            .value::<String>(&tx)
            .await?;
        // Before every id and the newest itself: no character of an id sorts after it.
        let cursor = newest.map(|id| id + "~").unwrap_or_default();
        let Some(id) = self.enter(&tx, act, asked, estimate, &cursor, false).await? else {
            return Err(StoreError::Conflict(
                "a backfill is running or paused; wait for its end, or cancel it".to_owned(),
            ));
        };
        tx.commit().await?;
        self.run_as_it_is(act.tenant, &id).await
    }

    /// Starts a run over one interaction; `None` where there is no such interaction.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] where it waits for its verdict already.
    pub async fn start_rescore(
        &self,
        act: &Act<'_>,
        interaction: &str,
        asked: &Asked,
    ) -> Result<Option<Run>> {
        let tx = self.begin().await?;
        let done = self.rescore_in(&tx, act, interaction, asked).await;
        let Some(id) = Self::end(tx, done).await? else { return Ok(None) };
        self.run_as_it_is(act.tenant, &id).await.map(Some)
    }

    /// The same within a transaction: the run's id, and that something changed.
    async fn rescore_in(
        &self,
        tx: &DatabaseTransaction,
        act: &Act<'_>,
        interaction: &str,
        asked: &Asked,
    ) -> Result<Option<(String, bool)>> {
        let state = sql("SELECT score_state FROM interaction WHERE tenant_id = ? AND id = ?")
            .bind(act.tenant.0)
            .bind(interaction)
            .then(for_update(self.backend()))
            .value::<String>(tx)
            .await?;
        let Some(state) = state else { return Ok(None) };
        if state == "pending" {
            return Err(StoreError::Conflict("it waits for its verdict already".to_owned()));
        }
        if self.is_open(tx, act.tenant, interaction).await? {
            return Err(StoreError::Conflict("it is being scored again already".to_owned()));
        }
        let asked = Asked { mode: Mode::Single, ..asked.clone() };
        let Some(id) = self.enter(tx, act, &asked, &json!({"rows": 1}), "", true).await? else {
            return Err(StoreError::Conflict("it could not be begun; try again".to_owned()));
        };
        self.make_items(tx, act.tenant, &id, &[interaction.to_owned()]).await?;
        Ok(Some((id, true)))
    }

    /// Enters a run; `None` where another one is in its place.
    async fn enter(
        &self,
        tx: &DatabaseTransaction,
        act: &Act<'_>,
        asked: &Asked,
        estimate: &Json,
        cursor: &str,
        exhausted: bool,
    ) -> Result<Option<String>> {
        let at = self.now();
        let id = self.new_id(at);
        let asked_json = json!(asked);
        let row: [Value; 23] = [
            act.tenant.0.into(),
            id.as_str().into(),
            asked.mode.as_str().into(),
            RunState::Running.as_str().into(),
            asked_json.clone().into(),
            estimate.clone().into(),
            asked.notify.into(),
            cursor.into(),
            exhausted.into(),
            true.into(),
            at.into(),
            0_i64.into(),
            0_i64.into(),
            0_i64.into(),
            0_i64.into(),
            0_i64.into(),
            0_i64.into(),
            0_i64.into(),
            at.into(),
            act.actor.into(),
            at.into(),
            0_i64.into(),
            at.into(),
        ];
        let entered = sql("INSERT INTO backfill_run (tenant_id, id, mode, state, asked, estimate, notify, cursor, exhausted, to_do, rests_until, \
             opened, scored, skipped, failed, superseded, tokens, cost_micros, started_at, started_by, running_since, decided_before, lease_until) \
             VALUES ? ON CONFLICT DO NOTHING")
            .rows([row])
            .run(tx)
            .await?;
        if entered == 0 {
            return Ok(None);
        }
        let payload = json!({"asked": asked_json, "estimate": estimate});
        audit::note(self, tx, act, ("backfill_started", &id), &payload).await?;
        Ok(Some(id))
    }

    async fn run_as_it_is(&self, tenant: TenantId, id: &str) -> Result<Run> {
        self.backfill(tenant, id)
            .await?
            .ok_or_else(|| StoreError::Conflict("the run is gone; look at the list".to_owned()))
    }

    /// The run with this id.
    pub async fn backfill(&self, tenant: TenantId, id: &str) -> Result<Option<Run>> {
        let row = sql(COLUMNS).bind(tenant.0).then(" AND id = ?").bind(id).one::<Row>(&self.reader).await?;
        row.map(Run::try_from).transpose()
    }

    /// Runs, the latest first, from the one before `before` on; those over one interaction only where `single` says so.
    pub async fn backfills(
        &self,
        tenant: TenantId,
        single: bool,
        before: Option<&str>,
        limit: u16,
    ) -> Result<Vec<Run>> {
        let mut query = sql(COLUMNS).bind(tenant.0);
        if !single {
            query = query.then(" AND mode <> 'single'");
        }
        if let Some(before) = before {
            query = query.then(" AND id < ?").bind(before);
        }
        let rows: Vec<Row> =
            query.then(" ORDER BY id DESC LIMIT ?").bind(i64::from(limit)).all(&self.reader).await?;
        rows.into_iter().map(Run::try_from).collect()
    }

    /// Stops a run after what is under way; `None` where there is no such run.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] where it has ended.
    pub async fn pause_backfill(&self, act: &Act<'_>, id: &str) -> Result<Option<Run>> {
        self.order(act, id, Order::Pause).await
    }

    /// Lets a run go on where it was; `None` where there is no such run.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] where it has ended.
    pub async fn resume_backfill(&self, act: &Act<'_>, id: &str) -> Result<Option<Run>> {
        self.order(act, id, Order::Resume).await
    }

    /// Ends a run; `None` where there is no such run. What is under way, a provider's batch for example, is still recorded: it is paid for.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] where it has ended.
    pub async fn cancel_backfill(&self, act: &Act<'_>, id: &str) -> Result<Option<Run>> {
        self.order(act, id, Order::Cancel).await
    }

    async fn order(&self, act: &Act<'_>, id: &str, order: Order) -> Result<Option<Run>> {
        let tx = self.begin().await?;
        let row = sql(COLUMNS)
            .bind(act.tenant.0)
            .then(" AND id = ?")
            .bind(id)
            .then(for_update(self.backend()))
            .one::<Row>(&tx)
            .await?;
        let Some(run) = row.map(Run::try_from).transpose()? else { return Ok(None) };
        if !matches!(run.state, RunState::Running | RunState::Paused) {
            let state = run.state.as_str();
            return Err(StoreError::Conflict(format!(
                "this run is {state}; there is nothing to stop or resume"
            )));
        }
        let at = self.now();
        let (state, action) = match order {
            Order::Pause => (RunState::Paused, "backfill_paused"),
            Order::Resume => (RunState::Running, "backfill_resumed"),
            Order::Cancel => (RunState::Cancelled, "backfill_cancelled"),
        };
        if state == run.state {
            return Ok(Some(run));
        }
        let ended = order == Order::Cancel;
        // What runs from now on is measured from now on.
        let (since, before) = if order == Order::Resume {
            (at, run.decided())
        } else {
            (run.running_since, run.decided_before)
        };
        sql("UPDATE backfill_run SET state = ?, running_since = ?, decided_before = ?, ended_at = ?, ended_by = ? \
             WHERE tenant_id = ? AND id = ?")
        .bind(state.as_str())
        .bind(since)
        .bind(before)
        .bind(ended.then_some(at))
        .bind(ended.then_some(act.actor))
        .bind(act.tenant.0)
        .bind(id)
        .run(&tx)
        .await?;
        audit::note(self, &tx, act, (action, id), &json!({"decided": run.decided()})).await?;
        tx.commit().await?;
        self.run_as_it_is(act.tenant, id).await.map(Some)
    }
}

impl Store {
    /// The runs that have something to do at this moment and that nobody else drives, of all tenants: those that nobody had in hand yet, then
    /// those that wait longest. What waits for a time, for money or for a provider is not among them until that is over, nor is what is
    /// paused; so that nothing is overlooked, and so that it can be told that somebody works on them, those that go on by themselves are
    /// among them once nobody had them in hand for `overlooked`.
    pub async fn backfills_to_drive(
        &self,
        owner: &str,
        overlooked: TimeDelta,
    ) -> Result<Vec<(TenantId, String)>> {
        #[derive(FromQueryResult)]
        struct Due {
            tenant_id: i64,
            id: String,
        }
        let now = self.now();
        let due = sql(TO_DRIVE)
            .bind(now)
            .bind(owner)
            .bind(now - overlooked)
            .bind(now)
            .bind(now)
            .bind(MOST_BATCHES)
            .bind(now)
            .all::<Due>(&self.reader)
            .await?;
        Ok(due.into_iter().map(|row| (TenantId(row.tenant_id), row.id)).collect())
    }

    /// Lets go of a run that has nothing to do for now: whoever finds that it has, takes it.
    pub async fn let_go_of_backfill(&self, tenant: TenantId, id: &str, owner: &str) -> Result<()> {
        let tx = self.begin().await?;
        sql("UPDATE backfill_run SET lease_owner = NULL, lease_until = ? WHERE tenant_id = ? AND id = ? AND lease_owner = ?")
            .bind(self.now())
            .bind(tenant.0)
            .bind(id)
            .bind(owner)
            .run(&tx)
            .await?;
        tx.commit().await?;
        Ok(())
    }

    /// Takes a run in hand for `lease`, or keeps it so; answers it as it is. `None`: somebody else has it, or there is nothing to do.
    pub async fn hold_backfill(
        &self,
        tenant: TenantId,
        id: &str,
        owner: &str,
        lease: TimeDelta,
    ) -> Result<Option<Run>> {
        let at = self.now();
        let tx = self.begin().await?;
        let held = sql("UPDATE backfill_run SET lease_owner = ?, lease_until = ?, driven_at = ? \
             WHERE tenant_id = ? AND id = ? AND to_do AND (lease_until <= ? OR lease_owner = ?)")
        .bind(owner)
        .bind(at + lease)
        .bind(at)
        .bind(tenant.0)
        .bind(id)
        .bind(at)
        .bind(owner)
        .run(&tx)
        .await?;
        if held == 0 {
            return Ok(None);
        }
        let row = sql(COLUMNS).bind(tenant.0).then(" AND id = ?").bind(id).one::<Row>(&tx).await?;
        tx.commit().await?;
        row.map(Run::try_from).transpose()
    }

    /// Lets go of every run `owner` has in hand; what it began and did not finish counts as not begun. Answers how many runs there were.
    pub async fn let_go_of_backfills(&self, owner: &str) -> Result<u64> {
        let tx = self.begin().await?;
        sql("UPDATE backfill_item SET attempts = attempts - 1, begun_by = NULL WHERE (tenant_id, run_id) IN \
             (SELECT tenant_id, id FROM backfill_run WHERE to_do AND lease_owner = ?) AND outcome IS NULL AND begun_by = ?")
            .bind(owner)
            .bind(owner)
            .run(&tx)
            .await?;
        let let_go = sql(
            "UPDATE backfill_run SET lease_owner = NULL, lease_until = ? WHERE to_do AND lease_owner = ?",
        )
        .bind(self.now())
        .bind(owner)
        .run(&tx)
        .await?;
        tx.commit().await?;
        Ok(let_go)
    }

    /// Removes some items of runs that ended `age` ago or earlier; answers whether there may be more. Runs and their reports stay.
    pub async fn remove_old_items(&self, tenant: TenantId, age: TimeDelta) -> Result<bool> {
        const SOME: i64 = 1000;
        let tx = self.begin().await?;
        let removed = sql("DELETE FROM backfill_item WHERE tenant_id = ? AND (run_id, interaction_id) IN (SELECT i.run_id, i.interaction_id \
             FROM backfill_run r JOIN backfill_item i ON i.tenant_id = r.tenant_id AND i.run_id = r.id \
             WHERE r.tenant_id = ? AND r.ended_at < ? AND r.to_do = ? LIMIT ?)")
        .bind(tenant.0)
        .bind(tenant.0)
        .bind(self.now() - age)
        .bind(false)
        .bind(SOME)
        .run(&tx)
        .await?;
        tx.commit().await?;
        Ok(removed == SOME.cast_unsigned())
    }
}

/// What of a tenant's runs waits for an LLM is due now: something changed that it may have waited for.
pub(crate) async fn hasten(on: &impl ConnectionTrait, tenant: TenantId, now: DateTime<Utc>) -> Result<u64> {
    sql("UPDATE backfill_item SET next_attempt_at = ? WHERE tenant_id = ? AND run_id IN \
         (SELECT id FROM backfill_run WHERE tenant_id = ? AND to_do) AND outcome IS NULL AND next_attempt_at > ? \
         AND reason IN ('daily_token_cap', 'monthly_budget', 'no_key', 'llm_unavailable')")
    .bind(now)
    .bind(tenant.0)
    .bind(tenant.0)
    .bind(now)
    .run(on)
    .await
}

impl Store {
    /// The run with this id as `tx` sees it, held until the transaction ends; `None` where `owner` does not drive it.
    async fn driven(
        &self,
        tx: &DatabaseTransaction,
        tenant: TenantId,
        id: &str,
        owner: &str,
    ) -> Result<Option<Run>> {
        let row = sql(COLUMNS)
            .bind(tenant.0)
            .then(" AND id = ? AND lease_owner = ? AND to_do")
            .bind(id)
            .bind(owner)
            .then(for_update(self.backend()))
            .one::<Row>(tx)
            .await?;
        row.map(Run::try_from).transpose()
    }

    /// The same for whoever wrote down what is not true any more where somebody else drives the run.
    ///
    /// # Errors
    /// [`StoreError::NotDriven`] where `owner` does not drive it.
    async fn still_driven(
        &self,
        tx: &DatabaseTransaction,
        tenant: TenantId,
        (id, owner): (&str, &str),
    ) -> Result<Run> {
        self.driven(tx, tenant, id, owner).await?.ok_or(StoreError::NotDriven)
    }
}
