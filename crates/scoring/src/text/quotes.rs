//! Leaves out what an e-mail carries along: quoted history, forwarded headers, signatures.

use undertone_core::verdict::Span;

use super::{Line, join};

/// The stretches of `lines` the sender wrote for this message.
pub(crate) fn without_history(lines: &[Line<'_>]) -> Vec<Span> {
    let mut kept: Vec<(usize, Line<'_>)> = Vec::new();
    let mut number = 0;
    while let Some(line) = lines.get(number) {
        let rest = &lines[number..];
        if line.text.trim_start().starts_with('>') {
            number += 1;
        } else if let Some(header) = history_header(rest) {
            // With `>` marks an answer may stand below the quote; without them everything below is history.
            let quoted = rest[header..].iter().find(|l| !l.text.trim().is_empty());
            if !quoted.is_some_and(|l| l.text.trim_start().starts_with('>')) {
                break;
            }
            number += header;
        } else {
            kept.push((number, *line));
            number += 1;
        }
    }
    drop_signature(&mut kept);
    join(kept.into_iter().map(|(number, line)| (number, line.span)))
}

/// Number of lines of the header that opens quoted history at the start of `lines`, if one does.
fn history_header(lines: &[Line<'_>]) -> Option<usize> {
    let first = lines.first()?.text.trim();
    if is_ruled(first) {
        return Some(1);
    }
    if is_attribution(first) {
        return Some(1);
    }
    // Mail programs wrap the attribution at 76 columns.
    if let Some(second) = lines.get(1)
        && first.len() > 20
        && is_attribution(&format!("{first} {}", second.text.trim()))
    {
        return Some(2);
    }
    header_block(lines)
}

/// "On Tue, 3 Nov 2026 at 10:11, Support wrote:" in the languages of the samples and their neighbours.
fn is_attribution(line: &str) -> bool {
    const FORMS: [(&str, &[&str]); 7] = [
        ("on ", &["wrote:"]),
        ("am ", &["schrieb:"]),
        ("el ", &["escribió:", "escribio:"]),
        ("le ", &["a écrit :", "a écrit:"]),
        ("em ", &["escreveu:"]),
        ("il ", &["ha scritto:"]),
        ("op ", &["schreef:"]),
    ];
    // A date or an address stands in it; "On my bill you wrote:" is the customer's own sentence.
    if line.len() > 300 || !line.contains(|c: char| c.is_ascii_digit() || c == '@' || c == '>') {
        return false;
    }
    let lower = line.to_lowercase();
    FORMS.iter().any(|(start, ends)| {
        lower.starts_with(start)
            && lower.ends_with(':')
            && (ends.iter().any(|end| lower.ends_with(end))
                || (*start == "am " && lower.contains(" schrieb ")))
    })
}

/// "-----Original Message-----"
fn is_ruled(line: &str) -> bool {
    let inner = line.trim_matches(['-', '_', ' ']);
    inner.len() + 4 <= line.len()
        && matches!(
            inner.to_lowercase().as_str(),
            "original message"
                | "forwarded message"
                | "ursprüngliche nachricht"
                | "mensaje original"
                | "message d'origine"
        )
}

/// A block of "From: … Sent: … To: … Subject: …", at least three of them.
fn header_block(lines: &[Line<'_>]) -> Option<usize> {
    const NAMES: [&str; 20] = [
        "from", "sent", "date", "to", "cc", "subject", "von", "gesendet", "datum", "an", "betreff", "de",
        "enviado", "fecha", "para", "asunto", "envoyé", "à", "objet", "reply-to",
    ];
    let named = |line: &&Line<'_>| {
        line.text
            .split_once(':')
            .is_some_and(|(name, _)| NAMES.contains(&name.trim().trim_matches('*').to_lowercase().as_str()))
    };
    let opens = lines.first().is_some_and(|l| {
        let lower = l.text.trim().trim_start_matches('*').to_lowercase();
        ["from:", "von:", "de:"].iter().any(|name| lower.starts_with(name))
    });
    let block = lines.iter().take(8).take_while(named).count();
    (opens && block >= 3).then_some(block)
}

/// Cuts the signature: all from a `--` line on, or a closing and the few short lines below it. A postscript is kept.
fn drop_signature(kept: &mut Vec<(usize, Line<'_>)>) {
    let ruled = kept.iter().rposition(|(_, l)| l.text == "-- " || l.text == "--");
    if let Some(at) = ruled.filter(|at| is_signature(&kept[at + 1..]) && says_something(&kept[..*at])) {
        kept.truncate(at);
    }
    kept.retain(|(_, l)| !l.text.trim_start().to_lowercase().starts_with("sent from my "));
    let written: Vec<usize> = (0..kept.len()).filter(|i| !kept[*i].1.text.trim().is_empty()).collect();
    let below = written.len().saturating_sub(8);
    let Some(at) = written[below..].iter().copied().find(|i| is_closing(kept[*i].1.text)) else { return };
    if is_signature(&kept[at + 1..]) && says_something(&kept[..at]) {
        let mut number = 0;
        kept.retain(|(_, l)| {
            number += 1;
            number <= at || is_postscript(l.text)
        });
    }
}

/// A few short lines that are no sentences: a name, a title, a number. A postscript may follow.
fn is_signature(lines: &[(usize, Line<'_>)]) -> bool {
    let written = || lines.iter().map(|(_, l)| l.text.trim()).filter(|t| !t.is_empty() && !is_postscript(t));
    let sentence = |t: &str| t.ends_with(['.', '!', '?']) && t.split_whitespace().nth(3).is_some();
    written().count() <= 6 && written().all(|t| t.chars().count() <= 60 && !sentence(t))
}

/// Something is left to read without the signature.
fn says_something(lines: &[(usize, Line<'_>)]) -> bool {
    lines.iter().any(|(_, l)| l.text.contains(char::is_alphanumeric))
}

fn is_postscript(line: &str) -> bool {
    let lower = line.trim().to_lowercase();
    lower.starts_with("ps ") || lower.starts_with("ps:") || lower.starts_with("p.s")
}

fn is_closing(line: &str) -> bool {
    let lower = line.trim().trim_end_matches([',', '.', '!']).to_lowercase();
    matches!(
        lower.as_str(),
        "best"
            | "regards"
            | "best regards"
            | "kind regards"
            | "kindest regards"
            | "warm regards"
            | "with kind regards"
            | "with regards"
            | "best wishes"
            | "all the best"
            | "sincerely"
            | "yours sincerely"
            | "sincerely yours"
            | "yours faithfully"
            | "yours truly"
            | "respectfully"
            | "cheers"
            | "mit freundlichen grüßen"
            | "freundliche grüße"
            | "viele grüße"
            | "beste grüße"
            | "liebe grüße"
            | "mfg"
            | "lg"
            | "saludos"
            | "un saludo"
            | "saludos cordiales"
            | "un cordial saludo"
            | "atentamente"
            | "cordialement"
    )
}

#[cfg(test)]
mod tests {
    use undertone_core::Kind;

    use crate::text::own_words;

    fn read(text: &str) -> String {
        own_words(text, Kind::Message)
            .unwrap_or_default()
            .iter()
            .filter_map(|s| s.of(text))
            .collect::<Vec<_>>()
            .join(" | ")
    }

    #[test]
    fn an_answer_above_the_history() {
        let mail = "Still nothing.\n\nOn Tue, 3 Nov 2026 at 10:11, Support <help@example.com> wrote:\n> We are happy to help!\n> Best, Support";
        assert_eq!(read(mail), "Still nothing.");
        let outlook =
            "Noted.\n\n-----Original Message-----\nFrom: Support\nSent: Monday\n\nWe love our customers.";
        assert_eq!(read(outlook), "Noted.");
        let block = "See below.\n\nFrom: Support <a@b.c>\nSent: Monday, 2 November 2026\nTo: me\nSubject: RE: order\n\nWonderful news!";
        assert_eq!(read(block), "See below.");
        let wrapped = "Nope.\nOn Fri, 9 Oct 2026 at 11:50, Joel Prakash of the Customer Team\n<joel@example.com> wrote:\n> hello";
        assert_eq!(read(wrapped), "Nope.");
        let german = "Leider nein.\n\nAm 3. November 2026 um 10:11 schrieb Kundendienst:\n> Vielen Dank";
        assert_eq!(read(german), "Leider nein.");
    }

    #[test]
    fn answers_between_the_quotes_are_kept() {
        let mail =
            "On Monday 5 October Ana wrote:\n> Did it arrive?\nNo.\n> Is the address right?\nYes, as before.";
        assert_eq!(read(mail), "No. | Yes, as before.");
    }

    #[test]
    fn signatures_go_and_postscripts_stay() {
        assert_eq!(
            read("Please call me.\n\nKind regards,\nMaria Lopez\nHead of Purchasing\n+44 20 7946 0000"),
            "Please call me."
        );
        assert_eq!(read("Thanks!\n-- \nJo\nACME"), "Thanks!");
        assert_eq!(read("Done.\nSent from my phone"), "Done.");
        assert_eq!(read("Broken.\nRegards\nJo\nP.S. It also smells."), "Broken. | P.S. It also smells.");
        let long = "Best\nwas the first week, and after that it all went downhill until I could not even get the lid to close.";
        assert!(read(long).contains("downhill"), "a closing is followed by short lines only");
    }

    #[test]
    fn what_merely_looks_alike_is_kept() {
        for text in [
            "From: what I can see, nothing changed.",
            "On Monday your man wrote: nobody home. I was home!",
            "On my bill you wrote:\nthe balance is zero. That is a lie.",
            "LG\nThe fridge broke after two weeks.\nI want my money back.",
            "I want a refund now please.\n--\nThe sofa arrived torn, the driver swore at me.",
            "Cheers mate, works now",
            "I paid -- twice -- for this.",
        ] {
            assert_eq!(read(text), text);
        }
        assert_eq!(read("> only\n> quotes"), "");
    }
}
