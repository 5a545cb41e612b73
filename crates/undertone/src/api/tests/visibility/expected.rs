//! The table of `expected.txt`.

use super::{NEGATIVE, PLANTED};

/// What somebody sees under a policy.
pub struct Line {
    pub policy: String,
    pub who: String,
    texts: Vec<char>,
    sums: Vec<char>,
    attention: Vec<char>,
    overview: Vec<char>,
    risk: Vec<char>,
    pub tries: char,
    negative: Vec<char>,
    pub figures: String,
}

/// The lines of the table, in their order.
pub fn lines() -> Vec<Line> {
    let (mut lines, mut policy) = (Vec::new(), String::new());
    for line in include_str!("expected.txt").lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            [] => {}
            [first, ..] if first.starts_with('#') => {}
            ["policy", word, ..] => (*word).clone_into(&mut policy),
            [who, cells @ .., figures] => {
                let cells: Vec<char> = cells.iter().map(|cell| cell.chars().next().unwrap()).collect();
                assert_eq!(cells.len(), 22, "{line}");
                lines.push(Line {
                    policy: policy.clone(),
                    who: (*who).to_owned(),
                    texts: cells[0..4].to_vec(),
                    sums: cells[4..8].to_vec(),
                    attention: cells[8..11].to_vec(),
                    overview: cells[11..15].to_vec(),
                    risk: cells[15..18].to_vec(),
                    tries: cells[18],
                    negative: cells[19..22].to_vec(),
                    figures: (*figures).to_owned(),
                });
            }
            _ => panic!("what is this: {line}"),
        }
    }
    assert_eq!(lines.len(), 50, "five policies for eight roles and two keys");
    lines
}

fn place(word: &str) -> usize {
    PLANTED.iter().position(|(known, _)| *known == word).unwrap()
}

fn listed(cells: &[char], words: &[&'static str]) -> Vec<&'static str> {
    words.iter().zip(cells).filter(|(_, cell)| **cell == 'Y').map(|(word, _)| *word).collect()
}

impl Line {
    pub fn texts_of(&self, word: &str) -> char {
        self.texts[place(word)]
    }

    pub fn sums_of(&self, word: &str) -> bool {
        self.sums[place(word)] == 'Y'
    }

    pub fn attention(&self) -> Vec<&'static str> {
        listed(&self.attention, &NEGATIVE)
    }

    pub fn overview(&self) -> Vec<&'static str> {
        listed(&self.overview, &PLANTED.map(|(word, _)| word))
    }

    pub fn risk(&self) -> Vec<&'static str> {
        listed(&self.risk, &NEGATIVE)
    }

    pub fn negative(&self) -> Vec<&'static str> {
        listed(&self.negative, &NEGATIVE)
    }
}
