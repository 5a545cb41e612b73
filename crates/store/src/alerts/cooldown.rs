//! Cooldowns: when people were last told of whom.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, Value};

use crate::statement::{pieces, sql};
use crate::{Result, TenantId};

/// What the cooldown of a conversation with nobody known is kept by.
pub(super) fn conversation_key(conversation: &str) -> String {
    format!("conversation:{conversation}")
}

/// Those of these keys of whom people were told after `over`: their cooldown goes on.
pub(super) async fn cooling<'a>(
    tx: &impl ConnectionTrait,
    tenant: TenantId,
    over: DateTime<Utc>,
    keys: impl Iterator<Item = &'a String>,
) -> Result<HashSet<String>> {
    let keys: Vec<&String> = keys.collect();
    let mut cooling = HashSet::new();
    for piece in pieces(&keys) {
        let some = sql(
            "SELECT customer_id FROM alert_cooldown WHERE tenant_id = ? AND last_at > ? AND customer_id IN ?",
        )
        .bind(tenant.0)
        .bind(over)
        .list(piece.iter().map(|key| key.as_str()))
        .column::<String>(tx)
        .await?;
        cooling.extend(some);
    }
    Ok(cooling)
}

/// The keys of whom people were told last at `over` or before, so that their cooldown is over; it begins anew for them, and nobody else gets
/// them.
pub(super) async fn win<'a>(
    tx: &impl ConnectionTrait,
    tenant: TenantId,
    at: DateTime<Utc>,
    over: DateTime<Utc>,
    keys: impl Iterator<Item = &'a str>,
) -> Result<HashSet<String>> {
    let keys: Vec<&str> = keys.collect();
    let mut won = HashSet::new();
    for piece in pieces(&keys) {
        let rows = sql("INSERT INTO alert_cooldown (tenant_id, customer_id, last_at) VALUES ? \
             ON CONFLICT (tenant_id, customer_id) DO UPDATE SET last_at = excluded.last_at WHERE alert_cooldown.last_at <= ? \
             RETURNING customer_id")
        .rows(piece.iter().map(|key| [tenant.0.into(), Value::from(*key), at.into()]))
        .bind(over)
        .column::<String>(tx)
        .await?;
        won.extend(rows);
    }
    Ok(won)
}

/// Of a customer people were told when they last were of the conversation that is theirs from now on.
pub(crate) async fn carry_cooldown(
    tx: &impl ConnectionTrait,
    tenant: TenantId,
    conversation: &str,
    customer: &str,
) -> Result<()> {
    sql("INSERT INTO alert_cooldown (tenant_id, customer_id, last_at) \
         SELECT tenant_id, ?, last_at FROM alert_cooldown WHERE tenant_id = ? AND customer_id = ? \
         ON CONFLICT (tenant_id, customer_id) DO UPDATE SET last_at = excluded.last_at WHERE alert_cooldown.last_at < excluded.last_at")
    .bind(customer)
    .bind(tenant.0)
    .bind(conversation_key(conversation))
    .run(tx)
    .await?;
    Ok(())
}
