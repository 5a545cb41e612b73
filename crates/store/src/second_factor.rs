//! Second factors: codes of an authenticator app, recovery codes for when it is lost, and log-ins that wait for one.
//!
//! The seed of the codes is sealed with a [`Keyring`](crate::secrets::Keyring), bound to its person; what a code is made of is the
//! caller's business. Here stands what two requests at once must not get past: each code and each recovery code is taken once. Guessing is
//! held up by [`Store::attempt_login`], for codes as for passwords.
//!
//! Until a first code confirms it, a seed belongs to the log-in or session that set it up, for [`SET_UP_LASTS`]: whoever else has the
//! password is shown another, so that nobody knows the seed that its person confirms.

mod reseal;
mod step;

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::{ConnectionTrait, FromQueryResult};
use serde_json::json;

use crate::audit::{self, Act};
use crate::keys::digest;
use crate::secrets::Sealed;
use crate::statement::sql;
use crate::users::Authority;
use crate::{Result, Store, StoreError, TenantId};

pub use step::{Before, LoginStep, NewSession, STEP_LASTS};

/// What was set up has to be confirmed within this.
pub const SET_UP_LASTS: TimeDelta = STEP_LASTS;

/// A person's second factor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecondFactor {
    /// Whose.
    pub user_id: String,
    /// Their tenant.
    pub tenant: TenantId,
    /// The seed of the codes, sealed for [`bound_to`].
    pub sealed: Sealed,
    /// When a first code proved that the app has the seed; `None`: not yet, and nobody is asked for a code.
    pub confirmed_at: Option<DateTime<Utc>>,
    /// Recovery codes that were not used yet.
    pub recovery_codes_left: u64,
    set_up_at: DateTime<Utc>,
    set_up_by: Option<String>,
}

impl SecondFactor {
    /// It waits for a first code, from the log-in or session that `setter` is of: nobody else may see its seed.
    #[must_use]
    pub fn waits_for(&self, setter: &str, now: DateTime<Utc>) -> bool {
        self.confirmed_at.is_none()
            && self.set_up_by.as_deref() == Some(digest(setter).as_str())
            && now - self.set_up_at < SET_UP_LASTS
    }
}

#[derive(FromQueryResult)]
struct Row {
    user_id: String,
    tenant_id: i64,
    key_id: String,
    sealed: String,
    confirmed_at: Option<DateTime<Utc>>,
    recovery_codes_left: i64,
    set_up_at: DateTime<Utc>,
    set_up_by: Option<String>,
}

const COLUMNS: &str = "SELECT f.user_id, f.tenant_id, f.key_id, f.sealed, f.confirmed_at, f.set_up_at, f.set_up_by, \
    (SELECT COUNT(*) FROM recovery_code c WHERE c.user_id = f.user_id AND c.used_at IS NULL) AS recovery_codes_left \
    FROM second_factor f ";

impl From<Row> for SecondFactor {
    fn from(row: Row) -> Self {
        Self {
            user_id: row.user_id,
            tenant: TenantId(row.tenant_id),
            sealed: Sealed { key_id: row.key_id, text: row.sealed },
            confirmed_at: row.confirmed_at,
            recovery_codes_left: row.recovery_codes_left as u64,
            set_up_at: row.set_up_at,
            set_up_by: row.set_up_by,
        }
    }
}

/// What a seed is sealed for: one person, so that a row that is copied to another does not open.
#[must_use]
pub fn bound_to(tenant: TenantId, user_id: &str) -> String {
    format!("undertone second factor 1\n{}\n{user_id}", tenant.0)
}

/// Forgets what somebody set up and did not confirm.
pub(crate) async fn forget_unconfirmed(on: &impl ConnectionTrait, user_id: &str) -> Result<()> {
    sql("DELETE FROM second_factor WHERE user_id = ? AND confirmed_at IS NULL").bind(user_id).run(on).await?;
    Ok(())
}

/// Lets the session under `token` count as one with a second factor, where its person has one: their other sessions were begun with it,
/// and one of them is replaced by this.
pub(crate) async fn carry_over(
    on: &impl ConnectionTrait,
    user_id: &str,
    token: &str,
    at: DateTime<Utc>,
) -> Result<()> {
    sql("UPDATE session SET second_factor_at = ? WHERE token_digest = ? AND user_id = ? \
         AND EXISTS (SELECT 1 FROM second_factor f WHERE f.user_id = session.user_id AND f.confirmed_at IS NOT NULL)")
    .bind(at)
    .bind(digest(token))
    .bind(user_id)
    .run(on)
    .await?;
    Ok(())
}

