//! The chain of digests: what links an entry to the one before it, and what is wrong with a chain. Pure.

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Entry, hex};
use crate::TenantId;

/// At most so many findings are told.
pub const MOST_FINDINGS: usize = 20;

/// A place in the chain and its digest; by default the place before the first entry. Kept somewhere else, it proves later that nothing before it was rewritten.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Which entry: 1 is a tenant's first. 0 is before it.
    pub seq: i64,
    /// Its digest, 64 hexadecimal digits; empty for 0.
    pub digest: String,
}

impl std::fmt::Display for Head {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.seq, self.digest)
    }
}

impl std::str::FromStr for Head {
    type Err = String;

    /// Reads `117:3f…`, as [`Head`] is written.
    fn from_str(text: &str) -> Result<Self, String> {
        let told = || {
            format!("“{text}” is no head of an audit log; it is a number, a colon and 64 hexadecimal digits")
        };
        let (seq, digest) = text.trim().split_once(':').ok_or_else(told)?;
        let digest = digest.to_ascii_lowercase();
        let seq = seq.parse::<i64>().ok().filter(|seq| *seq > 0).ok_or_else(told)?;
        if digest.len() != 64 || !digest.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(told());
        }
        Ok(Self { seq, digest })
    }
}

/// The digest of a payload: SHA-256 of the salt, as it is written, and the payload. Entries of versions without salts have none.
#[must_use]
pub fn digest_of_payload(salt: Option<&str>, payload: &str) -> String {
    hex(&Sha256::new().chain_update(salt.unwrap_or_default()).chain_update(payload).finalize())
}

/// The digest of an entry at a place in the chain: SHA-256 of the JSON array `[previous, tenant, seq, id, at, actor, action, subject, from,
/// payload_digest]` without spaces, the moment in UTC with microseconds, the address `null` where there is none.
#[must_use]
pub fn link(previous: &str, tenant: TenantId, seq: i64, entry: &Entry) -> String {
    let linked = serde_json::json!([
        previous,
        tenant.0,
        seq,
        entry.id,
        moment(entry.at),
        entry.actor,
        entry.action,
        entry.subject,
        entry.from,
        entry.payload_digest,
    ]);
    hex(&Sha256::digest(linked.to_string()))
}

/// A moment as it is linked and exported.
#[must_use]
pub fn moment(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Micros, true)
}

/// What kind of thing is wrong with a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Wrong {
    /// What an entry says is not what was sealed.
    EntryChanged,
    /// A payload is not the one its digest was made of.
    PayloadChanged,
    /// Entries are not there any more, and no checkpoint says why.
    EntriesMissing,
    /// The chain does not end where its head says.
    HeadDiffers,
    /// Nothing in the log bears a checkpoint out.
    CheckpointUnproven,
    /// The log is not the one of which this head was published.
    PublishedHeadDiffers,
    /// The entry of the published head was removed when its time was over, so there is nothing to compare.
    PublishedHeadGone,
}

/// Something wrong with a log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What kind of thing.
    pub kind: Wrong,
    /// At which place in the chain; none for an entry without one.
    pub seq: Option<i64>,
    /// What exactly, for a person.
    pub told: String,
}

/// Follows a chain entry by entry, in memory that does not grow with it.
#[derive(Debug)]
pub struct Follower {
    tenant: TenantId,
    published: Option<Head>,
    /// The checkpoint that an entry has to bear out.
    proof: Option<String>,
    /// Nothing is known of the entry before the next one.
    begins: bool,
    /// The last entry that was followed, or what the chain begins after.
    pub at: Head,
    /// Entries followed.
    pub entries: u64,
    /// Of these, those whose payload was erased.
    pub erased: u64,
    /// What is wrong, at most [`MOST_FINDINGS`].
    pub findings: Vec<Finding>,
    /// How much more is wrong.
    pub more: u64,
}

impl Follower {
    /// Follows the chain of `tenant` from after `start`. A `published` head must be passed, or lie at or before the start.
    #[must_use]
    pub fn new(tenant: TenantId, start: Option<Head>, published: Option<Head>) -> Self {
        let proof = start.as_ref().map(ToString::to_string);
        let at = start.unwrap_or_default();
        let mut follower = Self {
            tenant,
            published,
            proof,
            begins: false,
            at,
            entries: 0,
            erased: 0,
            findings: Vec::new(),
            more: 0,
        };
        follower.compare_published();
        follower
    }

