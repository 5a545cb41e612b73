//! The encoder: word pieces of one window in, a vector for each piece out.
//!
//! A BERT of width 384 whose matrices are int8, one scale per output. Its activations are rounded to int8 with one scale per piece, so what
//! a piece becomes never depends on how large its neighbours' numbers are. Decision 0001 says why this is our own code.

#![allow(clippy::inline_always, reason = "inlined, it is compiled for the instructions of `Isa::run`")]

mod kernels;
mod weights;

use std::borrow::Cow;
use std::cell::RefCell;

use self::kernels::{Isa, Packed, Rounded, Work};
use self::weights::Weights;
use super::artifact::{ArtifactError, EncoderEntry};

/// Numbers per piece.
const WIDTH: usize = 384;
/// Attention heads.
const HEADS: usize = 12;
/// Numbers per head.
const HEAD: usize = WIDTH / HEADS;
/// Numbers between the two matrices of a layer.
const INNER: usize = 4 * WIDTH;

/// The encoder, ready to run.
pub(crate) struct Encoder {
    weights: Weights,
    layers: Vec<Layer>,
    isa: Isa,
}

struct Layer {
    /// Query, key and value side by side; the query divided by the square root of a head's width.
    qkv: Linear,
    mix: Linear,
    mix_norm: Norm,
    up: Linear,
    down: Linear,
    norm: Norm,
}

/// A matrix with its bias.
struct Linear {
    weight: Packed,
    bias: Vec<f32>,
}

/// Mean 0 and deviation 1 over a piece's numbers, then scale and shift.
struct Norm {
    scale: Vec<f32>,
    shift: Vec<f32>,
}

/// What one thread computes in. It grows to the longest window and stays, so that reading a text allocates nothing for each layer.
#[derive(Default)]
pub(crate) struct Lane(RefCell<Scratch>);

#[derive(Default)]
struct Scratch {
    rounded: Rounded,
    qkv: Vec<f32>,
    mixed: Vec<f32>,
    out: Vec<f32>,
    up: Vec<f32>,
    keys: Vec<f32>,
    scores: Vec<f32>,
}

impl Lane {
    pub(crate) fn new() -> Self {
        Self::default()
    }
}

impl Encoder {
    /// From the bytes of a safetensors file; `entry` says how it should be.
    pub(crate) fn new(bytes: Cow<'static, [u8]>, entry: &EncoderEntry) -> Result<Self, ArtifactError> {
        let isa = Isa::best();
        let weights = Weights::load(bytes, entry)?;
        let layers = (0..entry.layers)
            .map(|i| {
                let name = |part: &str| format!("layer.{i}.{part}");
                let linear = |part: &str, outputs: usize, inputs: usize| {
                    let (weight, scale, bias) = weights.linear(&name(part), outputs, inputs)?;
                    Ok(Linear { weight: Packed::new(isa, &weight, scale, inputs), bias })
                };
                let norm = |part: &str| weights.norm(&name(part)).map(|(scale, shift)| Norm { scale, shift });
                Ok(Layer {
                    qkv: linear("qkv", 3 * WIDTH, WIDTH)?,
                    mix: linear("mix", WIDTH, WIDTH)?,
                    mix_norm: norm("mix.norm")?,
                    up: linear("up", INNER, WIDTH)?,
                    down: linear("down", WIDTH, INNER)?,
                    norm: norm("norm")?,
                })
            })
            .collect::<Result<_, ArtifactError>>()?;
        Ok(Self { weights, layers, isa })
    }

    /// The vectors of one window's pieces, row by row.
    pub(crate) fn encode(&self, ids: &[i32], lane: &Lane) -> Result<Vec<f32>, String> {
        let mut x = self.weights.embed(ids)?;
        let mut scratch =
            lane.0.try_borrow_mut().map_err(|_| "one lane was used twice at once".to_owned())?;
        self.isa.run(Forward { encoder: self, x: &mut x, scratch: &mut scratch });
        Ok(x)
    }
}

/// All layers, one after the other.
struct Forward<'a> {
    encoder: &'a Encoder,
    x: &'a mut [f32],
    scratch: &'a mut Scratch,
}

impl Work for Forward<'_> {
    #[inline(always)]
    fn done(self) {
        self.encoder.weights.norm.apply(self.x);
        for layer in &self.encoder.layers {
            layer.apply(self.encoder.isa, self.x, self.scratch);
        }
    }
}

