//! Pages before and beside the application: setting a password by a link, one's own account, and what came of it.

use askama::Template;

use crate::words::EN;
use crate::{Frame, rendered};

/// The page a link leads to.
#[derive(Debug, Clone, Copy)]
pub struct SetPassword<'a> {
    /// Whose password.
    pub email: &'a str,
    /// The tenant they belong to.
    pub tenant: &'a str,
    /// They set their first one.
    pub is_invitation: bool,
    /// What the link carries; it goes back with the form.
    pub token: &'a str,
    /// Why the last one was not taken.
    pub error: Option<&'a str>,
    /// Ties the form to the browser.
    pub csrf: &'a str,
}

#[derive(Template)]
#[template(path = "set_password.html")]
struct SetPasswordTemplate<'a> {
    f: Frame<'a>,
    v: &'a SetPassword<'a>,
}

/// Renders the page a link leads to.
#[must_use]
pub fn set_password(view: &SetPassword<'_>) -> String {
    let title = if view.is_invitation { EN.welcome } else { EN.new_password };
    rendered(&SetPasswordTemplate { f: Frame::new(title, view.tenant, None), v: view })
}

/// Something was done, and what comes next.
#[derive(Debug, Clone, Copy)]
pub struct Done<'a> {
    /// In a few words.
    pub title: &'a str,
    /// What it means.
    pub detail: &'a str,
}

#[derive(Template)]
#[template(path = "done.html")]
struct DoneTemplate<'a> {
    f: Frame<'a>,
    v: &'a Done<'a>,
}

/// Renders what was done, with the way to the log-in page.
#[must_use]
pub fn done(view: &Done<'_>) -> String {
    rendered(&DoneTemplate { f: Frame::new(view.title, "", None), v: view })
}

/// One's own account.
#[derive(Debug, Clone, Copy)]
pub struct Account<'a> {
    /// The tenant's name.
    pub tenant: &'a str,
    /// Their address.
    pub email: &'a str,
    /// Their name.
    pub name: Option<&'a str>,
    /// What they are, in words.
    pub role: &'a str,
    /// What that means.
    pub role_meaning: &'a str,
    /// They log in with a password.
    pub has_password: bool,
    /// How many browsers they are logged in with.
    pub sessions: i64,
    /// Their last change was made.
    pub notice: Option<&'a str>,
    /// Why it was not.
    pub error: Option<&'a str>,
    /// What the forms bring along.
    pub csrf: &'a str,
}

#[derive(Template)]
#[template(path = "account.html")]
struct AccountTemplate<'a> {
    f: Frame<'a>,
    v: &'a Account<'a>,
}

/// Renders one's own account.
#[must_use]
pub fn account(view: &Account<'_>) -> String {
    let frame = Frame::new(EN.account, view.tenant, Some((view.email, view.csrf)));
    rendered(&AccountTemplate { f: frame, v: view })
}
