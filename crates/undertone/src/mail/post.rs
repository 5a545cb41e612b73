//! Sends what is due: person by person, what goes together in one letter, as they may see it and want it at that moment.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use chrono_tz::Tz;
use tokio::sync::watch;
use undertone_core::notification::{Category, Preferences};
use undertone_store::notices::{FinishedMail, Mail, MailEnd};
use undertone_store::{Store, StoreError, TenantId};

use super::{Letter, Mailer, Told};
use crate::clock::rest;
use crate::patience::{LONG, patiently};
use crate::tell;

/// How often is looked for e-mail that is due.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// What is claimed is due again after this, whatever happened.
const LEASE: TimeDelta = TimeDelta::minutes(10);
/// No letter is begun later than this: a slow server has minutes for it, and it ends before somebody else claims the rest.
const BEGUN_WITHIN: Duration = Duration::from_mins(3);
/// Single letters to a person in one go.
const MOST: usize = 20;
/// Notices of a person claimed at once: the most there are in one letter.
const MOST_TOGETHER: u16 = 100;
/// People looked after before it is looked anew who has something due.
const PEOPLE: u16 = 50;
/// After the server could not be reached, nothing is tried for this long.
const REST: Duration = Duration::from_secs(30);

/// What sends e-mail.
#[derive(Clone)]
pub struct Post {
    /// Where it waits.
    pub store: Store,
    /// The way to the server.
    pub mailer: Mailer,
    /// The address under which people reach the service; empty where it is not known.
    pub public_url: Arc<str>,
}

/// Sends until the service ends.
pub async fn serve(post: Post, mut ending: watch::Receiver<bool>) {
    let mut pause = LOOK_EVERY;
    while rest(&mut ending, pause).await {
        pause = match look(&post, &ending).await {
            Ok(None) => LOOK_EVERY,
            Ok(Some(why)) => {
                tracing::warn!("e-mail waits: {why}");
                REST
            }
            Err(error) => {
                tracing::warn!(%error, "sending e-mail failed for a moment: {error}");
                Duration::from_secs(5)
            }
        };
    }
}

/// Sends everything that is due; answers why the server takes nothing, where it does not. Then nothing was claimed, and no try counts.
pub async fn look(post: &Post, ending: &watch::Receiver<bool>) -> Result<Option<String>, StoreError> {
    let due = post.store.mail_due(PEOPLE).await?;
    if due.is_empty() {
        return Ok(None);
    }
    if let Err(why) = post.mailer.check().await {
        return Ok(Some(why));
    }
    let mut failed = None;
    for (tenant, user) in due {
        if *ending.borrow() {
            break;
        }
        // The letters of one person hold up nobody else's.
        if let Err(error) = of_person(post, tenant, &user).await {
            tracing::warn!(%error, tenant = tenant.0, user, "the e-mail of user {user} waits: {error}");
            failed = Some(error);
        }
    }
    failed.map_or(Ok(None), Err)
}

/// What is known of a person while their e-mail is sent.
struct Reader {
    id: String,
    email: String,
    name: Option<String>,
    tenant: TenantId,
    tenant_name: String,
    zone: Tz,
    preferences: Preferences,
}

async fn of_person(post: &Post, tenant: TenantId, user: &str) -> Result<(), StoreError> {
    let owner = uuid::Uuid::new_v4().to_string();
    let claimed = post.store.claim_mail(tenant, user, (&owner, LEASE), MOST_TOGETHER).await?;
    send_claimed(post, (tenant, user), &owner, claimed).await
}

