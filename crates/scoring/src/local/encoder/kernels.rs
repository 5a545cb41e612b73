//! Products of int8 matrices, by the best means the processor has. The only `unsafe` code of the project stands here: each kernel needs
//! instructions that not every processor knows, and is called only after asking for them. All kernels give the same whole numbers; tests
//! hold each that this machine can run to a plain loop.

#![allow(unsafe_code, reason = "instructions that not every processor has; see above")]
#![allow(clippy::cast_ptr_alignment, reason = "the loads and stores used are those for any address")]
#![allow(clippy::inline_always, reason = "inlined, it is compiled for the instructions of `Isa::run`")]

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::{
    __m256i, __m512i, _mm256_abs_epi8, _mm256_add_epi32, _mm256_loadu_si256, _mm256_madd_epi16,
    _mm256_maddubs_epi16, _mm256_set1_epi16, _mm256_set1_epi32, _mm256_setzero_si256, _mm256_sign_epi8,
    _mm256_storeu_si256, _mm512_dpbusd_epi32, _mm512_loadu_si512, _mm512_set1_epi32, _mm512_setzero_si512,
    _mm512_storeu_si512,
};

/// Outputs that lie together in memory.
const PANEL: usize = 16;
/// Inputs that an instruction multiplies at once.
const GROUP: usize = 4;
/// Pieces whose sums are kept at once.
const ROWS: usize = 6;
/// Panels whose sums are kept at once.
const PANELS: usize = 4;

/// What the processor can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Isa {
    /// Anything.
    Plain,
    /// AVX2 and FMA: x86 since about 2013.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// AVX-512 with VNNI: servers since about 2019.
    #[cfg(target_arch = "x86_64")]
    Vnni,
}

impl Isa {
    /// Everything this machine can run, the best last.
    pub(super) fn all() -> Vec<Self> {
        #[allow(unused_mut, reason = "only x86 has more than one")]
        let mut all = vec![Self::Plain];
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            all.push(Self::Avx2);
            let has_vnni = is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512vl")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512vnni");
            if has_vnni {
                all.push(Self::Vnni);
            }
        }
        all
    }

    /// The best this machine can run.
    pub(super) fn best() -> Self {
        Self::all().pop().unwrap_or(Self::Plain)
    }

    /// Does `work`, compiled for these instructions as far as it is inlined.
    pub(super) fn run(self, work: impl Work) {
        match self {
            Self::Plain => work.done(),
            // SAFETY: a value other than `Plain` is only made by `all`, which asked the processor.
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => unsafe { run_avx2(work) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Self::Vnni => unsafe { run_vnni(work) },
        }
    }
}

