//! What somebody says of a destination, in the API or in a file, and the destination that comes of it.

use chrono::{DateTime, Utc};
use ipnet::IpNet;
use reqwest::Url;
use serde_json::{Map, Value};
use undertone_core::Role;
use undertone_core::destination::{DestinationConfig, DestinationKind, Detail};
use undertone_core::event::Wanted;
use undertone_store::TenantId;
use undertone_store::destinations::{Destination, NewDestination};
use undertone_store::secrets::{KeyError, Keyring};

use super::address::check_address;
use super::options::check_options;
use super::secrets::{Secrets, check_signing_key, new_signing_key};

/// Where `PagerDuty` takes events, unless another address is given.
const PAGERDUTY: &str = "https://events.pagerduty.com/v2/enqueue";
/// Characters of a name.
const LONGEST_NAME: usize = 100;
const KINDS: &str = "it is webhook, slack, pagerduty, teams or zendesk";

/// A field, and what is wrong with it; never with what stands in it.
pub type Wrong = (&'static str, String);

/// What is said. Everything may be left out.
#[derive(Default)]
pub struct Draft {
    pub kind: Option<DestinationKind>,
    pub name: Option<String>,
    pub url: Option<String>,
    /// The address without what is secret in it.
    pub shown: Option<String>,
    pub key: Option<String>,
    pub events: Option<Wanted>,
    pub detail: Option<Detail>,
    pub audience: Option<Role>,
    pub options: Option<Map<String, Value>>,
    pub active: Option<bool>,
}

/// Address and keys as they are to be.
pub enum Keys {
    /// As they are sealed already: text and the master key's id. Nobody needs to read them for that.
    Kept(String, String),
    /// These.
    Anew(Secrets),
}

/// What a destination is to be.
pub struct Wished {
    pub kind: DestinationKind,
    pub name: String,
    pub config: DestinationConfig,
    pub keys: Keys,
    pub shown_address: String,
    pub active: bool,
}

impl Wished {
    /// The same, sealed.
    pub fn sealed(self, keyring: &Keyring, tenant: TenantId) -> Result<NewDestination, KeyError> {
        let secrets = match self.keys {
            Keys::Kept(text, key_id) => (text, key_id),
            Keys::Anew(secrets) => {
                let sealed = secrets.seal(keyring, tenant, self.kind)?;
                (sealed.text, sealed.key_id)
            }
        };
        Ok(NewDestination {
            kind: self.kind,
            name: self.name,
            config: self.config,
            shown_address: self.shown_address,
            secrets,
            active: self.active,
        })
    }
}

impl Draft {
    /// Every field.
    pub const FIELDS: [&'static str; 9] =
        ["kind", "name", "url", "key", "events", "detail", "audience", "options", "active"];

    /// Takes one field in; messages go to the internet or to `allowed` networks.
    ///
    /// # Errors
    /// What is wrong with it, in words of ours only: a key may stand anywhere.
    pub fn take(&mut self, name: &str, value: Value, allowed: &[IpNet]) -> Result<(), String> {
        let text = |value: &Value| value.as_str().map(str::to_owned).ok_or_else(|| "it is a text".to_owned());
        match name {
            "kind" => self.kind = Some(serde_json::from_value(value).map_err(|_| KINDS.to_owned())?),
            "name" => {
                let text = text(&value)?.trim().to_owned();
                if text.is_empty() || text.chars().count() > LONGEST_NAME || text.contains(char::is_control) {
                    return Err(format!("it has 1 to {LONGEST_NAME} characters, on one line"));
                }
                self.name = Some(text);
            }
            "url" => {
                let checked = check_address(&text(&value)?, allowed)?;
                (self.url, self.shown) = (Some(checked.url), Some(checked.shown));
            }
            "key" => self.key = Some(text(&value)?.trim().to_owned()),
            "events" => {
                let patterns: Vec<String> = serde_json::from_value(value)
                    .map_err(|_| "it is a list of names of events".to_owned())?;
                if patterns.is_empty() {
                    return Err("name at least one event; * stands for all".to_owned());
                }
                self.events = Some(Wanted::new(patterns)?);
            }
            "detail" => {
                self.detail =
                    Some(serde_json::from_value(value).map_err(|_| "it is thin or full".to_owned())?);
            }
            "audience" => self.audience = Some(text(&value)?.parse()?),
            "options" => {
                self.options = Some(serde_json::from_value(value).map_err(|_| "it is an object".to_owned())?);
            }
            "active" => self.active = Some(value.as_bool().ok_or("it is true or false")?),
            _ => return Err(format!("there is no such field; there are {}", Self::FIELDS.join(", "))),
        }
        Ok(())
    }

    /// The destination that is made of it, and the key that was made for it where a webhook was given none.
    ///
    /// # Errors
    /// Everything that is missing or does not fit together.
    pub fn made(self, allowed: &[IpNet]) -> Result<(Wished, Option<String>), Vec<Wrong>> {
        let kind = self.kind.ok_or_else(|| vec![("kind", KINDS.to_owned())])?;
        let mut wrong = Vec::new();
        let (mut url, mut shown) = (self.url, self.shown);
        if url.is_none() && kind == DestinationKind::Pagerduty {
            match check_address(PAGERDUTY, allowed) {
                Ok(checked) => (url, shown) = (Some(checked.url), Some(checked.shown)),
                Err(why) => wrong.push(("url", why)),
            }
        } else if url.is_none() {
            wrong.push(("url", "give the address that messages go to".to_owned()));
        }
        if let Some(why) = url.as_deref().and_then(|url| retired(kind, url)) {
            wrong.push(("url", why));
        }
        let made = (kind == DestinationKind::Webhook && self.key.is_none()).then(new_signing_key);
        let key = self.key.or_else(|| made.clone());
        if let Err(why) = check_key(kind, key.as_deref()) {
            wrong.push(("key", why));
        }
        if self.name.is_none() {
            wrong.push(("name", "give it a name, so that people can tell it from others".to_owned()));
        }
        let options = self.options.unwrap_or_default();
        if let Err(why) = check_options(kind, &options) {
            wrong.push(("options", why));
        }
        let (Some(url), Some(shown_address), Some(name), true) = (url, shown, self.name, wrong.is_empty())
        else {
            return Err(wrong);
        };
        let config = DestinationConfig {
            events: self.events.unwrap_or_else(|| usual_events(kind)),
            detail: self.detail.unwrap_or_default(),
            audience: self.audience.unwrap_or(Role::Agent),
            options,
        };
        let keys = Keys::Anew(Secrets { url, key, replaced: Vec::new() });
        let active = self.active.unwrap_or(true);
        Ok((Wished { kind, name, config, keys, shown_address, active }, made))
    }

    /// What becomes of a destination: what is left out stays, address and key too. A signing key that is replaced signs on for a day. Where
    /// `secrets` can not be read, either both are given anew or neither.
    ///
    /// # Errors
    /// Everything that does not fit together.
    pub fn over(
        self,
        before: &Destination,
        secrets: Option<&Secrets>,
        now: DateTime<Utc>,
    ) -> Result<Wished, Vec<Wrong>> {
        let mut wrong = Vec::new();
        if self.kind.is_some_and(|kind| kind != before.kind) {
            let told = "it stays what it is; make another destination and remove this one";
            wrong.push(("kind", told.to_owned()));
        }
        let is_same = self.url.is_none() && self.key.is_none();
        let after = match secrets {
            _ if is_same => Ok(None),
            Some(secrets) => self.changed(before.kind, secrets, now).map(Some),
            None => self.anew(before.kind).map(Some),
        };
        let after = after.unwrap_or_else(|why| {
            wrong.extend(why);
            None
        });
        let config = DestinationConfig {
            events: self.events.unwrap_or_else(|| before.config.events.clone()),
            detail: self.detail.unwrap_or(before.config.detail),
            audience: self.audience.unwrap_or(before.config.audience),
            options: self.options.unwrap_or_else(|| before.config.options.clone()),
        };
        if let Err(why) = check_options(before.kind, &config.options) {
            wrong.push(("options", why));
        }
        if !wrong.is_empty() {
            return Err(wrong);
        }
        let keys = match after {
            Some(after) if secrets != Some(&after) => Keys::Anew(after),
            _ => Keys::Kept(before.secrets.clone(), before.key_id.clone()),
        };
        Ok(Wished {
            kind: before.kind,
            name: self.name.unwrap_or_else(|| before.name.clone()),
            config,
            keys,
            shown_address: self.shown.unwrap_or_else(|| before.shown_address.clone()),
            active: self.active.unwrap_or(before.active),
        })
    }

    /// The secrets with what is said in place of what they were.
    fn changed(
        &self,
        kind: DestinationKind,
        secrets: &Secrets,
        now: DateTime<Utc>,
    ) -> Result<Secrets, Vec<Wrong>> {
        let (mut secrets, mut wrong) = (secrets.clone(), Vec::new());
        if let Some(key) = &self.key {
            match check_key(kind, Some(key)) {
                Ok(()) if secrets.key.as_ref() == Some(key) => {}
                Ok(()) if kind == DestinationKind::Webhook => {
                    match secrets.clone().with_key(key.clone(), now) {
                        Ok(with_key) => secrets = with_key,
                        Err(why) => wrong.push(("key", why)),
                    }
                }
                Ok(()) => secrets.key = Some(key.clone()),
                Err(why) => wrong.push(("key", why)),
            }
        }
        if let Some(url) = &self.url {
            wrong.extend(retired(kind, url).map(|why| ("url", why)));
            secrets.url.clone_from(url);
        }
        if wrong.is_empty() { Ok(secrets) } else { Err(wrong) }
    }

    /// The secrets from what is said alone: those that were sealed can not be read any more.
    fn anew(&self, kind: DestinationKind) -> Result<Secrets, Vec<Wrong>> {
        let mut wrong = Vec::new();
        let url = self.url.clone().unwrap_or_else(|| {
            wrong.push(("url", "give it too: the address that is sealed can not be read".to_owned()));
            String::new()
        });
        wrong.extend(retired(kind, &url).map(|why| ("url", why)));
        if kind == DestinationKind::Webhook && self.key.is_none() {
            let told = "give a new one too, since the one that is sealed can not be read: whsec_ and 24 to 64 random bytes in base64";
            wrong.push(("key", told.to_owned()));
        } else if let Err(why) = check_key(kind, self.key.as_deref()) {
            wrong.push(("key", why));
        }
        if wrong.is_empty() {
            Ok(Secrets { url, key: self.key.clone(), replaced: Vec::new() })
        } else {
            Err(wrong)
        }
    }
}

/// What a destination gets where nothing is said: what people act on there, and not every score.
fn usual_events(kind: DestinationKind) -> Wanted {
    let usual: &[&str] = match kind {
        DestinationKind::Webhook | DestinationKind::Slack | DestinationKind::Teams => {
            &["alert.*", "incident.*", "customer.erased", "budget.threshold"]
        }
        // Everything else would call somebody out of bed.
        DestinationKind::Pagerduty => &["alert.*", "incident.*"],
        // Nothing else is about a ticket that people look after.
        DestinationKind::Zendesk => &["alert.*"],
    };
    Wanted::new(usual.iter().map(|name| (*name).to_owned()).collect()).unwrap_or_else(|_| Wanted::all())
}

/// Why nothing arrives at this address any more, and what to do.
fn retired(kind: DestinationKind, url: &str) -> Option<String> {
    let url = Url::parse(url).ok()?;
    let host = url.host_str()?;
    let is_connector = host == "webhook.office.com" || host.ends_with(".webhook.office.com");
    (kind == DestinationKind::Teams && is_connector).then(|| {
        "Microsoft has retired these addresses; in Teams, make a workflow for the channel that begins “When a Teams webhook request is \
         received”, and give its address"
            .to_owned()
    })
}

fn check_key(kind: DestinationKind, key: Option<&str>) -> Result<(), String> {
    match (kind, key) {
        (DestinationKind::Webhook, Some(key)) => check_signing_key(key),
        (DestinationKind::Webhook | DestinationKind::Slack | DestinationKind::Teams, None) => Ok(()),
        (DestinationKind::Slack | DestinationKind::Teams, Some(_)) => {
            Err("its address is its key; leave this out".to_owned())
        }
        (DestinationKind::Pagerduty, Some(key))
            if key.len() == 32 && key.bytes().all(|b| b.is_ascii_alphanumeric()) =>
        {
            Ok(())
        }
        (DestinationKind::Pagerduty, _) => {
            Err("give the integration key of the service: 32 letters and digits".to_owned())
        }
        (DestinationKind::Zendesk, Some(key))
            if key
                .split_once("/token:")
                .is_some_and(|(user, token)| user.contains('@') && !token.is_empty()) =>
        {
            Ok(())
        }
        (DestinationKind::Zendesk, _) => {
            Err("give e-mail address, /token: and the API token, as in ana@example.com/token:…".to_owned())
        }
    }
}
