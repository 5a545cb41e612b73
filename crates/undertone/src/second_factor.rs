//! Codes of an authenticator app (RFC 6238, as every app makes them: SHA-1, six digits, 30 seconds), and recovery codes.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use totp_rs::{Algorithm, Builder, Totp};
use undertone_core::Role;
use undertone_store::second_factor::{SecondFactor, bound_to};
use undertone_store::secrets::{KeyError, Secret};
use undertone_store::users::Guesser;
use undertone_store::{Act, TenantId};

use crate::api::problem::{ApiError, CONFLICT, FieldError, INTERNAL};
use crate::app::App;
use crate::passwords;

/// Recovery codes that somebody is given.
const RECOVERY_CODES: usize = 10;
/// Signs of a recovery code: of 31 each, 118 bits together, so that a plain digest keeps it (OWASP ASVS 5.0, 6.5.2).
const RECOVERY_SIGNS: usize = 24;
/// What the app calls us.
const NAME: &str = "Undertone";

/// What somebody puts into their app.
pub struct Enrolment {
    /// The seed, in base32.
    pub seed: Secret,
    /// The same as an address that apps read: `otpauth://totp/…`.
    pub address: Secret,
}

/// Whose second factor it is, and where they are asked for it.
#[derive(Debug, Clone, Copy)]
pub struct Who<'a> {
    /// Their id.
    pub user: &'a str,
    /// Their address.
    pub email: &'a str,
    /// With whom their attempts are counted.
    pub guesser: Guesser<'a>,
    /// What stays the same of the log-in or session they are in: a seed is shown and confirmed where it was set up.
    pub setter: &'a str,
}

/// What somebody must show after their password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Nothing more.
    Nothing,
    /// A code of their app.
    Code,
    /// Their role takes a second factor, and they have none yet.
    SetUp,
}

/// What somebody in this role must show.
pub async fn need(app: &App, tenant: TenantId, user: &str, role: Option<Role>) -> Result<Need, ApiError> {
    let factor = app.store.second_factor(tenant, user).await?;
    if factor.is_some_and(|factor| factor.confirmed_at.is_some()) {
        return Ok(Need::Code);
    }
    Ok(if is_required(app, tenant, role).await? { Need::SetUp } else { Need::Nothing })
}

/// Whether somebody in this role takes a second factor to log in. A word that is no role of this version may do nothing anyway.
pub async fn is_required(app: &App, tenant: TenantId, role: Option<Role>) -> Result<bool, ApiError> {
    let settings = app.store.module(tenant).await?.settings;
    Ok(role.is_some_and(|role| settings.second_factor_roles.contains(&role)))
}

/// How it stands with somebody's second factor, for the API.
pub async fn told(app: &App, tenant: TenantId, user: &str, role: Option<Role>) -> Result<Value, ApiError> {
    let factor = app.store.second_factor(tenant, user).await?;
    let confirmed = factor.as_ref().and_then(|factor| factor.confirmed_at);
    Ok(json!({
        "active": confirmed.is_some(),
        "since": confirmed,
        "recovery_codes_left": factor.filter(|_| confirmed.is_some()).map(|factor| factor.recovery_codes_left),
        "required": is_required(app, tenant, role).await?,
    }))
}

fn unusable(error: impl std::fmt::Display) -> ApiError {
    ApiError {
        cause: Some(error.to_string()),
        ..ApiError::new(INTERNAL, "the seed of the second factor can not be used; the log has the cause")
    }
}

fn totp(seed: &Secret, email: &str) -> Result<Totp, ApiError> {
    let secret = totp_rs::Secret::try_from_base32(seed.expose()).map_err(|_| unusable("it is no base32"))?;
    Builder::new()
        .with_algorithm(Algorithm::SHA1)
        .with_digits(6)
        .with_step_duration(30)
        // Clocks differ: the code before and the one after are right too (RFC 6238, 5.2).
        .with_skew(1)
        .with_secret(secret)
        // A colon would end the name.
        .with_account_name(email.replace(':', "_"))
        .with_issuer(Some(NAME))
        .build()
        .map_err(unusable)
}

fn enrolment(seed: Secret, email: &str) -> Result<Enrolment, ApiError> {
    let address = Secret::new(totp(&seed, email)?.to_url().map_err(unusable)?);
    Ok(Enrolment { seed, address })
}

