//! What may be set of a destination that only its kind knows.

use serde_json::{Map, Value};
use undertone_core::destination::DestinationKind;

/// What an option may be.
enum Fits {
    Text(usize),
    Words(&'static [&'static str]),
    Number,
    Switch,
}

/// Every option of every kind.
const OPTIONS: [(DestinationKind, &str, Fits); 7] = [
    // Which severity an alert has; others follow from the event.
    (DestinationKind::Pagerduty, "severity", Fits::Words(&["critical", "error", "warning", "info"])),
    (DestinationKind::Pagerduty, "source", Fits::Text(200)),
    // How interactions name this Zendesk where they are handed in; the conversations of others are no tickets here.
    (DestinationKind::Zendesk, "source", Fits::Text(200)),
    (DestinationKind::Zendesk, "tag", Fits::Text(80)),
    (DestinationKind::Zendesk, "priority", Fits::Words(&["urgent", "high", "normal", "low"])),
    (DestinationKind::Zendesk, "comment", Fits::Switch),
    (DestinationKind::Zendesk, "custom_field_id", Fits::Number),
];

/// Whether these options can be set of this kind.
///
/// # Errors
/// The first that is wrong, and what would be right.
pub fn check_options(kind: DestinationKind, options: &Map<String, Value>) -> Result<(), String> {
    for (name, value) in options {
        let known = OPTIONS.iter().find(|(of, option, _)| *of == kind && option == name);
        let Some((_, _, fits)) = known else {
            let names: Vec<&str> =
                OPTIONS.iter().filter(|(of, ..)| *of == kind).map(|(_, name, _)| *name).collect();
            let there_are = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
            return Err(format!("“{name}” is no option of {}; there are: {there_are}", kind.as_str()));
        };
        let wrong = match fits {
            Fits::Text(most)
                if !value.as_str().is_some_and(|text| !text.is_empty() && text.len() <= *most) =>
            {
                format!("a text of 1 to {most} bytes")
            }
            Fits::Words(words) if !value.as_str().is_some_and(|word| words.contains(&word)) => {
                words.join(", ")
            }
            Fits::Number if value.as_u64().is_none() => "a whole number".to_owned(),
            Fits::Switch if !value.is_boolean() => "true or false".to_owned(),
            _ => continue,
        };
        return Err(format!("`{name}` must be {wrong}"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(kind: DestinationKind, options: &Value) -> Result<(), String> {
        check_options(kind, options.as_object().unwrap())
    }

    #[test]
    fn options_are_told_apart() {
        assert_eq!(check(DestinationKind::Webhook, &json!({})), Ok(()));
        assert_eq!(check(DestinationKind::Zendesk, &json!({"tag": "at_risk", "comment": true})), Ok(()));
        let told = check(DestinationKind::Webhook, &json!({"tag": "x"})).unwrap_err();
        assert!(told.contains("there are: none"), "{told}");
        let told = check(DestinationKind::Pagerduty, &json!({"severity": "high"})).unwrap_err();
        assert_eq!(told, "`severity` must be critical, error, warning, info");
    }
}
