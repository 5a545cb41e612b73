//! The audit log as it is asked for, told and exported, by the API and on the command line alike.

mod hidden;

use std::collections::{BTreeMap, HashMap};
use std::io::BufRead;

use chrono::{DateTime, NaiveDate, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use undertone_core::usage::calendar::begins;
use undertone_core::visibility::Reason;
use undertone_store::audit::chain::{Follower, moment};
use undertone_store::audit::{Entry, Filter, Head};
use undertone_store::{Act, Store, StoreError, TenantId};

use crate::output::guard;
use crate::usage::day;
use crate::visibility::{Eyes, why};

pub use hidden::hidden;

/// Entries written at a time.
const PAGE: u16 = 500;
/// The longest word that is looked for, in bytes.
const MOST_WORD: usize = 256;

/// Which entries somebody wants.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Wanted {
    #[serde(skip_serializing_if = "Option::is_none")]
    actor: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    action: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<DateTime<Utc>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<DateTime<Utc>>,
}

/// What was given to say so.
#[derive(Debug, Clone, Default)]
pub struct Given {
    /// Who did it, as the log calls them.
    pub actor: Option<String>,
    /// What was done.
    pub action: Option<String>,
    /// To what.
    pub subject: Option<String>,
    /// The first moment or day.
    pub since: Option<String>,
    /// The moment that is not included any more, or the last day.
    pub until: Option<String>,
}

impl Wanted {
    /// Reads what was given; days are those of `zone`.
    ///
    /// # Errors
    /// With the name of what can not be used and what it may be.
    pub fn read(given: Given, zone: Tz) -> Result<Self, String> {
        for (name, word) in [("actor", &given.actor), ("action", &given.action), ("subject", &given.subject)]
        {
            if word
                .as_ref()
                .is_some_and(|word| word.is_empty() || word.len() > MOST_WORD || word.contains('\0'))
            {
                return Err(format!("{name} must have 1 to {MOST_WORD} bytes"));
            }
        }
        let at = |name: &str, text: Option<String>, whole_day: bool| {
            text.map(|text| read_moment(name, &text, zone, whole_day)).transpose()
        };
        Ok(Self {
            actor: given.actor,
            action: given.action,
            subject: given.subject,
            since: at("since", given.since, false)?,
            until: at("until", given.until, true)?,
        })
    }

    /// For the store.
    pub fn filter(&self) -> Filter<'_> {
        Filter {
            actor: self.actor.as_deref(),
            action: self.action.as_deref(),
            subject: self.subject.as_deref(),
            since: self.since,
            until: self.until,
        }
    }
}

/// A moment, or a day of the tenant: its beginning, or its end.
fn read_moment(name: &str, text: &str, zone: Tz, end: bool) -> Result<DateTime<Utc>, String> {
    if let Ok(at) = DateTime::parse_from_rfc3339(text) {
        return Ok(at.to_utc());
    }
    let day: NaiveDate = day(name, text)
        .map_err(|told| format!("{told}, or a moment with its zone such as 2026-11-20T08:30:00Z"))?;
    Ok(begins(zone, if end { day.succ_opt().unwrap_or(day) } else { day }))
}

/// An entry as the API tells it; `reserve`: why it is told without what it says.
pub fn told(entry: &Entry, names: &BTreeMap<String, String>, reserve: Option<Reason>) -> Value {
    let payload = entry.payload.as_deref().filter(|_| reserve.is_none());
    json!({
        "id": entry.id,
        "at": entry.at,
        "actor": entry.actor,
        "actor_name": names.get(&entry.actor),
        "action": entry.action,
        "subject": entry.subject,
        "from": entry.from,
        "payload": payload.map(|text| serde_json::from_str::<Value>(text).unwrap_or_else(|_| json!(text))),
        "payload_erased": entry.payload.is_none(),
        "payload_hidden": reserve.map(why),
        "seq": entry.seq,
        "digest": entry.digest,
    })
}

/// How an export is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// For a spreadsheet, which runs nothing of it
    Csv,
    /// A JSON object a line, which `undertone audit verify --file` checks without the database
    Jsonl,
}

impl Format {
    /// Its media type.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Csv => "text/csv; charset=utf-8; header=present",
            Self::Jsonl => "application/x-ndjson",
        }
    }

    /// What a file of it ends with.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Jsonl => "jsonl",
        }
    }
}

