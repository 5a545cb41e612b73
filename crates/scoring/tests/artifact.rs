//! A model that is not what its manifest says is not used, and the message says what to do.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that can not go on stops")]

use std::fs;
use std::path::{Path, PathBuf};

use undertone_scoring::local::{Artifact, ArtifactError, LocalScorer};

/// A copy of the shipped model in a folder of its own, which goes with it.
struct Copy(PathBuf);

impl Copy {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("undertone-artifact-{}-{name}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("artifacts/reader-2");
        for entry in fs::read_dir(shipped).unwrap() {
            let path = entry.unwrap().path();
            fs::copy(&path, folder.join(path.file_name().unwrap())).unwrap();
        }
        Self(folder)
    }

    fn edit(&self, file: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let path = self.0.join(file);
        let mut bytes = fs::read(&path).unwrap();
        change(&mut bytes);
        fs::write(path, bytes).unwrap();
    }

    fn load(&self) -> Result<Artifact, ArtifactError> {
        Artifact::from_folder(&self.0)
    }

    fn told(&self) -> String {
        self.load().err().map_or_else(|| "it was accepted".to_owned(), |e| e.to_string())
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_model_in_a_folder_is_read_as_the_embedded_one() {
    let copy = Copy::new("whole");
    let artifact = copy.load().unwrap();
    assert_eq!(artifact.manifest.version, Artifact::embedded().unwrap().manifest.version);
    LocalScorer::new(artifact, undertone_scoring::local::Capacity::default()).unwrap();
}

#[test]
fn one_flipped_bit_stops_the_start() {
    for file in ["encoder.safetensors", "tokenizer.json", "heads.safetensors"] {
        let copy = Copy::new(file);
        copy.edit(file, |bytes| {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
        });
        let told = copy.told();
        assert!(told.contains(file) && told.contains("damaged") && told.contains("not used"), "{told}");
    }
}

#[test]
fn another_format_is_named() {
    let copy = Copy::new("format");
    copy.edit("manifest.json", |bytes| *bytes = br#"{"format": 5, "shape": "unknown"}"#.to_vec());
    assert_eq!(copy.told(), "the model has format 5, this program reads format 4; use a model made for it");
}

#[test]
fn a_missing_file_is_named() {
    let copy = Copy::new("missing");
    fs::remove_file(copy.0.join("heads.safetensors")).unwrap();
    assert!(copy.told().contains("heads.safetensors can not be read"), "{}", copy.told());
}

#[test]
fn heads_of_another_shape_are_refused() {
    let copy = Copy::new("shape");
    copy.edit("manifest.json", |bytes| {
        let text =
            String::from_utf8(bytes.clone()).unwrap().replace("\"sarcasm\"\n", "\"sarcasm\", \"more\"\n");
        *bytes = text.into_bytes();
    });
    let error = LocalScorer::new(copy.load().unwrap(), undertone_scoring::local::Capacity::default()).err();
    assert!(error.unwrap().to_string().contains("token.weight"), "the shape is checked against the manifest");
}
