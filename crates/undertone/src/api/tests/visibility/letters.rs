//! E-mails, held to the column of the inbox in `surfaces.txt`, and searched as everything else is.

use serde_json::json;
use tokio::sync::watch;
use undertone_core::Role;
use undertone_core::visibility::Policy;
use undertone_testkit::smtp::Security;

use super::canaries::assert_nothing_hidden;
use super::{NEGATIVE, Planted, expected, surfaces};
use crate::mail::{self, Post};

/// A message with its quoted-printable parts as they are read.
fn decoded(message: &str) -> String {
    let message = message.replace("=\r\n", "");
    let mut bytes = Vec::with_capacity(message.len());
    let mut rest = message.as_bytes();
    while let [first, after @ ..] = rest {
        let code = after.get(..2).and_then(|code| std::str::from_utf8(code).ok());
        let byte = code.and_then(|code| u8::from_str_radix(code, 16).ok()).filter(|_| *first == b'=');
        rest = if byte.is_some() { &after[2..] } else { after };
        bytes.push(byte.unwrap_or(*first));
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[tokio::test]
async fn a_letter_says_what_its_reader_may_see_when_it_is_sent() {
    for policy in Policy::ALL {
        held_to_the_tables(policy).await;
    }
}

/// Sends everybody everything under a policy, and looks at what arrived.
pub(super) async fn held_to_the_tables(policy: Policy) {
    let (expected, surfaces) = (expected::lines(), surfaces::lines());
    // All is told while everybody may see it, and written when it goes.
    let planted = Planted::open().await;
    planted.somebody("account_manager").await;
    planted.tell_everybody().await;
    planted.choose(json!(policy)).await;
    let (server, mailer) = mail::tests::server(Security::StartTls);
    let store = planted.bench.store().clone();
    let post = Post { store, mailer, public_url: "https://undertone.example".into() };
    let (_going_on, ending) = watch::channel(false);
    for _ in 0..50 {
        if post.store.mail_due(1).await.unwrap().is_empty() {
            break;
        }
        assert_eq!(mail::look(&post, &ending).await.unwrap(), None);
    }
    assert!(post.store.mail_due(1).await.unwrap().is_empty(), "every letter has gone");
    let taken = server.taken();
    for role in Role::ALL {
        let told = format!("{} under {}", role.as_str(), policy.as_str());
        let to = vec![format!("{}@example.com", role.as_str())];
        let letters: Vec<String> =
            taken.iter().filter(|letter| letter.to == to).map(|letter| decoded(&letter.text)).collect();
        let line =
            expected.iter().find(|line| line.policy == policy.as_str() && line.who == role.as_str()).unwrap();
        for letter in &letters {
            assert_nothing_hidden(line, "an e-mail", letter);
        }
        let line =
            surfaces.iter().find(|line| line.policy == policy.as_str() && line.who == role.as_str()).unwrap();
        let [alerts @ .., incident] = line.of("inbox") else { panic!("{told}") };
        for (word, cell) in NEGATIVE.iter().zip(alerts) {
            let canary = format!("summary-canary-{word}");
            let found = letters.iter().any(|letter| letter.contains(&canary));
            assert_eq!(found, *cell == 'Y', "{told}: {word}: {letters:?}");
        }
        let found = letters.iter().any(|letter| letter.contains("Many customers turned negative"));
        assert_eq!(found, *incident == 'Y', "{told}: the incident: {letters:?}");
    }
}
