//! Whom a row is about and who wrote it, as far as its columns say: what redaction takes out of the text before an LLM is asked.

use undertone_scoring::redact::Known;

use super::columns::role;

/// Whom a column can be about. The longest that a name begins with counts.
const PEOPLE: [&str; 31] = [
    "advisor",
    "agent",
    "assignee",
    "author",
    "caller",
    "client",
    "cliente",
    "contact",
    "customer",
    "employee",
    "from",
    "kunde",
    "manager",
    "mitarbeiter",
    "operator",
    "owner",
    "person",
    "recipient",
    "rep",
    "reporter",
    "representative",
    "requester",
    "sender",
    "staff",
    "submitter",
    "supervisor",
    "teammate",
    "to",
    "user",
    "visitor",
    "enduser",
];

/// What of them a column can hold, after [`PEOPLE`] or by itself.
const PARTICULARS: [&str; 24] = [
    "cell",
    "cellphone",
    "displayname",
    "email",
    "emailaddress",
    "familyname",
    "firstname",
    "fullname",
    "givenname",
    "lastname",
    "login",
    "mail",
    "mobile",
    "mobilephone",
    "msisdn",
    "name",
    "nachname",
    "phone",
    "phonenumber",
    "surname",
    "tel",
    "telephone",
    "username",
    "vorname",
];

/// A longer value is no name, and one of more words is a sentence.
const LONGEST_NAME: usize = 80;
const MOST_WORDS: usize = 6;

/// What the columns of a row and its customer's id say; `kept` holds their plain names and values (see [`super::Row::kept`]).
pub fn known(kept: &[(String, String)], customer: Option<&str>) -> Known {
    let mut known = Known::default();
    for (column, value) in kept.iter().filter(|(column, _)| tells_of_people(column)) {
        // A role such as "agent" is a word of many texts and nobody's name.
        if role(column, value).is_none() {
            add(&mut known, value);
        }
    }
    if let Some(id) = customer {
        add(&mut known, id);
    }
    known
}

/// The customer's segment, where a column has it.
pub fn segment(kept: &[(String, String)]) -> Option<&str> {
    let is_segment = |column: &str| matches!(column, "segment" | "customersegment");
    kept.iter().find(|(column, _)| is_segment(column)).map(|(_, value)| value.trim())
}

fn tells_of_people(column: &str) -> bool {
    if PARTICULARS.contains(&column) {
        return true;
    }
    let after = PEOPLE.iter().filter_map(|person| column.strip_prefix(person));
    { after }.any(|rest| rest.is_empty() || rest == "id" || PARTICULARS.contains(&rest))
}

/// Sorts a value by its look: "Anna Schmidt <anna@example.com>" has a name and an address.
fn add(known: &mut Known, value: &str) {
    for part in value.split([';', '<', '>', '"', '\n']) {
        let part = part.trim().trim_end_matches(',');
        for word in part.split([' ', ',']).filter(|word| word.contains('@')) {
            known.emails.push(word.trim_start_matches("mailto:").to_owned());
        }
        let digits = part.chars().filter(char::is_ascii_digit).count();
        let is_phone = |c: char| c.is_ascii_digit() || " +-./()".contains(c);
        if digits >= 6 && part.chars().all(is_phone) {
            known.phones.push(part.to_owned());
        } else if digits == 0 && !part.contains('@') && is_name(part) {
            known.names.push(part.to_owned());
        }
    }
}

fn is_name(text: &str) -> bool {
    let signs = |c: char| c.is_alphabetic() || c.is_whitespace() || ".,-'’·".contains(c);
    text.len() <= LONGEST_NAME
        && text.split_whitespace().count() <= MOST_WORDS
        && text.chars().any(char::is_alphabetic)
        && text.chars().all(signs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::columns::plain;

    fn of(pairs: &[(&str, &str)]) -> Known {
        let kept: Vec<(String, String)> =
            pairs.iter().map(|(name, value)| (plain(name), (*value).to_owned())).collect();
        known(&kept, None)
    }

    #[test]
    fn names_addresses_and_numbers_are_told_by_columns_and_looks() {
        let known = of(&[
            ("Customer Name", "Bernadette Crowhurst"),
            ("requester", "Ana Lima <ana@example.com>"),
            ("agent_name", "O’Neil, Mia-Sofie"),
            ("To", "a@example.org, b@example.org; c@example.org"),
            ("Mobile phone", "+49 (30) 1234-567"),
            ("from", "+4915112345678"),
            ("customer_id", "4711000"),
            ("Vorname", "Jörg"),
        ]);
        assert_eq!(known.names, ["Bernadette Crowhurst", "Ana Lima", "O’Neil, Mia-Sofie", "Jörg"]);
        assert_eq!(known.emails, ["ana@example.com", "a@example.org", "b@example.org", "c@example.org"]);
        assert_eq!(known.phones, ["+49 (30) 1234-567", "+4915112345678", "4711000"]);
    }

    #[test]
    fn words_of_many_texts_are_not_taken_for_names() {
        for (column, value) in [
            ("author", "customer"),
            ("author", "Support Team"),
            ("sender_type", "contact"),
            ("from", "incoming"),
            ("customer_message", "Thanks"),
            ("customer_segment", "gold"),
            ("customer type", "business"),
            ("agent team", "Billing"),
            ("company name", "Halden and Rowe"),
            ("product_name", "Floor lamp"),
            ("subject", "Refund"),
            ("text", "Late again"),
            ("total", "twelve"),
            ("token", "abc"),
            ("customer_id", "c15"),
            ("name", "a sentence of far more words than any name has"),
        ] {
            assert_eq!(of(&[(column, value)]), Known::default(), "{column}: {value}");
        }
    }

    #[test]
    fn a_customers_id_may_be_a_name() {
        assert_eq!(known(&[], Some("ana@example.com")).emails, ["ana@example.com"]);
        assert_eq!(known(&[], Some("Ana")).names, ["Ana"]);
        assert_eq!(known(&[], Some("c15")), Known::default());
    }

    #[test]
    fn a_segment_is_found() {
        let kept = vec![("customersegment".to_owned(), " Key accounts ".to_owned())];
        assert_eq!(segment(&kept), Some("Key accounts"));
        assert_eq!(segment(&[]), None);
    }
}
