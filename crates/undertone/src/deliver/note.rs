//! What a person reads of an event in a chat or on a ticket: a title, a few facts, and where to look.

use serde_json::Value;
use undertone_ui::score as signed;

use super::Message;
use crate::tell;

/// Characters of a fact.
const LONGEST_FACT: usize = 300;

/// An event in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// In one line.
    pub title: String,
    /// What it is about, if it may be told: a sentence or two in an analyst's voice.
    pub text: Option<String>,
    /// Names and values.
    pub facts: Vec<(&'static str, String)>,
    /// Where to look; none where nobody said under which address the service is reached.
    pub link: Option<String>,
}

/// Who a customer is, by the key of the payload: the first that is there is told, as people know names better than ids, and theirs better than ours.
const WHO: [&str; 3] = ["customer_name", "customer_external_id", "customer_id"];

/// Facts by the key of the payload, in the order they are shown.
const FACTS: [(&str, &str); 16] = [
    ("name", "Destination"),
    ("customer_name", "Customer"),
    ("customer_external_id", "Customer"),
    ("customer_id", "Customer id"),
    ("score", "Score"),
    ("label", "Label"),
    ("dominant_emotion", "Emotion"),
    ("category", "Category"),
    ("channel", "Channel"),
    ("customers", "Customers"),
    ("assigned_to", "Responsible"),
    ("due_at", "Due"),
    ("until", "Until"),
    ("email", "E-mail"),
    ("reason", "Reason"),
    ("percent", "Percent used"),
];

impl Note {
    /// The note of a message.
    pub fn of(message: &Message<'_>) -> Self {
        Self::about(message.event, &message.data())
    }

    /// The note of an event, of what may be told of it.
    pub fn about(event: &str, data: &Value) -> Self {
        let who = WHO.iter().find(|key| data[**key].is_string());
        let facts = FACTS
            .iter()
            .filter(|(key, _)| !WHO.contains(key) || who == Some(key))
            .filter_map(|(key, name)| Some((*name, fact(key, &data[*key])?)))
            .collect();
        Self {
            title: title(event, data),
            text: ["summary", "text"].iter().find_map(|key| plain(&data[*key])),
            facts,
            link: data["link"].as_str().map(str::to_owned),
        }
    }
}

fn title(event: &str, data: &Value) -> String {
    let category =
        fact("category", &data["category"]).map(|category| format!(" about {category}")).unwrap_or_default();
    match event {
        "alert.raised" => format!("A customer needs somebody{category}"),
        "alert.reminded" => format!("A customer still needs somebody{category}"),
        "alert.escalated" => format!("Nobody took care of a customer yet{category}"),
        "alert.acknowledged" => "Somebody is looking after the customer".to_owned(),
        "alert.assigned" => "Somebody is responsible for the customer".to_owned(),
        "alert.snoozed" => "The alert is quiet for a while".to_owned(),
        "alert.resolved" => "The alert is done with".to_owned(),
        "alert.withdrawn" if tell::is_gone(data) => {
            "The alert was withdrawn: what it told of is not kept any more".to_owned()
        }
        "alert.withdrawn" => "The alert was withdrawn: a correction lifted the score".to_owned(),
        "incident.opened" => format!("Many customers turned negative{category}"),
        "incident.closed" => format!("The surge is over{category}"),
        "sentiment.negative" => format!("A negative interaction{category}"),
        "sentiment.scored" => "An interaction was scored".to_owned(),
        "sentiment.overridden" => "A verdict was corrected".to_owned(),
        "budget.threshold" => "The AI budget runs low".to_owned(),
        "customer.erased" => "A customer was erased: remove your copies".to_owned(),
        "module.activated" => "Sentiment analysis was switched on".to_owned(),
        "module.deactivated" => "Sentiment analysis was switched off".to_owned(),
        "destination.failing" => "Messages to a destination do not arrive".to_owned(),
        "destination.disabled" => "A destination was switched off".to_owned(),
        "mail.failing" => "A person gets no e-mail".to_owned(),
        "undertone.test" => "A test from Undertone".to_owned(),
        other => other.to_owned(),
    }
}

/// The value of a fact. A score and a category are written as on pages.
fn fact(key: &str, value: &Value) -> Option<String> {
    match (key, value.as_f64()) {
        ("score", Some(score)) => Some(signed(score)),
        ("category", _) => plain(value).map(|id| id.replace('_', " ")),
        _ => plain(value),
    }
}

/// A value as text on one line.
fn plain(value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => text.split_whitespace().collect::<Vec<_>>().join(" "),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    let short: String = text.chars().take(LONGEST_FACT).collect();
    (!short.is_empty()).then_some(short)
}

/// At most `most` characters of `text`, the last an ellipsis where some are left out.
pub(super) fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_score_has_its_sign_and_a_name_stands_for_an_id() {
        let data = json!({"score": -80, "customer_id": "42", "customer_name": "Ana", "percent": 90});
        let facts = Note::about("alert.raised", &data).facts;
        let facts: Vec<(&str, &str)> = facts.iter().map(|(name, value)| (*name, value.as_str())).collect();
        assert_eq!(facts, [("Customer", "Ana"), ("Score", "−80"), ("Percent used", "90")]);
        let data = json!({"customer_id": "7f", "customer_external_id": "42", "category": "customer_service"});
        let note = Note::about("alert.raised", &data);
        assert_eq!(note.title, "A customer needs somebody about customer service");
        assert_eq!(note.facts, [("Customer", "42".to_owned()), ("Category", "customer service".to_owned())]);
        let note = Note::about("sentiment.scored", &json!({"score": 12}));
        assert_eq!(note.facts, [("Score", "+12".to_owned())]);
    }
}
