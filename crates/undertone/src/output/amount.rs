//! Numbers and money as people read them.

/// A whole number with its thousands apart: "41,234".
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Millionths of a US dollar: exactly below a dollar, "$0.012345", to the nearest hundredth of a cent from there on, "$41.2346".
pub fn dollars(micros: u64) -> String {
    if micros < 1_000_000 {
        return format!("$0.{micros:06}");
    }
    let hundredths = micros.saturating_add(50) / 100;
    format!("${}.{:04}", grouped(hundredths / 10_000), hundredths % 10_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_apart() {
        for (number, told) in [(0, "0"), (999, "999"), (1_000, "1,000"), (41_234_567, "41,234,567")] {
            assert_eq!(grouped(number), told);
        }
    }

    #[test]
    fn small_sums_are_exact_and_large_ones_rounded() {
        for (micros, told) in [
            (0, "$0.000000"),
            (1, "$0.000001"),
            (12_345, "$0.012345"),
            (999_999, "$0.999999"),
            (1_000_000, "$1.0000"),
            (1_000_049, "$1.0000"),
            (1_000_050, "$1.0001"),
            (4_999_999_950, "$5,000.0000"),
            (u64::MAX, "$18,446,744,073,709.5516"),
        ] {
            assert_eq!(dollars(micros), told, "{micros}");
        }
    }
}
