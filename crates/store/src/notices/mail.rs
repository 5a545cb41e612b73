//! E-mail on its way: claimed person by person, under a lease, so that what goes together is one message.

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::{ConnectionTrait, DatabaseTransaction, FromQueryResult, Value};
use serde_json::{Value as Json, json};
use undertone_core::event::{EventKind, payload};

use super::Telling;
use crate::alerts::heard;
use crate::outbox::{self, Caused};
use crate::statement::{for_update, pieces, skip_locked, sql};
use crate::{Result, Store, TenantId};

/// What could not be sent within this time is given up.
pub const GIVEN_UP_AFTER: TimeDelta = TimeDelta::hours(72);
/// Minutes until the next try, by how many there were; then the last one again.
const WAITS: [i64; 7] = [1, 3, 10, 30, 60, 180, 360];

/// A notice that somebody holds to send it by e-mail.
#[derive(Debug, Clone, PartialEq, FromQueryResult)]
pub struct Mail {
    /// The event's place: with the person what the row is found by.
    pub position: i64,
    /// What the Message-ID is made of.
    pub id: String,
    /// It goes in one with the others that do.
    pub together: bool,
    /// The letter it goes in with others, where one was begun; see [`Store::keep_letter`].
    pub letter_id: Option<String>,
    /// Which try this is, from 1.
    pub attempts: i64,
    /// The event's id.
    pub event_id: String,
    /// The event's name.
    pub event: String,
    /// The category's word.
    pub category: String,
    /// What it is about, by id.
    pub subject_id: String,
    /// The interaction it is about, if it is about one.
    pub interaction_id: Option<String>,
    /// What is told of it.
    pub payload: Json,
    /// When it happened.
    pub happened_at: DateTime<Utc>,
    /// When it was due at first; its three days count from then.
    pub due_at: DateTime<Utc>,
}

/// What became of an e-mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MailEnd {
    /// The server took it.
    Sent,
    /// Not this time; the text says why, without an address.
    Later(String),
    /// Never; the text says why, without an address.
    Failed(String),
    /// It was not its turn: it is due again at once, and no try counts.
    Untried,
    /// The person is not to be told of it any more.
    Dropped(String),
}

/// An e-mail whose end is to be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FinishedMail {
    /// The event's place.
    pub position: i64,
    /// The try it was.
    pub attempts: i64,
    /// When it was due at first.
    pub due_at: DateTime<Utc>,
    /// What became of it.
    pub end: MailEnd,
    /// What the server said to it, where it was not taken: on one line and not long. It may quote the letter: it stands with the letter, where an
    /// erasure reaches it, and is told on nowhere.
    pub said: Option<String>,
}

/// A person whose last letter was given up.
#[derive(Debug, Clone, PartialEq, Eq, FromQueryResult)]
pub struct Unreached {
    /// Their address.
    pub email: String,
    /// Letters to them, or parts of letters, that were given up and are still kept.
    pub letters: i64,
    /// When the last was.
    pub at: DateTime<Utc>,
    /// What the last try came to, and what the server said.
    pub error: Option<String>,
}

/// How it stands with a tenant's e-mail.
#[derive(Debug, Clone, PartialEq, Eq, FromQueryResult)]
pub struct Waiting {
    /// Since when the oldest that is due waits.
    pub since: DateTime<Utc>,
    /// What the last try of it came to.
    pub last_error: Option<String>,
}

