//! `undertone cascade`: what the cascade did, and which threshold fits a budget.

use std::io::Write;

use anstyle::Style;
use clap::{Args, Subcommand, ValueEnum};
use undertone_core::cascade::advice::{NoAdvice, Step};
use undertone_core::usage::calendar::day_of;
use undertone_core::verdict::ScorerKind;
use undertone_store::cascade::Disagreement;

use super::admin::tenant;
use super::service::opened;
use crate::cascade::{Advised, Figures, Report, advice, report};
use crate::config::{Config, ConfigArguments};
use crate::error::{CliError, Outcome};
use crate::output::amount::{dollars, grouped};
use crate::usage::Days;

/// Tell what the cascade did, and which threshold fits a budget.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  undertone cascade report acme                            this month
  undertone cascade report acme --from 2026-10-01 --to 2026-10-31 --format json
  undertone cascade advise acme --daily-tokens 200000

The cascade is the scorer `cascade`: the embedded model reads every text, an LLM is asked where its confidence is under the setting cascade_threshold, where it contradicts itself, in languages it was not validated on, and about customers of the segments in cascade_segments.

Exit status: 0 done; 1 there is no such tenant; 2 wrong usage.")]
pub struct CascadeArguments {
    #[command(subcommand)]
    action: CascadeAction,
}

#[derive(Debug, Subcommand)]
enum CascadeAction {
    /// Which share went to the LLM, what that changed and what it cost
    Report {
        /// The tenant's short name
        slug: String,
        /// The first of the tenant's days (default: the first of the month)
        #[arg(long, value_name = "DAY")]
        from: Option<String>,
        /// The last (default: today)
        #[arg(long, value_name = "DAY")]
        to: Option<String>,
        /// How to write it
        #[arg(long, value_enum, default_value_t = Format::Table)]
        format: Format,
        #[command(flatten)]
        config: ConfigArguments,
    },
    /// The highest threshold that stays in a budget, by what was read lately
    Advise {
        /// The tenant's short name
        slug: String,
        /// The budget, read and written tokens of a day (default: the setting `daily_token_cap`)
        #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..=1_000_000_000_000))]
        daily_tokens: Option<u64>,
        /// How to write it
        #[arg(long, value_enum, default_value_t = Format::Table)]
        format: Format,
        #[command(flatten)]
        config: ConfigArguments,
    },
}

/// How figures are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For a person
    Table,
    /// For a program
    Json,
}

/// Runs the command.
pub fn run(arguments: CascadeArguments) -> Result<Outcome, CliError> {
    let (told, format) = match arguments.action {
        CascadeAction::Report { slug, from, to, format, config } => {
            let config = Config::load(&config, serde_json::json!({}))?;
            let report = super::in_runtime(async {
                let store = opened(&config).await?;
                let tenant = tenant(&store, &slug).await?;
                let today = day_of(tenant.zone, store.now());
                let days = Days::read(from.as_deref(), to.as_deref(), today).map_err(CliError::Failed)?;
                Ok(report(&store, &tenant, days).await?)
            })?;
            (told(&report, report_as_text, format)?, format)
        }
        CascadeAction::Advise { slug, daily_tokens, format, config } => {
            let config = Config::load(&config, serde_json::json!({}))?;
            let advised = super::in_runtime(async {
                let store = opened(&config).await?;
                let tenant = tenant(&store, &slug).await?;
                let cap = store.module(tenant.id).await?.settings.daily_token_cap;
                let daily = daily_tokens.or(Some(cap).filter(|cap| *cap > 0)).ok_or_else(|| {
                    let told = "give --daily-tokens: the settings have no daily_token_cap to go by";
                    CliError::Failed(told.to_owned())
                })?;
                Ok(advice(&store, &tenant, daily).await?)
            })?;
            (told(&advised, advice_as_text, format)?, format)
        }
    };
    let mut out = anstream::stdout();
    out.write_all(told.as_bytes())?;
    if format == Format::Json {
        writeln!(out)?;
    }
    Ok(Outcome::Done)
}

fn told<T: serde::Serialize>(
    what: &T,
    as_text: fn(&T) -> String,
    format: Format,
) -> Result<String, CliError> {
    match format {
        Format::Table => Ok(as_text(what)),
        Format::Json => serde_json::to_string_pretty(what).map_err(|e| CliError::Failed(e.to_string())),
    }
}

/// `part` of `whole` in percent.
fn percent(part: u64, whole: u64) -> String {
    format!("{:.1} %", if whole == 0 { 0.0 } else { part as f64 / whole as f64 * 100.0 })
}

