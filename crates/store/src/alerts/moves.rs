//! What people do with an alert.

use chrono::{DateTime, Utc};
use sea_orm::ConnectionTrait;
use serde_json::json;
use undertone_core::Role;
use undertone_core::access::Permission;
use undertone_core::event::EventKind;

use super::{Alert, AlertState, Rules, list, win};
use crate::audit::{self, Act};
use crate::outbox::{self, Caused};
use crate::statement::{for_share, for_update, sql};
use crate::{Result, Store, StoreError, TenantId};

/// Characters of the reason that an alert is done with, at most.
pub const MOST_NOTE: usize = 1000;

/// What somebody does with an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Move<'a> {
    /// They saw it and look after it.
    Acknowledge,
    /// This user is responsible, by id. Where somebody else says so, it stays open until they, or anybody, acknowledge it.
    Assign(&'a str),
    /// It is quiet until then.
    Snooze(DateTime<Utc>),
    /// It is done with, for this reason of [`MOST_NOTE`] characters at most; whoever asks sees to that.
    Resolve(Option<&'a str>),
}

impl Move<'_> {
    fn word(self) -> &'static str {
        match self {
            Self::Acknowledge => "acknowledged",
            Self::Assign(_) => "assigned",
            Self::Snooze(_) => "snoozed",
            Self::Resolve(_) => "resolved",
        }
    }

    /// To whom, until when, or why.
    fn detail(self) -> Option<String> {
        match self {
            Self::Acknowledge => None,
            Self::Assign(user) => Some(user.to_owned()),
            Self::Snooze(until) => Some(until.to_rfc3339()),
            Self::Resolve(note) => note.map(str::to_owned),
        }
    }

    /// The act's name in the audit log.
    fn act(self) -> &'static str {
        match self {
            Self::Acknowledge => "alert_acknowledged",
            Self::Assign(_) => "alert_assigned",
            Self::Snooze(_) => "alert_snoozed",
            Self::Resolve(_) => "alert_resolved",
        }
    }

    fn event(self) -> EventKind {
        match self {
            Self::Acknowledge => EventKind::AlertAcknowledged,
            Self::Assign(_) => EventKind::AlertAssigned,
            Self::Snooze(_) => EventKind::AlertSnoozed,
            Self::Resolve(_) => EventKind::AlertResolved,
        }
    }
}

/// Keeps a step of an alert's way.
pub(super) async fn step(
    store: &Store,
    tx: &impl ConnectionTrait,
    (tenant, alert): (TenantId, &str),
    (step, by): (&str, &str),
    detail: Option<&str>,
) -> Result<()> {
    let at = store.now();
    sql("INSERT INTO alert_step (tenant_id, alert_id, id, at, step, made_by, detail) VALUES ?")
        .rows([[
            tenant.0.into(),
            alert.into(),
            store.new_id(at).into(),
            at.into(),
            step.into(),
            by.into(),
            detail.into(),
        ]])
        .run(tx)
        .await?;
    Ok(())
}

