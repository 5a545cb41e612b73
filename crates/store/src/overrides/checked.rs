//! Corrections as they stand in `interaction_sentiment`, held to the revisions they come from.

use std::collections::BTreeSet;

use sea_orm::ConnectionTrait;

use crate::statement::sql;
use crate::{Result, TenantId};

/// What stands is not what the revision in force says, or there is none it could come from.
macro_rules! differs {
    ($s:literal) => {
        concat!(
            "(", $s, ".human_override_score IS DISTINCT FROM (SELECT o.score FROM sentiment_override o WHERE o.tenant_id = ", $s,
            ".tenant_id AND o.id = ", $s, ".human_override_id) OR ", $s,
            ".human_override_label IS DISTINCT FROM (SELECT o.label FROM sentiment_override o WHERE o.tenant_id = ", $s,
            ".tenant_id AND o.id = ", $s, ".human_override_id))"
        )
    };
}

/// The interactions whose correction was changed by hand, at most `most`.
pub(crate) async fn differing(
    on: &impl ConnectionTrait,
    tenant: TenantId,
    most: i64,
) -> Result<BTreeSet<String>> {
    let rows = sql("SELECT s.interaction_id FROM interaction_sentiment s WHERE s.tenant_id = ? \
         AND (s.human_override_id IS NOT NULL OR s.human_override_score IS NOT NULL OR s.human_override_label IS NOT NULL) AND ")
    .bind(tenant.0)
    .then(differs!("s"))
    .then(" ORDER BY s.interaction_id LIMIT ?")
    .bind(most)
    .column::<String>(on)
    .await?;
    Ok(rows.into_iter().collect())
}

/// Puts every correction to what its revision says.
pub(crate) async fn put_back(on: &impl ConnectionTrait, tenant: TenantId) -> Result<()> {
    sql("UPDATE interaction_sentiment SET \
         human_override_score = (SELECT o.score FROM sentiment_override o WHERE o.tenant_id = interaction_sentiment.tenant_id \
           AND o.id = interaction_sentiment.human_override_id), \
         human_override_label = (SELECT o.label FROM sentiment_override o WHERE o.tenant_id = interaction_sentiment.tenant_id \
           AND o.id = interaction_sentiment.human_override_id) \
         WHERE tenant_id = ? AND (human_override_id IS NOT NULL OR human_override_score IS NOT NULL OR human_override_label IS NOT NULL) AND ")
    .bind(tenant.0)
    .then(differs!("interaction_sentiment"))
    .run(on)
    .await?;
    Ok(())
}