/// Sets a second factor up, in place of one that was not confirmed.
///
/// # Errors
/// A conflict where a confirmed one stands, or no master key to seal the seed with.
pub async fn set_up(app: &App, act: &Act<'_>, who: Who<'_>) -> Result<Enrolment, ApiError> {
    let bytes: [u8; 20] = rand::random();
    let seed = Secret::new(totp_rs::Secret::new_stack(bytes).to_base32());
    let sealed = app.provider_keys.keyring().seal_text(&bound_to(act.tenant, who.user), &seed)?;
    app.store.set_up_second_factor(act, who.user, (&sealed, who.setter)).await?;
    enrolment(seed, who.email)
}

/// The second factor that was set up here a moment ago and not confirmed: whoever loads the page again finds the same seed, and nobody else
/// does. One that does not open is of no use to anybody.
pub async fn go_on(app: &App, act: &Act<'_>, who: Who<'_>) -> Result<Option<Enrolment>, ApiError> {
    let factor = app.store.second_factor(act.tenant, who.user).await?;
    let waiting = factor.filter(|factor| factor.waits_for(who.setter, app.store.now()));
    let seed = waiting.and_then(|factor| open(app, &factor).ok());
    seed.map(|seed| enrolment(seed, who.email)).transpose()
}

fn open(app: &App, factor: &SecondFactor) -> Result<Secret, KeyError> {
    let bound = bound_to(factor.tenant, &factor.user_id);
    app.provider_keys.keyring().open_text("the seed of a second factor", &bound, &factor.sealed)
}

/// Confirms what was set up, with a first code; answers the recovery codes, which are told only this once. The person's other sessions end.
///
/// # Errors
/// With `code` as the field that is wrong.
pub async fn confirm(
    app: &App,
    act: &Act<'_>,
    who: Who<'_>,
    code: &str,
    session_token: Option<&str>,
) -> Result<Vec<String>, ApiError> {
    passwords::attempt(app, who.guesser, act.from).await?;
    let told =
        "no second factor is being set up here, or not for ten minutes; set it up anew, also in the app";
    let nothing = || ApiError::new(CONFLICT, told);
    let factor = app.store.second_factor(act.tenant, who.user).await?.ok_or_else(nothing)?;
    if factor.confirmed_at.is_some() {
        return Err(ApiError::new(CONFLICT, "there is a second factor already"));
    }
    if !factor.waits_for(who.setter, app.store.now()) {
        return Err(nothing());
    }
    let seed = open(app, &factor)?;
    let step = step_of(&totp(&seed, who.email)?, code, app.store.now()).ok_or_else(wrong_code)?;
    let codes = recovery_codes();
    let plain: Vec<String> = codes.iter().map(|code| plain(code)).collect();
    app.store.confirm_second_factor(act, who.user, (&factor.sealed, step), &plain, session_token).await?;
    app.store.forgive_logins(who.guesser).await?;
    Ok(codes)
}

/// Whether `given` is a code of the app that was not used yet, or a recovery code that was not; it is used up by that. Attempts are
/// counted with those at the password, and forgiven by [`forgive`](undertone_store::Store::forgive_logins) or a session that begins.
pub async fn is_right(app: &App, act: &Act<'_>, who: Who<'_>, given: &str) -> Result<bool, ApiError> {
    passwords::attempt(app, who.guesser, act.from).await?;
    let factor = app.store.second_factor(act.tenant, who.user).await?;
    let Some(factor) = factor.filter(|factor| factor.confirmed_at.is_some()) else { return Ok(false) };
    let given = plain(given);
    if given.len() != 6 {
        return Ok(app.store.use_recovery_code(act, who.user, &given).await?);
    }
    let seed = open(app, &factor)?;
    match step_of(&totp(&seed, who.email)?, &given, app.store.now()) {
        Some(step) => Ok(app.store.use_code(act.tenant, who.user, step).await?),
        None => Ok(false),
    }
}

/// Refuses what [`is_right`] does not take.
///
/// # Errors
/// With `code` as the field that is wrong.
pub async fn check(app: &App, act: &Act<'_>, who: Who<'_>, given: &str) -> Result<(), ApiError> {
    if !is_right(app, act, who, given).await? {
        return Err(wrong_code());
    }
    app.store.forgive_logins(who.guesser).await?;
    Ok(())
}

