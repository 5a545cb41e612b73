//! The model as files: a manifest that says what is in them, with a checksum for each.
//!
//! Format 4 is a folder of `manifest.json`, an encoder (safetensors), a tokenizer (JSON) and heads (safetensors). The manifest names the
//! outputs of the heads, so that a model with other emotions or layers is a new folder and no new code. The model shipped is
//! compiled into the program; another can be read from a folder.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::heads::logistic;

/// The artifact format this program reads.
pub const FORMAT: u32 = 4;

const EMBEDDED: [(&str, &[u8]); 3] = [
    ("encoder.safetensors", include_bytes!("../../artifacts/reader-2/encoder.safetensors")),
    ("tokenizer.json", include_bytes!("../../artifacts/reader-2/tokenizer.json")),
    ("heads.safetensors", include_bytes!("../../artifacts/reader-2/heads.safetensors")),
];
const EMBEDDED_MANIFEST: &[u8] = include_bytes!("../../artifacts/reader-2/manifest.json");
const EMBEDDED_CARD: &str = include_str!("../../artifacts/reader-2/card.md");

/// Why a model can not be used. None of these is passed over: the program does not start with a model it can not trust.
#[derive(Debug, thiserror::Error)]
pub enum ArtifactError {
    /// A file is missing or unreadable.
    #[error("the model file {file} can not be read: {source}")]
    Unreadable {
        /// The file.
        file: String,
        /// Why.
        source: std::io::Error,
    },
    /// The format is another one.
    #[error("the model has format {found}, this program reads format {FORMAT}; use a model made for it")]
    Format {
        /// The format found.
        found: u32,
    },
    /// A file is not the one the manifest describes.
    #[error(
        "the model file {file} is damaged: its SHA-256 is {found}, the manifest says {expected}. Fetch it again; a model that \
         does not match its checksum is not used"
    )]
    Checksum {
        /// The file.
        file: String,
        /// What the manifest says, in hexadecimal.
        expected: String,
        /// What the file has.
        found: String,
    },
    /// The system gives no thread to read with.
    #[error("no thread can be started to read with: {0}")]
    NoThread(std::io::Error),
    /// A file does not hold what it should.
    #[error("the model file {file} is not usable: {detail}")]
    Malformed {
        /// The file.
        file: String,
        /// What is wrong.
        detail: String,
    },
}

/// What the manifest says of a file.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FileEntry {
    /// In lower-case hexadecimal.
    pub sha256: String,
    /// Length.
    pub bytes: u64,
}

/// What the manifest says of the encoder.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EncoderEntry {
    /// The model it comes from.
    pub base: String,
    /// Numbers per word piece in its output.
    pub width: usize,
    /// Layers.
    pub layers: usize,
    /// Word pieces in a window, opening and closing ones included.
    pub window: usize,
}

/// What the manifest says of the table of words.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct LexiconEntry {
    /// Rows of pairs of word pieces, a power of two.
    pub pairs: usize,
}

/// Turns the winning probability into a calibrated one: `1 / (1 + exp(-(scale * logit(p) + shift)))`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// Version of the calibrator.
    pub version: u32,
    /// Multiplies the logit.
    pub scale: f32,
    /// Added to it.
    pub shift: f32,
}

impl Calibration {
    /// The logit of a probability, kept finite.
    pub(crate) fn logit(probability: f32) -> f32 {
        let p = probability.clamp(1e-4, 1.0 - 1e-4);
        (p / (1.0 - p)).ln()
    }

    /// The calibrated probability, 0..=1.
    #[must_use]
    pub fn of(self, probability: f32) -> f32 {
        logistic(self.scale * Self::logit(probability) + self.shift)
    }
}

/// The manifest of format 4.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Manifest {
    /// [`FORMAT`].
    pub format: u32,
    /// The model's name.
    pub name: String,
    /// The model's version.
    pub version: String,
    /// The encoder.
    pub encoder: EncoderEntry,
    /// Columns of the token heads, such as `valence`, `label.negative`, `emotion.relief`, `urgency.high`.
    pub outputs: Vec<String>,
    /// Categories in the order of the head's rows.
    pub categories: Vec<String>,
    /// Languages it was validated on, ISO 639-1.
    pub languages: Vec<String>,
    /// How confidence is made.
    pub calibration: Calibration,
    /// The table of words among the heads.
    pub lexicon: LexiconEntry,
    /// What was measured when it was made, by name; `model info` prints it.
    pub figures: BTreeMap<String, f64>,
    /// The other files.
    pub files: BTreeMap<String, FileEntry>,
}

/// A model whose files match its manifest.
pub struct Artifact {
    /// The manifest.
    pub manifest: Manifest,
    /// The model card, Markdown.
    pub card: Cow<'static, str>,
    files: BTreeMap<String, Cow<'static, [u8]>>,
}

impl Artifact {
    /// The model compiled into this program.
    pub fn embedded() -> Result<Self, ArtifactError> {
        let files =
            EMBEDDED.into_iter().map(|(name, bytes)| (name.to_owned(), Cow::Borrowed(bytes))).collect();
        Self::checked(EMBEDDED_MANIFEST, Cow::Borrowed(EMBEDDED_CARD), files)
    }

    /// The model in `folder`.
    pub fn from_folder(folder: &Path) -> Result<Self, ArtifactError> {
        let read = |name: &str| {
            let path = folder.join(name);
            std::fs::read(&path)
                .map_err(|source| ArtifactError::Unreadable { file: path.display().to_string(), source })
        };
        let manifest = read("manifest.json")?;
        let card = String::from_utf8_lossy(&read("card.md")?).into_owned();
        let mut files = BTreeMap::new();
        for (name, _) in EMBEDDED {
            files.insert(name.to_owned(), Cow::Owned(read(name)?));
        }
        Self::checked(&manifest, Cow::Owned(card), files)
    }

    fn checked(
        manifest: &[u8],
        card: Cow<'static, str>,
        files: BTreeMap<String, Cow<'static, [u8]>>,
    ) -> Result<Self, ArtifactError> {
        // The format is read first: a manifest of another format may hold anything else.
        #[derive(Deserialize)]
        struct Version {
            format: u32,
        }
        let malformed = |e: serde_json::Error| ArtifactError::Malformed {
            file: "manifest.json".to_owned(),
            detail: e.to_string(),
        };
        let Version { format } = serde_json::from_slice(manifest).map_err(malformed)?;
        if format != FORMAT {
            return Err(ArtifactError::Format { found: format });
        }
        let manifest: Manifest = serde_json::from_slice(manifest).map_err(malformed)?;
        for (name, bytes) in &files {
            let expected = manifest.files.get(name).ok_or_else(|| ArtifactError::Malformed {
                file: "manifest.json".to_owned(),
                detail: format!("it does not list {name}"),
            })?;
            let found = hexadecimal(&Sha256::digest(bytes));
            if found != expected.sha256 {
                return Err(ArtifactError::Checksum {
                    file: name.clone(),
                    expected: expected.sha256.clone(),
                    found,
                });
            }
        }
        Ok(Self { manifest, card, files })
    }

    /// The bytes of one of the files the manifest lists; empty for another.
    pub(crate) fn take(&mut self, name: &str) -> Cow<'static, [u8]> {
        self.files.remove(name).unwrap_or_default()
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        for half in [byte >> 4, byte & 15] {
            text.push(char::from_digit(u32::from(half), 16).unwrap_or('0'));
        }
        text
    })
}