/// Something to compute. Its method and what that calls are `#[inline(always)]`, or the compiler may use no more than every processor has.
pub(super) trait Work {
    fn done(self);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn run_avx2(work: impl Work) {
    work.done();
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
fn run_vnni(work: impl Work) {
    work.done();
}

/// Rows of numbers, each rounded to whole numbers from -127 to 127 times a scale of its own.
#[derive(Default)]
pub(super) struct Rounded {
    values: Vec<i8>,
    scales: Vec<f32>,
    /// 128 times the sum of each row, which the VNNI kernel adds too much.
    excess: Vec<i32>,
    width: usize,
}

impl Rounded {
    pub(super) fn rows(&self) -> usize {
        self.scales.len()
    }

    /// Takes rows of `width` numbers; 32 divides it.
    #[inline(always)]
    pub(super) fn round(&mut self, x: &[f32], width: usize) {
        self.width = width;
        self.values.resize(x.len(), 0);
        self.scales.clear();
        self.excess.clear();
        for (row, out) in x.chunks_exact(width).zip(self.values.chunks_exact_mut(width)) {
            let mut most = [1e-12f32; 32];
            for part in row.chunks_exact(32) {
                for (m, v) in most.iter_mut().zip(part) {
                    *m = if v.abs() > *m { v.abs() } else { *m };
                }
            }
            let mut largest = 0.0;
            for m in most {
                largest = if m > largest { m } else { largest };
            }
            let over = 127.0 / largest;
            let mut sum = 0i32;
            for (q, v) in out.iter_mut().zip(row) {
                // Added to a small number it leaves the nearest whole number in the lowest bits; a cast would check for overflow, one
                // number at a time.
                *q = (v.mul_add(over, 12_582_912.0).to_bits() as u8).cast_signed();
                sum += i32::from(*q);
            }
            self.scales.push(largest / 127.0);
            self.excess.push(128 * sum);
        }
    }
}

/// A matrix in the order in which its kernel reads it: [`PANEL`] outputs side by side, [`GROUP`] inputs of each.
pub(super) struct Packed {
    /// For VNNI each number is 128 more, since one side of its product has no sign.
    values: Vec<u8>,
    scales: Vec<f32>,
    inputs: usize,
}

impl Packed {
    /// From a row for each output. [`PANEL`] times [`PANELS`] divides the outputs, [`GROUP`] the inputs.
    pub(super) fn new(isa: Isa, weight: &[i8], scales: Vec<f32>, inputs: usize) -> Self {
        let mut values = Vec::with_capacity(weight.len());
        for panel in weight.chunks_exact(PANEL * inputs) {
            for group in (0..inputs).step_by(GROUP) {
                for row in panel.chunks_exact(inputs) {
                    values.extend(row[group..group + GROUP].iter().map(|w| isa.stored(*w)));
                }
            }
        }
        Self { values, scales, inputs }
    }

    /// `out[row, output] = x[row] · weight[output] + bias[output]`.
    #[inline(always)]
    pub(super) fn times(&self, isa: Isa, x: &Rounded, bias: &[f32], out: &mut [f32]) {
        let outputs = self.scales.len();
        assert!(
            x.width == self.inputs
                && self.inputs.is_multiple_of(GROUP)
                && outputs.is_multiple_of(PANEL * PANELS)
                && self.values.len() == outputs * self.inputs
                && x.values.len() == x.rows() * self.inputs
                && bias.len() == outputs
                && out.len() == x.rows() * outputs,
            "the shapes of a product do not fit"
        );
        let panel = PANEL * self.inputs;
        for (block, weight) in self.values.chunks_exact(PANELS * panel).enumerate() {
            let first = block * PANELS * PANEL;
            let mut row = 0;
            while row < x.rows() {
                let rows = (x.rows() - row).min(ROWS);
                let values = &x.values[row * self.inputs..(row + rows) * self.inputs];
                let mut sums = [[0i32; PANEL * PANELS]; ROWS];
                sums_of(isa, values, weight, self.inputs, &mut sums[..rows]);
                for (i, sums) in sums[..rows].iter().enumerate() {
                    let (scale, excess) = (x.scales[row + i], isa.excess(x.excess[row + i]));
                    let at = (row + i) * outputs + first;
                    let out = &mut out[at..at + PANEL * PANELS];
                    let scales = &self.scales[first..first + PANEL * PANELS];
                    let bias = &bias[first..first + PANEL * PANELS];
                    for (((o, s), w), b) in out.iter_mut().zip(sums).zip(scales).zip(bias) {
                        *o = ((s - excess) as f32 * scale).mul_add(*w, *b);
                    }
                }
                row += rows;
            }
        }
    }
}

impl Isa {
    fn stored(self, weight: i8) -> u8 {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Vnni => weight.cast_unsigned() ^ 0x80,
            _ => weight.cast_unsigned(),
        }
    }

    fn excess(self, excess: i32) -> i32 {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Vnni => excess,
            _ => 0,
        }
    }
}

