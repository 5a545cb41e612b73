//! One's own inbox: the alerts that wait for somebody, with what one does about them, and what one was told.

use askama::Template;
use chrono::{DateTime, Utc};

use crate::words::EN;
use crate::{Frame, rendered, text};

/// An alert that is not done with.
#[derive(Debug, Clone)]
pub struct InboxAlert {
    /// Its id.
    pub id: String,
    /// The state that is shown; it goes back with the forms.
    pub version: i64,
    /// Of whom, where that is known.
    pub customer: String,
    /// About what.
    pub category: String,
    /// The score; none where it is not shown.
    pub score: Option<i64>,
    /// Where it stands, as a word.
    pub state: &'static str,
    /// Who is responsible.
    pub responsible: Option<String>,
    /// It is the reader's own.
    pub is_mine: bool,
    /// When it was raised.
    pub raised_at: DateTime<Utc>,
    /// When somebody should have taken care.
    pub due_at: DateTime<Utc>,
    /// That moment has passed.
    pub is_late: bool,
    /// It is done with.
    pub has_ended: bool,
}

impl InboxAlert {
    /// The score as every page writes one.
    fn shown_score(&self) -> Option<String> {
        self.score.map(|score| text::score(score as f64))
    }
}

/// Something one was told.
#[derive(Debug, Clone)]
pub struct InboxNote {
    /// Its id, by which it is marked as read.
    pub id: String,
    /// In one line.
    pub title: String,
    /// In a sentence or two.
    pub text: Option<String>,
    /// Names and values.
    pub facts: Vec<(String, String)>,
    /// When it happened.
    pub at: DateTime<Utc>,
    /// The reader read it.
    pub is_read: bool,
}

/// The page.
#[derive(Debug, Clone, Copy)]
pub struct Inbox<'a> {
    /// The tenant's name.
    pub tenant: &'a str,
    /// Address and CSRF token.
    pub user: (&'a str, &'a str),
    /// Why the last thing did not work.
    pub error: Option<&'a str>,
    /// Alerts that wait.
    pub alerts: &'a [InboxAlert],
    /// The reader looks after alerts.
    pub may_act: bool,
    /// What they were told, the youngest first.
    pub notes: &'a [InboxNote],
    /// How many are unread.
    pub unread: usize,
    /// Where older ones begin.
    pub older: Option<&'a str>,
}

impl Inbox<'_> {
    /// The youngest that is shown: up to there all can be marked as read.
    fn youngest(&self) -> &str {
        self.notes.first().map_or("0", |note| note.id.as_str())
    }
}

#[derive(Template)]
#[template(path = "inbox.html")]
struct InboxTemplate<'a> {
    f: Frame<'a>,
    v: &'a Inbox<'a>,
    csrf: &'a str,
}

/// Renders the page.
#[must_use]
pub fn inbox(view: &Inbox<'_>) -> String {
    let f = Frame::new(EN.inbox, view.tenant, Some(view.user));
    rendered(&InboxTemplate { f, v: view, csrf: view.user.1 })
}

/// A moment in a page: the script makes it how long ago that was.
fn moment(at: &DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M UTC").to_string()
}

/// The page that a link in an e-mail leads to.
#[derive(Debug, Clone, Copy)]
pub struct Unsubscribe<'a> {
    /// Whose e-mails.
    pub email: &'a str,
    /// About what.
    pub about: &'a str,
    /// What the link carries; it goes back with the form.
    pub token: &'a str,
}

#[derive(Template)]
#[template(path = "unsubscribe.html")]
struct UnsubscribeTemplate<'a> {
    f: Frame<'a>,
    v: &'a Unsubscribe<'a>,
}

/// Renders the page that asks whether e-mails are to end.
#[must_use]
pub fn unsubscribe(view: &Unsubscribe<'_>) -> String {
    rendered(&UnsubscribeTemplate { f: Frame::new(EN.unsubscribe, "", None), v: view })
}
