//! Runs the encoder: word pieces of one window in, a vector for each piece out.

use std::borrow::Cow;
use std::sync::Arc;

use rten::{Model, ModelOptions, NodeId, RunOptions, ThreadPool};
use rten_tensor::prelude::*;
use rten_tensor::{NdTensor, NdTensorView};

use super::artifact::{ArtifactError, EncoderEntry};

/// The encoder in its runtime. One window at a time: int8 activations share one scale per tensor, so a batch would let
/// texts change each other's verdicts.
pub(crate) struct Encoder {
    model: Model,
    input: NodeId,
    output: NodeId,
    width: usize,
}

/// Where the runtime computes. Each worker has one with a single thread: two workers then use two cores, not four.
#[derive(Clone)]
pub(crate) struct Lane(Arc<ThreadPool>);

impl Lane {
    pub(crate) fn new() -> Self {
        Self(Arc::new(ThreadPool::with_num_threads(1)))
    }
}

impl Encoder {
    /// From the bytes of an ONNX file whose input is `i32[pieces]` and whose output is `f32[pieces, width]`.
    pub(crate) fn new(onnx: Cow<'static, [u8]>, entry: &EncoderEntry) -> Result<Self, ArtifactError> {
        let broken = |detail: String| ArtifactError::Malformed { file: "encoder.onnx".to_owned(), detail };
        let mut options = ModelOptions::with_all_ops();
        // Weights in the kernels' own order: two thirds of the time per text for some milliseconds at the start.
        options.prepack_weights(true);
        let model = match onnx {
            Cow::Borrowed(bytes) => options.load_static_slice(bytes),
            Cow::Owned(bytes) => options.load(bytes),
        };
        let model = model.map_err(|e| broken(e.to_string()))?;
        let (Some(&input), Some(&output)) = (model.input_ids().first(), model.output_ids().first()) else {
            return Err(broken("it has no input or output".to_owned()));
        };
        Ok(Self { model, input, output, width: entry.width })
    }

    /// The vectors of one window's pieces, row by row.
    pub(crate) fn encode(&self, ids: &[i32], lane: &Lane) -> Result<Vec<f32>, String> {
        let view = NdTensorView::<i32, 1>::from_data([ids.len()], ids);
        let options = RunOptions::default().with_thread_pool(Some(lane.0.clone()));
        let [output] = self
            .model
            .run_n(vec![(self.input, view.into())], [self.output], Some(options))
            .map_err(|e| e.to_string())?;
        let hidden: NdTensor<f32, 2> =
            output.try_into().map_err(|_| "the encoder's output is no matrix of numbers".to_owned())?;
        if hidden.shape() != [ids.len(), self.width] {
            return Err(format!(
                "the encoder answers {:?}, not {} × {}",
                hidden.shape(),
                ids.len(),
                self.width
            ));
        }
        Ok(hidden.into_data())
    }
}