fn report_as_text(report: &Report) -> String {
    let (bold, dim) = (Style::new().bold(), Style::new().dimmed());
    let total = &report.total.sums;
    let mut out = format!("{} to {}, days of {}\n", report.from, report.to, report.zone);
    if report.scorer != ScorerKind::Cascade {
        out += "The scorer in force is not the cascade; set scorer to cascade to use it.\n";
    }
    if total.verdicts == 0 {
        return out + "The cascade scored nothing in these days.\n";
    }
    let answered = total.asked - total.unanswered.min(total.asked);
    out += &format!(
        "\n{} verdicts; the LLM was to be asked about {} ({}) and answered {}\n\
         It changed {} labels ({} of its answers); {} contradict the embedded model and ask for a person\n\
         {} tokens, {}\n\n",
        grouped(total.verdicts),
        grouped(total.asked),
        percent(total.asked, total.verdicts),
        grouped(answered),
        grouped(total.changed),
        percent(total.changed, answered),
        grouped(total.disagreed),
        grouped(total.tokens_in + total.tokens_out),
        dollars(total.cost_micros),
    );
    for (name, lines) in [("asked because", &report.why), ("day", &report.days)] {
        out += &format!(
            "{bold}{name:<14}{:>10}{:>10}{:>12}{:>9}{:>12}{:>12}{:>14}{bold:#}\n",
            "verdicts", "asked", "unanswered", "changed", "contradict", "tokens", "cost"
        );
        for line in lines {
            let name = if line.key == "sure" { "(not asked)" } else { &line.key };
            out += &row(name, &line.figures);
        }
        out += "\n";
    }
    if !report.disagreements.is_empty() {
        out += &format!("{bold}Contradictions nobody has looked at, the latest first{bold:#}\n");
        for one in &report.disagreements {
            out += &format!("  {dim}{}{dim:#}  {}\n", one.interaction_id, pair(one));
        }
    }
    out
}

fn row(key: &str, figures: &Figures) -> String {
    let sums = &figures.sums;
    format!(
        "{key:<14}{:>10}{:>10}{:>12}{:>9}{:>12}{:>12}{:>14}\n",
        grouped(sums.verdicts),
        grouped(sums.asked),
        grouped(sums.unanswered),
        grouped(sums.changed),
        grouped(sums.disagreed),
        grouped(sums.tokens_in + sums.tokens_out),
        dollars(sums.cost_micros),
    )
}

/// What the two said of a text.
fn pair(one: &Disagreement) -> String {
    let first = one.first.as_ref().map_or_else(String::new, |first| {
        format!("{} {} at {} %, then ", first.label.as_str(), first.score.get(), first.confidence.get())
    });
    format!("{first}{} {}", one.label, one.score)
}

fn advice_as_text(advised: &Advised) -> String {
    let bold = Style::new().bold();
    let whence = if advised.measured {
        "as the tenant's calls took lately"
    } else {
        "an estimate for texts asked about one by one, until there are calls"
    };
    let count =
        |count: u64, what: &str| format!("{} {what}{}", grouped(count), if count == 1 { "" } else { "s" });
    let mut out = format!(
        "{} read in {}; {} tokens a verdict of the LLM, {whence}\n",
        count(advised.readings, "text"),
        count(advised.days.into(), "day"),
        grouped(advised.tokens_per_verdict),
    );
    let advice = &advised.advice;
    let daily = grouped(advised.daily_tokens);
    out += &match (advice.advised, advice.none_because) {
        (Some(step), _) => format!(
            "\nWith {daily} tokens a day: a threshold of {bold}{}{bold:#}; {:.1} % of texts go to the LLM, {} tokens a day\n",
            step.threshold,
            step.asked_share * 100.0,
            grouped(step.tokens_per_day)
        ),
        (None, Some(NoAdvice::NoReadings)) => {
            "\nNothing was read lately, so there is nothing to go by yet\n".to_owned()
        }
        (None, _) => format!(
            "\n{daily} tokens a day are too few: what is asked about at any threshold takes {} a day\n",
            grouped(advice.steps.first().map_or(0, |step| step.tokens_per_day))
        ),
    };
    if advised.few_readings && advised.readings > 0 {
        out += "So few texts say little; ask again when there are more\n";
    }
    out += &format!(
        "In force: {}. Change it with the setting cascade_threshold; daily_token_cap holds whatever the threshold\n\n\
         {bold}{:>9}{:>12}{:>16}{:>18}{bold:#}\n",
        advised.threshold, "threshold", "to the LLM", "tokens a day", "on the busiest"
    );
    for step in &advice.steps {
        out += &step_row(step);
    }
    out
}

fn step_row(step: &Step) -> String {
    let mark = if step.fits { "" } else { "  over" };
    format!(
        "{:>9}{:>10.1} %{:>16}{:>18}{mark}\n",
        step.threshold,
        step.asked_share * 100.0,
        grouped(step.tokens_per_day),
        grouped(step.tokens_on_busiest_day)
    )
}

#[cfg(test)]
mod tests;
