//! Undertone's pages: views, templates, charts, style. Pure: data and times are handed in, HTML comes out.
//!
//! Everything works without the script; the script makes it live. No page sets a style or runs a script of its own, so that the browser
//! can be told to refuse both.

pub mod assets;
mod chart;
mod door;
mod highlight;
mod inbox;
mod mail;
mod overview;
mod second_factor;
mod text;
mod trend;
pub mod words;

use askama::Template;
use undertone_core::notice::{Facts, Language};

pub use door::{Account, Done, SetPassword, account, done, set_password};
pub use inbox::{Inbox, InboxAlert, InboxNote, Unsubscribe, inbox, unsubscribe};
pub use mail::{Mail, MailNote, mail_html, mail_text};
pub use overview::{Fragment, OverviewPage, overview, overview_fragments, said};
pub use second_factor::{
    Code, RecoveryCodes, SecondFactor, SetUp, code, recovery_codes, second_factor, set_up,
};
pub use text::score;
use words::{EN, Words};

/// What surrounds every page.
struct Frame<'a> {
    w: &'static Words,
    title: &'a str,
    tenant: &'a str,
    user: Option<(&'a str, &'a str)>,
    style: &'static str,
    script: &'static str,
    icon: &'static str,
}

impl<'a> Frame<'a> {
    fn new(title: &'a str, tenant: &'a str, user: Option<(&'a str, &'a str)>) -> Self {
        let [style, script, icon] = assets::addresses();
        Self { w: &EN, title, tenant, user, style, script, icon }
    }
}

/// The log-in page.
#[derive(Debug, Clone, Copy)]
pub struct Login<'a> {
    /// Where to go afterwards.
    pub next: &'a str,
    /// What was typed last.
    pub email: &'a str,
    /// Why that did not work.
    pub error: Option<&'a str>,
    /// Ties the form to the browser.
    pub csrf: &'a str,
    /// What to type, in a demo.
    pub hint: Option<&'a str>,
    /// The tenant's single sign-on: where it begins, and what it is called.
    pub sign_on: Option<(&'a str, &'a str)>,
    /// The tenant's short name, where the address said it; empty: it did not.
    pub tenant: &'a str,
}

#[derive(Template)]
#[template(path = "login.html")]
struct LoginTemplate<'a> {
    f: Frame<'a>,
    v: &'a Login<'a>,
}

/// Renders the log-in page.
#[must_use]
pub fn login(view: &Login<'_>) -> String {
    rendered(&LoginTemplate { f: Frame::new(EN.log_in, "", None), v: view })
}

/// A page that says why something did not work.
#[derive(Debug, Clone, Copy)]
pub struct Problem<'a> {
    /// HTTP status.
    pub status: u16,
    /// In a few words.
    pub title: &'a str,
    /// What exactly.
    pub detail: &'a str,
    /// What the log has it under.
    pub request_id: &'a str,
    /// Who is logged in: address and CSRF token.
    pub user: Option<(&'a str, &'a str)>,
}

#[derive(Template)]
#[template(path = "problem.html")]
struct ProblemTemplate<'a> {
    f: Frame<'a>,
    v: &'a Problem<'a>,
}

/// Renders the page of a failure.
#[must_use]
pub fn problem(view: &Problem<'_>) -> String {
    rendered(&ProblemTemplate { f: Frame::new(view.title, "", view.user), v: view })
}

/// Templates are checked when they are compiled; writing into a string does not fail.
fn rendered(template: &impl Template) -> String {
    template.render().unwrap_or_default()
}

#[derive(Template)]
#[template(path = "accuracy.html")]
struct AccuracyTemplate<'a> {
    f: Frame<'a>,
    body: &'a str,
}

/// Renders the page on how good the verdicts are. `body` is HTML of our own; nothing a stranger wrote may be in it.
#[must_use]
pub fn accuracy(tenant: &str, user: (&str, &str), body: &str) -> String {
    rendered(&AccuracyTemplate { f: Frame::new(EN.accuracy, tenant, Some(user)), body })
}

#[derive(Template)]
#[template(path = "policy.html")]
struct PolicyTemplate<'a> {
    f: Frame<'a>,
    facts: &'a Facts,
    languages: [Language; 3],
}

/// Renders what customers are told about what is done with their texts.
#[must_use]
pub fn policy(tenant: &str, user: (&str, &str), facts: &Facts) -> String {
    let f = Frame::new(EN.privacy, tenant, Some(user));
    rendered(&PolicyTemplate { f, facts, languages: Language::ALL })
}

#[derive(Template)]
#[template(path = "standalone.html")]
struct StandaloneTemplate<'a> {
    language: &'static str,
    title: &'a str,
    style: &'a str,
    body: &'a str,
}

/// Renders a page that stands for itself as one file, to be kept or sent on. `body` is HTML of our own.
#[must_use]
pub fn standalone(title: &str, body: &str) -> String {
    rendered(&StandaloneTemplate { language: EN.language, title, style: assets::style_text(), body })
}

#[derive(Template)]
#[template(path = "document.html")]
struct DocumentTemplate<'a> {
    f: Frame<'a>,
    body: &'a str,
}

/// Renders a page of documentation. `body` is HTML of our own; nothing a stranger wrote may be in it.
#[must_use]
pub fn document(title: &str, body: &str) -> String {
    rendered(&DocumentTemplate { f: Frame::new(title, "", None), body })
}
