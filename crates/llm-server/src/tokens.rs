//! The token estimate. Real tokenizers are not published; this one is stated, so that sums can be checked by hand.

/// Tokens of so many bytes of UTF-8: a token for every 3.5 bytes, rounded up. An estimate for every model alike, and labelled so
/// wherever a figure comes from it.
///
/// ```
/// assert_eq!(undertone_llm_server::tokens_of(0), 0);
/// assert_eq!(undertone_llm_server::tokens_of(7), 2);
/// assert_eq!(undertone_llm_server::tokens_of(8), 3);
/// ```
#[must_use]
pub const fn tokens_of(bytes: usize) -> u64 {
    (bytes as u64).saturating_mul(2).div_ceil(7)
}

/// The most bytes that are no more than so many tokens.
pub(crate) const fn bytes_of(tokens: u64) -> usize {
    (tokens.saturating_mul(7) / 2) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_bytes_as_tokens_allow_and_not_one_more() {
        for tokens in 1..2_000 {
            let bytes = bytes_of(tokens);
            assert_eq!(tokens_of(bytes), tokens);
            assert_eq!(tokens_of(bytes + 1), tokens + 1);
        }
    }
}
