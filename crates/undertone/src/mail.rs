//! E-mail to people: the way to the SMTP server, and what becomes of what is due.
//!
//! A message whose server answers 4xx, or can not be reached, is tried again for three days; one that is answered 5xx is given up. When the
//! process dies between the server's answer and our commit, the message goes once more, with the same Message-ID.

mod letter;
mod post;

use std::time::Duration;

use lettre::message::Mailbox;
use lettre::message::header::ContentType;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, CertificateStore, Tls, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::{Address, AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use serde::{Deserialize, Serialize};
use undertone_store::notices::MailEnd;
use undertone_store::secrets::Secret;

use crate::config::Config;
use crate::error::CliError;
use crate::llm::web::{cause, known_here};
use crate::output::clean;

pub use letter::{Letter, Told};
pub use post::{Post, serve};
#[cfg(test)]
pub use post::{look, send_claimed};

/// Characters of what the server says that are kept.
const MOST_SAID: usize = 200;
/// Until the server answers a command.
const PATIENCE: Duration = Duration::from_secs(20);

/// How the connection to the SMTP server is kept from others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SmtpSecurity {
    /// It begins in the clear and must be encrypted before anything is said: port 587.
    Starttls,
    /// It is encrypted from the first byte: port 465.
    Tls,
    /// It is not: port 25. For a server on this machine or without a password.
    None,
}

/// The way to the SMTP server.
#[derive(Clone)]
pub struct Mailer {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
}

impl Mailer {
    /// The way that the configuration names; `None`: it names none, and nobody gets e-mail.
    ///
    /// # Errors
    /// With the name of what can not be used.
    pub fn new(config: &Config, password: Option<&Secret>) -> Result<Option<Self>, CliError> {
        if config.smtp_host.is_empty() {
            return Ok(None);
        }
        Self::trusting(config, password, known_here()).map(Some)
    }

    /// The same, trusting these authorities besides those that browsers trust.
    fn trusting(
        config: &Config,
        password: Option<&Secret>,
        known: &[CertificateDer<'static>],
    ) -> Result<Self, CliError> {
        let wrong = |name: &str, told: String| {
            CliError::Failed(format!("the configuration can not be used: {name}: {told}"))
        };
        let from: Mailbox = config.mail_from.parse().map_err(|e| {
            wrong("mail_from", format!("{e}; give an address such as Undertone <undertone@example.com>"))
        })?;
        let host = config.smtp_host.as_str();
        let is_near = matches!(host, "localhost" | "127.0.0.1" | "::1");
        let trusts = || parameters(host, known).map_err(|told| wrong("smtp_host", told));
        let (tls, usual) = match config.smtp_security {
            SmtpSecurity::Starttls => (Tls::Required(trusts()?), 587),
            SmtpSecurity::Tls => (Tls::Wrapper(trusts()?), 465),
            SmtpSecurity::None if config.smtp_user.is_empty() || is_near => (Tls::None, 25),
            SmtpSecurity::None => {
                let told = "a password is sent over TLS only; choose starttls or tls, or leave smtp_user out";
                return Err(wrong("smtp_security", told.to_owned()));
            }
        };
        let domain = from.email.domain().to_owned();
        let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(host)
            .port(if config.smtp_port == 0 { usual } else { config.smtp_port })
            .tls(tls)
            .timeout(Some(PATIENCE))
            .hello_name(ClientId::Domain(domain));
        if !config.smtp_user.is_empty() {
            let password = password.ok_or_else(|| {
                let told = "there is no password; set the variable UNDERTONE_SMTP_PASSWORD, or name a file with it as smtp_password_file";
                wrong("smtp_user", told.to_owned())
            })?;
            builder =
                builder.credentials(Credentials::new(config.smtp_user.clone(), password.expose().to_owned()));
        }
        Ok(Self { transport: builder.build(), from })
    }

    /// Whether the server can be reached and lets us in.
    ///
    /// # Errors
    /// Why not.
    pub async fn check(&self) -> Result<(), String> {
        match self.transport.test_connection().await {
            Ok(true) => Ok(()),
            Ok(false) => Err("the SMTP server answers, and takes nothing now".to_owned()),
            Err(error) => Err(told(&error)),
        }
    }

    /// Sends a message that says no more than that it arrived.
    ///
    /// # Errors
    /// Why the server did not take it.
    pub async fn test(&self, to: &str) -> Result<(), String> {
        let address =
            to.parse::<Address>().map_err(|_| format!("{to} is no address that e-mail can be sent to"))?;
        let message = Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(None, address))
            .subject("A test from Undertone")
            .header(ContentType::TEXT_PLAIN)
            .body("This is a test from Undertone. Nothing happened.\n".to_owned())
            .map_err(|why| format!("the message can not be made: {why}"))?;
        self.transport.send(message).await.map(drop).map_err(|error| told(&error))
    }

