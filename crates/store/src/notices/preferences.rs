//! What each person chose about being told, and the links in e-mails by which they choose less.

use hmac::{Hmac, Mac};
use sea_orm::FromQueryResult;
use serde_json::{Value as Json, json};
use sha2::Sha256;
use undertone_core::notification::{Category, Channels, Preferences};

use crate::audit::{self, Act, hex};
use crate::secrets::unhex;
use crate::statement::{for_update, sql};
use crate::{Result, Store, StoreError, TenantId};

/// Hexadecimal digits of a link's signature: 128 bits.
const SIGNATURE: usize = 32;

/// What a row holds.
pub(super) fn read(json: Json) -> Result<Preferences> {
    serde_json::from_value(json)
        .map_err(|e| StoreError::Unreadable { table: "notification_preference", detail: e.to_string() })
}

/// Nothing by e-mail, everything in the inbox.
pub(super) fn in_app_only() -> Preferences {
    let in_app = Channels { in_app: true, email: false };
    Preferences { categories: Category::ALL.map(|one| (one, in_app)).into(), ..Preferences::default() }
}

#[derive(FromQueryResult)]
struct Row {
    preferences: Json,
    version: i64,
}

/// Whose e-mails of which category a link ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscription {
    /// Their tenant.
    pub tenant: TenantId,
    /// Their id.
    pub user: String,
    /// Their address.
    pub email: String,
    /// Of what; `None`: of everything.
    pub category: Option<Category>,
}

/// The word for every category in a link.
const ALL: &str = "all";

impl Store {
    /// What a person chose, and which version of it this is; 0 where they chose nothing yet.
    pub async fn notification_preferences(&self, tenant: TenantId, user: &str) -> Result<(Preferences, i64)> {
        let row = sql(
            "SELECT preferences, version FROM notification_preference WHERE tenant_id = ? AND user_id = ?",
        )
        .bind(tenant.0)
        .bind(user)
        .one::<Row>(&self.reader)
        .await?;
        row.map_or(Ok((Preferences::default(), 0)), |row| Ok((read(row.preferences)?, row.version)))
    }

    /// Keeps what a person chose, in place of the version they saw; `None`: of whatever is there.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] where it was changed meanwhile, [`StoreError::Invalid`] where it can not be kept.
    pub async fn choose_notifications(
        &self,
        act: &Act<'_>,
        (user, version): (&str, Option<i64>),
        chosen: &Preferences,
    ) -> Result<i64> {
        chosen.check().map_err(StoreError::Invalid)?;
        self.change_preferences(act, (user, version), |_| chosen.clone()).await
    }

    /// A person gets no more e-mail of a category; `None`: of any.
    pub async fn unsubscribe(&self, act: &Act<'_>, user: &str, category: Option<Category>) -> Result<()> {
        let without = |mut preferences: Preferences| {
            for one in Category::ALL.into_iter().filter(|one| category.is_none_or(|only| only == *one)) {
                let channels = Channels { email: false, ..preferences.channels(one) };
                preferences.categories.insert(one, channels);
            }
            preferences
        };
        self.change_preferences(act, (user, None), without).await?;
        Ok(())
    }

    async fn change_preferences(
        &self,
        act: &Act<'_>,
        (user, version): (&str, Option<i64>),
        change: impl FnOnce(Preferences) -> Preferences,
    ) -> Result<i64> {
        let tx = self.begin().await?;
        let at = self.now();
        // There is a row to hold while it is decided; two who come first wait for each other here.
        sql("INSERT INTO notification_preference (tenant_id, user_id, preferences, version, updated_at) VALUES ? ON CONFLICT DO NOTHING")
            .rows([[act.tenant.0.into(), user.into(), json!({}).into(), 0_i64.into(), at.into()]])
            .run(&tx)
            .await?;
        let row = sql(
            "SELECT preferences, version FROM notification_preference WHERE tenant_id = ? AND user_id = ?",
        )
        .bind(act.tenant.0)
        .bind(user)
        .then(for_update(self.backend()))
        .one::<Row>(&tx)
        .await?
        .unwrap_or(Row { preferences: json!({}), version: 0 });
        if version.is_some_and(|version| version != row.version) {
            let told = "these were changed meanwhile, perhaps by a link in an e-mail; load them again";
            return Err(StoreError::Conflict(told.to_owned()));
        }
        let before = read(row.preferences)?;
        let after = json!(change(before.clone()));
        sql("UPDATE notification_preference SET preferences = ?, version = ?, updated_at = ? WHERE tenant_id = ? AND user_id = ?")
            .bind(after.clone())
            .bind(row.version + 1)
            .bind(at)
            .bind(act.tenant.0)
            .bind(user)
            .run(&tx)
            .await?;
        let payload = json!({"before": before, "after": after});
        audit::note(self, &tx, act, ("notifications_chosen", user), &payload).await?;
        tx.commit().await?;
        Ok(row.version + 1)
    }

