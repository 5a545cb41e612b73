//! Makes the vectors that the heads are trained on, with the code that reads texts in production: no second tokeniser, no second way to
//! strip quotes, and the same int8 arithmetic. Called by `training/`.
//!
//! `features FOLDER LAYERS < texts.jsonl > vectors.bin`: reads objects with `text` and optionally `kind`; writes for each text, little
//! endian, `u32` clauses (0 where the text is not read), then `u32` pieces and `f32[384]` for the whole text and for each clause. With the
//! word `pieces` for LAYERS, a line of JSON for each text instead: the word pieces of what would be read, or `null`; with `all`, of all of it.

use std::io::{BufRead, BufWriter, Write};
use std::path::Path;

use undertone_core::Kind;
use undertone_scoring::local::artifact::EncoderEntry;
use undertone_scoring::local::{Features, TextFeatures};

#[derive(serde::Deserialize)]
struct Row {
    text: String,
    kind: Option<Kind>,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, layers] = arguments.as_slice() else {
        return Err("usage: features FOLDER LAYERS < texts.jsonl > vectors.bin".into());
    };
    let (only_pieces, all) = (layers == "pieces", layers == "all");
    let layers = if only_pieces || all { 0 } else { layers.parse()? };
    let entry = EncoderEntry { base: String::new(), width: 384, layers, window: 128 };
    let features = Features::from_folder(Path::new(folder), &entry)?;
    let mut out = BufWriter::new(std::io::stdout().lock());
    for line in std::io::stdin().lock().lines() {
        let row: Row = serde_json::from_str(&line?)?;
        if all {
            writeln!(out, "{}", serde_json::to_string(&features.all_pieces(&row.text))?)?;
            continue;
        }
        if only_pieces {
            let pieces = features.pieces(&row.text, row.kind.unwrap_or(Kind::Message)).ok();
            writeln!(out, "{}", serde_json::to_string(&pieces)?)?;
            continue;
        }
        match features.of(&row.text, row.kind.unwrap_or(Kind::Message)) {
            Ok(TextFeatures { pieces, whole, clauses }) => {
                out.write_all(&u32::try_from(clauses.len())?.to_le_bytes())?;
                for (pieces, vector) in std::iter::once((pieces, whole)).chain(clauses) {
                    out.write_all(&u32::try_from(pieces)?.to_le_bytes())?;
                    for number in vector {
                        out.write_all(&number.to_le_bytes())?;
                    }
                }
            }
            Err(_) => out.write_all(&0u32.to_le_bytes())?,
        }
    }
    out.flush()?;
    Ok(())
}
