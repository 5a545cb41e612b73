use super::*;

#[test]
fn exp_and_gelu_are_what_they_say() {
    for i in 0..4000 {
        let x = -(i as f32) * 0.02;
        let exact = f64::from(x).exp();
        assert!((f64::from(exp(x)) - exact).abs() <= exact * 4e-7, "exp({x})");
    }
    // A few known values of the normal distribution.
    for (x, part) in [
        (0.0f32, 0.5f64),
        (1.0, 0.841_344_746),
        (-1.0, 0.158_655_254),
        (-3.0, 0.001_349_898),
        (4.0, 0.999_968_329),
    ] {
        assert!((f64::from(gelu(x)) - f64::from(x) * part).abs() < 1e-6, "gelu({x})");
    }
    assert!(gelu(-50.0).abs() < 1e-6 && (gelu(50.0) - 50.0).abs() < 1e-6);
}

#[test]
fn softmax_shares_one() {
    let mut scores = [f32::NEG_INFINITY; BLOCK];
    scores[..3].copy_from_slice(&[1000.0, 999.0, -1000.0]);
    softmax(&mut scores);
    assert!((scores.iter().sum::<f32>() - 1.0).abs() < 1e-6 && scores[0] > 0.73);
    assert!(scores[2..].iter().all(|s| *s < 1e-30));
}
