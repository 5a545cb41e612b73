//! The second factor: a code at the log-in, setting it up, and what somebody does about it in their account.

use askama::Template;

use crate::words::EN;
use crate::{Frame, rendered};

/// A log-in that waits for a code.
#[derive(Debug, Clone, Copy)]
pub struct Code<'a> {
    /// Who logs in.
    pub email: &'a str,
    /// Why the last code was not taken.
    pub error: Option<&'a str>,
    /// Ties the form to the browser.
    pub csrf: &'a str,
}

#[derive(Template)]
#[template(path = "second_factor/code.html")]
struct CodeTemplate<'a> {
    f: Frame<'a>,
    v: &'a Code<'a>,
}

/// Renders the page that asks for a code.
#[must_use]
pub fn code(view: &Code<'_>) -> String {
    rendered(&CodeTemplate { f: Frame::new(EN.second_factor, "", None), v: view })
}

/// A second factor to be set up.
#[derive(Debug, Clone, Copy)]
pub struct SetUp<'a> {
    /// Who sets it up.
    pub email: &'a str,
    /// Their role takes it.
    pub is_required: bool,
    /// What the app scans, as an SVG that this program drew.
    pub picture: &'a str,
    /// What is typed into an app that can not scan.
    pub seed: &'a str,
    /// Where the form goes.
    pub action: &'a str,
    /// Why the last code was not taken.
    pub error: Option<&'a str>,
    /// Ties the form to the browser or the session.
    pub csrf: &'a str,
}

#[derive(Template)]
#[template(path = "second_factor/set_up.html")]
struct SetUpTemplate<'a> {
    f: Frame<'a>,
    v: &'a SetUp<'a>,
}

/// Renders the page on which a second factor is set up.
#[must_use]
pub fn set_up(view: &SetUp<'_>) -> String {
    rendered(&SetUpTemplate { f: Frame::new(EN.set_up_second_factor, "", None), v: view })
}

/// Recovery codes, shown this once.
#[derive(Debug, Clone, Copy)]
pub struct RecoveryCodes<'a> {
    /// The codes.
    pub codes: &'a [String],
    /// Where to go afterwards.
    pub next: &'a str,
}

#[derive(Template)]
#[template(path = "second_factor/recovery_codes.html")]
struct RecoveryCodesTemplate<'a> {
    f: Frame<'a>,
    v: &'a RecoveryCodes<'a>,
}

/// Renders recovery codes.
#[must_use]
pub fn recovery_codes(view: &RecoveryCodes<'_>) -> String {
    rendered(&RecoveryCodesTemplate { f: Frame::new(EN.recovery_codes, "", None), v: view })
}

/// Somebody's second factor, in their account.
#[derive(Debug, Clone, Copy)]
pub struct SecondFactor<'a> {
    /// The tenant's name.
    pub tenant: &'a str,
    /// Their address.
    pub email: &'a str,
    /// They have one.
    pub is_active: bool,
    /// Recovery codes that were not used.
    pub codes_left: u64,
    /// Their role takes it.
    pub is_required: bool,
    /// They log in with a password, which is asked for first.
    pub has_password: bool,
    /// Why the last change was not made.
    pub error: Option<&'a str>,
    /// What the forms bring along.
    pub csrf: &'a str,
}

#[derive(Template)]
#[template(path = "second_factor/account.html")]
struct SecondFactorTemplate<'a> {
    f: Frame<'a>,
    v: &'a SecondFactor<'a>,
}

/// Renders somebody's second factor.
#[must_use]
pub fn second_factor(view: &SecondFactor<'_>) -> String {
    let frame = Frame::new(EN.second_factor, view.tenant, Some((view.email, view.csrf)));
    rendered(&SecondFactorTemplate { f: frame, v: view })
}
