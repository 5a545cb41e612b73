//! Digits and what they are grouped by.

use undertone_core::verdict::Span;

/// The stretches of ASCII digits in `text`.
pub(super) fn groups(text: &str) -> Vec<Span> {
    let mut groups: Vec<Span> = Vec::new();
    for (at, _) in text.bytes().enumerate().filter(|(_, b)| b.is_ascii_digit()) {
        match groups.last_mut() {
            Some(group) if group.end == at => group.end += 1,
            _ => groups.push(Span { start: at, end: at + 1 }),
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_stretches_of_digits() {
        let text = "1 é22-333x4";
        let told: Vec<_> = groups(text).iter().filter_map(|g| g.of(text)).collect();
        assert_eq!(told, ["1", "22", "333", "4"]);
        assert!(groups("none").is_empty());
    }
}