/// Writes the digests of new recovery codes in place of those there are.
async fn write_codes(on: &impl ConnectionTrait, user_id: &str, codes: &[String]) -> Result<()> {
    sql("DELETE FROM recovery_code WHERE user_id = ?").bind(user_id).run(on).await?;
    if !codes.is_empty() {
        sql("INSERT INTO recovery_code (user_id, code_digest) VALUES ?")
            .rows(codes.iter().map(|code| [user_id.into(), digest(code).into()]))
            .run(on)
            .await?;
    }
    Ok(())
}

impl Store {
    /// A person's second factor, confirmed or not.
    pub async fn second_factor(&self, tenant: TenantId, user_id: &str) -> Result<Option<SecondFactor>> {
        let row = sql(COLUMNS)
            .then("WHERE f.user_id = ? AND f.tenant_id = ?")
            .bind(user_id)
            .bind(tenant.0)
            .one::<Row>(&self.reader)
            .await?;
        Ok(row.map(SecondFactor::from))
    }

    /// Begins to set a second factor up, in place of one that was not confirmed. `sealed` is the seed, sealed for [`bound_to`]; `setter` is
    /// what stays the same of the log-in or session it is done in.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] where a confirmed one stands, or nobody of the tenant has this id.
    pub async fn set_up_second_factor(
        &self,
        act: &Act<'_>,
        user_id: &str,
        (sealed, setter): (&Sealed, &str),
    ) -> Result<()> {
        let (tx, at) = (self.begin().await?, self.now());
        sql("DELETE FROM second_factor WHERE confirmed_at IS NULL AND set_up_at < ?")
            .bind(at - SET_UP_LASTS)
            .run(&tx)
            .await?;
        let set_up = sql(
            "INSERT INTO second_factor (user_id, tenant_id, key_id, sealed, set_up_by, set_up_at, last_step) \
             SELECT id, tenant_id, CAST(? AS text), CAST(? AS text), CAST(? AS text), ",
        )
        .bind(sealed.key_id.as_str())
        .bind(sealed.text.as_str())
        .bind(digest(setter))
        .then(
            "?, 0 FROM app_user WHERE id = ? AND tenant_id = ? \
             ON CONFLICT (user_id) DO UPDATE SET key_id = excluded.key_id, sealed = excluded.sealed, \
             set_up_by = excluded.set_up_by, set_up_at = excluded.set_up_at, last_step = 0 \
             WHERE second_factor.confirmed_at IS NULL",
        )
        .bind(at)
        .bind(user_id)
        .bind(act.tenant.0)
        .run(&tx)
        .await?;
        tx.commit().await?;
        if set_up == 0 {
            return Err(StoreError::Conflict(
                "there is a second factor already; remove it before another is set up".to_owned(),
            ));
        }
        Ok(())
    }

    /// Confirms the second factor whose seed is `sealed`, after a code of `step` (30 seconds each, since 1970) proved it. `codes` are the
    /// new recovery codes. The person's sessions end, but for the one under `session_token`, which counts as one with a second factor.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] where it was confirmed, removed or set up anew in the meantime.
    pub async fn confirm_second_factor(
        &self,
        act: &Act<'_>,
        user_id: &str,
        (sealed, step): (&Sealed, i64),
        codes: &[String],
        session_token: Option<&str>,
    ) -> Result<()> {
        let tx = self.begin().await?;
        let at = self.now();
        let confirmed = sql("UPDATE second_factor SET confirmed_at = ?, last_step = ? \
             WHERE user_id = ? AND tenant_id = ? AND confirmed_at IS NULL AND sealed = ?")
        .bind(at)
        .bind(step)
        .bind(user_id)
        .bind(act.tenant.0)
        .bind(sealed.text.as_str())
        .run(&tx)
        .await?;
        if confirmed == 0 {
            return Err(StoreError::Conflict(
                "the second factor was confirmed or set up anew in the meantime; look at it again".to_owned(),
            ));
        }
        write_codes(&tx, user_id, codes).await?;
        let kept = session_token.map(digest).unwrap_or_default();
        sql("UPDATE session SET second_factor_at = ? WHERE user_id = ? AND (token_digest = ? OR previous_digest = ?)")
            .bind(at)
            .bind(user_id)
            .bind(kept.as_str())
            .bind(kept.as_str())
            .run(&tx)
            .await?;
        sql("DELETE FROM session WHERE user_id = ? AND second_factor_at IS NULL")
            .bind(user_id)
            .run(&tx)
            .await?;
        audit::note(
            self,
            &tx,
            act,
            ("second_factor_added", user_id),
            &json!({"recovery_codes": codes.len()}),
        )
        .await?;
        tx.commit().await?;
        Ok(())
    }

