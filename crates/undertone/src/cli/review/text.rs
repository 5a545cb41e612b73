//! The review, for reading.

use std::collections::HashMap;

use undertone_core::accuracy::Figure;
use undertone_store::review::{Handed, Outcome};

use crate::cli::listing::{moment, spaced};
use crate::output::clean;
use crate::output::clean::shorten;
use crate::review::Counted;

/// So many columns of a text stand in a list.
const SHOWN: usize = 60;

/// An item in a list.
pub fn line(item: &Handed) -> String {
    let held = item.claimed_until.map(|until| format!("in hand until {}", moment(until))).unwrap_or_default();
    spaced(&format!(
        "{}  {}  {}  {}  {held}",
        item.id,
        moment(item.occurred_at),
        clean(&item.channel),
        shorten(&clean(&item.text), SHOWN)
    ))
}

/// An item with all of its text, line by line.
pub fn whole(item: &Handed) -> String {
    let Handed { kind, author_kind, channel, direction, .. } = item;
    let head =
        clean(&format!("{kind} of {author_kind}, {channel}, {direction}, {}", moment(item.occurred_at)));
    let until = item.claimed_until.map(|until| format!("In hand until {} UTC.", moment(until)));
    let body: Vec<String> = item.text.lines().map(|line| format!("  {}", clean(line))).collect();
    format!("{}\n{head}\n\n{}\n\n{}", clean(&item.id), body.join("\n"), until.unwrap_or_default())
}

/// What came of an item.
pub fn outcome(item: &Outcome) -> String {
    let people: Vec<&str> = item.ratings.iter().map(|rating| rating.label.as_str()).collect();
    let reasons: Vec<&str> = item.reasons.iter().map(|reason| reason.as_str()).collect();
    spaced(&format!(
        "{}  {}  interaction {}  scorer {} ({})  people {} ({})  {}",
        item.id,
        moment(item.done_at),
        item.interaction_id,
        item.label,
        item.score,
        item.settled_label.as_deref().unwrap_or("did not settle"),
        people.join(", "),
        reasons.join(", ")
    ))
}

/// How far people agree; `names` are the addresses of raters by their ids.
pub fn agreement(counted: &Counted, names: &HashMap<String, String>) -> String {
    let name = |id: &String| clean(names.get(id).map_or(id.as_str(), String::as_str));
    let told = &counted.agreement;
    let mut out =
        format!("{} to {}: {} labels on {} texts", counted.from, counted.to, told.labels, told.items);
    if counted.only_the_latest {
        out += ", the latest of these days";
    }
    out += "\n";
    if told.labels == 0 {
        return out;
    }
    out += "\nLabels given\n";
    for (rater, labels) in &told.raters {
        out += &format!("  {:<32}{labels:>7}\n", name(rater));
    }
    out += "\nPeople with each other\n";
    for pair in &told.pairs {
        out += &format!(
            "  {} and {}: {} texts, the same {}, kappa {}\n",
            name(&pair.first),
            name(&pair.second),
            pair.items,
            percent(pair.agreed),
            figure(pair.kappa)
        );
    }
    out += &format!(
        "  alpha of labels {}, with the scorer {}\n",
        figure(told.alpha),
        figure(told.alpha_with_scorer)
    );
    out += &format!("  alpha of scores {}\n", figure(told.alpha_of_scores));
    if let Some(ceiling) = told.ceiling {
        out += &format!(
            "  on the same {} texts: people {}, the scorer with one of them {}\n",
            ceiling.items,
            percent(ceiling.people),
            percent(ceiling.scorer)
        );
    }
    out += "\nThe scorer with what people settled on\n";
    for against in &told.scorer {
        let of = against.reason.map_or("all", |reason| reason.as_str());
        out += &format!(
            "  {of:<16}{:>6} texts, the same {}, kappa {}\n",
            against.items,
            percent(against.agreed),
            figure(against.kappa)
        );
        if let Some(wrong) = against.positive_is_negative {
            out += &format!("  {:<16}called positive and negative to people: {}\n", "", percent(wrong));
        }
    }
    out
}

fn percent(of: Figure) -> String {
    format!("{:.1} % ({:.1}–{:.1})", of.value * 100.0, of.low * 100.0, of.high * 100.0)
}

fn figure(of: Option<Figure>) -> String {
    of.map_or_else(
        || "can not be told".to_owned(),
        |figure| format!("{:.2} ({:.2}–{:.2})", figure.value, figure.low, figure.high),
    )
}
