//! What a run is about before it begins, and what it changed once it has ended.

use chrono::{DateTime, Utc};
use sea_orm::FromQueryResult;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use undertone_core::Label;
use undertone_core::backfill::{Asked, Changes, Mode, Moved, Sums};
use undertone_core::verdict::ScorerKind;

use super::RunState;
use super::slice::Wanted;
use crate::rows::{as_word, word};
use crate::statement::sql;
use crate::{Result, Store, Tenant, TenantId};

/// Interactions in one state, for one reason, on one channel.
#[derive(Debug, Clone, PartialEq, Eq, FromQueryResult)]
pub struct Counted {
    /// `scored`, `skipped` or `failed`.
    pub state: String,
    /// Why they have no verdict.
    pub reason: Option<String>,
    /// The way they came.
    pub channel: String,
    /// How many.
    pub count: i64,
}

/// Two verdicts on one interaction, and how far they are apart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, FromQueryResult)]
pub struct Pair {
    /// Our id of the interaction.
    pub interaction_id: String,
    /// The earlier verdict's score.
    pub old_score: i64,
    /// Its label.
    pub old_label: String,
    /// The new verdict's score.
    pub new_score: i64,
    /// Its label.
    pub new_label: String,
}

impl Store {
    /// How many interactions a run would look at, by state, reason and channel; those that wait for a verdict anyway are not among them.
    pub async fn count_for_backfill(&self, tenant: &Tenant, asked: &Asked) -> Result<Vec<Counted>> {
        const COUNT: &str = "SELECT score_state AS state, reason, channel, COUNT(*) AS count FROM interaction WHERE tenant_id = ? AND ";
        let of = if asked.mode == Mode::Refresh {
            "score_state = 'scored'"
        } else {
            // Words, not values, so that the database sees that its index of the few that are not scored will do.
            "score_state IN ('skipped', 'failed') AND score_state <> 'scored'"
        };
        let counted = Wanted::of(asked, tenant.zone).narrow(sql(COUNT).bind(tenant.id.0).then(of));
        counted.then(" GROUP BY score_state, reason, channel").all(&self.reader).await
    }

    /// The lengths in bytes of the texts of the newest interactions that a run may be about, at most `limit`.
    pub async fn newest_lengths(&self, tenant: &Tenant, asked: &Asked, limit: u16) -> Result<Vec<i64>> {
        #[derive(FromQueryResult)]
        struct Length {
            bytes: i64,
        }
        let of = if asked.mode == Mode::Refresh {
            " AND score_state = 'scored'"
        } else {
            " AND score_state IN ('skipped', 'failed') AND score_state <> 'scored'"
        };
        let length =
            if self.engine() == "SQLite" { "LENGTH(CAST(t.body AS BLOB))" } else { "OCTET_LENGTH(t.body)" };
        let query = sql("SELECT CAST(").then(length).then(
            " AS bigint) AS bytes FROM (SELECT tenant_id, id, revision FROM interaction WHERE tenant_id = ?",
        );
        let rows: Vec<Length> = Wanted::of(asked, tenant.zone)
            .narrow(query.bind(tenant.id.0).then(of))
            .then(" ORDER BY id DESC LIMIT ?) AS newest JOIN interaction_text t ON t.tenant_id = newest.tenant_id \
                   AND t.interaction_id = newest.id AND t.revision = newest.revision")
            .bind(i64::from(limit))
            .all(&self.reader)
            .await?;
        Ok(rows.into_iter().map(|row| row.bytes).collect())
    }

    /// What verdicts of `scorer` took since then: how many there are, their tokens, and their cost in millionths of a US dollar. At most the
    /// latest 10,000.
    pub async fn tokens_of_verdicts(
        &self,
        tenant: TenantId,
        scorer: ScorerKind,
        since: DateTime<Utc>,
    ) -> Result<(i64, i64, i64)> {
        #[derive(FromQueryResult)]
        struct Sum {
            verdicts: i64,
            tokens: i64,
            cost_micros: i64,
        }
        let sum = sql("SELECT COUNT(*) AS verdicts, CAST(COALESCE(SUM(tokens), 0) AS bigint) AS tokens, \
             CAST(COALESCE(SUM(cost_micros), 0) AS bigint) AS cost_micros FROM (SELECT tokens, cost_micros FROM interaction_sentiment \
             WHERE tenant_id = ? AND scored_at >= ? AND scorer = ? ORDER BY scored_at DESC, interaction_id DESC LIMIT 10000) AS latest")
        .bind(tenant.0)
        .bind(since)
        .bind(as_word(&scorer))
        .one::<Sum>(&self.reader)
        .await?;
        Ok(sum.map_or((0, 0, 0), |sum| (sum.verdicts, sum.tokens, sum.cost_micros)))
    }