    /// What a link carries that ends a person's e-mails of a category, or of any, signed with a key of the tenant's own that nobody reads.
    pub async fn unsubscribe_token(
        &self,
        tenant: TenantId,
        user: &str,
        category: Option<Category>,
    ) -> Result<String> {
        let says = format!("{}.{user}.{}", tenant.0, category.map_or(ALL, Category::as_str));
        let key = self.notification_key(tenant).await?;
        Ok(format!("{says}.{}", signature(&key, &says)))
    }

    /// Whom such a link is for; `None`: nobody, because it was not made here, or they have gone.
    pub async fn subscription(&self, token: &str) -> Result<Option<Subscription>> {
        let Some((says, signed)) = token.rsplit_once('.') else { return Ok(None) };
        let mut parts = says.split('.');
        let (Some(tenant), Some(user), Some(category), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Ok(None);
        };
        let Ok(tenant) = tenant.parse().map(TenantId) else { return Ok(None) };
        let category = match category {
            ALL => None,
            word => match word.parse() {
                Ok(category) => Some(category),
                Err(_) => return Ok(None),
            },
        };
        let key = sql("SELECT key FROM notification_key WHERE tenant_id = ?")
            .bind(tenant.0)
            .value::<String>(&self.reader)
            .await?;
        let Some(key) = key else { return Ok(None) };
        if !is_signature(&key, says, signed) {
            return Ok(None);
        }
        let user = self.user(tenant, user).await?.filter(|user| user.active);
        Ok(user.map(|user| Subscription { tenant, user: user.id, email: user.email, category }))
    }

    async fn notification_key(&self, tenant: TenantId) -> Result<String> {
        let find = || sql("SELECT key FROM notification_key WHERE tenant_id = ?").bind(tenant.0);
        if let Some(key) = find().value::<String>(&self.reader).await? {
            return Ok(key);
        }
        let mut made = [0_u8; 32];
        getrandom::fill(&mut made)
            .map_err(|e| StoreError::Invalid(format!("the machine gives no random numbers: {e}")))?;
        let tx = self.begin().await?;
        sql("INSERT INTO notification_key (tenant_id, key) VALUES (?, ?) ON CONFLICT (tenant_id) DO NOTHING")
            .bind(tenant.0)
            .bind(hex(&made))
            .run(&tx)
            .await?;
        let key = find().value::<String>(&tx).await?;
        tx.commit().await?;
        Ok(key.unwrap_or_default())
    }
}

fn mac(key: &str, says: &str) -> Option<Hmac<Sha256>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).ok()?;
    mac.update(b"unsubscribe\n");
    mac.update(says.as_bytes());
    Some(mac)
}

fn signature(key: &str, says: &str) -> String {
    let Some(mac) = mac(key, says) else { return String::new() };
    let mut text = hex(&mac.finalize().into_bytes());
    text.truncate(SIGNATURE);
    text
}

/// Compared in constant time.
fn is_signature(key: &str, says: &str, signed: &str) -> bool {
    let (Some(mac), Some(bytes)) = (mac(key, says), unhex(signed)) else { return false };
    signed.len() == SIGNATURE && mac.verify_truncated_left(&bytes).is_ok()
}