    /// Follows a part of a chain that begins with the entry at `seq`. What that one is linked to is not known, so its own link is not
    /// checked unless it is the first of all.
    #[must_use]
    pub fn beginning_at(tenant: TenantId, seq: i64, published: Option<Head>) -> Self {
        let mut follower = Self::new(tenant, None, published);
        follower.begins = seq > 1;
        follower.at.seq = seq.max(1) - 1;
        follower
    }

    fn find(&mut self, kind: Wrong, seq: Option<i64>, told: String) {
        if self.findings.len() < MOST_FINDINGS {
            self.findings.push(Finding { kind, seq, told });
        } else {
            self.more += 1;
        }
    }

    /// Takes the next entry of the chain. Those that are not sealed come last.
    pub fn follow(&mut self, entry: &Entry) {
        self.entries += 1;
        match &entry.payload {
            Some(payload)
                if digest_of_payload(entry.payload_salt.as_deref(), payload) != entry.payload_digest =>
            {
                let told = format!(
                    "the payload of {} on {} ({}) was changed",
                    entry.action,
                    moment(entry.at),
                    entry.id
                );
                self.find(Wrong::PayloadChanged, entry.seq, told);
            }
            Some(_) => {}
            None => self.erased += 1,
        }
        // The removal of entries is an entry itself, which names the checkpoint.
        if entry.action == super::RETENTION && self.proof.as_ref() == Some(&entry.subject) {
            self.proof = None;
        }
        let Some(seq) = entry.seq else { return };
        let digest = entry.digest.clone().unwrap_or_default();
        if seq == self.at.seq + 1 {
            if !std::mem::take(&mut self.begins) && link(&self.at.digest, self.tenant, seq, entry) != digest {
                let told = format!(
                    "entry {seq} ({} of {}, {}) is not what was sealed",
                    entry.action,
                    moment(entry.at),
                    entry.id
                );
                self.find(Wrong::EntryChanged, Some(seq), told);
            }
        } else {
            let told = format!("entries {} to {} are missing", self.at.seq + 1, seq - 1);
            self.find(Wrong::EntriesMissing, Some(seq), told);
        }
        self.at = Head { seq, digest };
        self.compare_published();
    }

    fn compare_published(&mut self) {
        if let Some(published) = self.published.take_if(|published| published.seq == self.at.seq)
            && published.digest != self.at.digest
        {
            let told = format!(
                "entry {} has the digest {}; published was {}: something up to it was rewritten",
                published.seq, self.at.digest, published.digest
            );
            self.find(Wrong::PublishedHeadDiffers, Some(published.seq), told);
        }
    }