impl Layer {
    #[inline(always)]
    fn apply(&self, isa: Isa, x: &mut [f32], s: &mut Scratch) {
        s.rounded.round(x, WIDTH);
        self.qkv.apply(isa, &s.rounded, &mut s.qkv);
        attend(&s.qkv, &mut s.mixed, &mut s.keys, &mut s.scores);
        s.rounded.round(&s.mixed, WIDTH);
        self.mix.apply(isa, &s.rounded, &mut s.out);
        add(x, &s.out);
        self.mix_norm.apply(x);
        s.rounded.round(x, WIDTH);
        self.up.apply(isa, &s.rounded, &mut s.up);
        for v in &mut s.up {
            *v = gelu(*v);
        }
        s.rounded.round(&s.up, INNER);
        self.down.apply(isa, &s.rounded, &mut s.out);
        add(x, &s.out);
        self.norm.apply(x);
    }
}

impl Linear {
    #[inline(always)]
    fn apply(&self, isa: Isa, x: &Rounded, out: &mut Vec<f32>) {
        out.resize(x.rows() * self.bias.len(), 0.0);
        self.weight.times(isa, x, &self.bias, out);
    }
}

impl Norm {
    #[inline(always)]
    fn apply(&self, x: &mut [f32]) {
        for row in x.chunks_exact_mut(WIDTH) {
            let mean = sum(row) / WIDTH as f32;
            for v in row.iter_mut() {
                *v -= mean;
            }
            let square: f32 = sum_of_squares(row) / WIDTH as f32;
            let over = 1.0 / (square + 1e-12).sqrt();
            for ((v, scale), shift) in row.iter_mut().zip(&self.scale).zip(&self.shift) {
                *v = (*v * over).mul_add(*scale, *shift);
            }
        }
    }
}

/// Numbers taken at once by sums and maxima; it divides [`WIDTH`] and [`BLOCK`]. Loops and no iterators' methods, because those are compiled
/// once, for any processor. The order of a sum is part of the result.
const LANES: usize = 32;

#[inline(always)]
fn sum(row: &[f32]) -> f32 {
    let mut sums = [0.0f32; LANES];
    for part in row.chunks_exact(LANES) {
        for (s, v) in sums.iter_mut().zip(part) {
            *s += v;
        }
    }
    total(&sums)
}

#[inline(always)]
fn sum_of_squares(row: &[f32]) -> f32 {
    let mut sums = [0.0f32; LANES];
    for part in row.chunks_exact(LANES) {
        for (s, v) in sums.iter_mut().zip(part) {
            *s = v.mul_add(*v, *s);
        }
    }
    total(&sums)
}

#[inline(always)]
fn total(sums: &[f32; LANES]) -> f32 {
    let mut total = 0.0;
    for s in sums {
        total += s;
    }
    total
}

#[inline(always)]
fn largest(row: &[f32]) -> f32 {
    let mut most = [f32::NEG_INFINITY; LANES];
    for part in row.chunks_exact(LANES) {
        for (m, v) in most.iter_mut().zip(part) {
            *m = if *v > *m { *v } else { *m };
        }
    }
    let mut largest = f32::NEG_INFINITY;
    for m in most {
        largest = if m > largest { m } else { largest };
    }
    largest
}

#[inline(always)]
fn add(x: &mut [f32], more: &[f32]) {
    for (v, m) in x.iter_mut().zip(more) {
        *v += m;
    }
}

/// Pieces whose scores are computed side by side.
const BLOCK: usize = LANES;
/// Pieces that look at the others together.
const QUERIES: usize = 4;

