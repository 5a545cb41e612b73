//! `undertone review`: what people say of verdicts they do not know, at the command line.

mod sample;
mod text;

use clap::{Args, Subcommand};
use serde_json::json;
use undertone_core::usage::calendar::day_of;
use undertone_core::{Label, Permission, Role, Score};
use undertone_store::review::{Handed, Outcomes, Page};
use undertone_store::users::User;
use undertone_store::{Act, Store, StoreError, Tenant};

use super::admin::{ACTOR, say, tenant, with_store};
use super::listing::{Format, Listing, as_json};
use super::user::person;
use crate::config::ConfigArguments;
use crate::error::{CliError, Outcome};
use crate::output::clean;
use crate::review::{self, Counted, rated};
use crate::usage::Days;
use crate::visibility::Eyes;

/// Have verdicts checked by people who do not know them, and tell how far these agree.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  undertone review next acme --rater ana@example.com             a text to label, kept for 30 minutes
  undertone review label acme ITEM --rater ana@example.com --label negative --score -60
  undertone review queue acme --rater ana@example.com            what they may label
  undertone review results acme --differing                      where people settled on something else
  undertone review agreement acme --from 2026-10-01 --to 2026-10-31
  undertone review sample acme --called-positive 5               check 5 % of verdicts called positive

A rater is somebody of the tenant who may label: an admin, tenant admin, supervisor or reviewer. They are told no verdict, not why a text is in the queue, and not what another said, and they see the texts that the visibility policy shows them. The audit log names the command line and the rater.

Exit status: 0 done; 1 it failed, or there is nothing to label; 2 wrong usage.")]
pub struct ReviewArguments {
    #[command(subcommand)]
    action: ReviewAction,
}

#[derive(Debug, Subcommand)]
enum ReviewAction {
    /// List what a rater may label, the latest first
    Queue {
        #[command(flatten)]
        rater: Rater,
        /// Only what they have in hand
        #[arg(long)]
        mine: bool,
        #[command(flatten)]
        page: Listing,
        #[command(flatten)]
        config: ConfigArguments,
    },
    /// Hand out the next text to a rater, for 30 minutes; who asks again gets the same
    Next {
        #[command(flatten)]
        rater: Rater,
        /// How to write it
        #[arg(long, value_enum, default_value_t = Format::Text)]
        format: Format,
        #[command(flatten)]
        config: ConfigArguments,
    },
    /// Keep what a rater says of a text: a label, a score, or both
    Label {
        #[command(flatten)]
        rater: Rater,
        /// The item's id
        item: String,
        /// positive, neutral, negative or mixed; left out, it follows from the score
        #[arg(long, required_unless_present = "score", value_parser = str::parse::<Label>)]
        label: Option<Label>,
        /// How good or bad, -100 to 100
        #[arg(long, allow_hyphen_values = true, value_parser = score)]
        score: Option<Score>,
        /// Anything to add
        #[arg(long)]
        note: Option<String>,
        #[command(flatten)]
        config: ConfigArguments,
    },
    /// Give back a text that a rater has in hand
    Release {
        #[command(flatten)]
        rater: Rater,
        /// The item's id
        item: String,
        #[command(flatten)]
        config: ConfigArguments,
    },
    /// List what is done, with verdict and labels, the latest first
    Results {
        /// The tenant's short name
        slug: String,
        /// Only where people settled on another label than the scorer's, or on none
        #[arg(long)]
        differing: bool,
        #[command(flatten)]
        page: Listing,
        #[command(flatten)]
        config: ConfigArguments,
    },
    /// Tell how far people agree with each other, and the scorer with them
    Agreement {
        /// The tenant's short name
        slug: String,
        /// The first of the tenant's days (default: the first of the month)
        #[arg(long, value_name = "DAY")]
        from: Option<String>,
        /// The last (default: today)
        #[arg(long, value_name = "DAY")]
        to: Option<String>,
        /// How to write it
        #[arg(long, value_enum, default_value_t = Format::Text)]
        format: Format,
        #[command(flatten)]
        config: ConfigArguments,
    },
    /// Tell which verdicts are checked, or change it for verdicts from now on
    Sample(sample::SampleArguments),
}

#[derive(Debug, Args)]
struct Rater {
    /// The tenant's short name
    slug: String,
    /// The e-mail address of who labels
    #[arg(long, value_name = "EMAIL")]
    rater: String,
}

fn score(text: &str) -> Result<Score, String> {
    let read = text.parse().ok().and_then(Score::new);
    read.ok_or_else(|| format!("“{text}” is no score; it is a whole number of -100 to 100"))
}