    /// How many items of a run came to nothing, by what became of them and why.
    pub async fn backfill_without_verdict(
        &self,
        tenant: TenantId,
        run: &str,
    ) -> Result<Vec<(String, Option<String>, i64)>> {
        #[derive(FromQueryResult)]
        struct Row {
            outcome: String,
            reason: Option<String>,
            count: i64,
        }
        let rows = sql("SELECT outcome, reason, COUNT(*) AS count FROM backfill_item WHERE tenant_id = ? AND run_id = ? \
             AND outcome IN ('skipped', 'failed', 'superseded') GROUP BY outcome, reason ORDER BY outcome, reason")
        .bind(tenant.0)
        .bind(run)
        .all::<Row>(&self.reader)
        .await?;
        Ok(rows.into_iter().map(|row| (row.outcome, row.reason, row.count)).collect())
    }

    /// How many new verdicts a run gave, by label.
    pub async fn backfill_labels(&self, tenant: TenantId, run: &str) -> Result<Vec<(Label, i64)>> {
        #[derive(FromQueryResult)]
        struct Row {
            new_label: String,
            count: i64,
        }
        let rows = sql("SELECT new_label, COUNT(*) AS count FROM backfill_item WHERE tenant_id = ? AND run_id = ? AND new_label IS NOT NULL \
             GROUP BY new_label")
        .bind(tenant.0)
        .bind(run)
        .all::<Row>(&self.reader)
        .await?;
        let mut labels: Vec<(Label, i64)> = rows
            .into_iter()
            .map(|row| Ok((word("backfill_item", &row.new_label)?, row.count)))
            .collect::<Result<_>>()?;
        labels.sort_unstable();
        Ok(labels)
    }

    /// What a run changed of verdicts that were there before; `None` where it gave none of them anew.
    pub async fn backfill_changes(&self, tenant: TenantId, run: &str) -> Result<Option<Changes>> {
        #[derive(FromQueryResult)]
        struct Row {
            old_label: String,
            new_label: String,
            pairs: i64,
            before: i64,
            after: i64,
            squares: i64,
            other_score: i64,
        }
        let rows = sql("SELECT old_label, new_label, COUNT(*) AS pairs, CAST(SUM(old_score) AS bigint) AS before, \
             CAST(SUM(new_score) AS bigint) AS after, CAST(SUM((new_score - old_score) * (new_score - old_score)) AS bigint) AS squares, \
             CAST(SUM(CASE WHEN new_score <> old_score THEN 1 ELSE 0 END) AS bigint) AS other_score FROM backfill_item \
             WHERE tenant_id = ? AND run_id = ? AND new_score IS NOT NULL AND old_score IS NOT NULL \
             GROUP BY old_label, new_label")
        .bind(tenant.0)
        .bind(run)
        .all::<Row>(&self.reader)
        .await?;
        let (mut sums, mut labels) = (Sums::default(), Vec::new());
        for row in rows {
            let count = row.pairs.cast_unsigned();
            sums.pairs += count;
            sums.before += row.before;
            sums.after += row.after;
            sums.squares += row.squares;
            sums.other_score += row.other_score.cast_unsigned();
            let label = |text: &str| word("backfill_item", text);
            labels.push(Moved { from: label(&row.old_label)?, to: label(&row.new_label)?, count });
        }
        labels.sort_unstable_by_key(|moved| (moved.from, moved.to));
        Ok(Changes::of(sums, labels))
    }

    /// The pairs of verdicts that are farthest apart; those whose label changed first.
    pub async fn backfill_pairs(&self, tenant: TenantId, run: &str, limit: u16) -> Result<Vec<Pair>> {
        sql("SELECT interaction_id, old_score, old_label, new_score, new_label FROM backfill_item WHERE tenant_id = ? AND run_id = ? \
             AND new_score IS NOT NULL AND old_score IS NOT NULL AND (new_score <> old_score OR new_label <> old_label) \
             ORDER BY CASE WHEN new_label <> old_label THEN 0 ELSE 1 END, ABS(new_score - old_score) DESC, interaction_id DESC LIMIT ?")
            .bind(tenant.0)
            .bind(run)
            .bind(i64::from(limit))
            .all(&self.reader)
            .await
    }

    /// Ends a run that `owner` drives, with what came of it. A run that was cancelled keeps who did it and when. Answers whether `owner` still
    /// drove it and nothing of it is open.
    pub async fn end_backfill(
        &self,
        tenant: TenantId,
        run: &str,
        owner: &str,
        (state, detail): (RunState, Option<&str>),
        report: &Json,
    ) -> Result<bool> {
        let tx = self.begin().await?;
        if self.driven(&tx, tenant, run, owner).await?.is_none() {
            return Ok(false);
        }
        let at = self.now();
        // Nothing can be open of one that is done; of others it will not be scored any more.
        sql("UPDATE backfill_item SET outcome = 'cancelled' WHERE tenant_id = ? AND run_id = ? AND outcome IS NULL")
            .bind(tenant.0)
            .bind(run)
            .run(&tx)
            .await?;
        sql("UPDATE backfill_run SET state = ?, detail = ?, report = ?, to_do = ?, lease_owner = NULL, ended_at = COALESCE(ended_at, ?) \
             WHERE tenant_id = ? AND id = ?")
        .bind(state.as_str())
        .bind(detail)
        .bind(report.clone())
        .bind(false)
        .bind(at)
        .bind(tenant.0)
        .bind(run)
        .run(&tx)
        .await?;
        tx.commit().await?;
        Ok(true)
    }
}
