//! Sealing the addresses and keys of destinations anew, when a master key is replaced.

use serde_json::json;

use super::one;
use crate::audit::{self, Act};
use crate::secrets::{KeyError, Keyring, Resealed, Sealed};
use crate::statement::{for_update, sql};
use crate::{Store, StoreError, TenantId};
use undertone_core::destination::DestinationKind;

/// What the secrets of a destination are bound to: they open for no other tenant, and in no row of another kind.
#[must_use]
pub fn bound_to(tenant: TenantId, kind: DestinationKind) -> String {
    format!("destination\n{}\n{}", tenant.0, kind.as_str())
}

impl Store {
    /// Seals what is secret of a tenant's destinations anew with the current master key, each in a transaction of its own. Said again, it
    /// does what is left to do.
    ///
    /// # Errors
    /// [`KeyError::NoMasterKey`] where there is nothing to seal them with. One that does not open is told in [`Resealed::unopened`].
    pub async fn reseal_destinations(
        &self,
        act: &Act<'_>,
        keyring: &Keyring,
    ) -> std::result::Result<Resealed, KeyError> {
        let current = keyring.current().ok_or(KeyError::NoMasterKey)?;
        let mut done = Resealed::default();
        for destination in self.destinations(act.tenant).await? {
            let tx = self.begin().await?;
            // Read again under its lock: somebody may have changed it meanwhile.
            let lock = for_update(self.backend());
            let Some(before) = one(&tx, act.tenant, &destination.id, lock).await? else { continue };
            let bound = bound_to(act.tenant, before.kind);
            let sealed = Sealed { key_id: before.key_id.clone(), text: before.secrets };
            let open = |keyring: &Keyring| keyring.open_text("a destination's address", &bound, &sealed);
            let Some(sealed) = keyring.reseal(&mut done, &bound, &before.key_id, open)? else { continue };
            // Who read it before would put back what the old key sealed.
            sql("UPDATE destination SET secrets = ?, key_id = ?, version = version + 1 WHERE tenant_id = ? AND id = ?")
                .bind(sealed.text)
                .bind(sealed.key_id)
                .bind(act.tenant.0)
                .bind(before.id.as_str())
                .run(&tx)
                .await?;
            let payload = json!({"master_key": {"before": before.key_id, "after": current}});
            audit::note(self, &tx, act, ("destination_resealed", &before.id), &payload).await?;
            tx.commit().await.map_err(StoreError::from)?;
            done.resealed += 1;
        }
        Ok(done)
    }
}
