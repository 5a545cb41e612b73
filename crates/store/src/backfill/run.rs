//! A run as it is kept.

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::FromQueryResult;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use undertone_core::backfill::{Asked, Mode};
use undertone_core::verdict::ScorerKind;

use crate::rows::word;
use crate::statement::sql;
use crate::{Result, Store, StoreError, TenantId};

/// The columns of the table, for what can not be read.
const TABLE: &str = "backfill_run";

/// Where a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RunState {
    /// It goes on by itself.
    Running,
    /// Somebody stopped it for now.
    Paused,
    /// It did all there was to do.
    Done,
    /// Somebody ended it.
    Cancelled,
    /// It can not go on, for the reason in its detail.
    Failed,
}

impl RunState {
    /// The word used in the store and the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Done => "done",
            Self::Cancelled => "cancelled",
            Self::Failed => "failed",
        }
    }
}

/// A run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Run {
    /// Its id.
    pub id: String,
    /// Where it stands.
    pub state: RunState,
    /// Why it failed.
    pub detail: Option<String>,
    /// What it was asked to do.
    pub asked: Asked,
    /// What was expected of it before it began.
    pub estimate: Json,
    /// Nothing is left to be looked at, only to be finished.
    pub exhausted: bool,
    /// No slice is begun before this.
    #[serde(skip)]
    pub rests_until: DateTime<Utc>,
    /// Interactions it took in hand.
    pub opened: i64,
    /// Of them those that have a new verdict.
    pub scored: i64,
    /// Those that were looked at and have none, for a reason.
    pub skipped: i64,
    /// Those that failed each time.
    pub failed: i64,
    /// Those whose text was revised or removed meanwhile.
    pub superseded: i64,
    /// Tokens that the new verdicts took.
    pub tokens: i64,
    /// What they cost, in millionths of a US dollar.
    pub cost_micros: i64,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// Who began it.
    pub started_by: String,
    /// Since when it runs without a break.
    pub running_since: DateTime<Utc>,
    /// How many were decided before that.
    #[serde(skip)]
    pub decided_before: i64,
    /// When it ended.
    pub ended_at: Option<DateTime<Utc>>,
    /// Who ended it, where somebody did.
    pub ended_by: Option<String>,
    /// What came of it.
    pub report: Option<Json>,
    /// When a node last had it in hand; `None`: no service works on it yet.
    pub driven_at: Option<DateTime<Utc>>,
}

impl Run {
    /// Interactions that are decided about.
    #[must_use]
    pub fn decided(&self) -> i64 {
        self.scored + self.skipped + self.failed + self.superseded
    }

    /// The mode it runs in.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.asked.mode
    }
}

/// A row of the table.
#[derive(FromQueryResult)]
pub(super) struct Row {
    id: String,
    state: String,
    detail: Option<String>,
    asked: Json,
    estimate: Json,
    exhausted: bool,
    rests_until: DateTime<Utc>,
    opened: i64,
    scored: i64,
    skipped: i64,
    failed: i64,
    superseded: i64,
    tokens: i64,
    cost_micros: i64,
    started_at: DateTime<Utc>,
    started_by: String,
    running_since: DateTime<Utc>,
    decided_before: i64,
    ended_at: Option<DateTime<Utc>>,
    ended_by: Option<String>,
    report: Option<Json>,
    driven_at: Option<DateTime<Utc>>,
}

impl TryFrom<Row> for Run {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self> {
        let asked = serde_json::from_value(row.asked)
            .map_err(|e| StoreError::Unreadable { table: TABLE, detail: e.to_string() })?;
        Ok(Self {
            id: row.id,
            state: word(TABLE, &row.state)?,
            detail: row.detail,
            asked,
            estimate: row.estimate,
            exhausted: row.exhausted,
            rests_until: row.rests_until,
            opened: row.opened,
            scored: row.scored,
            skipped: row.skipped,
            failed: row.failed,
            superseded: row.superseded,
            tokens: row.tokens,
            cost_micros: row.cost_micros,
            started_at: row.started_at,
            started_by: row.started_by,
            running_since: row.running_since,
            decided_before: row.decided_before,
            ended_at: row.ended_at,
            ended_by: row.ended_by,
            report: row.report,
            driven_at: row.driven_at,
        })
    }
}

impl Store {
    /// The scorers that runs asked for which are under way or ended within the last `days` days, of whatever kind and however. One that left
    /// it to the settings is not among them.
    pub async fn scorers_of_runs(&self, tenant: TenantId, days: u32) -> Result<Vec<ScorerKind>> {
        // What goes through batches is Claude's. SQLite tells `true` as 1.
        let words: Vec<Option<String>> = sql(
            "SELECT DISTINCT CASE WHEN CAST(asked ->> 'via_batches' AS text) IN ('1', 'true') THEN 'claude' \
             ELSE asked ->> 'scorer' END FROM backfill_run WHERE tenant_id = ? AND (ended_at IS NULL OR ended_at >= ?)",
        )
        .bind(tenant.0)
        .bind(self.now() - TimeDelta::days(i64::from(days)))
        .column(&self.reader)
        .await?;
        words.iter().flatten().map(|scorer| word(TABLE, scorer)).collect()
    }
}

/// The beginning of every query about runs of a tenant.
pub(super) const COLUMNS: &str = "SELECT id, state, detail, asked, estimate, exhausted, rests_until, opened, scored, skipped, failed, superseded, tokens, \
    cost_micros, started_at, started_by, running_since, decided_before, ended_at, ended_by, report, driven_at FROM backfill_run \
    WHERE tenant_id = ?";