/// Other recovery codes, in place of those there are; they are told only this once.
pub async fn renew(app: &App, act: &Act<'_>, user: &str) -> Result<Vec<String>, ApiError> {
    let codes = recovery_codes();
    let plain: Vec<String> = codes.iter().map(|code| plain(code)).collect();
    app.store.renew_recovery_codes(act, user, &plain).await?;
    Ok(codes)
}

/// A code that is not taken.
pub fn wrong_code() -> ApiError {
    ApiError::invalid(vec![FieldError {
        field: "code".to_owned(),
        code: "wrong".to_owned(),
        message: "this code is wrong, used already, or too old; wait for the next one in your app".to_owned(),
    }])
}

/// The step whose code it is, of those that are right now.
fn step_of(totp: &Totp, code: &str, now: DateTime<Utc>) -> Option<i64> {
    let now = u64::try_from(now.timestamp()).ok()?;
    totp.check(&plain(code), now).and_then(|step| i64::try_from(step).ok())
}

/// A code without what people put between its signs.
fn plain(code: &str) -> String {
    code.chars().filter(|c| !c.is_whitespace() && *c != '-').flat_map(char::to_lowercase).take(100).collect()
}

fn recovery_codes() -> Vec<String> {
    (0..RECOVERY_CODES).map(|_| crate::api::secrets::signs(RECOVERY_SIGNS)).collect()
}

/// The picture that an app scans, as an SVG of its own.
pub fn picture(enrolment: &Enrolment) -> Result<String, ApiError> {
    let code = qrcode::QrCode::new(enrolment.address.expose().as_bytes()).map_err(unusable)?;
    let drawn = code.render::<qrcode::render::svg::Color<'_>>().min_dimensions(200, 200).build();
    // A page is no XML document of its own.
    Ok(drawn.find("<svg").map_or(String::new(), |start| drawn[start..].to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    /// `12345678901234567890`, as in the RFC's appendix B; its codes have eight digits there, of which ours are the last six.
    fn of_the_rfc() -> Totp {
        totp(&Secret::new("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ".to_owned()), "ana@example.com").unwrap()
    }

    #[test]
    fn codes_are_those_of_the_rfc() {
        for (seconds, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            assert_eq!(step_of(&of_the_rfc(), code, at(seconds)), Some(seconds / 30), "{code}");
        }
    }

    #[test]
    fn a_code_is_right_for_a_step_before_and_after() {
        let totp = of_the_rfc();
        // The code of step 1, from 30 s to 59 s, with a step on each side.
        for (seconds, step) in [(0, Some(1)), (30, Some(1)), (59, Some(1)), (89, Some(1)), (90, None)] {
            assert_eq!(step_of(&totp, "287082", at(seconds)), step, "{seconds}");
        }
        assert_eq!(step_of(&totp, "287 082", at(59)), Some(1));
        for wrong in ["", "28708", "2870820", "287083", "abcdef", "２８７０８２"] {
            assert_eq!(step_of(&totp, wrong, at(59)), None, "{wrong}");
        }
    }

    #[test]
    fn apps_are_told_whose_code_it_is() {
        let seed = Secret::new("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ".to_owned());
        let enrolment = enrolment(seed, "ana+x@example.com").unwrap();
        let address = enrolment.address.expose();
        assert!(address.starts_with("otpauth://totp/Undertone:ana%2Bx%40example.com?"), "{address}");
        assert!(address.contains("secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"), "{address}");
        assert!(address.contains("issuer=Undertone"), "{address}");
        let picture = picture(&enrolment).unwrap();
        assert!(picture.starts_with("<svg ") && !picture.contains("style"), "{picture:.100}");
    }

    #[test]
    fn recovery_codes_are_long_and_differ() {
        let codes = recovery_codes();
        let distinct: std::collections::BTreeSet<String> = codes.iter().map(|code| plain(code)).collect();
        assert_eq!((codes.len(), distinct.len()), (RECOVERY_CODES, RECOVERY_CODES));
        assert!(distinct.iter().all(|code| code.len() == RECOVERY_SIGNS && code.is_ascii()));
        assert_eq!(plain(&format!(" {} ", codes[0].to_uppercase())), plain(&codes[0]));
    }
}