impl Store {
    /// Does something with an alert, from the state `version`; `None`: whatever it is now.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] where somebody else did something meanwhile, or it has ended; [`StoreError::Invalid`] where the user to
    /// whom it is assigned is none of this tenant or may not look after alerts, or the snooze lies in the past.
    pub async fn move_alert(
        &self,
        act: &Act<'_>,
        (id, version): (&str, Option<i64>),
        what: Move<'_>,
    ) -> Result<Option<Alert>> {
        let tx = self.begin().await?;
        let at = self.now();
        // Before the alert is locked, as whoever changes users does.
        let given = match what {
            Move::Assign(user) => may_look_after(self, &tx, act.tenant, user).await,
            Move::Acknowledge | Move::Snooze(_) | Move::Resolve(_) => Ok(()),
        };
        let found = list::one(&tx, act.tenant, id, for_update(self.backend())).await?;
        let Some(before) = found else { return Ok(None) };
        if version.is_some_and(|version| version != before.version) {
            let told = "somebody else did something with this alert meanwhile; load it again";
            return Err(StoreError::Conflict(told.to_owned()));
        }
        if matches!(before.state.as_str(), "resolved" | "withdrawn") {
            return Err(StoreError::Conflict(format!("the alert is {} already", before.state)));
        }
        if what == Move::Acknowledge && before.state == "acknowledged" {
            // Said twice, it is true once.
            return Ok(Some(before.try_into()?));
        }
        let mut change = Change::of(&before);
        match what {
            Move::Acknowledge => change.acknowledge(at, act.actor),
            Move::Assign(user) => {
                given?;
                change.assigned_to = Some(user.to_owned());
                if is_theirs(&before, act.actor, user) {
                    change.acknowledge(at, act.actor);
                } else {
                    change.hand_to_somebody(Rules::of(&tx, act.tenant).await?.escalation(at));
                }
            }
            Move::Snooze(until) => {
                if until <= at {
                    return Err(StoreError::Invalid("`until`: it lies in the past".to_owned()));
                }
                (change.state, change.snoozed_until, change.next_at) =
                    (AlertState::Snoozed, Some(until), Some(until));
            }
            Move::Resolve(_) => {
                (change.state, change.ended_at, change.next_at) = (AlertState::Resolved, Some(at), None);
            }
        }
        let note = if let Move::Resolve(note) = what { note } else { None };
        change.tell(&tx, (act.tenant, at), &before).await?;
        sql("UPDATE alert SET state = ?, told_at = ?, acknowledged_at = ?, acknowledged_by = ?, assigned_to = ?, snoozed_until = ?, next_at = ?, ended_at = ?, \
             ended_by = ?, note = COALESCE(?, note), escalated = ?, version = version + 1 WHERE tenant_id = ? AND id = ?")
        .bind(change.state.as_str())
        .bind(change.told_at)
        .bind(change.acknowledged_at)
        .bind(change.acknowledged_by)
        .bind(change.assigned_to)
        .bind(change.snoozed_until)
        .bind(change.next_at)
        .bind(change.ended_at)
        .bind(change.ended_at.map(|_| act.actor))
        .bind(note)
        .bind(change.escalated)
        .bind(act.tenant.0)
        .bind(id)
        .run(&tx)
        .await?;
        step(self, &tx, (act.tenant, id), (what.word(), act.actor), what.detail().as_deref()).await?;
        let after = list::one(&tx, act.tenant, id, "").await?.unwrap_or_else(|| before.clone());
        let payload = json!({"before": {"state": before.state}, "after": {"state": after.state, "assigned_to": after.assigned_to}});
        audit::note(self, &tx, act, (what.act(), id), &payload).await?;
        for mut payload in list::payloads(&tx, act.tenant, &[&after], at).await? {
            payload.made_by = Some(act.actor.to_owned());
            payload.until = if let Move::Snooze(until) = what { Some(until) } else { None };
            let payload = json!(payload);
            outbox::emit(self, &tx, act.tenant, at, vec![Caused::new(what.event(), id, payload)]).await?;
        }
        tx.commit().await?;
        Ok(Some(after.try_into()?))
    }
}

/// It can be given to this user: they are there, and may look after alerts. Nobody changes that until the transaction ends.
async fn may_look_after(
    store: &Store,
    tx: &impl ConnectionTrait,
    tenant: TenantId,
    user: &str,
) -> Result<()> {
    let role = sql("SELECT role FROM app_user WHERE tenant_id = ? AND id = ? AND active = ?")
        .bind(tenant.0)
        .bind(user)
        .bind(true)
        .then(for_share(store.backend()))
        .value::<String>(tx)
        .await?;
    let Some(role) = role else {
        return Err(StoreError::Invalid("`user`: there is no active user of this id".to_owned()));
    };
    if role.parse::<Role>().is_ok_and(|role| role.may(Permission::Alerts)) {
        return Ok(());
    }
    Err(StoreError::Invalid(format!(
        "`user`: in the role {role} nobody looks after alerts; name somebody else"
    )))
}

/// This user has it in hand, given to them by `actor`: they say so themselves, or acknowledged it before.
fn is_theirs(alert: &list::Row, actor: &str, user: &str) -> bool {
    let is_user = |by: &str| by.strip_prefix("user:") == Some(user);
    let has_acknowledged =
        alert.state == "acknowledged" && alert.acknowledged_by.as_deref().is_some_and(is_user);
    is_user(actor) || has_acknowledged
}

