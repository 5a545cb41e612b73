//! The audit log: what people and administrators did. Written in the transaction of the act, sealed into a chain of digests afterwards.
//!
//! Entries wait for nobody: `note` writes one, and [`Store::seal_audit`] gives it its place in its tenant's chain a moment later. The
//! tables' triggers let nothing be changed but that place, once, and let a payload be erased.

pub mod chain;
mod read;
mod retain;
mod seal;
mod verify;

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, FromQueryResult};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::statement::sql;
use crate::{Result, Store, StoreError, TenantId};

pub use chain::{Finding, Head, Wrong};
pub use read::Filter;
pub use retain::{Checkpoint, Removed};
pub use verify::Verified;

/// The action of entries that tell of the removal of others.
pub const RETENTION: &str = "audit_retention";

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

    /// A person does it.
    #[must_use]
    pub fn is_by_person(&self) -> bool {
        self.actor.starts_with("user:")
    }
}

/// One entry of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, FromQueryResult)]
pub struct Entry {
    /// Its place in the tenant's chain, from 1; none until it is sealed.
    pub seq: Option<i64>,
    /// Its id.
    pub id: String,
    /// When it was done.
    pub at: DateTime<Utc>,
    /// Who did it: `user:<id>`, `key:<id>`, `command line` or the name of a job.
    pub actor: String,
    /// What was done, as a word.
    pub action: String,
    /// To what.
    pub subject: String,
    /// The network address it came from.
    pub from: Option<String>,
    /// What it was and what it became, as JSON, to the letter of what the digest is of; none where it was erased.
    pub payload: Option<String>,
    /// What the digest of the payload begins with.
    pub payload_salt: Option<String>,
    /// [`chain::digest_of_payload`].
    pub payload_digest: String,
    /// [`chain::link`]; none until it is sealed.
    pub digest: Option<String>,
}

/// What an [`Entry`] is read from.
const COLUMNS: &str = "SELECT seq, id, at, actor, action, subject, from_address AS \"from\", payload, payload_salt, payload_digest, digest \
    FROM audit_log WHERE tenant_id = ?";

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
    let mut salt = [0_u8; 16];
    getrandom::fill(&mut salt)
        .map_err(|e| StoreError::Invalid(format!("this machine gives no random numbers: {e}")))?;
    let salt = hex(&salt);
    sql("INSERT INTO audit_log (tenant_id, id, at, actor, action, subject, from_address, payload, payload_salt, payload_digest) VALUES ?")
        .rows([[
            act.tenant.0.into(),
            store.new_id(at).into(),
            at.into(),
            act.actor.into(),
            action.into(),
            subject.into(),
            act.from.filter(|from| !from.is_empty()).into(),
            payload.as_str().into(),
            salt.as_str().into(),
            chain::digest_of_payload(Some(&salt), &payload).into(),
        ]])
        .run(on)
        .await?;
    Ok(())
}

impl Store {
    /// Notes an act that changes nothing here, such as a look or an export, before it is done.
    pub async fn note(
        &self,
        act: &Act<'_>,
        (action, subject): (&'static str, &str),
        payload: &Value,
    ) -> Result<()> {
        let tx = self.begin().await?;
        note(self, &tx, act, (action, subject), payload).await?;
        tx.commit().await?;
        Ok(())
    }
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |text, byte| text + &format!("{byte:02x}"))
}
