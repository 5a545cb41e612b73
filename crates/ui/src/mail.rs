//! E-mails to people: the same notes as text and as HTML. Mail programs know no style but what stands in the message itself.

use askama::Template;

use crate::rendered;
use crate::words::{EN, Words};

/// One thing that happened.
#[derive(Debug, Clone)]
pub struct MailNote {
    /// In one line.
    pub title: String,
    /// When, as the reader's clocks show it.
    pub at: String,
    /// In a sentence or two, where that may be told.
    pub text: Option<String>,
    /// Names and values.
    pub facts: Vec<(String, String)>,
    /// Where to do something about it.
    pub link: Option<String>,
}

/// An e-mail.
#[derive(Debug, Clone)]
pub struct Mail<'a> {
    /// The tenant's name.
    pub tenant: &'a str,
    /// What happened, the oldest first.
    pub notes: &'a [MailNote],
    /// What these e-mails are about.
    pub about: &'a str,
    /// The link that ends them; none where nobody said under which address the service is reached.
    pub unsubscribe: Option<&'a str>,
    /// Where the inbox is.
    pub inbox: Option<String>,
}

#[derive(Template)]
#[template(path = "mail.html")]
struct HtmlTemplate<'a> {
    v: &'a Mail<'a>,
    w: &'static Words,
    why: String,
}

#[derive(Template)]
#[template(path = "mail.txt", escape = "none")]
struct TextTemplate<'a> {
    v: &'a Mail<'a>,
    w: &'static Words,
    why: String,
}

/// Renders it as HTML.
#[must_use]
pub fn mail_html(view: &Mail<'_>) -> String {
    rendered(&HtmlTemplate { v: view, w: &EN, why: why(view) })
}

/// Renders it as text.
#[must_use]
pub fn mail_text(view: &Mail<'_>) -> String {
    rendered(&TextTemplate { v: view, w: &EN, why: why(view) })
}

/// Who sends it, and why.
fn why(view: &Mail<'_>) -> String {
    EN.mail_why.replace("{about}", view.about).replace("{tenant}", view.tenant)
}
