//! The audit log: what people and administrators did. Written in the transaction of the act.

use sea_orm::ConnectionTrait;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::statement::sql;
use crate::{Result, Store, TenantId};

/// Who does something, and from where: `user:<id>`, `key:<id>` or `command line`.
#[derive(Debug, Clone)]
pub struct Act<'a> {
    /// The tenant it is done in.
    pub tenant: TenantId,
    /// Who.
    pub actor: &'a str,
    /// The network address it came from; none for the command line.
    pub from: Option<&'a str>,
}

impl<'a> Act<'a> {
    /// An act of `actor`, from nowhere in particular.
    #[must_use]
    pub fn new(tenant: TenantId, actor: &'a str) -> Self {
        Self { tenant, actor, from: None }
    }
}

/// Notes `action` on `subject`, with what it was and what it became in `payload`.
pub(crate) async fn note(
    store: &Store,
    on: &impl ConnectionTrait,
    act: &Act<'_>,
    (action, subject): (&'static str, &str),
    payload: &Value,
) -> Result<()> {
    let at = store.now();
    let payload = payload.to_string();
    sql(
        "INSERT INTO audit_log (tenant_id, id, at, actor, action, subject, payload, payload_digest) VALUES ?",
    )
    .rows([[
        act.tenant.0.into(),
        store.new_id(at).into(),
        at.into(),
        act.actor.into(),
        action.into(),
        subject.into(),
        payload.as_str().into(),
        hex(&Sha256::digest(&payload)).into(),
    ]])
    .run(on)
    .await?;
    Ok(())
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |text, byte| text + &format!("{byte:02x}"))
}
