//! The encoder's numbers as its file holds them.

use std::borrow::Cow;
use std::ops::Range;

use safetensors::{Dtype, SafeTensors};

use super::{Norm, WIDTH};
use crate::local::artifact::{ArtifactError, EncoderEntry};

/// The file, and what is taken from it piece by piece.
pub(super) struct Weights {
    bytes: Cow<'static, [u8]>,
    words: Range<usize>,
    scales: Vec<f32>,
    places: Vec<f32>,
    pub(super) norm: Norm,
}

/// A matrix, row by row, its scales and its bias.
type Parts = (Vec<i8>, Vec<f32>, Vec<f32>);

impl Weights {
    pub(super) fn load(bytes: Cow<'static, [u8]>, entry: &EncoderEntry) -> Result<Self, ArtifactError> {
        if entry.width != WIDTH {
            return Err(broken(format!("is {} wide; this program reads {WIDTH}", entry.width)));
        }
        let file = open(&bytes)?;
        let words = file.tensor("words").map_err(|e| broken(e.to_string()))?;
        let (rows, width) = match words.shape() {
            [rows, width] if words.dtype() == Dtype::I8 => (*rows, *width),
            shape => return Err(broken(format!("words is {:?} {shape:?}", words.dtype()))),
        };
        if width != WIDTH || rows == 0 {
            return Err(broken(format!("words is {rows} × {width}")));
        }
        let start = words.data().as_ptr().addr() - bytes.as_ptr().addr();
        let words = start..start + rows * WIDTH;
        let scales = floats(&file, "words.scale", rows)?;
        let places = floats(&file, "places", entry.window * WIDTH)?;
        let (scale, shift) = norm(&file, "norm")?;
        Ok(Self { words, scales, places, norm: Norm { scale, shift }, bytes })
    }

    /// The matrix `name`, its scales and its bias.
    pub(super) fn linear(&self, name: &str, outputs: usize, inputs: usize) -> Result<Parts, ArtifactError> {
        let file = open(&self.bytes)?;
        let weight = file.tensor(name).map_err(|e| broken(e.to_string()))?;
        if weight.dtype() != Dtype::I8 || weight.shape() != [outputs, inputs] {
            return Err(broken(format!("{name} is {:?} {:?}", weight.dtype(), weight.shape())));
        }
        let weight: Vec<i8> = weight.data().iter().map(|b| b.cast_signed()).collect();
        // AVX2 turns a sign around, and there is no 128.
        if weight.contains(&i8::MIN) {
            return Err(broken(format!("{name} holds -128; a matrix goes from -127 to 127")));
        }
        let scale = floats(&file, &format!("{name}.scale"), outputs)?;
        Ok((weight, scale, floats(&file, &format!("{name}.bias"), outputs)?))
    }

    /// Scale and shift of the norm `name`.
    pub(super) fn norm(&self, name: &str) -> Result<(Vec<f32>, Vec<f32>), ArtifactError> {
        norm(&open(&self.bytes)?, name)
    }

    /// The sum of each piece's own vector and its place's.
    pub(super) fn embed(&self, ids: &[i32]) -> Result<Vec<f32>, String> {
        if ids.len() * WIDTH > self.places.len() {
            return Err(format!("{} pieces are more than a window holds", ids.len()));
        }
        let mut out = Vec::with_capacity(ids.len() * WIDTH);
        for (id, places) in ids.iter().zip(self.places.chunks_exact(WIDTH)) {
            let unknown = || format!("there is no word piece {id}");
            let row = usize::try_from(*id).map_err(|_| unknown())?;
            let scale = *self.scales.get(row).ok_or_else(unknown)?;
            let words = &self.bytes[self.words.clone()][row * WIDTH..][..WIDTH];
            out.extend(words.iter().zip(places).map(|(w, p)| f32::from(w.cast_signed()).mul_add(scale, *p)));
        }
        Ok(out)
    }
}

fn open(bytes: &[u8]) -> Result<SafeTensors<'_>, ArtifactError> {
    SafeTensors::deserialize(bytes).map_err(|e| broken(e.to_string()))
}

fn norm(file: &SafeTensors<'_>, name: &str) -> Result<(Vec<f32>, Vec<f32>), ArtifactError> {
    Ok((floats(file, &format!("{name}.scale"), WIDTH)?, floats(file, &format!("{name}.shift"), WIDTH)?))
}

fn floats(file: &SafeTensors<'_>, name: &str, count: usize) -> Result<Vec<f32>, ArtifactError> {
    let tensor = file.tensor(name).map_err(|e| broken(e.to_string()))?;
    if tensor.dtype() != Dtype::F32 || tensor.shape().iter().product::<usize>() != count {
        return Err(broken(format!(
            "{name} is {:?} {:?}, not {count} numbers",
            tensor.dtype(),
            tensor.shape()
        )));
    }
    let numbers: Vec<f32> = tensor.data().as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
    if numbers.iter().all(|n| n.is_finite()) {
        return Ok(numbers);
    }
    Err(broken(format!("{name} holds what is no number")))
}

fn broken(detail: String) -> ArtifactError {
    ArtifactError::Malformed { file: "encoder.safetensors".to_owned(), detail }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(matrix: [u8; 4]) -> Weights {
        let header = r#"{"m":{"dtype":"I8","shape":[1,4],"data_offsets":[0,4]},"m.scale":{"dtype":"F32","shape":[1],"data_offsets":[4,8]},"m.bias":{"dtype":"F32","shape":[1],"data_offsets":[8,12]}}"#;
        let header = format!("{header:<width$}", width = header.len().next_multiple_of(8));
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header.as_bytes());
        bytes.extend(matrix);
        bytes.extend([0; 8]);
        let norm = Norm { scale: Vec::new(), shift: Vec::new() };
        Weights { bytes: Cow::Owned(bytes), words: 0..0, scales: Vec::new(), places: Vec::new(), norm }
    }

    #[test]
    fn a_number_without_a_counterpart_is_refused() {
        assert_eq!(with([129, 0, 127, 1]).linear("m", 1, 4).unwrap().0, [-127, 0, 127, 1]);
        let told = with([128, 0, 127, 1]).linear("m", 1, 4).unwrap_err().to_string();
        assert!(told.contains("m holds -128"), "{told}");
    }
}
