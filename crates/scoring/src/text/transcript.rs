//! Splits a transcript by speaker, so that only the customer's turns are read.

use undertone_core::verdict::Span;

use super::{Line, join};

/// What the lines are.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Turns {
    /// No transcript, or one without speakers.
    NotATranscript,
    /// The customer's turns, without the speaker labels; empty when the customer says nothing.
    Customer(Vec<Span>),
    /// Speakers are named, but nothing tells which of them is the customer.
    UnknownSpeakers,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Speaker {
    Customer,
    Company,
    Named,
}

/// The customer's turns. Text that is not `declared` a transcript is one only if both sides' usual labels open lines in it.
pub(crate) fn customer_turns(lines: &[Line<'_>], declared: bool) -> Turns {
    let labels: Vec<Option<(Speaker, usize)>> = lines.iter().map(|line| label(line.text)).collect();
    let speaks = |who| labels.iter().flatten().any(|(speaker, _)| *speaker == who);
    let (customer, company) = (speaks(Speaker::Customer), speaks(Speaker::Company));
    // Reports list "User: …" and "System: …" too: without being declared, a transcript begins with a speaker and goes back and forth.
    let opens = lines
        .iter()
        .zip(&labels)
        .find(|(line, _)| !line.text.trim().is_empty())
        .is_some_and(|(_, l)| l.is_some());
    let turns = labels.iter().flatten().count();
    let spoken = if declared { turns > 0 } else { customer && company && opens && turns >= 3 };
    if !spoken {
        return Turns::NotATranscript;
    }
    // Names stand for whichever side has no label of its own.
    let wanted = match (customer, company) {
        (true, _) => Speaker::Customer,
        (false, true) => Speaker::Named,
        (false, false) => return Turns::UnknownSpeakers,
    };
    let mut current = None;
    let mut kept = Vec::new();
    for (number, (line, label)) in lines.iter().zip(&labels).enumerate() {
        let mut span = line.span;
        if let Some((speaker, text_at)) = label {
            current = Some(*speaker);
            span.start += text_at;
        }
        if current == Some(wanted) {
            kept.push((number, span, label.is_some()));
        }
    }
    // A label between two turns must not end up inside a stretch: each labelled line starts its own.
    let mut shift = 0;
    let numbered = kept.into_iter().map(|(number, span, labelled)| {
        shift += usize::from(labelled);
        (number + shift, span)
    });
    Turns::Customer(join(numbered))
}

/// The speaker a line opens with and where the words begin: `[10:32] Customer: I …`, `10:32:05 Agent (Mia): …`.
fn label(line: &str) -> Option<(Speaker, usize)> {
    let mut rest = line.trim_start();
    if let Some(stamp) = rest.strip_prefix(['[', '(']) {
        let (inside, after) = stamp.split_once([']', ')'])?;
        if inside.len() > 30 || !inside.contains(|c: char| c.is_ascii_digit()) {
            return None;
        }
        rest = after.trim_start();
    } else {
        let clock = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == ':').len();
        if clock >= 4 && rest[clock..].starts_with(' ') {
            rest = rest[clock..].trim_start();
        }
    }
    let (name, after) = rest.split_once(':')?;
    let name = name.trim().trim_matches('*');
    let plain = |c: char| c.is_alphanumeric() || " .'’-()/#".contains(c);
    if name.is_empty()
        || name.chars().count() > 40
        || name.split_whitespace().count() > 4
        || !name.chars().all(plain)
    {
        return None;
    }
    // "Re: order" and "https://…" are no speakers: words follow after a space, and a name begins with a capital letter or is a label.
    if !(after.is_empty() || after.starts_with([' ', '\t', '*'])) {
        return None;
    }
    let speaker = speaker(name)?;
    let text_at = line.len() - after.trim_start_matches('*').trim_start().len();
    Some((speaker, text_at))
}

