//! `undertone usage`, `undertone budget` and `undertone prices`: what LLMs took, what is left, and what they cost.

use std::io::Write;

use chrono::NaiveDate;
use clap::{Args, ValueEnum};
use undertone_core::Clock;
use undertone_core::usage::calendar::day_of;
use undertone_core::usage::price::{Listed, Rates};
use undertone_core::usage::sums::Group;
use undertone_store::budget::Caps;

use super::admin::tenant as find_tenant;
use super::service::opened;
use crate::clock::MachineClock;
use crate::config::{Config, ConfigArguments};
use crate::error::{CliError, Outcome};
use crate::output::amount::grouped;
use crate::output::columns::{Columns, Side};
use crate::output::{clean, usage};
use crate::prices;
use crate::usage::{Days, Report, Standing, day};

/// Tell what LLMs took and cost for a tenant.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  undertone usage acme                              this month until today, day by day
  undertone usage acme --by model --from 2026-10-01
  undertone usage acme --by month --from 2026-01-01 --format csv > 2026.csv

Days are the tenant's. Tokens are those the providers reported, by the price they have; cost is what the list of prices says (undertone prices). INPUT was read anew, CACHE READ from a cache, CACHE WRITE put into one; TOKENS are all together, which is what caps count.

Exit status: 0 done; 1 it failed; 2 wrong usage.")]
pub struct UsageArguments {
    /// The tenant's short name
    slug: String,

    /// The first day; left out, the month of the last one begins it
    #[arg(long, value_name = "DAY")]
    from: Option<String>,

    /// The last day; left out, today
    #[arg(long, value_name = "DAY")]
    to: Option<String>,

    /// A line for each
    #[arg(long, value_enum, default_value_t = By::Day)]
    by: By,

    /// How to write it
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,

    #[command(flatten)]
    config: ConfigArguments,
}

/// Tell what of a tenant's budget for LLMs is used and left.
#[derive(Debug, Args)]
pub struct BudgetArguments {
    /// The tenant's short name
    slug: String,

    /// How to write it
    #[arg(long, value_enum, default_value_t = BudgetFormat::Table)]
    format: BudgetFormat,

    #[command(flatten)]
    config: ConfigArguments,
}

/// Print what LLMs cost, and where each price comes from.
#[derive(Debug, Args)]
pub struct PricesArguments {
    /// The prices of this day, in UTC; left out, today's
    #[arg(long, value_name = "DAY")]
    at: Option<String>,

