//! `undertone verify`: count everything anew and compare.

use std::io::Write;

use clap::Args;

use super::admin::tenant as find_tenant;
use super::service::opened;
use crate::config::{Config, ConfigArguments};
use crate::error::{CliError, Outcome};

/// Count everything anew and compare it with the counters.
#[derive(Debug, Args)]
pub struct VerifyArguments {
    /// Only this tenant
    #[arg(long, value_name = "SLUG")]
    tenant: Option<String>,
    /// Put counters that differ to what was counted
    #[arg(long)]
    repair: bool,
    #[command(flatten)]
    config: ConfigArguments,
}

/// Runs `undertone verify`.
pub fn run(arguments: &VerifyArguments) -> Result<Outcome, CliError> {
    let config = Config::load(&arguments.config, serde_json::json!({}))?;
    super::in_runtime(async {
        let store = opened(&config).await?;
        let tenants = match &arguments.tenant {
            Some(slug) => vec![find_tenant(&store, slug).await?],
            None => store.tenants().await?,
        };
        let mut out = anstream::stdout();
        let mut differing = 0;
        for tenant in tenants {
            let differences = store.verify(tenant.id).await?;
            differing += differences.len();
            for d in &differences {
                if d.kept == d.counted {
                    writeln!(out, "{}: {} differs from what was counted", tenant.slug, d.counter)?;
                } else {
                    let (kept, counted) = (d.kept, d.counted);
                    writeln!(
                        out,
                        "{}: {} holds {} verdicts with a sum of {}, counted {} with {}",
                        tenant.slug,
                        d.counter,
                        kept.scored,
                        kept.sum_score,
                        counted.scored,
                        counted.sum_score
                    )?;
                }
            }
            if !differences.is_empty() && arguments.repair {
                store.rebuild(tenant.id).await?;
                writeln!(out, "{}: counters put to what was counted", tenant.slug)?;
            }
        }
        if differing == 0 {
            writeln!(out, "no difference")?;
            return Ok(Outcome::Done);
        }
        Ok(if arguments.repair { Outcome::Done } else { Outcome::SomeFailed })
    })
}
