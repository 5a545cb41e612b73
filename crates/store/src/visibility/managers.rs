//! Who looks after an account. It decides what they see of its customers under some policies, so only who appoints people says it.

use serde_json::json;

use crate::audit::{self, Act};
use crate::statement::{for_update, sql};
use crate::{Result, Store, StoreError};

impl Store {
    /// Gives an account, by the source's id, into the care of a user of the tenant, or of nobody; answers whether there is such an account.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] where there is no such user.
    pub async fn set_account_manager(
        &self,
        act: &Act<'_>,
        external_id: &str,
        user: Option<&str>,
    ) -> Result<bool> {
        let tx = self.begin().await?;
        if let Some(user) = user {
            let known = sql("SELECT id FROM app_user WHERE tenant_id = ? AND id = ?")
                .bind(act.tenant.0)
                .bind(user)
                .value::<String>(&tx)
                .await?;
            if known.is_none() {
                return Err(StoreError::Invalid(
                    "`user` is the id of a user of this tenant, or null".to_owned(),
                ));
            }
        }
        let before = sql("SELECT manager_id FROM account WHERE tenant_id = ? AND external_id = ?")
            .bind(act.tenant.0)
            .bind(external_id)
            .then(for_update(self.backend()))
            .value::<Option<String>>(&tx)
            .await?;
        let Some(before) = before else { return Ok(false) };
        if before.as_deref() != user {
            sql("UPDATE account SET manager_id = ?, updated_at = ? WHERE tenant_id = ? AND external_id = ?")
                .bind(user)
                .bind(self.now())
                .bind(act.tenant.0)
                .bind(external_id)
                .run(&tx)
                .await?;
            let change = json!({"before": {"manager": before}, "after": {"manager": user}});
            audit::note(self, &tx, act, ("account_manager_set", external_id), &change).await?;
        }
        tx.commit().await?;
        Ok(true)
    }
}
