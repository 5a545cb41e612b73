//! The module guide's log form, `/crm/api/log-interaction.php`, sent as a form or as JSON.
//!
//! It takes our field names. A form is flat, so what is told about people has names of its own:
//!
//! | names | what they stand for |
//! |---|---|
//! | `source`, `external_id`, `text`, `channel`, `kind`, `author_kind`, `direction`, `visibility`, `occurred_at`, `on_conflict` | themselves |
//! | `customer`, `customer_name`, `customer_email`, `customer_phone`, `customer_segment` | the customer's id, and more about them |
//! | `account`, `account_name`, `account_plan`, `account_value_cents` | the account's |
//! | `agent`, `agent_name`, `agent_email`, `agent_team` | the agent's |
//! | `conversation`, `conversation_subject`, `conversation_priority`, `conversation_queue`, `conversation_state` | the conversation's |
//! | `notes`, `interaction_id`, `customer_id`, `agent_id` | here only: `text`, `external_id`, `customer`, `agent` |
//! | `csrf`, `csrf_token` | nothing; who is logged in sends it along |
//!
//! Empty fields are as good as none. What is logged there is an agent's note about a contact, unless `kind`, `author_kind` or `visibility`
//! says otherwise: the guide scores all of it, and an agent's message to a customer would not be. `occurred_at` may be digits. JSON may
//! hold the same flat names, or `customer` and the like as objects.

use std::borrow::Cow;

use undertone_core::{Arrival, text};

use super::item::check::{Check, shown};
use super::item::given::{Given, Pairs};
use super::item::{self, Context, ItemError};

/// Names that are taken besides ours, and what they stand for.
pub const ALIASES: [(&str, &str); 4] = [
    ("notes", "text"),
    ("interaction_id", "external_id"),
    ("customer_id", "customer"),
    ("agent_id", "agent"),
];

/// Flat names: the object they belong to, and their name in it.
pub const PARTS: [(&str, &str, &str); 14] = [
    ("customer_name", "customer", "name"),
    ("customer_email", "customer", "email"),
    ("customer_phone", "customer", "phone"),
    ("customer_segment", "customer", "segment"),
    ("account_name", "account", "name"),
    ("account_plan", "account", "plan"),
    ("account_value_cents", "account", "value_cents"),
    ("agent_name", "agent", "name"),
    ("agent_email", "agent", "email"),
    ("agent_team", "agent", "team"),
    ("conversation_subject", "conversation", "subject"),
    ("conversation_priority", "conversation", "priority"),
    ("conversation_queue", "conversation", "queue"),
    ("conversation_state", "conversation", "state"),
];

/// Fields that are numbers, which a form can only send as digits.
const NUMBERS: [&str; 2] = ["occurred_at", "account_value_cents"];

/// Reads the names and values of a form.
///
/// # Errors
/// As [`item::read`]; fields have the names under which they were sent.
pub fn read(pairs: &[(String, String)], context: &Context<'_>) -> Result<Arrival, Vec<ItemError>> {
    let pairs = pairs.iter().filter(|(_, value)| !value.is_empty()).map(|(name, value)| {
        let digits = NUMBERS.contains(&name.as_str()).then(|| value.trim().parse::<i64>().ok()).flatten();
        let given = digits.map_or_else(|| Given::String(Cow::from(value)), |n| Given::Number(n.into()));
        (Cow::from(name), given)
    });
    arrival(pairs.collect(), context)
}

/// Reads the same as JSON.
pub fn read_json(json: &[u8], context: &Context<'_>) -> Result<Arrival, Vec<ItemError>> {
    arrival(item::object(json)?, context)
}

fn arrival(pairs: Pairs<'_>, context: &Context<'_>) -> Result<Arrival, Vec<ItemError>> {
    let mut form = Form::default();
    for (name, value) in pairs {
        form.take(name, value);
    }
    form.nest();
    let Form { check, mut fields, sent, .. } = form;
    if !fields.iter().any(|(name, _)| matches!(name.as_ref(), "kind" | "author_kind" | "visibility")) {
        fields.push((Cow::Borrowed("kind"), Given::String(Cow::Borrowed("note"))));
    }
    let (first, second) = (check.finish(()), item::arrival(fields, context));
    if let (Ok(()), Ok(arrival)) = (&first, &second) {
        return Ok(arrival.clone());
    }
    let second = second.err().unwrap_or_default().into_iter().map(|error| with_name_sent(error, &sent));
    Err(first.err().unwrap_or_default().into_iter().chain(second).collect())
}

