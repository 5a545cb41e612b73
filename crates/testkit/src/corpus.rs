//! The labelled messages under `training/corpus`.

use serde::Deserialize;

/// A message with its labels; `training/LABELLING.md` says what they mean.
#[derive(Debug, Clone, Deserialize)]
pub struct Message {
    /// Its id, unique over the whole corpus.
    pub id: String,
    /// What was written.
    pub text: String,
    /// positive, neutral, negative or mixed.
    pub label: String,
    /// -100..=100.
    pub valence: i64,
    /// The emotion that dominates.
    pub emotion: String,
    /// low, medium or high.
    pub urgency: String,
    /// One of the default categories.
    pub category: String,
    /// Words say the opposite of what is meant.
    pub sarcasm: bool,
    /// What makes it typical or hard.
    pub phenomena: Vec<String>,
    /// The file it stands in, without its ending.
    #[serde(skip)]
    pub file: String,
}

/// All messages of `part`: `train` or `test`.
///
/// # Panics
/// When a file can not be read or a line is no message: the tests can say nothing then.
#[must_use]
#[expect(
    clippy::panic,
    reason = "only tests call it, and a broken corpus must stop them with the line's number"
)]
pub fn messages(part: &str) -> Vec<Message> {
    let folder = crate::workspace("training/corpus").join(part);
    let mut paths: Vec<_> = std::fs::read_dir(&folder)
        .unwrap_or_else(|e| panic!("{}: {e}", folder.display()))
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|e| e == "jsonl"))
        .collect();
    paths.sort();
    let mut messages = Vec::new();
    for path in paths {
        let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        for (line, number) in text.lines().zip(1..) {
            let mut message: Message =
                serde_json::from_str(line).unwrap_or_else(|e| panic!("{}:{number}: {e}", path.display()));
            message.file = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            messages.push(message);
        }
    }
    messages
}