    /// Uses the code of `step` up, and those before it; answers whether it could still be used.
    pub async fn use_code(&self, tenant: TenantId, user_id: &str, step: i64) -> Result<bool> {
        let tx = self.begin().await?;
        let used = sql("UPDATE second_factor SET last_step = ? \
             WHERE user_id = ? AND tenant_id = ? AND confirmed_at IS NOT NULL AND last_step < ?")
        .bind(step)
        .bind(user_id)
        .bind(tenant.0)
        .bind(step)
        .run(&tx)
        .await?;
        tx.commit().await?;
        Ok(used == 1)
    }

    /// Uses a recovery code up; answers whether it was one that could still be used.
    pub async fn use_recovery_code(&self, act: &Act<'_>, user_id: &str, code: &str) -> Result<bool> {
        let tx = self.begin().await?;
        let used = sql("UPDATE recovery_code SET used_at = ? WHERE user_id = ? AND code_digest = ? AND used_at IS NULL \
             AND EXISTS (SELECT 1 FROM second_factor f WHERE f.user_id = recovery_code.user_id AND f.tenant_id = ? \
             AND f.confirmed_at IS NOT NULL)")
        .bind(self.now())
        .bind(user_id)
        .bind(digest(code))
        .bind(act.tenant.0)
        .run(&tx)
        .await?;
        if used == 1 {
            let left = sql("SELECT COUNT(*) FROM recovery_code WHERE user_id = ? AND used_at IS NULL")
                .bind(user_id)
                .value::<i64>(&tx)
                .await?;
            audit::note(self, &tx, act, ("recovery_code_used", user_id), &json!({"left": left})).await?;
        }
        tx.commit().await?;
        Ok(used == 1)
    }

    /// Replaces the recovery codes, used or not.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] where there is no confirmed second factor.
    pub async fn renew_recovery_codes(&self, act: &Act<'_>, user_id: &str, codes: &[String]) -> Result<()> {
        let tx = self.begin().await?;
        // The row is written to, so that two who renew at once come one after the other.
        let there = sql("UPDATE second_factor SET last_step = last_step WHERE user_id = ? AND tenant_id = ? AND confirmed_at IS NOT NULL")
            .bind(user_id)
            .bind(act.tenant.0)
            .run(&tx)
            .await?;
        if there == 0 {
            return Err(StoreError::Conflict("there is no second factor to recover from".to_owned()));
        }
        write_codes(&tx, user_id, codes).await?;
        audit::note(
            self,
            &tx,
            act,
            ("recovery_codes_renewed", user_id),
            &json!({"recovery_codes": codes.len()}),
        )
        .await?;
        tx.commit().await?;
        Ok(())
    }

    /// Removes somebody's second factor with its recovery codes, and ends the log-ins that wait for it; answers whether there was one.
    /// Where it is not their own, their sessions end too.
    ///
    /// # Errors
    /// [`StoreError::NotAllowed`] where `by` may not.
    pub async fn remove_second_factor(
        &self,
        act: &Act<'_>,
        by: Authority<'_>,
        user_id: &str,
    ) -> Result<bool> {
        let tx = self.begin().await?;
        let is_own = by == Authority::User(user_id);
        if !is_own && !self.right_over(&tx, act.tenant, by, user_id).await? {
            return Ok(false);
        }
        let removed = sql("DELETE FROM second_factor WHERE user_id = ? AND tenant_id = ?")
            .bind(user_id)
            .bind(act.tenant.0)
            .run(&tx)
            .await?;
        if removed == 0 {
            return Ok(false);
        }
        write_codes(&tx, user_id, &[]).await?;
        sql("DELETE FROM login_step WHERE user_id = ?").bind(user_id).run(&tx).await?;
        if !is_own {
            sql("DELETE FROM session WHERE user_id = ?").bind(user_id).run(&tx).await?;
        }
        let payload = json!({"sessions_ended": !is_own});
        audit::note(self, &tx, act, ("second_factor_removed", user_id), &payload).await?;
        tx.commit().await?;
        Ok(true)
    }
}
