//! One interaction as JSON. Everything that is wrong with it is told at once, field by field.

pub mod aliases;
pub mod check;
pub mod given;
pub mod mentions;

use chrono::{DateTime, Utc};
use undertone_core::{Arrival, Channel, Interaction};

use self::check::{Check, MOST_WORD, shown};
use self::given::{Given, MOST_VALUES, Pairs, Unreadable};
use super::MOST_DEPTH;
use super::nature::{AUTHORS, DIRECTIONS, KINDS, Nature, Told, VISIBILITIES};

/// The fields of an interaction.
pub const FIELDS: [&str; 14] = [
    "source",
    "external_id",
    "text",
    "channel",
    "kind",
    "author_kind",
    "direction",
    "visibility",
    "occurred_at",
    "customer",
    "account",
    "agent",
    "conversation",
    "on_conflict",
];
/// What an item does not say itself.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// When it arrives.
    pub now: DateTime<Utc>,
    /// The source of an item that names none.
    pub default_source: &'a str,
}

/// One thing wrong with an item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ItemError {
    /// The field, such as `customer.email`; empty when it is about the whole.
    pub field: String,
    /// What kind of wrong, for programs.
    pub code: &'static str,
    /// What is wrong and what would be right.
    pub message: String,
}

impl ItemError {
    /// About the whole item.
    pub fn whole(code: &'static str, message: impl Into<String>) -> Self {
        Self { field: String::new(), code, message: message.into() }
    }
}

/// Reads one interaction. How long `json` may be is for its caller to say; every field has its own limit.
///
/// `null` is as good as a field left out. Without an `external_id` it is empty: the caller makes one up. Without an `occurred_at` there is
/// none: it counts as now, and the digest must be able to tell. White space around ids and names is dropped, that around the text is kept.
///
/// # Errors
/// Everything that is wrong, at most [`check::MOST_ERRORS`] things by name.
pub fn read(json: &[u8], context: &Context<'_>) -> Result<Arrival, Vec<ItemError>> {
    arrival(object(json)?, context)
}

/// The object in `json`.
pub fn object(json: &[u8]) -> Result<Pairs<'_>, Vec<ItemError>> {
    let json = match std::str::from_utf8(json) {
        Ok(json) => json.strip_prefix('\u{feff}').unwrap_or(json),
        Err(error) => {
            let (at, byte) = (error.valid_up_to(), json.get(error.valid_up_to()).unwrap_or(&0));
            let message =
                format!("the item is not UTF-8: byte {} is 0x{byte:02x}; convert it to UTF-8 first", at + 1);
            return Err(vec![ItemError::whole("invalid_utf8", message)]);
        }
    };
    if json.trim_ascii().is_empty() {
        return Err(vec![ItemError::whole(
            "invalid_json",
            "there is nothing; an interaction is a JSON object",
        )]);
    }
    match Given::read(json) {
        Ok(Given::Object(pairs)) => Ok(pairs),
        Ok(other) => {
            let message = format!(
                "an interaction is an object such as {{\"text\": \"…\", \"customer\": \"42\"}}, not {}",
                other.told()
            );
            Err(vec![ItemError::whole("not_an_object", message)])
        }
        Err((why, field)) => Err(vec![unreadable(&why, field.as_deref())]),
    }
}

fn unreadable(why: &Unreadable, field: Option<&str>) -> ItemError {
    let inside = field.map(|field| format!(" in `{}`", shown(field))).unwrap_or_default();
    let (code, message) = match why {
        Unreadable::TooDeep => ("too_deep", format!("nested deeper than {MOST_DEPTH} levels{inside}")),
        Unreadable::TooMany => ("too_many", format!("more than {MOST_VALUES} values{inside}")),
        Unreadable::NotJson(error) => ("invalid_json", format!("not JSON{inside}: {}", told(error))),
    };
    ItemError { field: field.map(shown).unwrap_or_default(), code, message }
}

/// What the JSON reader says, with a hint where people stumble. The place is told within the item; on one line its number says nothing.
pub fn told(error: &serde_json::Error) -> String {
    let (line, column) = (error.line(), error.column());
    let place = format!(" at line {line} column {column}");
    let whole = error.to_string();
    let what = whole.strip_suffix(&place).unwrap_or(&whole);
    let hint = match what {
        "trailing characters" => {
            "; more follows the object, and objects one a line are sent as application/x-ndjson"
        }
        "lone leading surrogate in hex escape" | "unexpected end of hex escape" => {
            "; this \\u escape is half of a pair, so send both halves or the character itself"
        }
        _ if what.starts_with("EOF") => "; it breaks off there",
        _ if what.starts_with("control character") => {
            "; in strings, line breaks and tabs are written \\n and \\t"
        }
        _ => "",
    };
    match line {
        0 | 1 => format!("{what} at byte {column}{hint}"),
        line => format!("{what} at line {line}, byte {column}{hint}"),
    }
}

/// The interaction that an object's names and values make.
pub fn arrival(pairs: Pairs<'_>, context: &Context<'_>) -> Result<Arrival, Vec<ItemError>> {
    let mut check = Check::default();
    let [
        source,
        external_id,
        text,
        channel,
        kind,
        author_kind,
        direction,
        visibility,
        occurred_at,
        customer,
        account,
        agent,
        conversation,
        on_conflict,
    ] = check.sort("", pairs, FIELDS);

    let mut interaction = Interaction::message("", "", "");
    let i = &mut interaction;
    i.source = check.source(source).unwrap_or_else(|| context.default_source.to_owned());
    i.external_id = check.id("external_id", external_id).unwrap_or_default();
    i.text = check.text(text);
    if let Some(name) = check.string("channel", channel, MOST_WORD) {
        i.channel = Channel::from_source(&name);
        i.channel_name = (i.channel.as_str() != name).then_some(name);
    }
    let nature = Nature::from(Told {
        kind: check.word("kind", &kind, &KINDS),
        author: check.word("author_kind", &author_kind, &AUTHORS),
        direction: check.word("direction", &direction, &DIRECTIONS),
        visibility: check.word("visibility", &visibility, &VISIBILITIES),
    });
    (i.kind, i.author_kind) = (nature.kind, nature.author);
    (i.direction, i.visibility) = (nature.direction, nature.visibility);
    i.occurred_at = check.moment("occurred_at", &occurred_at, context.now);

    let mut arrival = Arrival::of(interaction);
    check.customer(&mut arrival, customer);
    check.account(&mut arrival, account);
    check.agent(&mut arrival, agent);
    check.conversation(&mut arrival, conversation);
    let policies = [("refuse", false), ("update", true)];
    arrival.update = check.word("on_conflict", &on_conflict, &policies).unwrap_or(false);
    check.finish(arrival)
}

#[cfg(test)]
mod tests;