pub(super) async fn insert(
    store: &Store,
    on: &impl ConnectionTrait,
    tenant: TenantId,
    tellings: &[&Telling<'_>],
    at: DateTime<Utc>,
) -> Result<()> {
    let rows: Vec<[Value; 10]> = tellings
        .iter()
        .filter_map(|telling| {
            let when = telling.email?;
            Some([
                tenant.0.into(),
                telling.user.into(),
                telling.event.position.into(),
                store.new_id(at).into(),
                when.together.into(),
                "pending".into(),
                0_i64.into(),
                when.at.into(),
                when.at.into(),
                at.into(),
            ])
        })
        .collect();
    for piece in pieces(&rows) {
        sql("INSERT INTO mail (tenant_id, user_id, position, id, together, state, attempts, next_at, due_at, created_at) VALUES ? ON CONFLICT DO NOTHING")
            .rows(piece.iter().cloned())
            .run(on)
            .await?;
    }
    Ok(())
}

/// The last letter to a person that was taken or given up was given up.
async fn is_failing(on: &impl ConnectionTrait, tenant: TenantId, user: &str) -> Result<bool> {
    let last =
        sql("SELECT state FROM mail WHERE tenant_id = ? AND user_id = ? AND state IN ('sent', 'failed') \
         ORDER BY finished_at DESC, position DESC LIMIT 1")
        .bind(tenant.0)
        .bind(user)
        .value::<String>(on)
        .await?;
    Ok(last.is_some_and(|state| state == "failed"))
}

impl Store {
    /// People of all tenants who have e-mail that is due: at most `most` of each tenant.
    pub async fn mail_due(&self, most: u16) -> Result<Vec<(TenantId, String)>> {
        let now = self.now();
        let tenants = sql("SELECT t.id FROM tenant t WHERE (SELECT 1 FROM mail m WHERE m.tenant_id = t.id AND m.state = 'pending' \
             AND m.next_at <= ? LIMIT 1) IS NOT NULL ORDER BY t.id")
        .bind(now)
        .tenants(&self.reader)
        .await?;
        let mut due = Vec::new();
        for tenant in tenants {
            let users = sql("SELECT DISTINCT user_id FROM (SELECT user_id FROM mail WHERE tenant_id = ? AND state = 'pending' \
                 AND next_at <= ? ORDER BY next_at LIMIT ?) AS m")
            .bind(tenant.0)
            .bind(now)
            .bind(i64::from(most))
            .column::<String>(&self.reader)
            .await?;
            due.extend(users.into_iter().map(|user| (tenant, user)));
        }
        Ok(due)
    }

    /// Claims up to `most` due e-mails of a person, in order, and with each all that goes in one letter with it. What is not finished when the
    /// lease ends is due again.
    pub async fn claim_mail(
        &self,
        tenant: TenantId,
        user: &str,
        (owner, lease): (&str, TimeDelta),
        most: u16,
    ) -> Result<Vec<Mail>> {
        let now = self.now();
        let tx = self.begin().await?;
        // One node at a time, so that a letter is one node's as a whole.
        sql("SELECT id FROM app_user WHERE tenant_id = ? AND id = ?")
            .bind(tenant.0)
            .bind(user)
            .then(for_update(self.backend()))
            .value::<String>(&tx)
            .await?;
        // What was due for so long, because no server was set or reached, nobody waits for any more.
        sql("UPDATE mail SET state = 'dropped', last_error = ?, finished_at = ?, lease_owner = NULL WHERE tenant_id = ? AND user_id = ? \
             AND state = 'pending' AND next_at <= ? AND due_at < ?")
        .bind("it could not be sent within 72 hours")
        .bind(now)
        .bind(tenant.0)
        .bind(user)
        .bind(now)
        .bind(now - GIVEN_UP_AFTER)
        .run(&tx)
        .await?;
        let mut places = sql(
            "WITH due AS MATERIALIZED (SELECT position FROM mail WHERE tenant_id = ? AND user_id = ? AND state = 'pending' \
             AND next_at <= ? ORDER BY position LIMIT ?",
        )
        .bind(tenant.0)
        .bind(user)
        .bind(now)
        .bind(i64::from(most))
        .then(skip_locked(self.backend()))
        .then(
            ") UPDATE mail SET lease_owner = ?, attempts = attempts + 1, next_at = ? WHERE tenant_id = ? AND user_id = ? \
             AND position IN (SELECT position FROM due) RETURNING position",
        )
        .bind(owner)
        .bind(now + lease)
        .bind(tenant.0)
        .bind(user)
        .column::<i64>(&tx)
        .await?;
        let others = sql("UPDATE mail SET lease_owner = ?, attempts = attempts + 1, next_at = ? WHERE tenant_id = ? AND user_id = ? \
             AND state = 'pending' AND (lease_owner IS NULL OR next_at <= ?) AND letter_id IN (SELECT m.letter_id FROM mail m \
             WHERE m.tenant_id = ? AND m.user_id = ? AND m.lease_owner = ? AND m.letter_id IS NOT NULL) RETURNING position")
        .bind(owner)
        .bind(now + lease)
        .bind(tenant.0)
        .bind(user)
        .bind(now)
        .bind(tenant.0)
        .bind(user)
        .bind(owner)
        .column::<i64>(&tx)
        .await?;
        places.extend(others);
        let mut mails = Vec::with_capacity(places.len());
        for piece in pieces(&places) {
            mails.extend(
                sql("SELECT m.position, m.id, m.together, m.letter_id, m.attempts, n.event_id, n.event, n.category, n.subject_id, n.interaction_id, \
                     n.payload, n.happened_at, COALESCE(m.due_at, m.created_at) AS due_at FROM mail m JOIN notice n ON n.tenant_id = m.tenant_id AND n.position = m.position \
                     WHERE m.tenant_id = ? AND m.user_id = ? AND m.position IN ?")
                .bind(tenant.0)
                .bind(user)
                .list(piece.iter().copied())
                .all::<Mail>(&tx)
                .await?,
            );
        }
        tx.commit().await?;
        mails.sort_by_key(|mail| mail.position);
        Ok(mails)
    }

    /// Notes that these e-mails of a person, by their places, go in one letter of this id, before it is sent: every later try is the same letter,
    /// whatever else has come to be due. Answers whether `owner` holds all of them and none is in another letter.
    pub async fn keep_letter(
        &self,
        tenant: TenantId,
        user: &str,
        (owner, letter): (&str, &str),
        places: &[i64],
    ) -> Result<bool> {
        let tx = self.begin().await?;
        let mut kept = 0;
        for piece in pieces(places) {
            kept += sql("UPDATE mail SET letter_id = ? WHERE tenant_id = ? AND user_id = ? AND position IN ? AND lease_owner = ? \
                 AND state = 'pending' AND letter_id IS NULL")
            .bind(letter)
            .bind(tenant.0)
            .bind(user)
            .list(piece.iter().copied())
            .bind(owner)
            .run(&tx)
            .await?;
        }
        if kept != places.len() as u64 {
            return Ok(false);
        }
        tx.commit().await?;
        Ok(true)
    }

    /// Keeps what became of a person's e-mails; one that is somebody else's by now stays theirs. Answers how many were kept.
    pub async fn finish_mail(
        &self,
        tenant: TenantId,
        user: &str,
        owner: &str,
        finished: &[FinishedMail],
    ) -> Result<usize> {
        let tx = self.begin().await?;
        let now = self.now();
        let (mut kept, mut arrived, mut given_up) = (0, Vec::new(), None);
        let may_fail = finished.iter().any(|mail| matches!(mail.end, MailEnd::Later(_) | MailEnd::Failed(_)));
        let failed_before = may_fail && is_failing(&tx, tenant, user).await?;
        for mail in finished {
            let wait = WAITS[usize::try_from(mail.attempts - 1).unwrap_or_default().min(WAITS.len() - 1)];
            let untried = mail.end == MailEnd::Untried;
            let next_at = if untried { now } else { now + TimeDelta::minutes(wait) };
            let (state, error) = match &mail.end {
                MailEnd::Sent => ("sent", None),
                MailEnd::Later(why) if next_at - mail.due_at > GIVEN_UP_AFTER => ("failed", Some(why)),
                MailEnd::Later(why) => ("pending", Some(why)),
                MailEnd::Untried => ("pending", None),
                MailEnd::Failed(why) => ("failed", Some(why)),
                MailEnd::Dropped(why) => ("dropped", Some(why)),
            };
            let ended = (state != "pending").then_some(now);
            let whole = error.map(|why| match &mail.said {
                Some(said) => format!("{why}: {said}"),
                None => why.clone(),
            });
            let is_kept = sql("UPDATE mail SET state = ?, last_error = ?, next_at = ?, finished_at = ?, attempts = attempts - ?, lease_owner = NULL \
                 WHERE tenant_id = ? AND user_id = ? AND position = ? AND lease_owner = ? AND attempts = ? AND state = 'pending'")
            .bind(state)
            .bind(whole)
            .bind(next_at)
            .bind(ended)
            .bind(i64::from(untried))
            .bind(tenant.0)
            .bind(user)
            .bind(mail.position)
            .bind(owner)
            .bind(mail.attempts)
            .run(&tx)
            .await?
                > 0;
            kept += usize::from(is_kept);
            if is_kept && mail.end == MailEnd::Sent {
                arrived.push(mail.position);
            }
            if is_kept && state == "failed" {
                given_up = error;
            }
        }
        if let Some(why) = given_up.filter(|_| !failed_before) {
            self.tell_of_failing_mail(&tx, tenant, user, why).await?;
        }
        heard::note_mails(&tx, (tenant, now), user, &arrived).await?;
        tx.commit().await?;
        Ok(kept)
    }

    /// That a person gets no e-mail. What the server said is left out: no erasure reaches it there.
    async fn tell_of_failing_mail(
        &self,
        tx: &DatabaseTransaction,
        tenant: TenantId,
        user: &str,
        why: &str,
    ) -> Result<()> {
        let address = sql("SELECT email FROM app_user WHERE tenant_id = ? AND id = ?")
            .bind(tenant.0)
            .bind(user)
            .value::<String>(tx)
            .await?;
        let Some(email) = address else { return Ok(()) };
        let at = self.now();
        let payload = json!(payload::MailFailing {
            tenant_id: tenant.0,
            user_id: user,
            email: &email,
            reason: why,
            at,
        });
        outbox::emit(self, tx, tenant, at, vec![Caused::new(EventKind::MailFailing, user, payload)]).await
    }

    /// The active people of a tenant whose last letter was given up, by address.
    pub async fn mail_unreached(&self, tenant: TenantId) -> Result<Vec<Unreached>> {
        sql("SELECT u.email, m.finished_at AS at, m.last_error AS error, (SELECT COUNT(*) FROM mail f WHERE f.tenant_id = u.tenant_id \
             AND f.user_id = u.id AND f.state = 'failed') AS letters FROM app_user u JOIN mail m ON m.tenant_id = u.tenant_id AND m.user_id = u.id \
             WHERE u.tenant_id = ? AND u.active = ? AND m.state = 'failed' AND NOT EXISTS (SELECT 1 FROM mail l WHERE l.tenant_id = m.tenant_id \
             AND l.user_id = m.user_id AND l.state IN ('sent', 'failed') AND (l.finished_at > m.finished_at \
             OR l.finished_at = m.finished_at AND l.position > m.position)) ORDER BY u.email")
        .bind(tenant.0)
        .bind(true)
        .all::<Unreached>(&self.reader)
        .await
    }

    /// The e-mail of a tenant that is due for the longest; `None`: nothing waits.
    pub async fn mail_waiting(&self, tenant: TenantId) -> Result<Option<Waiting>> {
        sql("SELECT COALESCE(due_at, created_at) AS since, last_error FROM mail WHERE tenant_id = ? AND state = 'pending' AND next_at <= ? \
             ORDER BY next_at LIMIT 1")
        .bind(tenant.0)
        .bind(self.now())
        .one(&self.reader)
        .await
    }
}
