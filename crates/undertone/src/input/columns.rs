//! Finds out which column holds what, by name, and turns a row's values into an interaction.

use chrono::{DateTime, NaiveDateTime, Utc};
use sha2::{Digest, Sha256};
use undertone_core::{AuthorKind, Channel, Direction, Interaction, Kind, Visibility};

/// What a column can hold, with the names it goes by, likelier ones first. Names are compared without case, spaces and signs.
const KNOWN: [(Field, &[&str]); 10] = [
    (
        Field::Text,
        &[
            "text",
            "message",
            "body",
            "messagetext",
            "bodytext",
            "textbody",
            "plainbody",
            "messagebody",
            "comment",
            "commentbody",
            "comments",
            "content",
            "transcript",
            "note",
            "notes",
            "feedback",
            "review",
            "verbatim",
            "description",
            "customermessage",
            "nachricht",
            "mensaje",
            "texto",
        ],
    ),
    (Field::Id, &["id", "messageid", "interactionid", "externalid", "commentid", "uuid"]),
    (
        Field::Customer,
        &[
            "customerid",
            "customer",
            "requesterid",
            "requester",
            "contactid",
            "contact",
            "userid",
            "clientid",
            "client",
            "customeremail",
            "requesteremail",
            "email",
            "kunde",
            "cliente",
        ],
    ),
    (Field::Account, &["account", "accountid", "accountname", "organization", "organisation"]),
    (
        Field::Conversation,
        &["conversationid", "conversation", "ticketid", "ticket", "threadid", "caseid", "casenumber"],
    ),
    (
        Field::Time,
        &[
            "occurredat",
            "createdat",
            "timestamp",
            "date",
            "time",
            "datetime",
            "created",
            "sentat",
            "messagedate",
            "createddate",
            "submittedat",
            "datum",
            "fecha",
        ],
    ),
    (Field::Channel, &["channel", "via", "origin", "source", "kanal", "canal"]),
    (
        Field::Author,
        &[
            "author",
            "authorkind",
            "authortype",
            "authorrole",
            "sender",
            "sendertype",
            "role",
            "direction",
            "incoming",
            "fromtype",
        ],
    ),
    (Field::Kind, &["kind", "messagetype", "interactiontype", "type"]),
    (Field::Public, &["public", "ispublic"]),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Text,
    Id,
    Customer,
    Account,
    Conversation,
    Time,
    Channel,
    Author,
    Kind,
    Public,
}

/// Columns named by the person.
#[derive(Debug, Clone, Default)]
pub struct Chosen {
    /// `--text`
    pub text: Option<String>,
    /// `--id`
    pub id: Option<String>,
    /// `--customer`
    pub customer: Option<String>,
    /// `--time`
    pub time: Option<String>,
    /// `--channel`
    pub channel: Option<String>,
    /// `--author`
    pub author: Option<String>,
}

impl Chosen {
    /// The person named one.
    pub fn any(&self) -> bool {
        [&self.text, &self.id, &self.customer, &self.time, &self.channel, &self.author]
            .into_iter()
            .any(Option::is_some)
    }

    fn of(&self, field: Field) -> Option<&str> {
        match field {
            Field::Text => self.text.as_deref(),
            Field::Id => self.id.as_deref(),
            Field::Customer => self.customer.as_deref(),
            Field::Time => self.time.as_deref(),
            Field::Channel => self.channel.as_deref(),
            Field::Author => self.author.as_deref(),
            Field::Account | Field::Conversation | Field::Kind | Field::Public => None,
        }
    }
}

/// Which column holds what: for each field the names it may be found under, best first.
#[derive(Debug)]
pub struct Columns {
    found: Vec<(Field, Vec<String>)>,
}

