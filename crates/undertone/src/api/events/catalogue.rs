//! The catalogue of events, for people: written from the types, as a page and as `docs/events.md`.

use axum::response::Html;
use undertone_core::event::EventKind;

fn example(kind: EventKind) -> String {
    let message =
        serde_json::json!({"type": kind, "timestamp": "2026-11-29T10:15:02.301511Z", "data": kind.example()});
    serde_json::to_string_pretty(&message).unwrap_or_default()
}

/// Keys that are no part of what happened, and what they mean.
const BESIDE: [(&str, &str); 2] = [
    (
        "link",
        "Where a person does something about an alert: in messages to destinations, where the operator named a `public_url`.",
    ),
    (
        "hidden",
        "Why less is told of `sentiment.scored` than there is: `reason`, the visibility policy's word, and `explanation`, the same for a person. \
         Score, label, confidence, emotion and summary are absent then. Every other event about a score that may not be seen is not told at all.",
    ),
];

/// What is said before everything else, in Markdown.
const FIRST: &str = "A message is an object with `type`, `timestamp` (when it happened) and `data`. Who may not see all of an event gets less of \
    it, or none. A thin destination gets of `data` only ids, channel, category, times and the like. \
    `budget.threshold`, `destination.failing`, `destination.disabled` and `mail.failing` are told to administrators and to keys with the scope `admin`, and \
    sent to destinations that ask for them.\n\n`summary` quotes what the customer wrote. \
    Before it is put into an event, e-mail addresses, telephone numbers, payment cards, IBANs, IP addresses, passwords and keys, and the names of \
    the customer and the agent as the records have them become placeholders such as `[EMAIL_1]`. Other names, and what only the context \
    gives away, stay: it is still personal data.";

/// The page.
pub async fn show() -> Html<String> {
    let mut sections = format!("<section>{}</section>", paragraphs(FIRST));
    sections += &format!("<section><h2>Beside what happened</h2>{}</section>", list(&BESIDE));
    for kind in EventKind::ALL {
        let (name, meaning) = (kind.as_str(), kind.meaning());
        // Nothing in an example is anybody's but ours, and no sign of it means anything in HTML but these two.
        let example = example(*kind).replace('&', "&amp;").replace('<', "&lt;");
        sections += &format!(
            "<section id=\"{name}\"><h2><code>{name}</code></h2><p>{meaning}</p>{}<pre>{example}</pre></section>",
            list(&kind.fields())
        );
    }
    Html(undertone_ui::document("Events", &sections))
}

/// Keys and what they mean, as a list in HTML.
fn list(fields: &[(&str, &str)]) -> String {
    let item = |(key, meaning): &(&str, &str)| format!("<li><code>{key}</code>: {}</li>", in_html(meaning));
    format!("<ul>{}</ul>", fields.iter().map(item).collect::<String>())
}

fn paragraphs(text: &str) -> String {
    let paragraph = |text: &str| format!("<p>{}</p>", in_html(text));
    text.split("\n\n").map(paragraph).collect()
}

/// Words of ours with code between grave accents.
fn in_html(text: &str) -> String {
    let part = |(place, part): (usize, &str)| {
        if place % 2 == 1 { format!("<code>{part}</code>") } else { part.to_owned() }
    };
    text.split('`').enumerate().map(part).collect()
}

/// The same for `docs/events.md`.
#[cfg(test)]
pub fn markdown() -> String {
    let mut text = "# Events\n\nWritten from the types by a test; do not change it by hand. How events reach you is told in \
         [service.md](service.md#events).\n\n"
        .to_owned();
    text += &format!("{FIRST}\n\n{}\n| event | when |\n|---|---|\n", table(&BESIDE));
    for kind in EventKind::ALL {
        let name = kind.as_str();
        text += &format!("| [`{name}`](#{}) | {} |\n", name.replace('.', ""), kind.meaning());
    }
    for kind in EventKind::ALL {
        let (name, meaning, fields) = (kind.as_str(), kind.meaning(), table(&kind.fields()));
        text += &format!("\n## {name}\n\n{meaning}\n\n{fields}\n```json\n{}\n```\n", example(*kind));
    }
    text
}

#[cfg(test)]
fn table(fields: &[(&str, &str)]) -> String {
    let rows = fields.iter().map(|(key, meaning)| format!("| `{key}` | {meaning} |\n"));
    format!("| key | meaning |\n|---|---|\n{}", rows.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `UNDERTONE_UPDATE=1` writes the file anew.
    #[test]
    fn the_catalogue_in_the_documentation_is_the_types() {
        let path = undertone_testkit::workspace("docs/events.md");
        if std::env::var_os("UNDERTONE_UPDATE").is_some() {
            std::fs::write(&path, markdown()).unwrap();
        }
        let told = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(told == markdown(), "docs/events.md is out of date: run this test with UNDERTONE_UPDATE=1");
    }
}
