//! What is due: a statement for each stage. Ids begin with the moment of arrival, so the end of what is due is a place among them, and nothing
//! younger is looked at.

use super::{Clocks, Stage};
use crate::rows::first_id_of;
use crate::statement::{Sql, sql};
use crate::{Result, Store, TenantId};

/// Labels that were given before a moment, by the digests of their texts.
const LABELS: &str =
    "SELECT i.digest FROM labelled_text i WHERE i.tenant_id = ? AND i.digest > ? AND i.labelled_at < ?";

/// Texts that are due: interactions that arrived before a moment, which nobody reads just now, and whose customer is not under hold. What waits for
/// an LLM may wait for years; its text does not.
const TEXTS: &str = "SELECT i.id FROM interaction i WHERE i.tenant_id = ? AND i.id > ? AND i.id < ? AND i.received_at < ? \
    AND NOT (i.score_state = 'pending' AND i.lease_owner IS NOT NULL AND i.next_attempt_at > ?) AND EXISTS (SELECT 1 FROM interaction_text t WHERE t.tenant_id = i.tenant_id AND t.interaction_id = i.id) \
    AND NOT EXISTS (SELECT 1 FROM legal_hold h WHERE h.tenant_id = i.tenant_id AND h.customer_id = i.customer_id)";

/// Conversations of which nothing was told since, and of which no text is left. Like all that are due when nothing of theirs is left, it ends
/// within the question what is left.
const SUBJECTS: &str = "SELECT i.id FROM conversation i WHERE i.tenant_id = ? AND i.id > ? AND i.id < ? AND i.updated_at < ? \
    AND (i.subject IS NOT NULL OR i.tags IS NOT NULL) \
    AND NOT EXISTS (SELECT 1 FROM legal_hold h WHERE h.tenant_id = i.tenant_id AND h.customer_id = i.customer_id) \
    AND NOT EXISTS (SELECT 1 FROM interaction x JOIN interaction_text t ON t.tenant_id = x.tenant_id AND t.interaction_id = x.id \
    WHERE x.tenant_id = i.tenant_id AND x.conversation_id = i.id";

/// Interactions that are due: as texts are, and their day is sealed.
const SCORES: &str = "SELECT i.id FROM interaction i WHERE i.tenant_id = ? AND i.id > ? AND i.id < ? AND i.received_at < ? \
    AND NOT (i.score_state = 'pending' AND i.lease_owner IS NOT NULL AND i.next_attempt_at > ?) AND NOT EXISTS (SELECT 1 FROM interaction_sentiment s WHERE s.tenant_id = i.tenant_id \
    AND s.interaction_id = i.id AND s.occurred_on >= ?) \
    AND NOT EXISTS (SELECT 1 FROM legal_hold h WHERE h.tenant_id = i.tenant_id AND h.customer_id = i.customer_id)";

/// Customers of whom nothing is left, of whom nothing was heard since, and who do not have to stay: one who opted out stays opted out.
const CUSTOMERS: &str = "SELECT i.id FROM customer i WHERE i.tenant_id = ? AND i.id > ? AND i.id < ? AND i.updated_at < ? \
    AND i.erased_at IS NULL AND i.opted_out_at IS NULL \
    AND NOT EXISTS (SELECT 1 FROM legal_hold h WHERE h.tenant_id = i.tenant_id AND h.customer_id = i.id) \
    AND NOT EXISTS (SELECT 1 FROM interaction x WHERE x.tenant_id = i.tenant_id AND x.customer_id = i.id";

/// Conversations of which nothing is left.
const CONVERSATIONS: &str = "SELECT i.id FROM conversation i WHERE i.tenant_id = ? AND i.id > ? AND i.id < ? AND i.updated_at < ? \
    AND NOT EXISTS (SELECT 1 FROM legal_hold h WHERE h.tenant_id = i.tenant_id AND h.customer_id = i.customer_id) \
    AND NOT EXISTS (SELECT 1 FROM interaction x WHERE x.tenant_id = i.tenant_id AND x.conversation_id = i.id";

