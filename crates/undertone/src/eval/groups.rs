//! Figures of some of the texts, by what a column holds.

use undertone_core::Label;
use undertone_core::accuracy::{Answer, Truth, measure_part};

use super::labelled::Labelled;
use super::report::Group;

/// Groups of fewer texts say nothing.
const LEAST: usize = 5;

/// A column in which no row has anything: most likely its name is another.
pub fn nowhere<'b>(by: &'b [String], rows: &[Labelled]) -> Option<&'b str> {
    let is_empty = |at: usize| rows.iter().all(|row| row.groups[at].is_empty());
    by.iter().enumerate().find(|(at, _)| is_empty(*at)).map(|(_, name)| name.as_str())
}

/// What `said` is worth in each group of the columns `by`.
pub fn measured(by: &[String], rows: &[Labelled], said: &[Option<Answer>]) -> Vec<Group> {
    // Whether people have the word mixed shows in all of their texts: every group is measured by the rule of the whole.
    let has_mixed = rows.iter().any(|row| row.truth.label == Label::Mixed);
    let mut groups = Vec::new();
    for (at, by) in by.iter().enumerate() {
        let mut values: Vec<&String> = rows.iter().flat_map(|row| &row.groups[at]).collect();
        values.sort();
        values.dedup();
        for value in values {
            let inside: Vec<usize> =
                (0..rows.len()).filter(|i| rows[*i].groups[at].contains(value)).collect();
            if inside.len() < LEAST {
                continue;
            }
            let truths: Vec<Truth> = inside.iter().map(|i| rows[*i].truth.clone()).collect();
            let said: Vec<_> = inside.iter().map(|i| said[*i].clone()).collect();
            if let Some(accuracy) = measure_part(&truths, &said, has_mixed) {
                groups.push(Group { by: by.clone(), value: value.clone(), accuracy });
            }
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use undertone_core::Interaction;
    use undertone_scoring::redact::Known;

    use super::*;

    fn row(label: Label, team: &str) -> Labelled {
        Labelled {
            interaction: Interaction::message("test", "1", "a text"),
            known: Known::default(),
            truth: Truth::of(label),
            groups: vec![vec![team.to_owned()], Vec::new()],
        }
    }

    #[test]
    fn a_group_is_measured_by_the_rule_of_the_whole() {
        let mut rows: Vec<Labelled> = (0..5).map(|_| row(Label::Negative, "b")).collect();
        rows.extend((0..5).map(|_| row(Label::Mixed, "a")));
        rows.push(row(Label::Negative, "few"));
        let mixed = Answer { label: Label::Mixed, score: -5.0, confidence: None, words: [None, None, None] };
        let said = vec![Some(mixed); rows.len()];
        let by = ["team".to_owned(), "teem".to_owned()];
        let groups = measured(&by, &rows, &said);
        let told: Vec<(&str, f64)> =
            groups.iter().map(|group| (group.value.as_str(), group.accuracy.accuracy.value)).collect();
        assert_eq!(told, [("a", 1.0), ("b", 0.0)]);
        assert_eq!(groups[1].accuracy.negative_recall.map(|recall| recall.value), Some(0.0));
        assert_eq!((nowhere(&by, &rows), nowhere(&by[..1], &rows)), (Some("teem"), None));
    }
}
