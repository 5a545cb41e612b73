//! Finds the items of a request in its text, for the usual way to fence them.

use std::sync::Arc;

use crate::script::{Item, Split};

/// Texts between `<tag index="3">` and `</tag>`, whatever other attributes the tag has. A tag without an index gets its place, counted from
/// 0; a text whose end is missing reaches to the end of all. Text that looks like a fence counts as one, as it would for a naive model.
///
/// ```
/// let split = undertone_llm_server::items::tagged("message");
/// let items = split("<message index=\"4\" channel=\"email\">Where is it?</message> <message>Thanks!</message>");
/// assert_eq!((items[0].index, items[0].text.as_str()), (4, "Where is it?"));
/// assert_eq!((items[1].index, items[1].text.as_str()), (1, "Thanks!"));
/// ```
#[must_use]
pub fn tagged(tag: &str) -> Split {
    let (open, close) = (format!("<{tag}"), format!("</{tag}>"));
    Arc::new(move |user: &str| {
        let mut items = Vec::new();
        let mut rest = user;
        while let Some((_, after)) = rest.split_once(&open) {
            rest = after;
            // Not the beginning of a longer tag.
            if !after.starts_with(['>', ' ', '\t', '\n']) {
                continue;
            }
            let Some((attributes, inside)) = after.split_once('>') else { break };
            let (text, following) = inside.split_once(&close).unwrap_or((inside, ""));
            let index = index(attributes).unwrap_or(i64::try_from(items.len()).unwrap_or(i64::MAX));
            items.push(Item { index, text: text.trim_matches(['\n', '\r']).to_owned() });
            rest = following;
        }
        items
    })
}

fn index(attributes: &str) -> Option<i64> {
    let (_, value) = attributes.split_once("index=")?;
    let digits = value.trim_start_matches(['"', '\'']);
    let end = digits.find(|c: char| !c.is_ascii_digit() && c != '-').unwrap_or(digits.len());
    digits[..end].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(user: &str) -> Vec<(i64, String)> {
        tagged("m")(user).into_iter().map(|item| (item.index, item.text)).collect()
    }

    #[test]
    fn fences_are_found_and_what_only_looks_like_one_is_not() {
        assert_eq!(told("no fence"), []);
        assert_eq!(told("<message index=\"1\">no</message>"), []);
        assert_eq!(told("<m\nindex='7'>\na\n</m>"), [(7, "a".into())]);
        assert_eq!(told("<m index=2>a</m><m index=\"-1\">b"), [(2, "a".into()), (-1, "b".into())]);
        assert_eq!(told("<m index=\"x\">ü</m>"), [(0, "ü".into())]);
        assert_eq!(told("<m"), []);
        assert_eq!(told("<m index=\"1\""), []);
    }
}
