//! Settings and destinations changed together, as a file of configuration asks for it: all of it or none.

use serde_json::Value;

use crate::audit::Act;
use crate::destinations::{Destination, NewDestination};
use crate::statement::for_update;
use crate::{Result, Store, StoreError, destinations, modules};

/// What is to be changed, and what it was when somebody looked.
#[derive(Debug, Default)]
pub struct Reconfigured {
    /// The settings that were saved when somebody looked, and the changes to them: an object of names and values.
    pub settings: Option<(Value, Value)>,
    /// Destinations to be made.
    pub created: Vec<NewDestination>,
    /// Destinations to be changed: id, the version that was seen, and what becomes of it.
    pub changed: Vec<(String, i64, NewDestination)>,
    /// Destinations to be removed: id, and the version that was seen.
    pub removed: Vec<(String, i64)>,
}

impl Store {
    /// Changes all of it in one transaction, each part with its entry in the audit log; answers the destinations that were made.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] where somebody else changed something of it since it was looked at, and nothing is changed then;
    /// [`StoreError::Invalid`] where the settings do not fit together.
    pub async fn reconfigure(&self, act: &Act<'_>, asked: &Reconfigured) -> Result<Vec<Destination>> {
        let tx = self.begin().await?;
        if let Some((seen, changes)) = &asked.settings {
            if modules::locked(self, &tx, act.tenant).await?.saved != *seen {
                return Err(meanwhile());
            }
            self.change_settings_on(&tx, act, changes).await?;
        }
        // Taken in the ids' order first, as whoever keeps what became of messages takes them.
        let changed = asked.changed.iter().map(|(id, ..)| id.as_str());
        let ids = asked.removed.iter().map(|(id, _)| id.as_str()).chain(changed).collect();
        destinations::some(&tx, act.tenant, ids, for_update(self.backend())).await?;
        // Names that become free come first.
        for (id, version) in &asked.removed {
            let now = destinations::version(self, &tx, act.tenant, id).await?;
            if now.is_some_and(|now| now != *version) {
                return Err(meanwhile());
            }
            self.remove_destination_on(&tx, act, id).await?;
        }
        for (id, version, new) in &asked.changed {
            let changed = self.change_destination_on(&tx, act, (id, Some(*version)), new).await?;
            if changed.is_none() {
                return Err(meanwhile());
            }
        }
        let mut made = Vec::with_capacity(asked.created.len());
        for new in &asked.created {
            made.push(self.create_destination_on(&tx, act, new).await?);
        }
        tx.commit().await?;
        if asked.settings.is_some() {
            self.hasten_after_change(act.tenant).await;
        }
        Ok(made)
    }
}

fn meanwhile() -> StoreError {
    let told = "somebody else changed settings or destinations meanwhile; nothing was changed here, look at the plan again";
    StoreError::Conflict(told.to_owned())
}
