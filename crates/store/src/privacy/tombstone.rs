//! Tombstones: what an erased customer was known by, as keyed digests. A restored backup brings erased customers back; with the list of
//! tombstones, kept beside the backups, they are found and erased again.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use hmac::{Hmac, Mac};
use sea_orm::{DatabaseTransaction, FromQueryResult};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use super::erase::{Erasure, How, Identifiers};
use crate::audit::hex;
use crate::people::aliases;
use crate::statement::{pieces, sql};
use crate::{Act, Result, Store, StoreError, TenantId};

/// So many customers are compared in one go.
const AT_ONCE: i64 = 500;

/// An erased customer, without anything that names them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tombstone {
    /// Our id.
    pub customer_id: String,
    /// When the erasure was asked for. Whoever came later under the same address is somebody new.
    pub erased_at: DateTime<Utc>,
    /// Digests of what they were known by, keyed with a key that stays in the database.
    pub digests: Vec<String>,
}

/// What became of those whom tombstones name and who were there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Replayed {
    /// The erasures that were begun.
    pub erased: Vec<Erasure>,
    /// Who is under legal hold and stays, by our ids.
    pub held: Vec<String>,
}

/// What tombstones are keyed with.
pub(crate) struct Key(Vec<u8>);

impl Key {
    /// The tenant's key, made when it is first needed.
    pub(crate) async fn of(tx: &DatabaseTransaction, tenant: TenantId) -> Result<Self> {
        let mut made = [0_u8; 32];
        getrandom::fill(&mut made)
            .map_err(|e| StoreError::Invalid(format!("the machine gives no random numbers: {e}")))?;
        sql("INSERT INTO tombstone_key (tenant_id, key) VALUES (?, ?) ON CONFLICT (tenant_id) DO NOTHING")
            .bind(tenant.0)
            .bind(hex(&made))
            .run(tx)
            .await?;
        Ok(Self::known(tx, tenant).await?.unwrap_or(Self(Vec::new())))
    }

    /// The tenant's key; none where nobody was erased yet.
    pub(crate) async fn known(tx: &DatabaseTransaction, tenant: TenantId) -> Result<Option<Self>> {
        let key = sql("SELECT key FROM tombstone_key WHERE tenant_id = ?").bind(tenant.0);
        Ok(key.value::<String>(tx).await?.map(|key| Self(key.into_bytes())))
    }

    /// The digest of a conversation by the source's id, letter by letter.
    pub(crate) fn conversation(&self, external: &str) -> String {
        self.digest("conversation", &hex(external.as_bytes()))
    }

    /// The digest of something a customer is known by: of which kind, and what.
    fn digest(&self, kind: &str, value: &str) -> String {
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.0) else { return String::new() };
        mac.update(kind.as_bytes());
        mac.update(b"\n");
        mac.update(value.trim().to_lowercase().as_bytes());
        hex(&mac.finalize().into_bytes())
    }

    /// Those of a customer, sorted. Numbers are in the spelling in which aliases are kept.
    pub(super) fn digests(&self, of: &Identifiers) -> Vec<String> {
        self.spelled(of, |phone| vec![aliases::number(phone)])
    }

    /// The same with those under which a tombstone of before may have them: numbers were spelled as the customer's were then.
    fn digests_of_before(&self, of: &Identifiers) -> Vec<String> {
        self.spelled(of, aliases::spellings)
    }

    fn spelled(&self, of: &Identifiers, spellings: impl Fn(&str) -> Vec<String>) -> Vec<String> {
        let mut digests = vec![self.digest("id", &of.external_id)];
        digests.extend(of.email.as_ref().map(|email| self.digest("email", email)));
        let is_phone = |(kind, _): &&(String, String)| kind == "phone";
        let phones = of.phone.iter().chain(of.aliases.iter().filter(is_phone).map(|(_, value)| value));
        digests.extend(phones.flat_map(|phone| spellings(phone)).map(|phone| self.digest("phone", &phone)));
        let others = of.aliases.iter().filter(|alias| !is_phone(alias));
        digests.extend(others.map(|(kind, value)| self.digest(kind, value)));
        digests.sort();
        digests.dedup();
        digests
    }
}

/// A phone number without what people put between its digits.
pub(crate) fn digits(phone: &str) -> String {
    phone.chars().filter(|c| !" -()/.".contains(*c)).collect()
}