/// Without case, spaces and signs.
pub fn plain(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

impl Columns {
    /// A header among whose names is one that holds text.
    pub fn looks_like_header(names: &[String]) -> bool {
        let texts = KNOWN[0].1;
        names.iter().any(|name| texts.contains(&plain(name).as_str()))
    }

    /// The columns of a table with this header, or what is wrong with it.
    pub fn of_header(names: &[String], chosen: &Chosen, file: &str) -> Result<Self, String> {
        let mut found = Vec::new();
        for (field, known) in KNOWN {
            let columns: Vec<String> = if let Some(wanted) = chosen.of(field) {
                let own = names
                    .iter()
                    .find(|n| *n == wanted)
                    .or_else(|| names.iter().find(|n| plain(n) == plain(wanted)));
                let own = own.ok_or_else(|| {
                    format!("{file} has no column “{wanted}”; its columns are {}", names.join(", "))
                })?;
                vec![own.clone()]
            } else {
                known.iter().filter_map(|k| names.iter().find(|n| plain(n) == *k)).cloned().collect()
            };
            if !columns.is_empty() {
                found.push((field, columns));
            }
        }
        if found.iter().any(|(field, _)| *field == Field::Text) {
            return Ok(Self { found });
        }
        Err(no_text(names, file))
    }

    /// The keys under which JSON objects may hold each field.
    pub fn of_objects(chosen: &Chosen) -> Self {
        let found = KNOWN
            .into_iter()
            .map(|(field, known)| match chosen.of(field) {
                Some(wanted) => (field, vec![plain(wanted)]),
                None => (field, known.iter().map(|k| (*k).to_owned()).collect()),
            })
            .collect();
        Self { found }
    }

    /// What was found, for the person: "text from “body”, and id, customer, date".
    pub fn notice(&self) -> String {
        let first = |wanted: bool| {
            self.found
                .iter()
                .filter(move |(field, _)| (*field == Field::Text) == wanted)
                .filter_map(|(_, names)| names.first())
        };
        let text: Vec<String> = first(true).map(|name| format!("text from “{name}”")).collect();
        let others: Vec<&str> = first(false).map(String::as_str).collect();
        if others.is_empty() {
            text.concat()
        } else {
            format!("{}, and {}", text.concat(), others.join(", "))
        }
    }

    /// The interaction in a row; `value` answers what stands in a column, `same` whether two column names are the same.
    pub fn interaction<'v>(&self, value: impl Fn(&str) -> Option<&'v str>) -> Option<Interaction> {
        let names = |wanted: Field| {
            self.found.iter().filter(move |(field, _)| *field == wanted).flat_map(|(_, names)| names)
        };
        let get = |wanted| names(wanted).filter_map(|name| value(name)).find(|v| !v.trim().is_empty());
        // A text that is there and blank is a text; the gate says what becomes of it.
        let text = get(Field::Text).or_else(|| names(Field::Text).find_map(|name| value(name)))?;
        let trimmed = |field| get(field).map(|v| v.trim().to_owned());
        let mut interaction = Interaction::message("file", "", text);
        interaction.customer = trimmed(Field::Customer);
        interaction.account = trimmed(Field::Account);
        interaction.conversation = trimmed(Field::Conversation);
        interaction.occurred_at = get(Field::Time).and_then(moment);
        if let Some(name) = trimmed(Field::Channel) {
            interaction.channel = Channel::from_source(&name);
            interaction.channel_name = (interaction.channel == Channel::Other).then_some(name);
        }
        interaction.kind = get(Field::Kind).map_or(Kind::Message, kind);
        if interaction.kind == Kind::Message
            && get(Field::Public).is_some_and(|v| matches!(plain(v).as_str(), "false" | "0" | "no"))
        {
            interaction.kind = Kind::Comment;
        }
        // "author" may hold a name and "direction" the answer: the first column that says something is believed.
        let authors = names(Field::Author).filter_map(|name| role(name, value(name)?));
        interaction.author_kind = { authors }.next().unwrap_or(AuthorKind::Customer);
        if interaction.author_kind != AuthorKind::Customer {
            interaction.direction = Direction::Outgoing;
        }
        if interaction.kind != Kind::Message {
            interaction.visibility = Visibility::Internal;
        }
        interaction.external_id = trimmed(Field::Id).unwrap_or_else(|| fallback_id(&interaction));
        Some(interaction)
    }
}

/// An id for a row that has none: the same row gets the same one again.
fn fallback_id(i: &Interaction) -> String {
    let when = i.occurred_at.map(|t| t.to_rfc3339()).unwrap_or_default();
    let parts = [
        i.source.as_str(),
        i.conversation.as_deref().unwrap_or_default(),
        i.customer.as_deref().unwrap_or_default(),
        &when,
        &i.text,
    ];
    let digest = Sha256::digest(parts.join("\u{1f}"));
    let first = digest.iter().take(8).fold(0u64, |number, byte| number << 8 | u64::from(*byte));
    format!("{first:016x}")
}

