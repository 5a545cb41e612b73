//! Real letters to a real server: over STARTTLS and over TLS, with its errors.

use serde_json::json;
use undertone_testkit::certificates::localhost;
use undertone_testkit::smtp::{Fault, Security, Smtp};

use super::*;
use crate::cli::ConfigArguments;

pub fn config(settings: serde_json::Value) -> Config {
    let folder = tempfile::tempdir().unwrap();
    let flags = ConfigArguments { data_dir: Some(folder.path().to_owned()), ..ConfigArguments::default() };
    Config::load(&flags, settings).unwrap()
}

/// A server, and the way to it.
pub fn server(security: Security) -> (Smtp, Mailer) {
    let (tls, authority) = localhost();
    let server = Smtp::start(security, tls, ("undertone", "pass word")).unwrap();
    let word = if security == Security::StartTls { "starttls" } else { "tls" };
    let config = config(json!({
        "smtp_host": "localhost", "smtp_port": server.port(), "smtp_security": word, "smtp_user": "undertone",
        "mail_from": "Undertone <undertone@example.com>",
    }));
    let password = Secret::new("pass word".to_owned());
    let mailer = Mailer::trusting(&config, Some(&password), &[authority]).unwrap();
    (server, mailer)
}

async fn sent(mailer: &Mailer) -> MailEnd {
    answered(mailer).await.0
}

async fn answered(mailer: &Mailer) -> (MailEnd, Option<String>) {
    let told = [Told {
        event: "alert.raised".to_owned(),
        data: json!({"alert_id": "a-123456", "category": "billing", "summary": ".a line with a dot"}),
        at: chrono::DateTime::UNIX_EPOCH,
    }];
    let letter = Letter {
        id: "m1",
        tenant: "Mine",
        told: &told,
        zone: chrono_tz::Tz::UTC,
        public_url: "https://undertone.example",
        unsubscribe: ("token", "alerts"),
        now: chrono::DateTime::UNIX_EPOCH,
    };
    mailer.send(&letter, "ana@example.com", Some("Ana")).await
}

#[tokio::test]
async fn letters_arrive_encrypted_both_ways() {
    for security in [Security::StartTls, Security::Implicit] {
        let (server, mailer) = server(security);
        assert_eq!(mailer.check().await, Ok(()), "{security:?}");
        assert_eq!(sent(&mailer).await, MailEnd::Sent);
        let taken = server.taken();
        assert_eq!(taken.len(), 1);
        assert!(taken[0].is_safe);
        assert_eq!(
            (taken[0].from.as_str(), taken[0].to.as_slice()),
            ("undertone@example.com", &["ana@example.com".to_owned()][..])
        );
        assert_eq!(taken[0].header("To"), "Ana <ana@example.com>");
        assert_eq!(taken[0].header("Message-ID"), "<m1@example.com>");
        assert_eq!(
            taken[0].header("List-Unsubscribe"),
            "<https://undertone.example/unsubscribe?token=token>"
        );
        assert!(taken[0].text.contains("\r\n.a line with a dot\r\n"), "{}", taken[0].text);
        assert!(taken[0].text.lines().all(|line| line.len() <= 998));
    }
}

#[tokio::test]
async fn errors_of_the_server_are_tried_again_or_given_up() {
    let (server, mailer) = server(Security::StartTls);
    server.fail(Some(Fault::Temporary));
    assert_eq!(sent(&mailer).await, MailEnd::Later("the SMTP server answered 451".to_owned()));
    server.fail(Some(Fault::Permanent));
    assert_eq!(sent(&mailer).await, MailEnd::Failed("the SMTP server answered 550".to_owned()));
    // What it says is kept beside that, and told to whoever asks why.
    assert_eq!(answered(&mailer).await.1.as_deref(), Some("5.1.1 there is no such person"));
    server.fail(Some(Fault::HangUpAfterData));
    assert!(matches!(sent(&mailer).await, MailEnd::Later(_)));
    server.fail(None);
    assert_eq!(sent(&mailer).await, MailEnd::Sent);
    // What was taken before the line broke comes again under the same Message-ID.
    let ids: Vec<String> = server.taken().iter().map(|taken| taken.header("Message-ID")).collect();
    assert_eq!(ids, ["<m1@example.com>", "<m1@example.com>"]);
}

#[tokio::test]
async fn a_password_that_is_not_known_any_more_costs_no_letter() {
    let (server, mailer) = server(Security::StartTls);
    server.fail(Some(Fault::WrongPassword));
    assert_eq!(sent(&mailer).await, MailEnd::Later("the SMTP server answered 535".to_owned()));
    server.fail(None);
    assert_eq!(sent(&mailer).await, MailEnd::Sent);
}

#[tokio::test]
async fn nothing_is_said_in_the_clear_or_to_a_stranger() {
    let (server, mailer) = server(Security::StartTls);
    // Somebody in between takes the offer of encryption away.
    server.fail(Some(Fault::NoStartTls));
    assert!(mailer.check().await.is_err());
    assert!(matches!(sent(&mailer).await, MailEnd::Later(_)));
    server.fail(Some(Fault::WrongPassword));
    assert!(mailer.check().await.unwrap_err().contains("535"));
    assert_eq!(server.taken(), []);
    for security in [Security::StartTls, Security::Implicit] {
        // Nobody we trust vouches for this one.
        let (tls, _) = localhost();
        let server = Smtp::start(security, tls, ("undertone", "pass word")).unwrap();
        let word = if security == Security::StartTls { "starttls" } else { "tls" };
        let config = config(json!({
            "smtp_host": "localhost", "smtp_port": server.port(), "smtp_security": word, "mail_from": "u@example.com",
        }));
        let mailer = Mailer::trusting(&config, None, &[]).unwrap();
        let told = mailer.check().await.unwrap_err();
        assert!(told.contains("certificate"), "{told}");
    }
}

#[tokio::test]
async fn a_configuration_that_can_not_be_used_is_told() {
    let made = |settings| {
        Mailer::new(&config(settings), None).map(|mailer| mailer.is_some()).map_err(|e| e.to_string())
    };
    assert_eq!(made(json!({})), Ok(false));
    assert!(made(json!({"smtp_host": "h"})).unwrap_err().contains("mail_from"));
    let with = |more: serde_json::Value| {
        let mut settings = json!({"smtp_host": "h.example", "mail_from": "u@example.com"});
        settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        made(settings)
    };
    assert_eq!(with(json!({"smtp_security": "none"})), Ok(true));
    assert!(with(json!({"smtp_user": "u"})).unwrap_err().contains("UNDERTONE_SMTP_PASSWORD"));
    assert!(with(json!({"smtp_user": "u", "smtp_security": "none"})).unwrap_err().contains("TLS only"));
}
