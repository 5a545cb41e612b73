//! Untrusted text on its way to a terminal or a report: it may be read, and may not do anything.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Characters that change what is around them or show nothing: control characters, direction overrides, zero-width ones. Joiners within
/// emoji go too; the emoji then shows as its parts.
pub fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}' | '\u{ad}' | '\u{61c}' | '\u{180e}'
        )
}

/// `text` on one line, without anything that could drive a terminal, hide text or turn its direction.
pub fn clean(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for word in text.split(|c: char| c.is_whitespace() || c == '\u{85}') {
        let visible: String = word.chars().filter(|c| !is_unsafe(*c)).collect();
        if !visible.is_empty() {
            if !out.is_empty() {
                out.push(' ');
            }
            out.push_str(&visible);
        }
    }
    out
}

/// `text` cut to `width` columns of a terminal, with `…` where something is missing.
pub fn shorten(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut out = String::new();
    let mut used = 1;
    for c in text.chars() {
        used += c.width().unwrap_or(0);
        if used > width {
            break;
        }
        out.push(c);
    }
    out.push('…');
    out
}

/// `text` filled up with spaces to `width` columns.
pub fn pad(text: &str, width: usize) -> String {
    let short = shorten(text, width);
    let missing = width.saturating_sub(short.width());
    format!("{short}{}", " ".repeat(missing))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_can_not_drive_the_terminal() {
        assert_eq!(clean("\u{1b}[2J\u{1b}]0;owned\u{7}hi"), "[2J]0;ownedhi");
        assert_eq!(clean("a\r\nb\tc\u{0}\u{9b}31m"), "a b c31m");
        assert_eq!(clean("pay \u{202e}txt.exe\u{202c} \u{200b}\u{200b}"), "pay txt.exe");
        assert_eq!(clean("müde 👍 日本"), "müde 👍 日本");
    }

    #[test]
    fn widths_are_columns_not_characters() {
        assert_eq!(shorten("日本語です", 5), "日本…");
        assert_eq!(pad("日本", 6), "日本  ");
        assert_eq!(shorten("abc", 3), "abc");
        assert_eq!(shorten("abcd", 3), "ab…");
    }
}