    /// Sends a letter; what became of it, and where the server did not take it, its words.
    pub async fn send(&self, letter: &Letter<'_>, to: &str, name: Option<&str>) -> (MailEnd, Option<String>) {
        let Ok(address) = to.parse::<Address>() else {
            let why = "the person's address is none that e-mail can be sent to".to_owned();
            return (MailEnd::Failed(why), None);
        };
        let to =
            Mailbox::new(name.filter(|name| !name.contains(char::is_control)).map(str::to_owned), address);
        let message = match letter.message(&self.from, to) {
            Ok(message) => message,
            Err(why) => return (MailEnd::Failed(why), None),
        };
        match self.transport.send(message).await {
            Ok(_) => (MailEnd::Sent, None),
            Err(error) if error.is_permanent() => (self.refused(&error).await, said(&error)),
            Err(error) => (MailEnd::Later(told(&error)), said(&error)),
        }
    }

    /// A final no is to the message only where the server lets us in: one to a greeting or a password is the operator's matter, and costs no
    /// letter.
    async fn refused(&self, error: &lettre::transport::smtp::Error) -> MailEnd {
        /// Answers to `AUTH`, and to who did not authenticate (RFC 4954).
        const OF_AUTHENTICATION: [u16; 4] = [530, 534, 535, 538];
        let is_ours = error.status().is_some_and(|code| OF_AUTHENTICATION.contains(&code.into()));
        if is_ours || self.check().await.is_err() {
            MailEnd::Later(told(error))
        } else {
            MailEnd::Failed(told(error))
        }
    }
}

/// Whom TLS trusts: those whom browsers trust, and those the machine knows; see [`crate::llm::Web`].
fn parameters(host: &str, known: &[CertificateDer<'static>]) -> Result<TlsParameters, String> {
    let mut builder =
        TlsParameters::builder(host.to_owned()).certificate_store(CertificateStore::WebpkiRoots);
    for known in known {
        // One that can not be parsed is one of many, and as a rule for another purpose.
        if RootCertStore::empty().add(known.clone()).is_ok()
            && let Ok(certificate) = Certificate::from_der(known.to_vec())
        {
            builder = builder.add_root_certificate(certificate);
        }
    }
    builder.build_rustls().map_err(|error| told(&error))
}

/// What the server says, where it answered, on one line.
fn said(error: &lettre::transport::smtp::Error) -> Option<String> {
    error.status()?;
    let words = clean(&std::error::Error::source(error)?.to_string());
    let words = words.split_whitespace().collect::<Vec<_>>().join(" ");
    let words: String = words.chars().take(MOST_SAID).collect();
    (!words.is_empty()).then_some(words)
}

/// What went wrong, without what the server says: it may name people.
fn told(error: &lettre::transport::smtp::Error) -> String {
    if let Some(code) = error.status() {
        return format!("the SMTP server answered {code}");
    }
    let kind = match () {
        () if error.is_timeout() => "does not answer in time",
        () if error.is_tls() => "shows no certificate that is trusted, or speaks no TLS",
        () => "can not be talked to",
    };
    format!("the SMTP server {kind}: {}", cause(error))
}

#[cfg(test)]
pub mod tests;
