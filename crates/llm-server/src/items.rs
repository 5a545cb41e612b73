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

/// The texts of Undertone's own prompt: its first line names a fence, a word that stands in none of the texts, and each text stands between
/// `<fence item=1 …>` and `</fence>`, on lines of their own.
///
/// ```
/// let split = undertone_llm_server::items::fenced();
/// let items = split("1 item, fence 3f9a61c2\n\n<3f9a61c2 item=1 channel=email>\nWhere is it?\n</3f9a61c2>\n\nEnd of data.");
/// assert_eq!((items[0].index, items[0].text.as_str()), (1, "Where is it?"));
/// ```
#[must_use]
pub fn fenced() -> Split {
    Arc::new(|user: &str| {
        let fence = user.lines().next().and_then(|line| line.rsplit(' ').next()).unwrap_or_default();
        let (open, close) = (format!("<{fence} item="), format!("\n</{fence}>"));
        let items = user.split(&open).skip(1).filter_map(|part| {
            let (head, rest) = part.split_once(">\n")?;
            let index = head.split(' ').next()?.parse().ok()?;
            Some(Item { index, text: rest.split_once(&close)?.0.to_owned() })
        });
        items.collect()
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
    fn words_between_fences_are_found_and_other_words_are_not() {
        let user = "2 items, fence 0a1b2c3d\n\n<0a1b2c3d item=1 kind=message>\n<0a1b item=7>\na\n\n</0a1b2c3d>\n\n\
                    <0a1b2c3d item=2 kind=note>\nb\n</0a1b2c3d>\n\nEnd of data.";
        let told: Vec<_> = fenced()(user).into_iter().map(|item| (item.index, item.text)).collect();
        assert_eq!(told, [(1, "<0a1b item=7>\na\n".to_owned()), (2, "b".to_owned())]);
        assert_eq!(fenced()("no fence"), []);
        assert_eq!(fenced()(""), []);
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
