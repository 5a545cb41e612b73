//! The texts: the labelled messages of the test part, and what of the samples is scored.

use std::error::Error;

use serde::Deserialize;
use undertone_core::gate::{Circumstances, Decision, decide};
use undertone_core::{AuthorKind, Channel, Direction, Interaction, Kind, Label, Settings, Visibility};
use undertone_scoring::Utterance;
use undertone_testkit::corpus::messages;
use undertone_testkit::workspace;

/// Each message with the label people gave it.
pub fn test_part() -> Result<Vec<(Utterance, Label)>, Box<dyn Error>> {
    messages("test")
        .into_iter()
        .map(|message| {
            let mut utterance = Utterance::message(&message.text);
            let is = |phenomenon: &str| message.phenomena.iter().any(|p| p == phenomenon);
            if is("transcript") {
                utterance.kind = Kind::Transcript;
            } else if is("agent_note") {
                utterance.kind = Kind::Note;
            }
            let label = serde_json::from_value(serde_json::Value::String(message.label.clone()))?;
            Ok((utterance, label))
        })
        .collect()
}

#[derive(Deserialize)]
struct Row {
    id: String,
    channel: String,
    author: AuthorKind,
    kind: Kind,
    text: String,
}

/// Every interaction of the sample inbox that the gate lets through at the default settings, in the order of the file.
pub fn samples() -> Result<Vec<Utterance>, Box<dyn Error>> {
    let mut utterances = Vec::new();
    for row in csv::Reader::from_path(workspace("samples/inbox.csv"))?.deserialize() {
        let row: Row = row?;
        let mut interaction = Interaction::message("samples", &row.id, &row.text);
        interaction.channel = Channel::from_word(&row.channel).unwrap_or(Channel::Other);
        (interaction.author_kind, interaction.kind) = (row.author, row.kind);
        if row.author != AuthorKind::Customer {
            interaction.direction = Direction::Outgoing;
        }
        if row.kind != Kind::Message {
            interaction.visibility = Visibility::Internal;
        }
        let decision = decide(&interaction, &Settings::default(), Circumstances::default());
        if let Decision::Score { read_bytes, .. } = decision {
            utterances.push(Utterance::of(&interaction, read_bytes));
        }
    }
    Ok(utterances)
}
