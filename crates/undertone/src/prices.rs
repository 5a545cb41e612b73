//! What LLM calls cost: the list that came with the program, and in place of it what the operator's file of prices says.
//!
//! The file is TOML with tables `[[prices]]`, or JSON where its name ends in `.json`: a list of the same entries, alone or under the name
//! `prices`. What an entry holds is told at [`PriceEntry`].

use std::path::Path;

use serde::Deserialize;
use undertone_core::usage::price::{PriceEntry, Prices};

use crate::config::Config;
use crate::error::CliError;

/// No list of prices is longer.
const MOST_BYTES: u64 = 1 << 20;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    prices: Vec<PriceEntry>,
}

/// The prices in force.
///
/// # Errors
/// With everything that is wrong with the file of prices.
pub fn load(config: &Config) -> Result<Prices, CliError> {
    let path = &config.prices_file;
    if path.as_os_str().is_empty() {
        return Ok(Prices::built_in());
    }
    let wrong = |told: String| CliError::Failed(format!("prices_file {}: {told}", path.display()));
    let entries = read(path).map_err(wrong)?;
    Prices::with(&entries).map_err(|errors| {
        let told: Vec<String> = errors.iter().map(|error| format!("\n  {error}")).collect();
        wrong(format!("these prices can not be used:{}", told.concat()))
    })
}

fn read(path: &Path) -> Result<Vec<PriceEntry>, String> {
    let unreadable = |e: std::io::Error| format!("it can not be read: {e}");
    let about = std::fs::metadata(path).map_err(unreadable)?;
    if !about.is_file() || about.len() > MOST_BYTES {
        return Err("it is no file of at most 1 MiB".to_owned());
    }
    let text = std::fs::read_to_string(path).map_err(unreadable)?;
    if !path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("json")) {
        let file: File =
            toml::from_str(&text).map_err(|e| format!("it is not a list of prices in TOML: {e}"))?;
        return Ok(file.prices);
    }
    // Asked for by its first sign, so that what is wrong is told of the form that was meant.
    let entries = if text.trim_start().starts_with('[') {
        serde_json::from_str(&text)
    } else {
        serde_json::from_str(&text).map(|file: File| file.prices)
    };
    entries.map_err(|e| format!("it is not a list of prices in JSON: {e}"))
}

#[cfg(test)]
mod tests {
    use chrono::NaiveDate;
    use serde_json::json;
    use undertone_core::Usage;

    use super::*;
    use crate::config::ConfigArguments;

    fn load_from(name: &str, content: &str) -> Result<Prices, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        load_of(&path).map_err(|e| e.replace(&folder.path().display().to_string(), ""))
    }

    fn load_of(path: &Path) -> Result<Prices, String> {
        let config = Config::load(&ConfigArguments::default(), json!({"prices_file": path})).unwrap();
        load(&config).map_err(|e| e.to_string())
    }

    #[test]
    fn both_forms_say_the_same() {
        let toml = "[[prices]]\nmodel = \"qwen\"\ninput = 1\noutput = 2.5\n\n[[prices]]\nmodel = \"claude-haiku-5-5\"\nfrom = \"2027-01-01\"\ninput = 0.2\noutput = 1\n";
        let list = json!([
            {"model": "qwen", "input": 1, "output": 2.5},
            {"model": "claude-haiku-5-5", "from": "2027-01-01", "input": 0.2, "output": 1},
        ]);
        let prices = load_from("prices.toml", toml).unwrap();
        assert_eq!(load_from("prices.json", &list.to_string()).unwrap(), prices);
        assert_eq!(load_from("prices.JSON", &json!({"prices": list}).to_string()).unwrap(), prices);
        let on = NaiveDate::from_ymd_opt(2026, 11, 20).unwrap();
        let usage = Usage { input: 1_000, output: 1_000, ..Usage::default() };
        assert_eq!(prices.of("qwen", on).unwrap().cost(usage, false), 3_500);
        assert_eq!(prices.of("claude-haiku-5-5", on), Prices::built_in().of("claude-haiku-5-5", on));
        assert_eq!(load_from("none.toml", "prices = []").unwrap(), Prices::built_in());
    }

    #[test]
    fn the_example_of_the_documentation_can_be_used() {
        let docs = include_str!("../../../docs/service.md");
        let example = docs.split("```toml\n").find(|part| part.starts_with("[[prices]]")).unwrap();
        let prices = load_from("docs.toml", example.split("```").next().unwrap()).unwrap();
        let on = |year| prices.of("claude-haiku-5-5", NaiveDate::from_ymd_opt(year, 6, 1).unwrap()).unwrap();
        assert_eq!((on(2026).rates.output, on(2027).rates.output), (500_000, 600_000));
        assert_eq!(prices.all().filter(|listed| !listed.built_in).count(), 2);
    }

    #[test]
    fn what_can_not_be_used_is_told_with_its_place() {
        let cases = [
            (
                "a.toml",
                "[[prices]]\nmodel = \"a\"\ninput = \"1\"\noutput = 1\n",
                &["line 3", "expected f64"][..],
            ),
            ("a.toml", "[[prices]]\nmodel = \"a\"\ninput = 1\n", &["missing field `output`"]),
            ("a.toml", "[[price]]\nmodel = \"a\"\ninput = 1\noutput = 1\n", &["unknown field `price`"]),
            ("a.toml", "", &["missing field `prices`"]),
            (
                "a.json",
                "[{\"model\": \"a\", \"input\": 1, \"output\": 1, \"cached\": 1}]",
                &["unknown field `cached`", "column"],
            ),
            ("a.json", "{\"prices\": 1}", &["in JSON", "expected a sequence"]),
            ("a.json", "", &["in JSON"]),
            (
                "a.json",
                "[{\"model\": \"a\", \"input\": -1, \"output\": 1}, {\"model\": \"b\", \"from\": \"soon\", \"input\": 1, \"output\": 1}]",
                &[
                    "/a.json: these prices can not be used:\n  prices[0].input: -1 is not",
                    "\n  prices[1].from: “soon” is no day",
                ],
            ),
        ];
        for (name, content, told) in cases {
            let error = load_from(name, content).unwrap_err();
            assert!(error.starts_with(&format!("prices_file /{name}: ")), "{error}");
            for words in told {
                assert!(error.contains(words), "“{words}” is missing: {error}");
            }
        }
        assert!(load_of(Path::new("/nowhere/prices.toml")).unwrap_err().contains("it can not be read"));
        assert!(load_of(&std::env::temp_dir()).unwrap_err().contains("it is no file"));
        let long = format!("# {}\nprices = []\n", "x".repeat(1 << 20));
        assert!(load_from("long.toml", &long).unwrap_err().contains("at most 1 MiB"));
    }
}
