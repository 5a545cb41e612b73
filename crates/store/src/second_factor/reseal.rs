//! Seeds sealed anew, while a master key is replaced.

use serde_json::json;

use super::{COLUMNS, Row, SecondFactor, bound_to};
use crate::audit::{self, Act};
use crate::secrets::{KeyError, Keyring, Resealed};
use crate::statement::sql;
use crate::{Store, StoreError};

/// Seeds sealed anew in one transaction.
const SLICE: i64 = 200;

impl Store {
    /// Seals the seeds of a tenant's second factors anew with the current master key. Broken off, it is said again and does what is left.
    ///
    /// # Errors
    /// [`KeyError::NoMasterKey`] where there is nothing to seal them with. A seed that does not open is told in [`Resealed::unopened`].
    pub async fn reseal_second_factors(
        &self,
        act: &Act<'_>,
        keyring: &Keyring,
    ) -> Result<Resealed, KeyError> {
        let current = keyring.current().ok_or(KeyError::NoMasterKey)?;
        let (mut done, mut after) = (Resealed::default(), String::new());
        loop {
            let tx = self.begin().await?;
            let rows = sql(COLUMNS)
                .then("WHERE f.tenant_id = ? AND f.user_id > ? ORDER BY f.user_id LIMIT ?")
                .bind(act.tenant.0)
                .bind(after.as_str())
                .bind(SLICE)
                .all::<Row>(&tx)
                .await?;
            let Some(last) = rows.last() else { return Ok(done) };
            after = last.user_id.clone();
            let before = done.resealed;
            for factor in rows.into_iter().map(SecondFactor::from) {
                let (bound, kept) = (bound_to(factor.tenant, &factor.user_id), &factor.sealed);
                let open = |keyring: &Keyring| keyring.open_text("the seed of a second factor", &bound, kept);
                let Some(sealed) = keyring.reseal(&mut done, &bound, &kept.key_id, open)? else { continue };
                // Whoever set another one up meanwhile sealed it with the current key.
                done.resealed +=
                    sql("UPDATE second_factor SET key_id = ?, sealed = ? WHERE user_id = ? AND sealed = ?")
                        .bind(sealed.key_id)
                        .bind(sealed.text)
                        .bind(&factor.user_id)
                        .bind(&factor.sealed.text)
                        .run(&tx)
                        .await?;
            }
            if done.resealed > before {
                let payload = json!({"master_key": {"after": current}, "seeds": done.resealed - before});
                audit::note(self, &tx, act, ("second_factors_resealed", ""), &payload).await?;
            }
            tx.commit().await.map_err(StoreError::from)?;
        }
    }
}