impl Store {
    /// The tenant's tombstones, the oldest first, after the one of erasure `after`; with the erasure's id each.
    pub async fn tombstones(&self, tenant: TenantId, after: &str) -> Result<Vec<(String, Tombstone)>> {
        #[derive(FromQueryResult)]
        struct Row {
            id: String,
            customer_id: String,
            asked_at: DateTime<Utc>,
        }
        #[derive(FromQueryResult)]
        struct Digest {
            erasure_id: String,
            digest: String,
        }
        let rows: Vec<Row> = sql("SELECT id, customer_id, asked_at FROM erasure WHERE tenant_id = ? AND id > ? ORDER BY id LIMIT ?")
            .bind(tenant.0)
            .bind(after)
            .bind(AT_ONCE)
            .all(&self.reader)
            .await?;
        let mut digests: HashMap<String, Vec<String>> = HashMap::new();
        for piece in pieces(&rows) {
            let found: Vec<Digest> =
                sql("SELECT erasure_id, digest FROM tombstone WHERE tenant_id = ? AND erasure_id IN ? ORDER BY digest")
                    .bind(tenant.0)
                    .list(piece.iter().map(|row| row.id.as_str()))
                    .all(&self.reader)
                    .await?;
            for Digest { erasure_id, digest } in found {
                digests.entry(erasure_id).or_default().push(digest);
            }
        }
        let told = |row: Row| {
            let digests = digests.remove(&row.id).unwrap_or_default();
            (row.id, Tombstone { customer_id: row.customer_id, erased_at: row.asked_at, digests })
        };
        Ok(rows.into_iter().map(told).collect())
    }

    /// Erases whom `tombstones` name and who are there: by our id, or by what they are known by if they were there before that erasure. Who
    /// is under legal hold stays, and does not keep the others from being erased.
    pub async fn replay(&self, act: &Act<'_>, tombstones: &[Tombstone]) -> Result<Replayed> {
        let by_id: HashMap<&str, &Tombstone> =
            tombstones.iter().map(|t| (t.customer_id.as_str(), t)).collect();
        let mut by_digest: HashMap<&str, DateTime<Utc>> = HashMap::new();
        for tombstone in tombstones {
            for digest in &tombstone.digests {
                let latest = by_digest.entry(digest).or_insert(tombstone.erased_at);
                *latest = tombstone.erased_at.max(*latest);
            }
        }
        let mut replayed = Replayed::default();
        let mut after = String::new();
        loop {
            let tx = self.begin().await?;
            let key = Key::of(&tx, act.tenant).await?;
            let page = Identifiers::page(&tx, act.tenant, &after, AT_ONCE).await?;
            let Some((last, ..)) = page.last().cloned() else { break };
            for (id, created_at, identifiers) in page {
                let meant = by_id.contains_key(id.as_str())
                    || key.digests_of_before(&identifiers).iter().any(|digest| {
                        by_digest.get(digest.as_str()).is_some_and(|erased_at| created_at <= *erased_at)
                    });
                if !meant {
                    continue;
                }
                match self.begin_erasure(&tx, act, &id, How::Replay).await {
                    Ok(begun) => replayed.erased.extend(begun),
                    Err(StoreError::Conflict(_)) => replayed.held.push(id),
                    Err(error) => return Err(error),
                }
            }
            tx.commit().await?;
            after = last;
        }
        Ok(replayed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spelling_does_not_matter_and_the_key_does() {
        let (one, other) = (Key(b"one".to_vec()), Key(b"other".to_vec()));
        let known = |email: &str, phone: &str| Identifiers {
            external_id: "ana".to_owned(),
            email: Some(email.to_owned()),
            phone: Some(phone.to_owned()),
            ..Identifiers::default()
        };
        let digests = one.digests(&known("Ana@Example.com", "+49 (170) 12-34"));
        assert_eq!(digests, one.digests(&known(" ana@example.com", "+491701234")));
        assert_eq!(digests, one.digests(&known("ana@example.com", "0049 170/12.34")));
        // A tombstone of before has the number as it was written then.
        let before = one.digest("phone", "00491701234");
        let mut other_way = known("ana@example.com", "+49 170 1234");
        assert!(!digests.contains(&before) && one.digests_of_before(&other_way).contains(&before));
        other_way.aliases.push(("phone".to_owned(), other_way.phone.take().unwrap_or_default()));
        assert_eq!(digests, one.digests(&other_way), "an alias is as good");
        assert_eq!(digests.len(), 3);
        assert!(digests.iter().all(|digest| digest.len() == 64));
        assert!(other.digests(&known("ana@example.com", "+491701234")).iter().all(|d| !digests.contains(d)));
    }
}
