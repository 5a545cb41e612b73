//! Figures about answers to labelled messages. Answers and truths are words; an empty answer is an abstention and counts as wrong.

/// Part of the messages with the truth `label` that were answered so, 0..=1.
#[must_use]
pub fn recall(truths: &[&str], answers: &[&str], label: &str) -> f64 {
    let of_label = truths.iter().zip(answers).filter(|(t, _)| **t == label);
    let right = of_label.clone().filter(|(_, a)| **a == label).count();
    right as f64 / of_label.count().max(1) as f64
}

/// Mean over `labels` of the harmonic mean of precision and recall, 0..=1.
#[must_use]
pub fn macro_f1(truths: &[&str], answers: &[&str], labels: &[&str]) -> f64 {
    let f1 = |label: &str| {
        let truth = truths.iter().filter(|t| **t == label).count();
        let answer = answers.iter().filter(|a| **a == label).count();
        let right = truths.iter().zip(answers).filter(|(t, a)| t == a && **t == label).count();
        if right == 0 { 0.0 } else { 2.0 * right as f64 / (truth + answer) as f64 }
    };
    labels.iter().map(|label| f1(label)).sum::<f64>() / labels.len().max(1) as f64
}

/// What VADER, the rule-based peer, calls a text, by its usual cut at ±0.05. It knows no mixed.
#[must_use]
pub fn vader(text: &str) -> &'static str {
    let analyser = vader_sentiment::SentimentIntensityAnalyzer::new();
    match analyser.polarity_scores(text).get("compound").copied().unwrap_or_default() {
        c if c >= 0.05 => "positive",
        c if c <= -0.05 => "negative",
        _ => "neutral",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_by_hand() {
        let (truths, answers) = (["a", "a", "b", "b"], ["a", "b", "b", ""]);
        assert!((recall(&truths, &answers, "a") - 0.5).abs() < 1e-9);
        // a: 1 of 2 and 1; b: 1 of 2 and 2.
        assert!((macro_f1(&truths, &answers, &["a", "b"]) - f64::midpoint(2.0 / 3.0, 0.5)).abs() < 1e-9);
        assert!(macro_f1(&truths, &answers, &["c"]).abs() < 1e-9);
    }

    #[test]
    fn vader_reads_words_only() {
        assert_eq!(vader("I love it, great"), "positive");
        assert_eq!(vader("terrible and awful"), "negative");
        assert_eq!(vader("Oh great, another delay"), "positive", "its well-known mistake");
    }
}