/// One line of an export.
#[derive(Serialize, Deserialize)]
struct Line {
    tenant: i64,
    seq: Option<i64>,
    id: String,
    at: String,
    actor: String,
    actor_name: Option<String>,
    action: String,
    subject: String,
    from: Option<String>,
    payload: Option<String>,
    payload_salt: Option<String>,
    payload_digest: String,
    digest: Option<String>,
    /// Why the payload is not there though it was not erased.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    payload_hidden: Option<Reason>,
}

/// An export that is written piece by piece, in the order of the chain.
pub struct Export {
    store: Store,
    tenant: TenantId,
    wanted: Wanted,
    format: Format,
    last: Option<Entry>,
    begun: bool,
}

impl Export {
    /// Begins an export and notes it in the log itself: what leaves is known before it leaves.
    pub async fn begin(
        store: &Store,
        act: &Act<'_>,
        wanted: Wanted,
        format: Format,
    ) -> Result<Self, StoreError> {
        let payload = json!({"format": format, "wanted": wanted});
        store.note(act, ("audit_exported", "audit_log"), &payload).await?;
        Ok(Self { store: store.clone(), tenant: act.tenant, wanted, format, last: None, begun: false })
    }

    /// The next piece; none at the end. `eyes` are those of whoever gets it, as they are by now; none: the operator's, who has the database.
    pub async fn next(&mut self, eyes: Option<&Eyes>) -> Result<Option<String>, StoreError> {
        let filter = self.wanted.filter();
        let entries = self.store.audit_in_order(self.tenant, &filter, self.last.as_ref(), PAGE).await?;
        let names = self.store.actors(self.tenant, &entries).await?;
        let mut text = String::new();
        if !self.begun {
            self.begun = true;
            if self.format == Format::Csv {
                text += "tenant,seq,id,at,actor,actor_name,action,subject,from,payload,payload_salt,payload_digest,digest\r\n";
            }
        }
        let hidden = match eyes {
            Some(eyes) => hidden(&self.store, eyes, self.tenant, &entries).await?,
            None => HashMap::new(),
        };
        for entry in &entries {
            let reserve = hidden.get(&entry.id).copied();
            // With its salt, whoever has the digest could try scores until one fits.
            let shown = |text: &Option<String>| text.clone().filter(|_| reserve.is_none());
            let line = Line {
                tenant: self.tenant.0,
                seq: entry.seq,
                id: entry.id.clone(),
                at: moment(entry.at),
                actor: entry.actor.clone(),
                actor_name: names.get(&entry.actor).cloned(),
                action: entry.action.clone(),
                subject: entry.subject.clone(),
                from: entry.from.clone(),
                payload: shown(&entry.payload),
                payload_salt: shown(&entry.payload_salt),
                payload_digest: entry.payload_digest.clone(),
                digest: entry.digest.clone(),
                payload_hidden: reserve,
            };
            text += &match self.format {
                Format::Jsonl => json!(line).to_string() + "\n",
                Format::Csv => csv_line(&line),
            };
        }
        let ended = entries.is_empty() && text.is_empty();
        self.last = entries.into_iter().next_back().or(self.last.take());
        Ok((!ended).then_some(text))
    }
}

/// A line of CSV (RFC 4180), of which a spreadsheet runs nothing.
fn csv_line(line: &Line) -> String {
    let number = |n: Option<i64>| n.map(|n| n.to_string()).unwrap_or_default();
    let text = |field: &Option<String>| field.as_deref().map(guard).unwrap_or_default();
    let fields = [
        line.tenant.to_string(),
        number(line.seq),
        guard(&line.id),
        line.at.clone(),
        guard(&line.actor),
        text(&line.actor_name),
        guard(&line.action),
        guard(&line.subject),
        text(&line.from),
        text(&line.payload),
        text(&line.payload_salt),
        guard(&line.payload_digest),
        text(&line.digest),
    ];
    let quoted = fields.map(|field| {
        if field.contains(['"', ',', '\r', '\n']) {
            format!("\"{}\"", field.replace('"', "\"\""))
        } else {
            field
        }
    });
    quoted.join(",") + "\r\n"
}

/// What a file came to that is an export as [`Format::Jsonl`].
pub struct FromFile {
    /// The chain, followed to its end.
    pub follower: Follower,
    /// The place of its first sealed entry.
    pub first: Option<i64>,
    /// Entries that were not sealed yet.
    pub unsealed: u64,
}

