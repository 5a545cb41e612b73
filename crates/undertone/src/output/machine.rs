//! Verdicts for programs and spreadsheets.

use std::io::Write;

use serde_json::{Value, json};

use crate::cli::{Answer, Scored};
use crate::error::CliError;

/// One object a row, on one line. Characters that could drive a terminal are escaped: a reader of JSON gets them back as they were.
pub fn json_line(scored: &Scored) -> String {
    let mut line = String::new();
    for c in json(scored).to_string().chars() {
        if super::clean::is_unsafe(c) {
            let mut units = [0; 2];
            for unit in c.encode_utf16(&mut units) {
                line += &format!("\\u{unit:04x}");
            }
        } else {
            line.push(c);
        }
    }
    line
}

/// One object a row. Keys are always the same; what is unknown is null.
fn json(scored: &Scored) -> Value {
    let i = scored.interaction.as_ref();
    let mut object = json!({
        "line": scored.line,
        "id": i.map(|i| &i.external_id),
        "customer": i.and_then(|i| i.customer.as_ref()),
        "occurred_at": i.and_then(|i| i.occurred_at),
        "label": null, "score": null, "confidence": null, "needs_review": null, "dominant_emotion": null, "urgency": null,
        "category": null, "summary": null, "keywords": null, "evidence": null, "aspects": null, "emotions": null, "language": null,
        "coverage": null, "provenance": null, "cascade": null, "suspicions": null, "reason": null, "detail": null,
    });
    let Value::Object(fields) = &mut object else { return object };
    let mut set = |name: &str, value: Value| {
        fields.insert(name.to_owned(), value);
    };
    match &scored.answer {
        Answer::Verdict(v) => {
            set("label", json!(v.label));
            set("score", json!(v.score));
            set("confidence", json!(v.confidence));
            set("needs_review", json!(v.needs_review()));
            set("dominant_emotion", json!(v.dominant_emotion));
            set("urgency", json!(v.urgency));
            set("category", json!(v.category));
            set("summary", json!(v.summary));
            set("keywords", json!(v.keywords().collect::<Vec<_>>()));
            set("evidence", json!(v.evidence));
            set("aspects", json!(v.aspects));
            set("emotions", json!(v.emotions));
            set("language", json!(v.provenance.language));
            set("coverage", json!(v.coverage));
            set("provenance", json!(v.provenance));
            set("cascade", json!(v.cascade));
            set("suspicions", json!(v.suspicions));
            set("detail", json!(scored.note));
        }
        Answer::Skipped { reason, language } => {
            set("reason", json!(reason));
            set("detail", json!(scored.note.as_deref().unwrap_or(reason.explanation())));
            set("language", json!(language));
        }
        Answer::Failed(why) => {
            set("reason", json!("failed"));
            set("detail", json!(why));
        }
    }
    object
}

const HEADER: [&str; 20] = [
    "line",
    "id",
    "customer",
    "occurred_at",
    "channel",
    "label",
    "score",
    "confidence",
    "needs_review",
    "dominant_emotion",
    "urgency",
    "category",
    "summary",
    "keywords",
    "language",
    "scorer",
    "truncated",
    "unread_percent",
    "reason",
    "text",
];

/// Writes the header.
pub fn csv_header(writer: &mut csv::Writer<impl Write>) -> Result<(), CliError> {
    writer.write_record(HEADER).map_err(unwritten)
}

/// A record that could not be written.
pub fn unwritten(error: csv::Error) -> CliError {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => CliError::Output(error),
        other => CliError::Failed(format!("a row could not be written: {other:?}")),
    }
}

/// One record a row.
pub fn csv(writer: &mut csv::Writer<impl Write>, scored: &Scored) -> Result<(), CliError> {
    let i = scored.interaction.as_ref();
    let mut fields: [String; 20] = Default::default();
    fields[0] = scored.line.to_string();
    if let Some(i) = i {
        fields[1].clone_from(&i.external_id);
        fields[2] = i.customer.clone().unwrap_or_default();
        fields[3] = i.occurred_at.map(|t| t.to_rfc3339()).unwrap_or_default();
        fields[4] = i.channel_name.clone().unwrap_or_else(|| i.channel.as_str().to_owned());
        fields[19].clone_from(&i.text);
    }
    match &scored.answer {
        Answer::Verdict(v) => {
            fields[5] = v.label.as_str().into();
            fields[6] = v.score.get().to_string();
            fields[7] = v.confidence.get().to_string();
            fields[8] = v.needs_review().to_string();
            fields[9] = v.dominant_emotion.as_str().into();
            fields[10] = v.urgency.as_str().into();
            fields[11] = v.category.as_str().into();
            fields[12].clone_from(&v.summary);
            fields[13] = v.keywords().collect::<Vec<_>>().join("; ");
            fields[14].clone_from(&v.provenance.language);
            fields[15] = v.provenance.scorer.as_str().into();
            fields[16] = v.coverage.truncated.to_string();
            fields[17] = v.coverage.unread_percent.to_string();
        }
        Answer::Skipped { reason, language } => {
            fields[14] = language.clone().unwrap_or_default();
            fields[18] = reason.as_str().into();
        }
        Answer::Failed(why) => fields[18] = format!("failed: {why}"),
    }
    // The score's own minus is a number, not a formula.
    let guarded =
        fields.iter().enumerate().map(|(n, field)| if n == 6 { field.clone() } else { guard(field) });
    writer.write_record(guarded).map_err(unwritten)
}

/// A text that a spreadsheet would run as a formula gets an apostrophe in front, as spreadsheets themselves write it.
pub fn guard(field: &str) -> String {
    // Line ends and tabs may stay; nothing else that could drive a terminal.
    let field: String =
        field.chars().filter(|c| matches!(c, '\n' | '\t') || !super::clean::is_unsafe(*c)).collect();
    if field.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{field}") } else { field }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spreadsheets_run_nothing_from_a_customer() {
        for formula in ["=1+1", "+49 30 1234", "-1", "@SUM(A1)", "\t=1"] {
            assert_eq!(guard(formula), format!("'{formula}"));
        }
        assert_eq!(guard("fine = ok"), "fine = ok");
    }
}
