//! The people who are to hear of alerts: whether there are any, and whether their own choices let it through.

use chrono::TimeDelta;
use undertone_core::Settings;
use undertone_core::event::EventKind;
use undertone_core::notification::{Category, Happening, nobody_hears, told};
use undertone_core::settings::Recipients;
use undertone_store::Tenant;
use undertone_store::notices::Recipient;

use super::Check;
use super::examine::{Means, Told};
use crate::cli::listing::moment;
use crate::error::CliError;

/// E-mail that waits longer is worth a look.
const LONG: TimeDelta = TimeDelta::minutes(10);

/// Who hears of an alert that is raised now, and how; and whose mailbox takes no e-mail.
pub async fn heard(means: &Means<'_>, tenant: &Tenant, settings: &Settings) -> Result<Vec<Told>, CliError> {
    let mut told = hearing(means, tenant, settings).await?;
    for one in means.store.mail_unreached(tenant.id).await? {
        let text = format!(
            "{} gets no e-mail: {} given up, the last {}; {}. Mend the mailbox, or invite the person under another address",
            one.email,
            if one.letters == 1 {
                "a letter was".to_owned()
            } else {
                format!("{} letters were", one.letters)
            },
            moment(one.at),
            one.error.unwrap_or_default(),
        );
        told.push((Check::Mail, Err(text)));
    }
    Ok(told)
}

async fn hearing(means: &Means<'_>, tenant: &Tenant, settings: &Settings) -> Result<Vec<Told>, CliError> {
    let store = means.store;
    let everybody = store.recipients(tenant.id).await?;
    let people: Vec<_> = everybody.iter().map(Recipient::person).collect();
    if let Some(why) = nobody_hears(&settings.recipients, &people) {
        let next = format!(
            "{why}. See undertone user list {slug}, and undertone user invite {slug} ADDRESS --role supervisor",
            slug = tenant.slug
        );
        return Ok(vec![(Check::Recipients, Err(next))]);
    }
    let alert = Happening { kind: EventKind::AlertRaised, assigned_to: None, made_by: None };
    let ids = told(&alert, &settings.recipients, &settings.escalate_to, &people);
    let hearing: Vec<&Recipient> = everybody.iter().filter(|one| ids.contains(&one.id.as_str())).collect();
    let mut told = vec![(Check::Recipients, chosen(settings, hearing.len()))];
    told.extend(off(&hearing));
    let now = store.now();
    let later = hearing.iter().filter(|one| {
        let mails = one.preferences.channels(Category::Alerts).email;
        mails && one.preferences.email_at(EventKind::AlertRaised, tenant.zone, now).at > now
    });
    let later = later.count();
    if later > 0 {
        let text = format!(
            "{later} of them get their e-mail later: they have quiet hours now, or one message a day"
        );
        told.push((Check::Recipients, Ok(text)));
    }
    // Without a server all of it waits; that there is none is told once.
    let waiting = if means.mails { store.mail_waiting(tenant.id).await? } else { None };
    if let Some(waiting) = waiting.filter(|waiting| now - waiting.since > LONG) {
        let why = waiting.last_error.map_or_else(
            || "is undertone serve running?".to_owned(),
            |error| format!("the last try: {error}"),
        );
        let text = format!("e-mail waits since {}; {why}", moment(waiting.since));
        told.push((Check::Mail, Err(text)));
    }
    Ok(told)
}

/// How many hear of it, and whether somebody who was selected can not.
fn chosen(settings: &Settings, count: usize) -> Result<String, String> {
    let words = match &settings.recipients {
        Recipients::AdminsAndSupervisors {} => "admins and supervisors".to_owned(),
        Recipients::Supervisors {} => "supervisors and managers".to_owned(),
        Recipients::SpecificUsers { users } => format!("{} specific users", users.len()),
    };
    match &settings.recipients {
        Recipients::SpecificUsers { users } if users.len() > count => Err(format!(
            "alerts go to {words} (recipients), of whom {} are deactivated or gone; select others",
            users.len() - count
        )),
        _ => {
            let people = if count == 1 { "person" } else { "people" };
            Ok(format!("alerts go to {words}: {count} {people} (recipients)"))
        }
    }
}

/// Those who switched alerts off for themselves.
fn off(hearing: &[&Recipient]) -> Option<Told> {
    let deaf = hearing.iter().filter(|one| {
        let channels = one.preferences.channels(Category::Alerts);
        !channels.in_app && !channels.email
    });
    let deaf = deaf.count();
    (deaf > 0).then(|| {
        let text = format!("{deaf} of these {} people switched alerts off for themselves", hearing.len());
        let all = deaf == hearing.len();
        let told = if all {
            Err(format!("{text}: nobody hears of one; select others (recipients)"))
        } else {
            Ok(text)
        };
        (Check::Recipients, told)
    })
}