/// Two or more columns that lists of tickets have.
pub fn looks_like_tickets(names: &[String]) -> bool {
    const TICKET: [&str; 12] = [
        "subject",
        "status",
        "priority",
        "assignee",
        "ticketid",
        "ticket",
        "group",
        "requester",
        "tags",
        "solvedat",
        "resolutiontime",
        "csat",
    ];
    names.iter().filter(|n| TICKET.contains(&plain(n).as_str())).count() >= 2
}

/// What to do where no column is known to hold the text, for who has flags.
pub const NAME_IT: &str = "name it with --text COLUMN";

/// What is wrong with a header that names no text, and what to do.
pub fn no_text(names: &[String], file: &str) -> String {
    let columns = names.join(", ");
    if looks_like_tickets(names) {
        return format!(
            "{file} has one row per ticket and no message text (columns: {columns}). Feelings stand in what customers wrote, so export the \
             comments or messages of the tickets instead; if one of these columns does hold them, {NAME_IT}"
        );
    }
    format!("{file} has no column that is known to hold customers' words (columns: {columns}); {NAME_IT}")
}

/// ISO 8601, `YYYY-MM-DD HH:MM:SS` (taken as UTC), a date, or Unix seconds or milliseconds.
fn moment(text: &str) -> Option<DateTime<Utc>> {
    let text = text.trim();
    if let Ok(number) = text.parse::<i64>() {
        // From 10^11 on seconds would lie beyond the year 5138: these are milliseconds.
        if (19_000_101..=21_001_231).contains(&number) {
            return chrono::NaiveDate::parse_from_str(text, "%Y%m%d")
                .ok()?
                .and_hms_opt(0, 0, 0)
                .map(|t| t.and_utc());
        }
        return if number.unsigned_abs() > 100_000_000_000 {
            DateTime::from_timestamp_millis(number)
        } else {
            DateTime::from_timestamp(number, 0)
        };
    }
    if let Ok(moment) = DateTime::parse_from_rfc3339(text) {
        return Some(moment.to_utc());
    }
    for form in ["%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M:%S%.f"] {
        if let Ok(local) = NaiveDateTime::parse_from_str(text, form) {
            return Some(local.and_utc());
        }
    }
    let day = chrono::NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
    Some(day.and_hms_opt(0, 0, 0)?.and_utc())
}

/// Who wrote a row, by a value of the column `name`; `None` where the value is a person's name or says nothing.
pub fn role(name: &str, value: &str) -> Option<AuthorKind> {
    const CUSTOMER: [&str; 10] = [
        "customer",
        "user",
        "client",
        "contact",
        "requester",
        "visitor",
        "incoming",
        "inbound",
        "lead",
        "enduser",
    ];
    const COMPANY: [&str; 15] = [
        "agent",
        "staff",
        "admin",
        "support",
        "rep",
        "representative",
        "operator",
        "employee",
        "assistant",
        "team",
        "helpdesk",
        "outgoing",
        "outbound",
        "teammate",
        "advisor",
    ];
    if plain(name) == "incoming" {
        return match plain(value).as_str() {
            "true" | "1" | "yes" => Some(AuthorKind::Customer),
            "false" | "0" | "no" => Some(AuthorKind::Agent),
            _ => None,
        };
    }
    let lower = value.to_lowercase().replace("end-user", "enduser");
    let says = |words: &[&str]| lower.split(|c: char| !c.is_alphanumeric()).any(|w| words.contains(&w));
    if says(&["bot", "chatbot", "automation"]) {
        Some(AuthorKind::Bot)
    } else if says(&["system"]) {
        Some(AuthorKind::System)
    } else if says(&CUSTOMER) && !says(&["support", "care", "team", "service"]) {
        Some(AuthorKind::Customer)
    } else if says(&COMPANY) || lower.contains("customer service") || lower.contains("customer care") {
        Some(AuthorKind::Agent)
    } else {
        None
    }
}