fn speaker(name: &str) -> Option<Speaker> {
    const CUSTOMER: [&str; 18] = [
        "customer",
        "cust",
        "client",
        "caller",
        "user",
        "guest",
        "patient",
        "member",
        "visitor",
        "consumer",
        "buyer",
        "subscriber",
        "passenger",
        "tenant",
        "kunde",
        "kundin",
        "cliente",
        "huésped",
    ];
    const COMPANY: [&str; 18] = [
        "agent",
        "agt",
        "support",
        "advisor",
        "adviser",
        "rep",
        "representative",
        "operator",
        "bot",
        "assistant",
        "system",
        "employee",
        "staff",
        "csr",
        "specialist",
        "berater",
        "agente",
        "mitarbeiterin",
    ];
    let lower = name.to_lowercase();
    let mut words = lower.split(|c: char| !c.is_alphanumeric()).filter(|w| !w.is_empty());
    if words.clone().any(|w| COMPANY.contains(&w))
        || lower.contains("customer service")
        || lower.contains("customer care")
    {
        return Some(Speaker::Company);
    }
    if words.any(|w| CUSTOMER.contains(&w)) {
        return Some(Speaker::Customer);
    }
    let is_name = name.split_whitespace().all(|w| w.starts_with(char::is_uppercase));
    is_name.then_some(Speaker::Named)
}

#[cfg(test)]
mod tests {
    use undertone_core::{Kind, SkipReason};

    use crate::text::own_words;

    fn read(text: &str, kind: Kind) -> Result<Vec<&str>, SkipReason> {
        own_words(text, kind).map(|spans| spans.iter().filter_map(|s| s.of(text)).collect())
    }

    #[test]
    fn only_the_customers_turns_are_read() {
        let call = "Agent: Thank you for calling, how wonderful to hear you.\nCustomer: It's still broken.\nand it is loud\nAgent: Great!\nCustomer: Not great.";
        let turns = vec!["It's still broken.\nand it is loud", "Not great."];
        assert_eq!(read(call, Kind::Transcript), Ok(turns.clone()));
        assert_eq!(read(call, Kind::Message), Ok(turns), "recognised without being declared");
    }

    #[test]
    fn stamps_names_and_roles() {
        let chat = "[10:32] Mia (Support): Hello!\n[10:33] Bob Hale: Where is my order\n10:34 Mia (Support): On its way";
        assert_eq!(read(chat, Kind::Transcript), Ok(vec!["Where is my order"]));
        let named = "Customer Service: Hi\nAna: hola, it does not start\nCustomer Service: Sorry";
        assert_eq!(read(named, Kind::Transcript), Ok(vec!["hola, it does not start"]));
    }

    #[test]
    fn neighbouring_turns_of_the_customer_stay_apart_from_their_labels() {
        let chat = "Agent: Hi\nCustomer: one\nCustomer: two";
        assert_eq!(read(chat, Kind::Transcript), Ok(vec!["one", "two"]));
    }

    #[test]
    fn nobody_is_guessed() {
        assert_eq!(read("Ann: hello\nBob: hi", Kind::Transcript), Err(SkipReason::NothingFromCustomer));
        assert_eq!(read("Agent: anybody there?", Kind::Transcript), Err(SkipReason::NothingFromCustomer));
        assert_eq!(
            read("just a voicemail, call me", Kind::Transcript),
            Ok(vec!["just a voicemail, call me"])
        );
    }

    #[test]
    fn a_report_with_labels_is_no_transcript() {
        let text = "The app crashes every day. I am furious.\nUser: jmiller\nSystem: Windows 11\nPlease fix";
        assert_eq!(read(text, Kind::Message), Ok(vec![text]));
    }

    #[test]
    fn a_colon_makes_no_transcript() {
        let text = "Problem: the lid\nCustomer: me\nhttps://example.com/a";
        assert_eq!(read(text, Kind::Message), Ok(vec![text]));
    }
}