/// Alerts that are due, wherever they stand: whose customer is not under hold.
const ALERTS: &str = "SELECT i.id FROM alert i WHERE i.tenant_id = ? AND i.id > ? AND i.id < ? AND i.raised_at < ? \
    AND NOT EXISTS (SELECT 1 FROM legal_hold h WHERE h.tenant_id = i.tenant_id AND h.customer_id = i.customer_id)";

/// Incidents that ended and of which no alert is left.
const INCIDENTS: &str = "SELECT i.id FROM incident i WHERE i.tenant_id = ? AND i.id > ? AND i.id < ? AND i.closed_at < ? \
    AND NOT EXISTS (SELECT 1 FROM alert x WHERE x.tenant_id = i.tenant_id AND x.incident_id = i.id";

/// Moments at which people were told of somebody, longer ago than any cooldown lasts.
const COOLDOWNS: &str = "SELECT i.customer_id FROM alert_cooldown i WHERE i.tenant_id = ? AND i.customer_id > ? AND i.last_at < ? \
    AND NOT EXISTS (SELECT 1 FROM legal_hold h WHERE h.tenant_id = i.tenant_id AND h.customer_id = i.customer_id)";

/// What is left is due as well, and goes in an earlier stage of the same run.
const TEXT_STAYS: &str = " AND NOT (x.id < ? AND x.received_at < ? AND NOT (x.score_state = 'pending' AND x.lease_owner IS NOT NULL AND x.next_attempt_at > ?) \
    AND NOT EXISTS (SELECT 1 FROM legal_hold h WHERE h.tenant_id = x.tenant_id AND h.customer_id = x.customer_id))";
const SCORE_STAYS: &str = " AND NOT (x.id < ? AND x.received_at < ? AND NOT (x.score_state = 'pending' AND x.lease_owner IS NOT NULL AND x.next_attempt_at > ?) \
    AND NOT EXISTS (SELECT 1 FROM interaction_sentiment s WHERE s.tenant_id = x.tenant_id AND s.interaction_id = x.id AND s.occurred_on >= ?) \
    AND NOT EXISTS (SELECT 1 FROM legal_hold h WHERE h.tenant_id = x.tenant_id AND h.customer_id = x.customer_id))";
const ALERT_STAYS: &str = " AND NOT (x.id < ? AND x.raised_at < ? \
    AND NOT EXISTS (SELECT 1 FROM legal_hold h WHERE h.tenant_id = x.tenant_id AND h.customer_id = x.customer_id))";

/// When it is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    /// In its stage: what is there is there.
    InTurn,
    /// Before the run: what goes in its earlier stages does not count as being there.
    Ahead,
}

/// More of a statement: what is due in a stage after `cursor`. Entries of the audit log are not found this way.
pub(super) fn due(
    statement: Sql,
    (tenant, clocks): (TenantId, &Clocks),
    (stage, cursor): (Stage, &str),
    asked: Asked,
) -> Sql {
    let (text, before) = match stage {
        Stage::Labels => (LABELS, clocks.texts_before),
        Stage::Texts => (TEXTS, clocks.texts_before),
        Stage::Subjects => (SUBJECTS, clocks.texts_before),
        Stage::Alerts => (ALERTS, clocks.alerts_before),
        Stage::Incidents => (INCIDENTS, clocks.alerts_before),
        Stage::Cooldowns => (COOLDOWNS, clocks.alerts_before),
        Stage::Scores => (SCORES, clocks.scores_before),
        Stage::Customers => (CUSTOMERS, clocks.scores_before),
        Stage::Conversations => (CONVERSATIONS, clocks.scores_before),
        Stage::Audit => ("", clocks.audit_before),
    };
    let mut query = statement.then(text).bind(tenant.0).bind(cursor);
    if !matches!(stage, Stage::Labels | Stage::Cooldowns) {
        query = query.bind(first_id_of(before));
    }
    query = query.bind(before);
    let stays = match stage {
        Stage::Texts => return query.bind(clocks.now),
        Stage::Scores => return query.bind(clocks.now).bind(clocks.sealed_before),
        Stage::Subjects => TEXT_STAYS,
        Stage::Incidents => ALERT_STAYS,
        Stage::Customers | Stage::Conversations => SCORE_STAYS,
        _ => return query,
    };
    if asked == Asked::Ahead {
        query = query.then(stays).bind(first_id_of(before)).bind(before);
        if stays != ALERT_STAYS {
            query = query.bind(clocks.now);
        }
        if stays == SCORE_STAYS {
            query = query.bind(clocks.sealed_before);
        }
    }
    query.then(")")
}