/// Sends what `owner` claimed for a person, and keeps what became of it.
pub async fn send_claimed(
    post: &Post,
    (tenant, user): (TenantId, &str),
    owner: &str,
    claimed: Vec<Mail>,
) -> Result<(), StoreError> {
    let began = Instant::now();
    // What the server took is sent again if that is not kept.
    let finish = async |finished: &[FinishedMail]| {
        patiently(LONG, || post.store.finish_mail(tenant, user, owner, finished)).await
    };
    let known = post.store.tenant(tenant).await?;
    let person = post.store.user(tenant, user).await?.filter(|user| user.active);
    let (Some(known), Some(person)) = (known, person) else {
        let dropped = |mail| ended(mail, &MailEnd::Dropped("the person is not active any more".to_owned()));
        finish(&claimed.iter().map(dropped).collect::<Vec<_>>()).await?;
        return Ok(());
    };
    let (preferences, _) = post.store.notification_preferences(tenant, user).await?;
    let reader = Reader {
        zone: preferences.zone.unwrap_or(known.zone),
        id: person.id,
        email: person.email,
        name: person.name,
        tenant,
        tenant_name: known.name,
        preferences,
    };
    let told = told(post, &reader, &claimed).await?;
    // What was put into a letter stays in it.
    let mut together: BTreeMap<Option<&str>, Vec<(&Mail, Told)>> = BTreeMap::new();
    let mut alone = Vec::new();
    for (mail, told) in claimed.iter().zip(told) {
        match told {
            Err(why) => {
                finish(&[ended(mail, &MailEnd::Dropped(why.to_owned()))]).await?;
            }
            Ok(told) if mail.together => {
                together.entry(mail.letter_id.as_deref()).or_default().push((mail, told));
            }
            Ok(told) => alone.push((mail, told)),
        }
    }
    for (letter, mails) in together {
        let Some((first, _)) = mails.first() else { continue };
        let id = letter.unwrap_or(&first.id);
        if letter.is_none() {
            let places: Vec<i64> = mails.iter().map(|(mail, _)| mail.position).collect();
            if !post.store.keep_letter(tenant, user, (owner, id), &places).await? {
                // Some of it is somebody else's by now: what is not goes in another letter, at once.
                finish(&mails.iter().map(|(mail, _)| ended(mail, &MailEnd::Untried)).collect::<Vec<_>>())
                    .await?;
                continue;
            }
        }
        let (end, said) = if began.elapsed() < BEGUN_WITHIN {
            send(post, &reader, id, &mails).await?
        } else {
            (MailEnd::Untried, None)
        };
        let finished: Vec<_> =
            mails.iter().map(|(mail, _)| FinishedMail { said: said.clone(), ..ended(mail, &end) }).collect();
        finish(&finished).await?;
    }
    // Of single ones only so many, and the rest in their turn: others wait too.
    for (place, one) in alone.iter().enumerate() {
        let (end, said) = if place < MOST && began.elapsed() < BEGUN_WITHIN {
            send(post, &reader, &one.0.id, std::slice::from_ref(one)).await?
        } else {
            (MailEnd::Untried, None)
        };
        finish(&[FinishedMail { said, ..ended(one.0, &end) }]).await?;
    }
    Ok(())
}

fn ended(mail: &Mail, end: &MailEnd) -> FinishedMail {
    let (position, attempts, due_at) = (mail.position, mail.attempts, mail.due_at);
    FinishedMail { position, attempts, due_at, end: end.clone(), said: None }
}

/// What each notice tells this person now, or why it tells nothing.
async fn told(
    post: &Post,
    reader: &Reader,
    claimed: &[Mail],
) -> Result<Vec<Result<Told, &'static str>>, StoreError> {
    let asked = claimed.iter().map(|mail| (mail.event.as_str(), &mail.payload)).collect();
    let seen = tell::seen_by(&post.store, reader.tenant, &reader.id, asked).await?;
    let one = |(mail, seen): (&Mail, Option<_>)| {
        let wants = mail.category.parse().is_ok_and(|category| reader.preferences.channels(category).email);
        match seen {
            _ if !wants => Err("the person wants no e-mail of this category any more"),
            None => Err("the visibility policy does not show it to the person any more"),
            Some(data) => Ok(Told { event: mail.event.clone(), data, at: mail.happened_at }),
        }
    };
    Ok(claimed.iter().zip(seen).map(one).collect())
}

/// Sends a letter of this id; what became of it, and what the server said.
async fn send(
    post: &Post,
    reader: &Reader,
    id: &str,
    mails: &[(&Mail, Told)],
) -> Result<(MailEnd, Option<String>), StoreError> {
    let Some((first, _)) = mails.first() else { return Ok((MailEnd::Sent, None)) };
    let is_one_category = mails.iter().all(|(mail, _)| mail.category == first.category);
    let category: Option<Category> = first.category.parse().ok().filter(|_| is_one_category);
    let token = post.store.unsubscribe_token(reader.tenant, &reader.id, category).await?;
    let told: Vec<Told> = mails.iter().map(|(_, told)| told.clone()).collect();
    let letter = Letter {
        id,
        tenant: &reader.tenant_name,
        told: &told,
        zone: reader.zone,
        public_url: &post.public_url,
        unsubscribe: (&token, category.map_or("all notices", Category::meaning)),
        now: post.store.now(),
    };
    let (end, said) = post.mailer.send(&letter, &reader.email, reader.name.as_deref()).await;
    match &end {
        MailEnd::Sent => metrics::counter!("undertone_mails_total").increment(1),
        MailEnd::Untried => {}
        MailEnd::Later(why) | MailEnd::Failed(why) | MailEnd::Dropped(why) => {
            tracing::warn!(user = reader.id, "an e-mail to the user {} was not sent: {why}", reader.id);
        }
    }
    Ok((end, said))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::PATIENCE;
    use crate::patience::pauses;

    #[test]
    fn a_letter_that_is_begun_in_time_ends_before_somebody_else_claims_it() {
        // The greeting, EHLO twice around STARTTLS, AUTH with its answers, MAIL, RCPT, DATA, the letter; where it is refused, a look at the
        // server, which is the same up to AUTH and NOOP; and what came of it is kept.
        let longest = BEGUN_WITHIN + PATIENCE * 18 + pauses(LONG);
        assert!(TimeDelta::from_std(longest).unwrap() < LEASE);
    }
}
