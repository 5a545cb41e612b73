//! A letter: what it says in text and HTML, and the headers that let mail programs thread it, answer it with nothing, and end it.

use std::time::SystemTime;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use lettre::Message;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart};
use serde_json::Value;
use undertone_core::event::EventKind;
use undertone_ui::{Mail, MailNote};

use crate::deliver::Note;
use crate::tell;

/// Of one event what a person is told.
#[derive(Debug, Clone)]
pub struct Told {
    /// Its name.
    pub event: String,
    /// What may be told of it.
    pub data: Value,
    /// When it happened.
    pub at: DateTime<Utc>,
}

/// A letter to a person.
#[derive(Debug, Clone)]
pub struct Letter<'a> {
    /// What the Message-ID is made of.
    pub id: &'a str,
    /// The tenant's name.
    pub tenant: &'a str,
    /// What it tells of.
    pub told: &'a [Told],
    /// Where the reader is.
    pub zone: Tz,
    /// The address under which people reach the service; empty where it is not known.
    pub public_url: &'a str,
    /// What the link carries that ends these e-mails, and what they are about.
    pub unsubscribe: (&'a str, &'a str),
    /// Now.
    pub now: DateTime<Utc>,
}

impl Letter<'_> {
    /// The message as it goes to the server.
    ///
    /// # Errors
    /// Why there can be none: a header would hold a control character, such as the end of a line.
    pub fn message(&self, from: &Mailbox, to: Mailbox) -> Result<Message, String> {
        let domain = from.email.domain();
        let subject = self.subject();
        if subject.contains(char::is_control) {
            return Err("the subject would hold a control character, so the message is not sent".to_owned());
        }
        let mut message = Message::builder()
            .from(from.clone())
            .to(to)
            .date(SystemTime::from(self.now))
            .message_id(Some(format!("<{}@{domain}>", self.id)))
            .subject(subject)
            .raw_header(header("Auto-Submitted", "auto-generated"))
            .raw_header(header("X-Auto-Response-Suppress", "All"));
        if let Some(alert) = self.alert() {
            // All messages about an alert hang on one that was never sent.
            let thread = format!("<alert.{alert}@{domain}>");
            message = message.in_reply_to(thread.clone()).references(thread);
        }
        let link = self.unsubscribe_link();
        if let Some(link) = &link {
            message = message.raw_header(header("List-Unsubscribe", &format!("<{link}>")));
            if link.starts_with("https://") {
                message = message.raw_header(header("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"));
            }
        }
        let notes: Vec<MailNote> = self.told.iter().map(|told| self.note(told)).collect();
        let view = Mail {
            tenant: self.tenant,
            notes: &notes,
            about: self.unsubscribe.1,
            unsubscribe: link.as_deref(),
            inbox: tell::link(self.public_url, "/inbox"),
        };
        let body =
            MultiPart::alternative_plain_html(undertone_ui::mail_text(&view), undertone_ui::mail_html(&view));
        message.multipart(body).map_err(|e| format!("the message can not be made: {e}"))
    }

    /// The alert that all of it is about.
    fn alert(&self) -> Option<&str> {
        match self.told {
            [one] => one.data["alert_id"].as_str(),
            _ => None,
        }
    }

    /// In a line, nothing of which a customer wrote or is known by. It is the same for all messages about an alert, so that they are
    /// shown as one conversation, until the alert tells of something else the customer said.
    fn subject(&self) -> String {
        let [one] = self.told else { return format!("{} notices from Undertone", self.told.len()) };
        if let Some(alert) = self.alert() {
            let about = one.data["category"].as_str().unwrap_or_default().replace('_', " ");
            let short = alert.char_indices().rev().nth(5).map_or(alert, |(at, _)| &alert[at..]);
            let again = if one.event == EventKind::AlertRaised.as_str() { "" } else { "Re: " };
            return format!("{again}A customer needs somebody: {about} [{short}]");
        }
        Note::about(&one.event, &one.data).title
    }

    fn note(&self, told: &Told) -> MailNote {
        let note = Note::about(&told.event, &told.data);
        MailNote {
            title: note.title,
            at: tell::moment(told.at, self.zone),
            text: note.text,
            facts: tell::facts(note.facts, self.zone),
            link: tell::place(&told.data).and_then(|path| tell::link(self.public_url, &path)),
        }
    }

    fn unsubscribe_link(&self) -> Option<String> {
        tell::link(self.public_url, &format!("/unsubscribe?token={}", self.unsubscribe.0))
    }
}