/// Softmax of query times key, times value, head by head. `qkv` has a row of `3 * WIDTH` for each piece.
#[inline(always)]
fn attend(qkv: &[f32], out: &mut Vec<f32>, keys: &mut Vec<f32>, scores: &mut Vec<f32>) {
    let pieces = qkv.len() / (3 * WIDTH);
    // Rows of whole blocks: what lies beyond the last piece gets no share.
    let padded = pieces.next_multiple_of(BLOCK);
    out.resize(pieces * WIDTH, 0.0);
    keys.clear();
    keys.resize(HEAD * padded, 0.0);
    scores.resize(QUERIES * padded, 0.0);
    for head in 0..HEADS {
        let at = head * HEAD;
        for (piece, row) in qkv.chunks_exact(3 * WIDTH).enumerate() {
            for (d, key) in row[WIDTH + at..WIDTH + at + HEAD].iter().enumerate() {
                keys[d * padded + piece] = *key;
            }
        }
        let mut first = 0;
        while first < pieces {
            // Four pieces at a time look at the others: each key and value is then loaded once for four. Beyond the last piece the last
            // one looks again.
            let [a, b, c, d] = [0, 1, 2, 3].map(|i| (first + i).min(pieces - 1));
            let query = |piece: usize| &qkv[piece * 3 * WIDTH + at..][..HEAD];
            let (qa, qb, qc, qd) = (query(a), query(b), query(c), query(d));
            for block in 0..padded / BLOCK {
                let (mut sa, mut sb, mut sc, mut sd) =
                    ([0.0; BLOCK], [0.0; BLOCK], [0.0; BLOCK], [0.0; BLOCK]);
                for i in 0..HEAD {
                    let keys = &keys[i * padded + block * BLOCK..][..BLOCK];
                    add_times(&mut sa, qa[i], keys);
                    add_times(&mut sb, qb[i], keys);
                    add_times(&mut sc, qc[i], keys);
                    add_times(&mut sd, qd[i], keys);
                }
                for (i, sums) in [sa, sb, sc, sd].iter().enumerate() {
                    scores[i * padded + block * BLOCK..][..BLOCK].copy_from_slice(sums);
                }
            }
            for row in scores.chunks_exact_mut(padded) {
                row[pieces..].fill(f32::NEG_INFINITY);
                softmax(row);
            }
            let (mut ma, mut mb, mut mc, mut md) = ([0.0; HEAD], [0.0; HEAD], [0.0; HEAD], [0.0; HEAD]);
            for piece in 0..pieces {
                let values = &qkv[piece * 3 * WIDTH + 2 * WIDTH + at..][..HEAD];
                add_times(&mut ma, scores[piece], values);
                add_times(&mut mb, scores[padded + piece], values);
                add_times(&mut mc, scores[2 * padded + piece], values);
                add_times(&mut md, scores[3 * padded + piece], values);
            }
            for (piece, mixed) in [(a, ma), (b, mb), (c, mc), (d, md)] {
                out[piece * WIDTH + at..][..HEAD].copy_from_slice(&mixed);
            }
            first += QUERIES;
        }
    }
}

/// `sums += factor * row`.
#[inline(always)]
fn add_times(sums: &mut [f32; BLOCK], factor: f32, row: &[f32]) {
    for (s, v) in sums.iter_mut().zip(row) {
        *s = factor.mul_add(*v, *s);
    }
}

/// Of whole blocks.
#[inline(always)]
fn softmax(scores: &mut [f32]) {
    let most = largest(scores);
    for s in scores.iter_mut() {
        *s = exp(*s - most);
    }
    let over = 1.0 / sum(scores);
    for s in scores.iter_mut() {
        *s *= over;
    }
}

/// e to the power of `x`, for `x` up to 0, to 2 units in the last place: 2 to the whole part by way of the exponent's bits, and a polynomial
/// for the rest. Below -87 it is as good as 0. Without a branch or a cast, so that the compiler can do many at once.
#[inline(always)]
fn exp(x: f32) -> f32 {
    // Added to a number under 2^22 it leaves the nearest whole number in the lowest bits.
    const WHOLE: f32 = 12_582_912.0;
    let x = if x > -87.0 { x } else { -87.0 };
    let shifted = x.mul_add(std::f32::consts::LOG2_E, WHOLE);
    let power = shifted - WHOLE;
    let rest = power.mul_add(-0.693_359_4, x);
    let rest = power.mul_add(2.121_944_4e-4, rest);
    let mut p = 1.987_569_2e-4;
    for c in [1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5] {
        p = rest.mul_add(p, c);
    }
    let p = (rest * rest).mul_add(p, rest) + 1.0;
    p * f32::from_bits((shifted.to_bits() << 23).wrapping_add(1.0f32.to_bits()))
}

/// `x` times the part of a normal distribution below it, to 2e-7 of the exact one (Abramowitz and Stegun 7.1.26).
#[inline(always)]
fn gelu(x: f32) -> f32 {
    let z = x.abs() * std::f32::consts::FRAC_1_SQRT_2;
    let t = 1.0 / 0.327_591_1f32.mul_add(z, 1.0);
    let mut p = 1.061_405_4f32;
    for c in [-1.453_152, 1.421_413_7, -0.284_496_74, 0.254_829_6] {
        p = t.mul_add(p, c);
    }
    let tail = 0.5 * p * t * exp(-z * z);
    x * if x < 0.0 { tail } else { 1.0 - tail }
}

#[cfg(test)]
mod tests;