impl Store {
    /// Anything that has scores is due.
    pub(super) async fn are_scores_due(&self, tenant: TenantId, clocks: &Clocks) -> Result<bool> {
        let due = sql("SELECT id FROM interaction WHERE tenant_id = ? AND id < ? AND received_at < ? ORDER BY id LIMIT 1")
            .bind(tenant.0)
            .bind(first_id_of(clocks.scores_before))
            .bind(clocks.scores_before)
            .value::<String>(&self.reader)
            .await?;
        Ok(due.is_some())
    }
}

/// How much a run would count in each of its stages.
pub(super) async fn count(store: &Store, tenant: TenantId, clocks: &Clocks, stage: Stage) -> Result<u64> {
    let all = |statement: Sql, stage: Stage| due(statement, (tenant, clocks), (stage, ""), Asked::Ahead);
    let counted = sql("SELECT COUNT(*) FROM (");
    let query = match stage {
        Stage::Audit => return store.old_audit(tenant, clocks.audit_before).await,
        // Every revision is one.
        Stage::Texts => {
            let texts = counted
                .then("SELECT t.interaction_id FROM interaction_text t WHERE t.tenant_id = ?")
                .bind(tenant.0);
            all(texts.then(" AND t.interaction_id IN ("), stage).then(")")
        }
        // Alerts go with their interactions as well, and cooldowns and conversations with their customers.
        Stage::Alerts => {
            let alerts = all(counted, stage)
                .then(" UNION SELECT a.id FROM alert a WHERE a.tenant_id = ?")
                .bind(tenant.0);
            all(alerts.then(" AND a.interaction_id IN ("), Stage::Scores).then(")")
        }
        Stage::Cooldowns => {
            let cooldowns = all(counted, stage)
                .then(" UNION SELECT c.customer_id FROM alert_cooldown c WHERE c.tenant_id = ?")
                .bind(tenant.0);
            all(cooldowns.then(" AND c.customer_id IN ("), Stage::Customers).then(")")
        }
        Stage::Conversations => {
            let left = all(counted, stage)
                .then(" UNION SELECT c.id FROM conversation c WHERE c.tenant_id = ?")
                .bind(tenant.0)
                .then(" AND NOT EXISTS (SELECT 1 FROM interaction x WHERE x.tenant_id = c.tenant_id AND x.conversation_id = c.id")
                .then(SCORE_STAYS)
                .bind(first_id_of(clocks.scores_before))
                .bind(clocks.scores_before)
                .bind(clocks.now)
                .bind(clocks.sealed_before);
            all(left.then(") AND c.customer_id IN ("), Stage::Customers).then(")")
        }
        _ => all(counted, stage),
    };
    let many = query.then(") AS due").value::<i64>(&store.reader).await?;
    Ok(many.unwrap_or_default().unsigned_abs())
}

#[cfg(test)]
mod tests {
    use chrono::{TimeZone, Utc};

    use super::*;

    #[test]
    fn ids_of_the_time_lie_on_its_sides() {
        let at = Utc.with_ymd_and_hms(2026, 11, 20, 12, 0, 0).unwrap();
        // Ids as version 7 has them: 48 bits of milliseconds first.
        let id = |millis: i64| format!("{:08x}-{:04x}-7abc-8000-000000000000", millis >> 16, millis & 0xffff);
        let bound = first_id_of(at);
        assert!(id(at.timestamp_millis() - 1) < bound && bound < id(at.timestamp_millis()));
    }
}