/// Follows the chain in an export, without a database.
///
/// # Errors
/// With the line that can not be used, and why.
pub fn verify_file(file: impl BufRead, published: Option<Head>) -> Result<FromFile, String> {
    let mut published = Some(published);
    let mut read: Option<(TenantId, FromFile)> = None;
    for (number, line) in file.lines().enumerate() {
        let number = number + 1;
        let line = line.map_err(|e| format!("line {number} can not be read: {e}"))?;
        let wrong =
            |told: &dyn std::fmt::Display| format!("line {number} is no entry of an audit log: {told}");
        let line: Line = serde_json::from_str(&line).map_err(|e| wrong(&e))?;
        let tenant = TenantId(line.tenant);
        let entry = entry_of(line).map_err(|e| wrong(&e))?;
        if read.is_none() {
            let first = entry.seq.unwrap_or(1);
            let follower = Follower::beginning_at(tenant, first, published.take().flatten());
            read = Some((tenant, FromFile { follower, first: entry.seq, unsealed: 0 }));
        }
        let Some((of, file)) = read.as_mut() else { continue };
        if *of != tenant {
            return Err(format!("line {number} is of another tenant; a file holds one log"));
        }
        file.unsealed += u64::from(entry.seq.is_none());
        file.follower.follow(&entry);
    }
    let (_, mut file) = read.ok_or("the file is empty: an export has a line for each entry")?;
    file.follower.end(None, None);
    Ok(file)
}

fn entry_of(line: Line) -> Result<Entry, chrono::ParseError> {
    Ok(Entry {
        seq: line.seq,
        id: line.id,
        at: DateTime::parse_from_rfc3339(&line.at)?.to_utc(),
        actor: line.actor,
        action: line.action,
        subject: line.subject,
        from: line.from,
        payload: line.payload,
        payload_salt: line.payload_salt,
        payload_digest: line.payload_digest,
        digest: line.digest,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_the_tenants_and_the_last_is_included() {
        let read = |since: &str, until: &str| {
            let given =
                Given { since: Some(since.to_owned()), until: Some(until.to_owned()), ..Given::default() };
            let wanted = Wanted::read(given, Tz::Europe__Berlin)?;
            Ok::<_, String>((wanted.since.map(moment), wanted.until.map(moment)))
        };
        let (since, until) = read("2026-11-20", "2026-11-20").unwrap_or_default();
        assert_eq!(since.as_deref(), Some("2026-11-19T23:00:00.000000Z"));
        assert_eq!(until.as_deref(), Some("2026-11-20T23:00:00.000000Z"));
        let (since, _) = read("2026-11-20T08:30:00+01:00", "2026-11-20").unwrap_or_default();
        assert_eq!(since.as_deref(), Some("2026-11-20T07:30:00.000000Z"));
        assert!(read("yesterday", "2026-11-20").is_err_and(|told| told.contains("since")));
        let long = Given { actor: Some("x".repeat(300)), ..Given::default() };
        assert!(Wanted::read(long, Tz::UTC).is_err_and(|told| told.contains("actor")));
    }

    #[test]
    fn a_spreadsheet_runs_nothing_of_the_log() {
        let line = Line {
            tenant: 1,
            seq: Some(2),
            id: "x".to_owned(),
            at: "2026-11-20T07:30:00.000000Z".to_owned(),
            actor: "user:1".to_owned(),
            actor_name: Some("=cmd()@example.com".to_owned()),
            action: "looked".to_owned(),
            subject: "+1, \"two\"\u{1b}[31m".to_owned(),
            from: None,
            payload: Some("{\"a\":1}".to_owned()),
            payload_salt: None,
            payload_digest: "d".to_owned(),
            digest: None,
            payload_hidden: None,
        };
        let expected = "1,2,x,2026-11-20T07:30:00.000000Z,user:1,'=cmd()@example.com,looked,\"'+1, \"\"two\"\"[31m\",,\"{\"\"a\"\":1}\",,d,\r\n";
        assert_eq!(csv_line(&line), expected);
    }

    #[test]
    fn a_file_that_is_no_export_is_refused() {
        for text in ["", "{}\n", "x\n"] {
            assert!(verify_file(text.as_bytes(), None).is_err(), "{text}");
        }
    }
}
