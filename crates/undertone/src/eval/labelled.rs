//! Labelled texts from files.

use std::path::Path;

use undertone_core::accuracy::{Task, Truth};
use undertone_core::{Interaction, Kind, Label};
use undertone_scoring::Utterance;
use undertone_scoring::redact::Known;

use crate::error::CliError;
use crate::input::columns::{Chosen, plain};
use crate::input::{self, Options, people};

/// Names under which a file may hold the label.
const LABELS: [&str; 7] = ["label", "sentiment", "truth", "gold", "goldlabel", "truelabel", "sentimentlabel"];

/// A text and what people say of it.
#[derive(Debug, Clone)]
pub struct Labelled {
    /// The text.
    pub interaction: Interaction,
    /// Whom it may name, which is taken out before an LLM is asked.
    pub known: Known,
    /// What people say.
    pub truth: Truth,
    /// What the columns asked for hold: one text may belong to several groups of a column.
    pub groups: Vec<Vec<String>>,
}

impl Labelled {
    /// What a scorer is given of it: all of the text.
    pub fn utterance(&self) -> Utterance {
        let known = self.known.clone();
        Utterance { known, ..Utterance::of(&self.interaction, self.interaction.text.len()) }
    }
}

/// What to read where.
#[derive(Debug, Clone, Default)]
pub struct Columns {
    /// Holds the text.
    pub text: Option<String>,
    /// Holds the label.
    pub label: Option<String>,
    /// Figures are told by what these hold.
    pub by: Vec<String>,
}

/// What a file holds.
#[derive(Debug, Default)]
pub struct Read {
    /// The texts that can be used.
    pub rows: Vec<Labelled>,
    /// The first lines that can not, and why.
    pub unusable: Vec<String>,
    /// How many can not.
    pub rejected: usize,
}

/// Reads a file of labelled texts: CSV, TSV or JSON Lines.
///
/// Besides text and label it may have `valence` (-100..100), `emotion`, `urgency`, `category`, `kind`, and the labels of several raters
/// in columns `label1`, `label2` … or a list `labels`; the label is then what most of them said, and a text without a majority is left out.
pub fn read(path: &Path, columns: &Columns) -> Result<Read, CliError> {
    let file = std::fs::File::open(path)
        .map_err(|e| CliError::Failed(format!("{} can not be opened: {e}", path.display())))?;
    read_from(Box::new(file), &path.to_string_lossy(), columns).map_err(with_flags)
}

/// An error about a file, for who can name its columns at the command line.
pub fn with_flags(error: CliError) -> CliError {
    match error {
        CliError::Failed(told) if told.contains("no label") => {
            CliError::Failed(format!("{told}. Another column is named with --label COLUMN"))
        }
        other => other,
    }
}

/// Lines told that can not be used; all are counted.
const MOST_TOLD: usize = 1000;

/// The same from anywhere; `shown` is the file's name, whose ending may tell its format.
pub fn read_from(
    source: Box<dyn std::io::Read + Send>,
    shown: &str,
    columns: &Columns,
) -> Result<Read, CliError> {
    let options = Options {
        columns: Chosen { text: columns.text.clone(), ..Chosen::default() },
        keep: true,
        ..Options::default()
    };
    let input = input::open(source, shown, &options)?;
    let by: Vec<String> = columns.by.iter().map(|name| plain(name)).collect();
    let mut read = Read::default();
    for row in input.rows {
        let line = row.line;
        match row.interaction.and_then(|i| labelled(i, &row.kept, columns.label.as_deref(), &by)) {
            Ok(labelled) => read.rows.push(labelled),
            Err(told) => {
                read.rejected += 1;
                if read.rejected <= MOST_TOLD {
                    read.unusable.push(format!("{shown}, line {line}: {told}"));
                }
            }
        }
    }
    if read.rows.is_empty() {
        let why = read.unusable.first().map_or_else(|| format!("{shown} is empty"), Clone::clone);
        return Err(CliError::Failed(format!(
            "{shown} holds no labelled text: {why}. Each row needs a text and a label: positive, neutral, negative or mixed"
        )));
    }
    Ok(read)
}