    #[command(flatten)]
    config: ConfigArguments,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum By {
    /// Day
    Day,
    /// Month
    Month,
    /// What it was for
    Feature,
    /// Model
    Model,
    /// Scorer
    Scorer,
}

impl From<By> for Group {
    fn from(by: By) -> Self {
        match by {
            By::Day => Self::Day,
            By::Month => Self::Month,
            By::Feature => Self::Feature,
            By::Model => Self::Model,
            By::Scorer => Self::Scorer,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For reading
    Table,
    /// As the API answers
    Json,
    /// For a spreadsheet, with every figure
    Csv,
    /// For forwarding
    Markdown,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum BudgetFormat {
    /// For reading
    Table,
    /// As the API answers
    Json,
}

/// Columns of the terminal, or 120 where there is none.
fn width() -> usize {
    terminal_size::terminal_size().map_or(120, |(width, _)| usize::from(width.0))
}

fn print(text: &str) -> Result<(), CliError> {
    Ok(anstream::stdout().write_all(text.as_bytes())?)
}

fn json(value: &impl serde::Serialize) -> Result<(), CliError> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|e| CliError::Failed(format!("it can not be written as JSON: {e}")))?;
    print(&format!("{text}\n"))
}

/// Runs `undertone usage`.
pub fn run_usage(arguments: &UsageArguments) -> Result<Outcome, CliError> {
    let config = Config::load(&arguments.config, serde_json::json!({}))?;
    super::in_runtime(async {
        let store = opened(&config).await?;
        let tenant = find_tenant(&store, &arguments.slug).await?;
        let today = day_of(tenant.zone, store.now());
        let Days { from, to } = Days::read(arguments.from.as_deref(), arguments.to.as_deref(), today)
            .map_err(|told| CliError::Failed(format!("--{told}")))?;
        let report = store.ai_usage(&tenant, from, to, arguments.by.into()).await?;
        let cascade = store.cascade_report(tenant.id, from, to).await?.total;
        let report = Report::of(&tenant, report, cascade);
        match arguments.format {
            Format::Table => print(&usage::table(&tenant.slug, &report, width()))?,
            Format::Json => json(&report)?,
            Format::Csv => usage::csv(&report, std::io::stdout().lock())?,
            Format::Markdown => print(&usage::markdown(&tenant.slug, &report))?,
        }
        Ok(Outcome::Done)
    })
}

/// Runs `undertone budget`.
pub fn run_budget(arguments: &BudgetArguments) -> Result<Outcome, CliError> {
    let config = Config::load(&arguments.config, serde_json::json!({}))?;
    super::in_runtime(async {
        let store = opened(&config).await?;
        let tenant = find_tenant(&store, &arguments.slug).await?;
        let at = store.now();
        let caps = Caps::of(&store.module(tenant.id).await?.settings);
        let standing = Standing::of(&tenant, &caps, &store.budget_at(&tenant, at).await?, at);
        match arguments.format {
            BudgetFormat::Table => print(&usage::standing(&tenant.slug, &standing))?,
            BudgetFormat::Json => json(&standing)?,
        }
        Ok(Outcome::Done)
    })
}

/// Runs `undertone prices`.
pub fn run_prices(arguments: &PricesArguments) -> Result<Outcome, CliError> {
    let config = Config::load(&arguments.config, serde_json::json!({}))?;
    let on = match &arguments.at {
        None => MachineClock.now().date_naive(),
        Some(text) => day("--at", text).map_err(CliError::Failed)?,
    };
    let prices = prices::load(&config)?;
    let own = config.prices_file.display().to_string();
    let listed: Vec<Listed<'_>> = prices.on(on).collect();
    print(&format!("Prices of LLMs on {on} (UTC), in US dollars for a million tokens\n\n"))?;
    print(&table(&listed, &own))?;
    let later: Vec<String> = prices
        .all()
        .filter(|listed| listed.from.is_some_and(|from| from > on))
        .map(|listed| format!("{} from {}", clean(listed.model), listed.from.unwrap_or(on)))
        .collect();
    if !later.is_empty() {
        print(&format!("\nLater prices: {}. See them with --at.\n", later.join(", ")))?;
    }
    print(
        "\nOther models have no price: their tokens count, and their cost is not known. Give them one in prices_file.\n",
    )?;
    Ok(Outcome::Done)
}

fn table(listed: &[Listed<'_>], own: &str) -> String {
    let (left, right) = (Side::Left, Side::Right);
    let mut columns = Columns::new(&[
        ("MODEL", left),
        ("INPUT", right),
        ("OUTPUT", right),
        ("CACHE READ", right),
        ("WRITE 5 MIN", right),
        ("WRITE 1 H", right),
        ("BATCH", right),
        ("SINCE", left),
        ("COMES FROM", left),
    ]);
    for one in listed {
        let since = one.from.map_or_else(|| "always".to_owned(), |from: NaiveDate| from.to_string());
        let source = if one.built_in { "this program" } else { own };
        let batch = format!("{} %", one.price.batch_percent);
        let mut row = vec![one.model.to_owned()];
        row.extend(rates(one.price.rates));
        row.extend([batch.clone(), since.clone(), source.to_owned()]);
        columns.row(row);
        if let Some(long) = one.price.long {
            let mut row = vec![format!("… prompt over {}", grouped(long.over))];
            row.extend(rates(long.rates));
            row.extend([batch, since, source.to_owned()]);
            columns.row(row);
        }
    }
    columns.text()
}

fn rates(rates: Rates) -> [String; 5] {
    [rates.input, rates.output, rates.cache_read, rates.cache_write_5m, rates.cache_write_1h].map(rate)
}

/// Millionths of a dollar with at least two decimals and no zero beyond them that says nothing: "0.125".
fn rate(micros: u64) -> String {
    let text = format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000);
    let least = text.len() - 4;
    let end = text.trim_end_matches('0').len().max(least);
    text[..end].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_have_the_decimals_they_need() {
        for (micros, told) in
            [(0, "0.00"), (100_000, "0.10"), (125_000, "0.125"), (2_000_000, "2.00"), (1, "0.000001")]
        {
            assert_eq!(rate(micros), told);
        }
    }
}