/// Runs the command.
pub fn run(arguments: &ReviewArguments) -> Result<Outcome, CliError> {
    match &arguments.action {
        ReviewAction::Queue { rater, mine, page, config } => {
            with_store(config, async |store| queue(&store, rater, *mine, page).await)
        }
        ReviewAction::Next { rater, format, config } => {
            with_store(config, async |store| next(&store, rater, *format).await)
        }
        ReviewAction::Label { rater, item, label, score, note, config } => {
            with_store(config, async |store| {
                let (tenant, user) = rater.found(&store).await?;
                let given = review::label(*label, *score, note.as_deref()).map_err(|errors| {
                    let told: Vec<String> =
                        errors.into_iter().map(|(field, told)| format!("--{field}: {told}")).collect();
                    CliError::Failed(told.join("\n"))
                })?;
                let act = Act::new(tenant.id, ACTOR);
                let done = store.label_review(&act, &user.id, item, given).await?;
                let done = done.ok_or_else(|| missing(rater, item))?;
                say(if done.done {
                    "Kept. The text is done."
                } else {
                    "Kept. Somebody else labels it too."
                })?;
                Ok(Outcome::Done)
            })
        }
        ReviewAction::Release { rater, item, config } => with_store(config, async |store| {
            let (tenant, user) = rater.found(&store).await?;
            if !store.release_review(tenant.id, &user.id, item).await? {
                let told = format!("{} does not have {} in hand", clean(&user.email), clean(item));
                return Err(CliError::Failed(told));
            }
            say("Given back.")?;
            Ok(Outcome::Done)
        }),
        ReviewAction::Results { slug, differing, page, config } => with_store(config, async |store| {
            let tenant = tenant(&store, slug).await?;
            let before = page.before()?;
            let wanted = Outcomes {
                id: None,
                differing: *differing,
                before: before.as_deref(),
                limit: page.and_one().into(),
            };
            let mut items = store.review_outcomes(tenant.id, wanted).await?;
            let next = page.next(&mut items, |item| &item.id);
            let none = "Nothing was labelled yet. Which verdicts are checked: undertone review sample";
            page.tell(("items", &items), next, none, text::outcome)
        }),
        ReviewAction::Agreement { slug, from, to, format, config } => with_store(config, async |store| {
            let tenant = tenant(&store, slug).await?;
            let today = day_of(tenant.zone, store.now());
            let days = Days::read(from.as_deref(), to.as_deref(), today).map_err(CliError::Failed)?;
            let counted = Counted::of(days, &rated(&store, &tenant, days).await?);
            if *format == Format::Json {
                return as_json(&json!(counted));
            }
            let names = store.users(tenant.id).await?.into_iter().map(|user| (user.id, user.email)).collect();
            say(text::agreement(&counted, &names).trim_end())?;
            Ok(Outcome::Done)
        }),
        ReviewAction::Sample(arguments) => sample::run(arguments),
    }
}

impl Rater {
    /// The tenant and who labels, where they may.
    async fn found(&self, store: &Store) -> Result<(Tenant, User), CliError> {
        let tenant = tenant(store, &self.slug).await?;
        let user = person(store, &tenant, &self.rater).await?;
        let role: Option<Role> = user.role.parse().ok().filter(|_| user.active);
        if !role.is_some_and(|role| role.may(Permission::Review)) {
            let roles: Vec<&str> = Permission::Review.roles().iter().map(|role| role.as_str()).collect();
            return Err(CliError::Failed(format!(
                "{} may not label: that is for {} who are not deactivated; see: undertone user list {}",
                clean(&user.email),
                roles.join(", "),
                self.slug
            )));
        }
        Ok((tenant, user))
    }
}

/// Of these items, those whose text the rater may see.
async fn readable(
    store: &Store,
    tenant: &Tenant,
    user: &User,
    items: Vec<Handed>,
) -> Result<Vec<Handed>, StoreError> {
    let settings = store.module(tenant.id).await?.settings;
    let viewer = store.viewer(tenant.id, &user.id).await?.unwrap_or_default();
    let ids: Vec<&str> = items.iter().map(|item| item.interaction_id.as_str()).collect();
    let sights = Eyes::with(tenant.id, &settings, viewer).on_interactions(store, &ids).await?;
    Ok(review::readable(items, &sights))
}

fn missing(rater: &Rater, item: &str) -> CliError {
    CliError::Failed(format!(
        "there is no item {} to label; see: undertone review queue {} --rater {}",
        clean(item),
        rater.slug,
        clean(&rater.rater)
    ))
}

async fn queue(store: &Store, rater: &Rater, mine: bool, listing: &Listing) -> Result<Outcome, CliError> {
    let (tenant, user) = rater.found(store).await?;
    let before = listing.before()?;
    let page = Page { mine, before: before.as_deref(), limit: listing.and_one().into() };
    let mut items = store.review_items(tenant.id, &user.id, page).await?;
    let next = listing.next(&mut items, |item| &item.id);
    let items = readable(store, &tenant, &user, items).await?;
    listing.tell(("items", &items), next, "There is nothing for them to label.", text::line)
}

async fn next(store: &Store, rater: &Rater, format: Format) -> Result<Outcome, CliError> {
    let (tenant, user) = rater.found(store).await?;
    let items = store.claim_review(tenant.id, &user.id, 1).await?;
    let items = readable(store, &tenant, &user, items).await?;
    if format == Format::Json {
        as_json(&json!({"item": items.first()}))?;
    } else if let Some(item) = items.first() {
        say(&text::whole(item))?;
        say(&format!(
            "\nundertone review label {} {} --rater {} --label …",
            rater.slug,
            clean(&item.id),
            clean(&user.email)
        ))?;
    } else {
        say("There is nothing for them to label.")?;
    }
    Ok(if items.is_empty() { Outcome::SomeFailed } else { Outcome::Done })
}