/// What somebody looked after who does so no more wants somebody again, and its log says why: of what is not quiet people are told anew, and
/// what nobody acknowledges is escalated.
pub(crate) async fn leave(
    store: &Store,
    tx: &impl ConnectionTrait,
    act: &Act<'_>,
    (user, why): (&str, &str),
) -> Result<()> {
    let rows = sql(list::COLUMNS)
        .then("WHERE tenant_id = ? AND (state IN ('open', 'acknowledged', 'snoozed') AND assigned_to = ? \
             OR state IN ('acknowledged', 'snoozed') AND assigned_to IS NULL AND acknowledged_by = ?) ORDER BY id")
        .bind(act.tenant.0)
        .bind(user)
        .bind(format!("user:{user}"))
        .then(for_update(store.backend()))
        .all::<list::Row>(tx)
        .await?;
    if rows.is_empty() {
        return Ok(());
    }
    let (at, rules) = (store.now(), Rules::of(tx, act.tenant).await?);
    let mut reopened = Vec::new();
    for row in rows {
        let is_quiet = row.state == "snoozed";
        let (state, next_at) = if is_quiet {
            (AlertState::Snoozed, row.snoozed_until)
        } else {
            (AlertState::Open, rules.next_escalation(row.escalated, at))
        };
        sql("UPDATE alert SET state = ?, next_at = ?, acknowledged_at = NULL, acknowledged_by = NULL, assigned_to = NULL, version = version + 1 \
             WHERE tenant_id = ? AND id = ?")
        .bind(state.as_str())
        .bind(next_at)
        .bind(act.tenant.0)
        .bind(&row.id)
        .run(tx)
        .await?;
        step(store, tx, (act.tenant, &row.id), ("reopened", act.actor), Some(why)).await?;
        if !is_quiet {
            reopened.push(list::Row { state: state.as_str().to_owned(), assigned_to: None, ..row });
        }
    }
    let payloads = list::payloads(tx, act.tenant, &reopened.iter().collect::<Vec<_>>(), at).await?;
    let events = reopened.iter().zip(payloads);
    let events = events.map(|(row, payload)| Caused::new(EventKind::AlertReminded, &row.id, json!(payload)));
    outbox::emit_under(store, tx, (act.tenant, at), &rules.settings, events.collect()).await
}

/// What of an alert a move changes.
struct Change {
    state: AlertState,
    told_at: Option<DateTime<Utc>>,
    acknowledged_at: Option<DateTime<Utc>>,
    acknowledged_by: Option<String>,
    assigned_to: Option<String>,
    snoozed_until: Option<DateTime<Utc>>,
    next_at: Option<DateTime<Utc>>,
    ended_at: Option<DateTime<Utc>>,
    escalated: i64,
}

impl Change {
    fn of(row: &list::Row) -> Self {
        Self {
            state: AlertState::Open,
            told_at: row.told_at,
            acknowledged_at: row.acknowledged_at,
            acknowledged_by: row.acknowledged_by.clone(),
            assigned_to: row.assigned_to.clone(),
            snoozed_until: None,
            next_at: None,
            ended_at: None,
            escalated: row.escalated,
        }
    }

    /// Whoever takes one that an incident holds knows of the customer: it is told from then on, and its cooldown begins.
    async fn tell(
        &mut self,
        tx: &impl ConnectionTrait,
        (tenant, at): (TenantId, DateTime<Utc>),
        before: &list::Row,
    ) -> Result<()> {
        if before.state != "held" || self.state == AlertState::Resolved {
            return Ok(());
        }
        self.told_at = Some(at);
        let key = before.cooldown_key.as_deref().or(before.customer_id.as_deref());
        win(tx, tenant, at, at, key.into_iter()).await?;
        Ok(())
    }

    fn acknowledge(&mut self, at: DateTime<Utc>, by: &str) {
        (self.state, self.next_at) = (AlertState::Acknowledged, None);
        self.acknowledged_at.get_or_insert(at);
        self.acknowledged_by.get_or_insert_with(|| by.to_owned());
    }

    /// Whoever it is given to may be away: until somebody acknowledges it, its escalation begins anew.
    fn hand_to_somebody(&mut self, escalation: Option<DateTime<Utc>>) {
        (self.state, self.next_at, self.escalated) = (AlertState::Open, escalation, 0);
        (self.acknowledged_at, self.acknowledged_by) = (None, None);
    }
}