/// The error under the name by which the field was sent.
fn with_name_sent(error: ItemError, sent: &[(String, &'static str)]) -> ItemError {
    let Some((path, name)) = sent.iter().find(|(path, _)| *path == error.field) else { return error };
    let shown = match error.code {
        "duplicate_field" => format!("`{name}`, which is `{path}`,"),
        _ => format!("`{name}`"),
    };
    let message = error.message.replacen(&format!("`{path}`"), &shown, 1);
    ItemError { field: (*name).to_owned(), message, ..error }
}

/// Every name that is taken.
fn names() -> impl Iterator<Item = &'static str> {
    item::FIELDS.into_iter().chain(PARTS.map(|(flat, ..)| flat)).chain(ALIASES.map(|(alias, _)| alias))
}

/// The fields of an interaction, as they are gathered from flat names.
#[derive(Default)]
struct Form<'a> {
    check: Check,
    fields: Pairs<'a>,
    /// What is told about somebody under a flat name: about whom, the name there, the value.
    parts: Vec<(&'static str, &'static str, Given<'a>)>,
    /// Of fields that were sent under another name: their path, and that name.
    sent: Vec<(String, &'static str)>,
}

impl<'a> Form<'a> {
    fn take(&mut self, name: Cow<'a, str>, value: Given<'a>) {
        if matches!(name.as_ref(), "csrf" | "csrf_token") || value == Given::Nothing {
        } else if let Some((flat, whole, part)) = PARTS.into_iter().find(|(flat, ..)| *flat == name) {
            self.sent.push((format!("{whole}.{part}"), flat));
            self.parts.push((whole, part, value));
        } else if let Some((alias, ours)) = ALIASES.into_iter().find(|(alias, _)| *alias == name) {
            self.sent.push((ours.to_owned(), alias));
            self.fields.push((Cow::Borrowed(ours), value));
        } else if item::FIELDS.contains(&name.as_ref()) {
            self.fields.push((name, value));
        } else {
            let near = names().find(|known| text::resembles(known, &name));
            let hint = near.map_or_else(
                || format!("the fields are {}", names().collect::<Vec<_>>().join(", ")),
                |near| format!("did you mean `{near}`?"),
            );
            self.check.refuse(&shown(&name), "unknown_field", &format!("is no field of this form; {hint}"));
        }
    }

    /// Puts what is told about somebody into one object with the id.
    fn nest(&mut self) {
        for whole in ["customer", "account", "agent", "conversation"] {
            let parts: Pairs<'a> = self
                .parts
                .extract_if(.., |(about, ..)| *about == whole)
                .map(|(_, part, value)| (Cow::Borrowed(part), value))
                .collect();
            if parts.is_empty() {
                continue;
            }
            let given = self.fields.iter().position(|(name, _)| name == whole);
            let mut pairs = match given.map(|at| self.fields.swap_remove(at).1) {
                None => Pairs::new(),
                Some(Given::Object(pairs)) => pairs,
                Some(id) => vec![(Cow::Borrowed("id"), id)],
            };
            pairs.extend(parts);
            self.fields.push((Cow::Borrowed(whole), Given::Object(pairs)));
            let name = self.sent.iter().find(|(path, _)| path == whole).map_or(whole, |(_, name)| name);
            self.sent.push((format!("{whole}.id"), name));
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::{TimeZone, Utc};
    use proptest::prelude::*;
    use undertone_core::{AuthorKind, Channel, Direction, Kind, Visibility};

    use super::*;

    fn context() -> Context<'static> {
        let now = Utc.with_ymd_and_hms(2026, 11, 21, 9, 0, 0).unwrap();
        Context { now, default_source: "crm" }
    }

    fn form(pairs: &[(&str, &str)]) -> Result<Arrival, Vec<ItemError>> {
        let pairs: Vec<_> = pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        read(&pairs, &context())
    }

    #[test]
    fn the_guides_form_is_an_agents_note() {
        let arrival = form(&[
            ("notes", "Customer called, very upset about the invoice"),
            ("interaction_id", "9001"),
            ("customer_id", "123"),
            ("customer_name", "Ana Silva"),
            ("agent_id", "7"),
            ("agent_email", ""),
            ("channel", "phone"),
            ("direction", "outgoing"),
            ("occurred_at", "1791965700"),
            ("account", "acme"),
            ("account_value_cents", "1200000"),
            ("csrf_token", "x"),
        ])
        .unwrap();
        let i = &arrival.interaction;
        assert_eq!((i.source.as_str(), i.external_id.as_str()), ("crm", "9001"));
        assert_eq!(i.text, "Customer called, very upset about the invoice");
        assert_eq!((i.customer.as_deref(), i.agent.as_deref()), (Some("123"), Some("7")));
        assert_eq!(
            (i.kind, i.author_kind, i.direction),
            (Kind::Note, AuthorKind::Agent, Direction::Outgoing)
        );
        assert_eq!((i.channel, i.visibility), (Channel::Phone, Visibility::Internal));
        assert_eq!(i.occurred_at.unwrap().timestamp(), 1_791_965_700);
        assert_eq!(arrival.customer.name.as_deref(), Some("Ana Silva"));
        assert_eq!(arrival.account.value_cents, Some(1_200_000));
    }

    #[test]
    fn what_is_said_about_the_kind_stands() {
        let of = |pair| form(&[("text", "I want my money back"), pair]).unwrap().interaction.kind;
        assert_eq!(of(("channel", "chat")), Kind::Note);
        assert_eq!(of(("kind", "transcript")), Kind::Transcript);
        assert_eq!(of(("author_kind", "customer")), Kind::Message);
        assert_eq!(of(("visibility", "public")), Kind::Message);
    }

    #[test]
    fn json_may_be_flat_or_not() {
        let flat =
            br#"{"notes": "Very upset", "customer_id": 123, "customer_name": "Ana", "agent_id": null}"#;
        let ours = br#"{"text": "Very upset", "customer": {"id": "123", "name": "Ana"}, "kind": "note"}"#;
        let mixed = br#"{"text": "Very upset", "customer": {"id": 123}, "customer_name": "Ana"}"#;
        let arrival = read_json(ours, &context()).unwrap();
        assert_eq!(read_json(flat, &context()).unwrap(), arrival);
        assert_eq!(read_json(mixed, &context()).unwrap(), arrival);
        assert_eq!(item::read(ours, &context()).unwrap(), arrival);
    }

    #[test]
    fn errors_have_the_names_that_were_sent() {
        let mut told = String::new();
        for pairs in [
            &[
                ("notes", "a\u{0}b"),
                ("customer_nmae", "Ana"),
                ("customer_email", "ana"),
                ("direction", "inbound"),
            ][..],
            &[("notes", "x"), ("text", "y"), ("customer_name", "Ana"), ("colour", "red")],
            &[("customer_id", "  "), ("notes", "x")],
            &[("customer_id", "  "), ("notes", "x"), ("customer_name", "Ana")],
            &[
                ("account_value_cents", "12.50"),
                ("account", "a"),
                ("notes", "x"),
                ("occurred_at", "yesterday"),
            ],
            &[],
        ] {
            for error in form(pairs).unwrap_err() {
                told.push_str(&format!("{:<20} {:<16} {}\n", error.field, error.code, error.message));
            }
            told.push('\n');
        }
        insta::assert_snapshot!(told);
    }

    proptest! {
        #[test]
        fn any_form_is_read_or_refused(
            pairs in prop::collection::vec(
                (prop_oneof![prop::sample::select(names().collect::<Vec<_>>()).prop_map(str::to_owned), ".{0,8}"], ".{0,20}"),
                0..12,
            )
        ) {
            if let Err(errors) = read(&pairs, &context()) {
                prop_assert!(!errors.is_empty() && errors.iter().all(|e| !e.message.is_empty()));
            }
        }
    }
}