/// Sums of products for at most [`ROWS`] rows and [`PANELS`] panels.
#[inline(always)]
fn sums_of(isa: Isa, x: &[i8], weight: &[u8], inputs: usize, sums: &mut [[i32; PANEL * PANELS]]) {
    match isa {
        Isa::Plain => plain(x, weight, inputs, sums),
        // SAFETY: the processor was asked (`Isa::all`), and `times` checked the lengths: `weight` has PANELS panels of `inputs` groups,
        // `x` a row of `inputs` for each of `sums`.
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => unsafe { avx2(x, weight, inputs, sums) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Isa::Vnni => unsafe {
            match sums.len() {
                1 => vnni::<1>(x, weight, inputs, sums),
                2 => vnni::<2>(x, weight, inputs, sums),
                3 => vnni::<3>(x, weight, inputs, sums),
                4 => vnni::<4>(x, weight, inputs, sums),
                5 => vnni::<5>(x, weight, inputs, sums),
                _ => vnni::<6>(x, weight, inputs, sums),
            }
        },
    }
}

fn plain(x: &[i8], weight: &[u8], inputs: usize, sums: &mut [[i32; PANEL * PANELS]]) {
    for (panel, weight) in weight.chunks_exact(PANEL * inputs).enumerate() {
        for (row, sums) in x.chunks_exact(inputs).zip(sums.iter_mut()) {
            let sums = &mut sums[panel * PANEL..(panel + 1) * PANEL];
            for (x, weight) in row.chunks_exact(GROUP).zip(weight.chunks_exact(PANEL * GROUP)) {
                for (sum, weight) in sums.iter_mut().zip(weight.chunks_exact(GROUP)) {
                    for (x, w) in x.iter().zip(weight) {
                        *sum += i32::from(*x) * i32::from(w.cast_signed());
                    }
                }
            }
        }
    }
}

/// Four inputs of row `row` from input `group` on, as one number.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
unsafe fn four(x: &[i8], at: usize) -> i32 {
    // SAFETY: the caller keeps `at + 4` within `x`.
    unsafe { x.as_ptr().add(at).cast::<i32>().read_unaligned() }
}

/// # Safety
/// The processor has AVX2; `weight` has [`PANELS`] panels, `x` a row of `inputs` for each of `sums`.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn avx2(x: &[i8], weight: &[u8], inputs: usize, sums: &mut [[i32; PANEL * PANELS]]) {
    const HALF: usize = PANEL * GROUP / 2;
    let ones = _mm256_set1_epi16(1);
    for panel in 0..PANELS {
        for (row, sums) in sums.iter_mut().enumerate() {
            let mut low = _mm256_setzero_si256();
            let mut high = _mm256_setzero_si256();
            for group in 0..inputs / GROUP {
                // SAFETY: within the lengths the caller vouches for.
                unsafe {
                    let at = weight.as_ptr().add((panel * inputs / GROUP + group) * PANEL * GROUP);
                    let x = _mm256_set1_epi32(four(x, row * inputs + group * GROUP));
                    let size = _mm256_abs_epi8(x);
                    // Sizes up to 127 on both sides: two products fit into 16 bits, so nothing is cut off.
                    let product = |at: *const u8| {
                        let weight = _mm256_loadu_si256(at.cast::<__m256i>());
                        _mm256_madd_epi16(_mm256_maddubs_epi16(size, _mm256_sign_epi8(weight, x)), ones)
                    };
                    low = _mm256_add_epi32(low, product(at));
                    high = _mm256_add_epi32(high, product(at.add(HALF)));
                }
            }
            let out = sums[panel * PANEL..(panel + 1) * PANEL].as_mut_ptr();
            // SAFETY: `out` has 16 numbers, eight for each half.
            unsafe {
                _mm256_storeu_si256(out.cast::<__m256i>(), low);
                _mm256_storeu_si256(out.add(PANEL / 2).cast::<__m256i>(), high);
            }
        }
    }
}