fn kind(value: &str) -> Kind {
    match plain(value).as_str() {
        "note" | "callnote" | "calllog" | "internalnote" => Kind::Note,
        "summary" | "callsummary" | "emailsummary" => Kind::Summary,
        "transcript" | "calltranscript" | "chattranscript" => Kind::Transcript,
        // A public comment is a message; helpdesks call all messages so.
        "internalcomment" | "privatecomment" => Kind::Comment,
        _ => Kind::Message,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(pairs: &[(&str, &str)]) -> Interaction {
        let names: Vec<String> = pairs.iter().map(|(n, _)| (*n).to_owned()).collect();
        let columns = Columns::of_header(&names, &Chosen::default(), "x").unwrap();
        columns.interaction(|name| pairs.iter().find(|(n, _)| *n == name).map(|(_, v)| *v)).unwrap()
    }

    #[test]
    fn columns_are_known_by_many_names() {
        let i = row(&[
            ("Ticket ID", "T7"),
            ("Requester", " ana@example.com "),
            ("Created at", "2026-10-14 08:15:00"),
            ("Via", "Web form"),
            ("Direction", "outbound"),
            ("Message Type", "call note"),
            ("Body", "v upset"),
        ]);
        assert_eq!(i.text, "v upset");
        assert_eq!(i.customer.as_deref(), Some("ana@example.com"));
        assert_eq!(i.conversation.as_deref(), Some("T7"));
        assert_eq!(i.occurred_at.unwrap().to_rfc3339(), "2026-10-14T08:15:00+00:00");
        assert_eq!((i.channel, i.author_kind, i.kind), (Channel::Web, AuthorKind::Agent, Kind::Note));
        assert_eq!((i.direction, i.visibility), (Direction::Outgoing, Visibility::Internal));
    }

    #[test]
    fn who_wrote_it_is_told_by_any_column_that_knows() {
        use AuthorKind::{Agent, Bot, Customer};
        for (pairs, wanted) in [
            (&[("author", "Mia"), ("direction", "outbound")][..], Agent),
            (&[("author", "Support Team")][..], Agent),
            (&[("role", "assistant")][..], Agent),
            (&[("author", "Customer Service")][..], Agent),
            (&[("author", "end-user")][..], Customer),
            (&[("author", "Mia Hale")][..], Customer),
            (&[("incoming", "false")][..], Agent),
            (&[("incoming", "true")][..], Customer),
            (&[("sender_type", "agent_bot")][..], Bot),
        ] {
            let mut all = vec![("text", "hello there")];
            all.extend(pairs);
            assert_eq!(row(&all).author_kind, wanted, "{pairs:?}");
        }
        let private = row(&[("body", "nightmare customer"), ("public", "false"), ("author", "Mia")]);
        assert_eq!((private.kind, private.visibility), (Kind::Comment, Visibility::Internal));
    }

    #[test]
    fn times_in_the_usual_forms() {
        for text in [
            "2026-10-14T08:15:00Z",
            "2026-10-14T10:15:00+02:00",
            "1791965700",
            "1791965700000",
            "2026-10-14 08:15",
        ] {
            assert_eq!(moment(text).map(|t| t.timestamp()), Some(1_791_965_700), "{text}");
        }
        assert_eq!(moment("yesterday"), None);
        assert_eq!(moment(&i64::MAX.to_string()), None);
        assert_eq!(moment(&i64::MIN.to_string()), None);
        assert_eq!(moment("20261014").map(|t| t.to_rfc3339()).as_deref(), Some("2026-10-14T00:00:00+00:00"));
    }

    #[test]
    fn the_same_row_gets_the_same_id() {
        let (a, b) =
            (row(&[("text", "hello"), ("customer", "c1")]), row(&[("text", "hello"), ("customer", "c1")]));
        assert_eq!(a.external_id, b.external_id);
        assert_ne!(a.external_id, row(&[("text", "hello"), ("customer", "c2")]).external_id);
    }

    #[test]
    fn a_named_column_must_exist() {
        let chosen = Chosen { text: Some("Words".into()), ..Chosen::default() };
        let told = Columns::of_header(&["id".into(), "text".into()], &chosen, "f.csv").unwrap_err();
        assert_eq!(told, "f.csv has no column “Words”; its columns are id, text");
    }
}