fn labelled(
    mut interaction: Interaction,
    kept: &[(String, String)],
    label: Option<&str>,
    by: &[String],
) -> Result<Labelled, String> {
    let get =
        |name: &str| kept.iter().find(|(n, v)| n == name && !v.trim().is_empty()).map(|(_, v)| v.trim());
    let raters = raters(kept)?;
    let said = match label {
        Some(name) => get(&plain(name)),
        None => LABELS.iter().find_map(|name| get(name)),
    };
    let label = match (said, majority(&raters)) {
        (Some(word), _) => word_of(word)?,
        (None, Some(most)) => most,
        (None, None) if raters.len() > 1 => return Err("its raters do not agree".to_owned()),
        (None, None) => return Err(no_label(label)),
    };
    let valence = get("valence").map(number).transpose()?;
    // Our own corpus tells the kind of a text by its tags.
    let tagged = |tag: &str| get("phenomena").is_some_and(|tags| tags.split(';').any(|t| t == tag));
    if get("kind").is_none() && tagged("transcript") {
        interaction.kind = Kind::Transcript;
    } else if get("kind").is_none() && tagged("agent_note") {
        interaction.kind = Kind::Note;
    }
    Ok(Labelled {
        truth: Truth {
            label,
            valence,
            words: Task::ALL.map(|task| get(task.as_str()).map(str::to_lowercase)),
            raters,
        },
        groups: by
            .iter()
            .map(|name| get(name).map_or_else(Vec::new, |v| v.split(';').map(str::to_owned).collect()))
            .collect(),
        known: people::known(kept, interaction.customer.as_deref()),
        interaction,
    })
}

/// Where a label is looked for. It is told to who has flags and to who has none.
fn no_label(column: Option<&str>) -> String {
    column.map_or_else(
        || format!("no label; it is looked for in a column {}", LABELS.join(", ")),
        |name| format!("no label in a column {name}"),
    )
}

fn raters(kept: &[(String, String)]) -> Result<Vec<Label>, String> {
    let is_rater = |name: &str| {
        ["label", "rater", "annotator"].iter().any(|start| {
            name.strip_prefix(start).is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
        })
    };
    kept.iter()
        .filter(|(name, _)| is_rater(name) || name == "labels")
        .flat_map(|(_, value)| value.split(';'))
        .filter(|word| !word.trim().is_empty())
        .map(word_of)
        .collect()
}

/// What more of them said than anything else.
fn majority(raters: &[Label]) -> Option<Label> {
    let count = |label: Label| raters.iter().filter(|r| **r == label).count();
    let most = Label::ALL.into_iter().max_by_key(|l| count(*l))?;
    let alone = Label::ALL.into_iter().filter(|l| count(*l) == count(most)).count() == 1;
    (count(most) > 0 && alone).then_some(most)
}

fn word_of(word: &str) -> Result<Label, String> {
    match word.trim().to_lowercase().as_str() {
        "pos" | "positiv" => Ok(Label::Positive),
        "neg" | "negativ" => Ok(Label::Negative),
        "neu" => Ok(Label::Neutral),
        word => word.parse(),
    }
}

/// A valence, -100..=100.
fn number(text: &str) -> Result<f64, String> {
    let wrong = || format!("the valence “{text}” is no number from -100 to 100");
    text.parse::<f64>().ok().filter(|v| (-100.0..=100.0).contains(v)).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str, text: &str) -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        (folder, path)
    }

    #[test]
    fn labels_come_from_tables_and_objects() {
        let (_folder, path) = file(
            "a.csv",
            "body,Sentiment,valence,emotion,team\nLate again,NEG,-60,Anger,north\nFine,neutral,,,south\nNo label,,,,\nOdd,great,,,\n",
        );
        let columns = Columns { by: vec!["team".to_owned()], ..Columns::default() };
        let read = read(&path, &columns).unwrap();
        assert_eq!(read.rows.len(), 2);
        let first = &read.rows[0];
        assert_eq!((first.truth.label, first.truth.valence), (Label::Negative, Some(-60.0)));
        assert_eq!(first.truth.words[0].as_deref(), Some("anger"));
        assert_eq!(first.groups, [["north"]]);
        assert!(read.unusable[0].contains("line 4: no label"), "{:?}", read.unusable);
        assert!(read.unusable[1].contains("“great” is no label"), "{:?}", read.unusable);
    }

    #[test]
    fn the_majority_of_raters_counts() {
        let (_folder, path) = file(
            "a.jsonl",
            "{\"text\": \"a a a\", \"labels\": [\"negative\", \"negative\", \"neutral\"], \"phenomena\": [\"plain\", \"agent_note\"]}\n\
             {\"text\": \"b b b\", \"label_1\": \"positive\", \"label_2\": \"neutral\"}\n",
        );
        let columns = Columns { by: vec!["phenomena".to_owned()], ..Columns::default() };
        let read = read(&path, &columns).unwrap();
        assert_eq!((read.rows.len(), read.rows[0].truth.label), (1, Label::Negative));
        assert_eq!((read.rows[0].truth.raters.len(), read.rows[0].interaction.kind), (3, Kind::Note));
        assert_eq!(read.rows[0].groups, [["plain", "agent_note"]]);
        assert!(read.unusable[0].contains("raters do not agree"));
    }

    #[test]
    fn a_file_without_labels_says_what_is_missing() {
        let (_folder, path) = file("a.csv", "text,channel\nLate again,web\n");
        let told = super::read(&path, &Columns::default()).unwrap_err().to_string();
        assert!(told.contains("no label") && told.contains("--label"), "{told}");
    }
}