    /// Says what only shows at the end; `head` is where the chain says that it ends, where that is known.
    pub fn end(&mut self, head: Option<&Head>, checkpoint: Option<i64>) {
        if let Some(head) = head.filter(|head| **head != self.at) {
            let told = format!(
                "the chain ends at entry {}, its head is entry {}: entries at the end are missing or were rewritten",
                self.at.seq, head.seq
            );
            self.find(Wrong::HeadDiffers, Some(head.seq), told);
        }
        if let Some(proof) = self.proof.take() {
            let told = format!(
                "nothing in the log tells of the removal up to entry {}",
                proof.split(':').next().unwrap_or_default()
            );
            self.find(Wrong::CheckpointUnproven, checkpoint, told);
        }
        let Some(published) = self.published.take() else { return };
        if published.seq > self.at.seq {
            let told = format!(
                "a head was published for entry {}, and the chain ends at {}: entries at the end were removed",
                published.seq, self.at.seq
            );
            self.find(Wrong::PublishedHeadDiffers, Some(published.seq), told);
        } else {
            let told = format!(
                "entry {} was removed when its time was over, so its head can not be compared; compare a later one",
                published.seq
            );
            self.find(Wrong::PublishedHeadGone, Some(published.seq), told);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(id: &str, seq: i64, previous: &str) -> Entry {
        let payload = format!("{{\"n\":{seq}}}");
        let mut entry = Entry {
            seq: Some(seq),
            id: id.to_owned(),
            at: DateTime::from_timestamp(1_790_000_000, 5_000).unwrap_or_default(),
            actor: "user:1".to_owned(),
            action: "settings_saved".to_owned(),
            subject: "x".to_owned(),
            from: Some("192.0.2.7".to_owned()),
            payload_digest: digest_of_payload(Some("salt"), &payload),
            payload_salt: Some("salt".to_owned()),
            payload: Some(payload),
            digest: None,
        };
        entry.digest = Some(link(previous, TenantId(7), seq, &entry));
        entry
    }

    fn chain(length: i64) -> Vec<Entry> {
        let mut previous = String::new();
        (1..=length)
            .map(|seq| {
                let entry = entry(&format!("e{seq}"), seq, &previous);
                previous = entry.digest.clone().unwrap_or_default();
                entry
            })
            .collect()
    }

    fn wrong(entries: &[Entry], published: Option<Head>) -> Vec<(Wrong, Option<i64>)> {
        let mut follower = Follower::new(TenantId(7), None, published);
        entries.iter().for_each(|entry| follower.follow(entry));
        follower.end(None, None);
        follower.findings.into_iter().map(|finding| (finding.kind, finding.seq)).collect()
    }

    #[test]
    fn the_digest_is_what_the_documentation_says() {
        // Computed by the lines of Python in docs/service.md.
        assert_eq!(
            chain(2)[1].digest.as_deref(),
            Some("f793bec903682f47fa06e5d9b358a68131601c8f4cb97a7354589df6ab63a13a")
        );
    }

    #[test]
    fn whatever_is_changed_is_found_where_it_is() {
        let whole = chain(5);
        assert_eq!(wrong(&whole, None), []);
        let changes: [fn(&mut Entry); 8] = [
            |e| e.id.push('x'),
            |e| e.at += chrono::TimeDelta::microseconds(1),
            |e| e.actor.push('x'),
            |e| e.action.push('x'),
            |e| e.subject.push('x'),
            |e| e.from = None,
            |e| e.digest = Some("0".repeat(64)),
            |e| {
                e.payload = Some("{}".to_owned());
                e.payload_digest = digest_of_payload(Some("salt"), "{}");
            },
        ];
        for change in changes {
            let mut changed = whole.clone();
            change(&mut changed[2]);
            assert_eq!(wrong(&changed, None)[0], (Wrong::EntryChanged, Some(3)));
        }
        let mut changed = whole.clone();
        changed[2].payload = Some("{}".to_owned());
        assert_eq!(wrong(&changed, None), [(Wrong::PayloadChanged, Some(3))]);
        changed[2].payload = None;
        changed[2].payload_salt = None;
        assert_eq!(wrong(&changed, None), [], "an erased payload breaks nothing");
        changed.remove(1);
        assert_eq!(wrong(&changed, None), [(Wrong::EntriesMissing, Some(3))]);
    }

    #[test]
    fn a_chain_that_was_made_anew_is_told_from_the_one_that_was_published() {
        let whole = chain(5);
        let head = |n: usize| Head { seq: n as i64, digest: whole[n - 1].digest.clone().unwrap_or_default() };
        assert_eq!(wrong(&whole, Some(head(5))), []);
        let mut anew = whole.clone();
        anew[1].actor = "user:2".to_owned();
        let mut previous = anew[0].digest.clone().unwrap_or_default();
        for entry in &mut anew[1..] {
            previous = link(&previous, TenantId(7), entry.seq.unwrap_or_default(), entry);
            entry.digest = Some(previous.clone());
        }
        assert_eq!(wrong(&anew, None), [], "by itself it holds");
        assert_eq!(wrong(&anew, Some(head(1))), []);
        assert_eq!(wrong(&anew, Some(head(4))), [(Wrong::PublishedHeadDiffers, Some(4))]);
        assert_eq!(wrong(&whole[..3], None), [], "nor does a shorter one tell by itself");
        assert_eq!(wrong(&whole[..3], Some(head(4))), [(Wrong::PublishedHeadDiffers, Some(4))]);
    }

    #[test]
    fn heads_are_read_as_they_are_written() {
        let head = Head { seq: 117, digest: "ab".repeat(32) };
        assert_eq!(head.to_string().parse(), Ok(head.clone()));
        assert_eq!(format!(" 117:{} ", "AB".repeat(32)).parse(), Ok(head));
        for none in ["", "117", "117:abc", &format!("x:{}", "a".repeat(64)), &format!("0:{}", "a".repeat(64))]
        {
            assert!(none.parse::<Head>().is_err(), "{none}");
        }
    }

    #[test]
    fn the_most_findings_are_counted() {
        let mut changed = chain(60);
        changed.iter_mut().for_each(|entry| entry.payload = Some("{}".to_owned()));
        let mut follower = Follower::new(TenantId(7), None, None);
        changed.iter().for_each(|entry| follower.follow(entry));
        assert_eq!((follower.findings.len(), follower.more), (MOST_FINDINGS, 40));
    }
}
