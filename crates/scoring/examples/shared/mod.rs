//! What the examples that measure have in common.

#![allow(dead_code, reason = "each example takes what it needs")]

use std::error::Error;
use std::io::BufRead;

use undertone_scoring::redact::Known;

#[derive(serde::Deserialize)]
struct Row {
    text: String,
}

/// The texts that standard input holds, one JSON object with `text` a line.
pub fn texts() -> Result<Vec<String>, Box<dyn Error>> {
    std::io::stdin().lock().lines().map(|line| Ok(serde_json::from_str::<Row>(&line?)?.text)).collect()
}

/// A customer and an agent.
pub fn known() -> Known {
    Known {
        names: vec!["Bernadette Crowhurst".to_owned(), "Jolanta Wrzesniewska".to_owned()],
        emails: vec!["b.crowhurst@example.com".to_owned()],
        phones: vec!["+44 20 7946 0958".to_owned()],
    }
}

/// Processor time of this process so far, user and system, to a hundredth of a second.
pub fn cpu_seconds() -> Result<f64, Box<dyn Error>> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks =
        |i: usize| fields.get(i).and_then(|f| f.parse::<f64>().ok()).ok_or("no times in /proc/self/stat");
    Ok((ticks(11)? + ticks(12)?) / 100.0)
}