/// A header whose value is plain ASCII of ours: nothing of it is to be encoded or broken.
fn header(name: &'static str, value: &str) -> HeaderValue {
    let name = HeaderName::new_from_ascii_str(name);
    HeaderValue::dangerous_new_pre_encoded(name, value.to_owned(), value.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(event: &str, category: &str) -> Told {
        let data = json!({
            "alert_id": "0198-abcdef", "customer_name": "Ana <b>Canary</b>", "category": category, "score": -80,
            "summary": "canary & more", "due_at": "2026-11-29T12:00:00Z",
        });
        Told { event: event.to_owned(), data, at: "2026-11-29T08:00:00Z".parse().unwrap() }
    }

    fn text(told: &[Told], public_url: &str) -> Result<String, String> {
        let letter = Letter {
            id: "m1",
            tenant: "Mine",
            told,
            zone: Tz::Europe__Berlin,
            public_url,
            unsubscribe: (
                "1.0198f1c2-0000-7000-8000-000000000001.alerts.0123456789abcdef0123456789abcdef",
                "alerts",
            ),
            now: "2026-11-29T08:00:05Z".parse().unwrap(),
        };
        let from = "Undertone <undertone@example.com>".parse().unwrap();
        let to = "Ana Müller <ana@example.com>".parse().unwrap();
        letter.message(&from, to).map(|message| String::from_utf8(message.formatted()).unwrap())
    }

    /// The headers, with broken lines made whole again.
    fn headers(message: &str) -> String {
        message.split("\r\n\r\n").next().unwrap().replace("\r\n ", " ")
    }

    #[test]
    fn a_letter_has_the_headers_that_mail_programs_ask_for() {
        let message = text(&[told("alert.raised", "late_delivery")], "https://undertone.example").unwrap();
        let head = headers(&message);
        for line in [
            "From: Undertone <undertone@example.com>",
            "Date: Sun, 29 Nov 2026 08:00:05 +0000",
            "Message-ID: <m1@example.com>",
            "Subject: A customer needs somebody: late delivery [abcdef]",
            "In-Reply-To: <alert.0198-abcdef@example.com>",
            "References: <alert.0198-abcdef@example.com>",
            "Auto-Submitted: auto-generated",
            "List-Unsubscribe: <https://undertone.example/unsubscribe?token=1.0198f1c2-0000-7000-8000-000000000001.alerts.0123456789abcdef0123456789abcdef>",
            "List-Unsubscribe-Post: List-Unsubscribe=One-Click",
            "MIME-Version: 1.0",
        ] {
            assert!(head.lines().any(|given| given.trim_end() == line), "{line}\n{head}");
        }
        assert!(!head.contains("Canary") && !head.contains("canary"), "{head}");
        assert!(head.contains("=?utf-8?"), "the name is encoded: {head}");
        let (plain, html) = (message.find("text/plain").unwrap(), message.find("text/html").unwrap());
        assert!(plain < html, "the last one is the one shown");
        let again = text(&[told("alert.escalated", "late_delivery")], "https://undertone.example").unwrap();
        assert!(headers(&again).contains("Subject: Re: A customer needs somebody: late delivery [abcdef]"));
    }

    #[test]
    fn what_customers_are_called_stays_text_and_no_line_is_broken_into_headers() {
        let message = text(&[told("alert.raised", "x")], "").unwrap();
        let whole = message.replace("=\r\n", "");
        assert!(whole.contains("Ana &#60;b&#62;Canary") && whole.contains("Ana <b>Canary</b>"), "{whole}");
        assert!(whole.contains("13:00 CET"), "times are the reader's: {whole}");
        assert!(!message.contains("List-Unsubscribe") && !message.contains("href"), "no address is known");
        let refused = text(&[told("alert.raised", "x\r\nBcc: eve@example.com")], "").unwrap_err();
        assert!(refused.contains("control character"), "{refused}");
        let digest = text(&[told("alert.raised", "x"), told("alert.withdrawn", "x")], "").unwrap();
        assert!(headers(&digest).contains("Subject: 2 notices from Undertone"), "{digest}");
        assert!(!digest.contains("References"));
    }
}
