//! Emoji as words. The encoder's table knows hardly any, so a message that ends in one would lose what it says.

/// The word that stands for an emoji, chosen from those the encoder knows. Those that say nothing of a feeling are left out.
pub(crate) fn word(c: char) -> Option<&'static str> {
    Some(match c {
        '😀' | '😃' | '😄' | '😁' | '😊' | '🙂' | '☺' | '😺' | '🤗' | '😸' => {
            "happy smile"
        }
        '😍' | '🥰' | '😘' | '❤' | '💕' | '💖' | '💗' | '💙' | '💚' | '💛' | '💜' | '🧡' | '🖤' | '😻'
        | '💞' => "love",
        '😂' | '🤣' | '😆' | '😹' | '😅' => "laughing",
        '🎉' | '🥳' | '🎊' | '🤩' | '🙌' | '👏' | '🔥' | '✨' | '💯' | '🏆' | '🌟' | '⭐' => {
            "great cheer"
        }
        '👍' | '👌' | '🤝' | '✅' | '😎' | '💪' => "good",
        '🙏' => "please thanks",
        '😌' => "relieved",
        '😉' | '😜' | '😏' | '😛' => "wink",
        '🙃' => "ironic smile",
        '🙄' | '😒' | '😑' | '😤' | '🤦' | '😮' | '😩' | '😫' => "annoyed",
        '😡' | '😠' | '🤬' | '👿' | '💢' => "angry",
        '👎' | '❌' | '🚫' => "bad",
        '😢' | '😭' | '😞' | '😔' | '☹' | '🙁' | '😿' | '😟' | '💔' | '🥺' | '😥' | '😓' => {
            "sad"
        }
        '😕' | '🤔' | '🤷' | '😐' | '❓' | '🤨' => "confused",
        '😱' | '😰' | '😨' | '😳' | '😬' | '🆘' | '🚨' => "scared worried",
        '💩' | '🤡' | '🗑' => "rubbish",
        '🤮' | '🤢' => "disgusting",
        '😴' | '🥱' | '⏳' | '⌛' | '🐌' => "slow tired waiting",
        _ => return None,
    })
}

/// Whether it says how somebody feels where no words stand beside it. Signs that count, mark or measure may mean anything: one star is
/// no praise.
pub(crate) fn speaks_alone(c: char) -> bool {
    let is_sign = matches!(c, '⭐' | '🌟' | '✅' | '❌' | '🚫' | '❓' | '⏳' | '⌛' | '🗑' | '🚨');
    !is_sign && word(c).is_some()
}

/// Whether it changes the picture before it and is none itself: skin tone, variation, and what joins two.
pub(crate) fn is_mark(c: char) -> bool {
    matches!(c, '\u{1f3fb}'..='\u{1f3ff}' | '\u{fe0e}' | '\u{fe0f}' | '\u{200d}')
}

/// The first emoji of `text` that stands for a word: where it starts, where it ends (with skin tones and the like), and the word.
pub(crate) fn first(text: &str) -> Option<(usize, usize, &'static str)> {
    if text.is_ascii() {
        return None;
    }
    let (start, c, word) = text.char_indices().find_map(|(at, c)| Some((at, c, word(c)?)))?;
    let rest = start + c.len_utf8();
    // What makes one picture of it: its marks, and what is joined to it.
    let mut joined = false;
    let end = text[rest..]
        .char_indices()
        .find(|(_, c)| {
            let glued = joined && !c.is_alphanumeric() && !c.is_whitespace();
            joined = *c == '\u{200d}';
            !(glued || is_mark(*c))
        })
        .map_or(text.len(), |(at, _)| rest + at);
    Some((start, end, word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_one_is_found_whole() {
        assert_eq!(first("plain words"), None);
        assert_eq!(first("schön 🚲"), None, "says nothing of a feeling");
        let text = "third time 🤦🏽\u{200d}♀\u{fe0f} really";
        let (start, end, word) = first(text).unwrap();
        assert_eq!((&text[start..end], word), ("🤦🏽\u{200d}♀\u{fe0f}", "annoyed"));
        assert_eq!(first("👍").map(|(s, e, _)| (s, e)), Some((0, 4)));
        assert_eq!(first("👍\u{200d}").map(|(s, e, _)| (s, e)), Some((0, 7)));
        assert_eq!(
            first("👍\u{200d}not happy").map(|(s, e, _)| (s, e)),
            Some((0, 7)),
            "no word is swallowed"
        );
    }
}
