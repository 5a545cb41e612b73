//! What scoring goes by for a tenant: its module, its phrases and categories, and the lesson in force.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use undertone_scoring::Knowledge;
use undertone_scoring::local::Lesson;
use undertone_store::modules::Module;
use undertone_store::{Store, StoreError, TenantId};

/// Tenants whose lesson stays at hand. One more, and all are read anew when next asked for.
const MOST_TENANTS: usize = 256;

/// The version of a tenant's lesson, and the lesson.
type Known = HashMap<TenantId, (i64, Arc<Lesson>)>;

/// What was read, by tenant.
#[derive(Debug, Default, Clone)]
pub struct Lessons(Arc<Mutex<Known>>);

impl Lessons {
    /// The tenant's module, and what it told.
    pub async fn knowledge(
        &self,
        store: &Store,
        tenant: TenantId,
    ) -> Result<(Module, Arc<Knowledge>), StoreError> {
        let module = store.module(tenant).await?;
        let lesson = self.in_force(store, tenant).await?;
        let knowledge = Knowledge { lesson, ..Knowledge::of(&module.settings) };
        Ok((module, Arc::new(knowledge)))
    }

    /// The lesson in force. A lesson never changes, so only its version is asked for each time.
    async fn in_force(&self, store: &Store, tenant: TenantId) -> Result<Option<Arc<Lesson>>, StoreError> {
        let Some(version) = store.lesson_in_force(tenant).await? else { return Ok(None) };
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&tenant).cloned();
        if let Some((_, lesson)) = known.filter(|(known, _)| *known == version) {
            return Ok(Some(lesson));
        }
        let Some(body) = store.lesson(tenant, version).await? else { return Ok(None) };
        let lesson: Lesson = match serde_json::from_str(&body) {
            Ok(lesson) => lesson,
            Err(error) => {
                // Scoring goes on with the model as it came; the next lesson replaces this one.
                tracing::error!(%error, tenant = tenant.0, "lesson {version} of tenant {} can not be read: {error}", tenant.0);
                return Ok(None);
            }
        };
        let lesson = Arc::new(lesson);
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= MOST_TENANTS {
            all.clear();
        }
        all.insert(tenant, (version, lesson.clone()));
        Ok(Some(lesson))
    }
}
