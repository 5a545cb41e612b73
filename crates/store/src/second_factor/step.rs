//! Log-ins on their way: who showed one thing and is asked for another.

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::{ConnectionTrait, FromQueryResult};

use crate::keys::digest;
use crate::statement::{for_update, sql};
use crate::users::{Guesser, User, logins, sessions};
use crate::{Result, Store};

/// Whoever is asked for a second factor has this long.
pub const STEP_LASTS: TimeDelta = TimeDelta::minutes(10);

/// A log-in that waits for a second factor.
#[derive(Debug, Clone, PartialEq, Eq, FromQueryResult)]
pub struct LoginStep {
    /// Who logs in.
    pub user_id: String,
    /// Their tenant.
    pub tenant_id: i64,
    /// Their e-mail address.
    pub email: String,
    /// Their role, as a word.
    pub role: String,
    /// The place of this service they want to get to.
    pub next: String,
    /// Until then they may go on.
    pub expires_at: DateTime<Utc>,
}

/// What a session is begun with.
#[derive(Debug, Clone, Copy, Default)]
pub struct NewSession<'a> {
    /// What the browser keeps.
    pub token: &'a str,
    /// What its forms bring along.
    pub csrf_token: &'a str,
    /// The person showed a second factor, here or at a provider that is trusted with it.
    pub second_factor: bool,
    /// What the browser keeps when the session is over, and is known by; none: it is not known.
    pub browser: Option<&'a str>,
    /// What the browser had before.
    pub before: Before<'a>,
}

/// What a browser had before a log-in. It ends with that.
#[derive(Debug, Clone, Copy, Default)]
pub struct Before<'a> {
    /// The token of a session, whosever it was.
    pub session: Option<&'a str>,
    /// What it was known by.
    pub browser: Option<&'a str>,
}

impl<'a> NewSession<'a> {
    /// One without a second factor, in a browser that was nothing before.
    #[must_use]
    pub fn of(token: &'a str, csrf_token: &'a str) -> Self {
        Self { token, csrf_token, ..Self::default() }
    }
}

impl Store {
    /// Notes that somebody may go on with a second factor; `token` is what their browser keeps meanwhile. Answers whether they are still
    /// active and, where a password was found right, whether it is still the one that `checked` was read with.
    pub async fn begin_login_step(
        &self,
        (user_id, checked): (&str, Option<&User>),
        token: &str,
        next: &str,
    ) -> Result<bool> {
        let (tx, at) = (self.begin().await?, self.now());
        sql("DELETE FROM login_step WHERE expires_at < ?").bind(at).run(&tx).await?;
        if self.active(&tx, (user_id, checked)).await?.is_none() {
            return Ok(false);
        }
        sql("INSERT INTO login_step (token_digest, user_id, next, expires_at) VALUES ?")
            .rows([[digest(token).into(), user_id.into(), next.into(), (at + STEP_LASTS).into()]])
            .run(&tx)
            .await?;
        tx.commit().await?;
        Ok(true)
    }

    /// The log-in that waits under `token`, of somebody who is active.
    pub async fn login_step(&self, token: &str) -> Result<Option<LoginStep>> {
        sql("SELECT s.user_id, u.tenant_id, u.email, u.role, s.next, s.expires_at \
             FROM login_step s JOIN app_user u ON u.id = s.user_id \
             WHERE s.token_digest = ? AND s.expires_at > ? AND u.active = ?")
        .bind(digest(token))
        .bind(self.now())
        .bind(true)
        .one(&self.reader)
        .await
    }

    /// Ends the log-in that waits under `token` with a session; answers whether it still waited. The second factor was shown.
    pub async fn finish_login_step(&self, token: &str, new: NewSession<'_>) -> Result<bool> {
        let tx = self.begin().await?;
        let user = sql("DELETE FROM login_step WHERE token_digest = ? AND expires_at > ? RETURNING user_id")
            .bind(digest(token))
            .bind(self.now())
            .value::<String>(&tx)
            .await?;
        let Some(user) = user else { return Ok(false) };
        let begun = self.session_for(&tx, (&user, None), NewSession { second_factor: true, ..new }).await?;
        tx.commit().await?;
        Ok(begun)
    }

    /// Begins a session for somebody who showed who they are without a password; answers whether they are still active.
    pub async fn begin_session_as(&self, user_id: &str, new: NewSession<'_>) -> Result<bool> {
        let tx = self.begin().await?;
        let begun = self.session_for(&tx, (user_id, None), new).await?;
        tx.commit().await?;
        Ok(begun)
    }

    /// The address of somebody who is active and, where a password was found right, still has the one that `checked` was read with. Locked, so
    /// that whoever deactivates them or changes the password meanwhile ends this too.
    async fn active(
        &self,
        tx: &impl ConnectionTrait,
        (user_id, checked): (&str, Option<&User>),
    ) -> Result<Option<String>> {
        #[derive(FromQueryResult)]
        struct Found {
            email: String,
            password_hash: Option<String>,
        }
        let found = sql("SELECT email, password_hash FROM app_user WHERE id = ? AND active = ?")
            .bind(user_id)
            .bind(true)
            .then(for_update(self.backend()))
            .one::<Found>(tx)
            .await?;
        let is_same = |found: &Found| checked.is_none_or(|user| user.password_hash == found.password_hash);
        Ok(found.filter(is_same).map(|found| found.email))
    }

    /// Begins a session for somebody who is still active and whose password is still the one that was found right. The one that the browser
    /// had ends.
    pub(crate) async fn session_for(
        &self,
        tx: &impl ConnectionTrait,
        (user_id, checked): (&str, Option<&User>),
        new: NewSession<'_>,
    ) -> Result<bool> {
        let at = self.now();
        let Some(email) = self.active(tx, (user_id, checked)).await? else { return Ok(false) };
        sql("DELETE FROM session WHERE expires_at < ?").bind(at).run(tx).await?;
        let guesser = Guesser::Outside { email: &email, browser: new.before.browser };
        logins::forgive(tx, guesser, at).await?;
        sql("UPDATE app_user SET last_login_at = ? WHERE id = ?").bind(at).bind(user_id).run(tx).await?;
        if let Some(before) = new.before.session {
            sessions::end(tx, before).await?;
        }
        sessions::insert(self, tx, user_id, (new.token, new.csrf_token)).await?;
        if let Some(browser) = new.browser {
            logins::know_browser(tx, (user_id, at), new.before.browser, browser).await?;
        }
        if new.second_factor {
            sql("UPDATE session SET second_factor_at = ? WHERE token_digest = ?")
                .bind(at)
                .bind(digest(new.token))
                .run(tx)
                .await?;
        }
        Ok(true)
    }
}
