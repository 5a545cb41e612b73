//! Finds texts that are one another with a few words changed: what comes of templates.

use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Pairs of texts whose sets of three neighbouring words overlap by at least `least` (Jaccard, 0..=1), with that overlap. Texts of fewer
/// than six words are left out: "thanks, all good" may be written twice.
#[must_use]
pub fn pairs(texts: &[&str], least: f64) -> Vec<(usize, usize, f64)> {
    let shingles: Vec<BTreeSet<String>> = texts.iter().map(|text| shingles(text)).collect();
    let mut holders: HashMap<&str, Vec<usize>> = HashMap::new();
    for (i, set) in shingles.iter().enumerate() {
        for shingle in set {
            holders.entry(shingle).or_default().push(i);
        }
    }
    let mut shared: BTreeMap<(usize, usize), usize> = BTreeMap::new();
    for held in holders.values() {
        for (n, a) in held.iter().enumerate() {
            for b in &held[n + 1..] {
                *shared.entry((*a, *b)).or_default() += 1;
            }
        }
    }
    shared
        .into_iter()
        .map(|((a, b), both)| {
            let either = shingles[a].len() + shingles[b].len() - both;
            (a, b, both as f64 / either as f64)
        })
        .filter(|(_, _, overlap)| *overlap >= least)
        .collect()
}

fn shingles(text: &str) -> BTreeSet<String> {
    let lower = text.to_lowercase();
    let words: Vec<&str> = lower.split(|c: char| !c.is_alphanumeric()).filter(|w| !w.is_empty()).collect();
    if words.len() < 6 { BTreeSet::new() } else { words.windows(3).map(|w| w.join(" ")).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_are_found_and_neighbours_are_not() {
        let texts = [
            "I ordered a red chair last week and it still has not arrived at my house",
            "I ordered a blue lamp last week and it still has not arrived at my house",
            "My chair came on Tuesday, one leg short, and nobody at your office picks up",
            "thanks, all good",
            "thanks, all good",
        ];
        let found: Vec<_> = pairs(&texts, 0.4).into_iter().map(|(a, b, _)| (a, b)).collect();
        assert_eq!(found, [(0, 1)]);
    }
}
