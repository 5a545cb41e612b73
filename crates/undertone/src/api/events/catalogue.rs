//! The catalogue of events, for people: written from the types, as a page and as `docs/events.md`.

use axum::response::Html;
use undertone_core::event::EventKind;

fn example(kind: EventKind) -> String {
    let message =
        serde_json::json!({"type": kind, "timestamp": "2026-11-29T10:15:02.301511Z", "data": kind.example()});
    serde_json::to_string_pretty(&message).unwrap_or_default()
}

/// The page.
pub async fn show() -> Html<String> {
    let mut sections = String::new();
    for kind in EventKind::ALL {
        let (name, meaning) = (kind.as_str(), kind.meaning());
        // Nothing in an example is anybody's but ours, and no sign of it means anything in HTML but these two.
        let example = example(*kind).replace('&', "&amp;").replace('<', "&lt;");
        sections += &format!(
            "<section id=\"{name}\"><h2><code>{name}</code></h2><p>{meaning}</p><pre>{example}</pre></section>"
        );
    }
    Html(undertone_ui::document("Events", &sections))
}

/// The same for `docs/events.md`.
#[cfg(test)]
pub fn markdown() -> String {
    let mut text = "# Events\n\nWritten from the types by a test; do not change it by hand. How events reach you is told in \
         [service.md](service.md#events).\n\nA message is an object with `type`, `timestamp` (when it happened) and `data`. Who may not \
         see all of an event gets less of it, or none. A thin destination gets of `data` only ids, channel, category, times and the like.\n\n\
         | event | when |\n|---|---|\n"
        .to_owned();
    for kind in EventKind::ALL {
        let name = kind.as_str();
        text += &format!("| [`{name}`](#{}) | {} |\n", name.replace('.', ""), kind.meaning());
    }
    for kind in EventKind::ALL {
        text +=
            &format!("\n## {}\n\n{}\n\n```json\n{}\n```\n", kind.as_str(), kind.meaning(), example(*kind));
    }
    text
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