/// # Safety
/// The processor has AVX-512 with VNNI; `weight` has [`PANELS`] panels, `x` `R` rows of `inputs`, `sums` `R` rows.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
unsafe fn vnni<const R: usize>(x: &[i8], weight: &[u8], inputs: usize, sums: &mut [[i32; PANEL * PANELS]]) {
    let mut kept = [[_mm512_setzero_si512(); PANELS]; R];
    let stride = inputs * PANEL;
    for group in 0..inputs / GROUP {
        // SAFETY: within the lengths the caller vouches for.
        unsafe {
            let at = weight.as_ptr().add(group * PANEL * GROUP);
            let weights: [__m512i; PANELS] =
                std::array::from_fn(|panel| _mm512_loadu_si512(at.add(panel * stride).cast::<__m512i>()));
            for (row, kept) in kept.iter_mut().enumerate() {
                let x = _mm512_set1_epi32(four(x, row * inputs + group * GROUP));
                for (sum, weight) in kept.iter_mut().zip(weights) {
                    *sum = _mm512_dpbusd_epi32(*sum, weight, x);
                }
            }
        }
    }
    for (kept, sums) in kept.iter().zip(sums.iter_mut()) {
        for (panel, sum) in kept.iter().enumerate() {
            // SAFETY: each panel has 16 numbers of `sums`.
            unsafe { _mm512_storeu_si512(sums[panel * PANEL..].as_mut_ptr().cast::<__m512i>(), *sum) };
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    struct Product<'a>(&'a Packed, Isa, &'a Rounded, &'a [f32], &'a mut [f32]);

    impl Work for Product<'_> {
        #[inline(always)]
        fn done(self) {
            self.0.times(self.1, self.2, self.3, self.4);
        }
    }

    proptest! {
        /// Whatever the numbers, the extremes too, every kernel gives what a plain loop gives, to the last bit.
        #[test]
        fn every_kernel_gives_the_same(
            rows in 1usize..20,
            blocks in 1usize..3,
            groups in prop::sample::select(vec![8usize, 24, 96]),
            seed in any::<u64>(),
            extreme in any::<bool>(),
        ) {
            let (outputs, inputs) = (blocks * PANEL * PANELS, groups * GROUP);
            let mut state = seed | 1;
            let mut random = || {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                if extreme { [-127i8, 127][(state % 2) as usize] } else { (state % 255) as i8 }
            };
            let weight: Vec<i8> = (0..outputs * inputs).map(|_| random().max(-127)).collect();
            let x: Vec<f32> = (0..rows * inputs).map(|_| f32::from(random())).collect();
            let bias: Vec<f32> = (0..outputs).map(|i| i as f32).collect();
            let mut rounded = Rounded::default();
            rounded.round(&x, inputs);
            let mut expected = Vec::new();
            for row in 0..rows {
                for output in 0..outputs {
                    let sum: i32 = (0..inputs)
                        .map(|i| {
                            i32::from(rounded.values[row * inputs + i]) * i32::from(weight[output * inputs + i])
                        })
                        .sum();
                    expected.push((sum as f32 * rounded.scales[row]).mul_add(0.5, bias[output]));
                }
            }
            for isa in Isa::all() {
                let packed = Packed::new(isa, &weight, vec![0.5; outputs], inputs);
                let mut out = vec![0.0; rows * outputs];
                isa.run(Product(&packed, isa, &rounded, &bias, &mut out));
                prop_assert_eq!(&out, &expected, "{:?}", isa);
            }
        }
    }

    #[test]
    fn rounding_keeps_a_row_to_half_a_step() {
        let x: Vec<f32> = (0..64).map(|i| (i as f32 - 20.0) * 0.37).collect();
        let mut rounded = Rounded::default();
        rounded.round(&x, 32);
        for (i, v) in x.iter().enumerate() {
            let scale = rounded.scales[i / 32];
            let back = f32::from(rounded.values[i]) * scale;
            assert!((back - v).abs() <= scale * 0.5001, "{v} became {back}");
        }
        rounded.round(&[0.0; 32], 32);
        assert!(rounded.values.iter().all(|v| *v == 0) && rounded.scales[0].is_finite());
    }
}
