//! Whom an erasure is of: one customer by an id, or everybody who has an address or a number.

use sea_orm::DatabaseTransaction;
use serde::{Deserialize, Serialize};

use crate::people::aliases;
use crate::statement::sql;
use crate::{Result, StoreError, TenantId};

/// Whom to erase.
#[derive(Debug, Clone, Copy)]
pub enum Whom<'a> {
    /// The customer with this id, ours or the source's, or that of another source as `kind:value`.
    Id(&'a str),
    /// Everybody with this address, in any spelling of its letters, as theirs or as an alias.
    Email(&'a str),
    /// Everybody with this number, however its digits are grouped, as theirs or as an alias.
    Phone(&'a str),
}

impl<'a> Whom<'a> {
    /// Whoever is named by exactly one of these.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] where none or several are given, one is empty, or a number has fewer than six digits, which too many people's
    /// numbers hold.
    pub fn of(id: Option<&'a str>, email: Option<&'a str>, phone: Option<&'a str>) -> Result<Self> {
        let is_given = |text: &str| !text.trim().is_empty();
        match (id, email, phone) {
            (Some(id), None, None) if is_given(id) => Ok(Self::Id(id)),
            (None, Some(email), None) if is_given(email) => Ok(Self::Email(email)),
            (None, None, Some(phone)) if phone.chars().filter(char::is_ascii_digit).count() >= 6 => {
                Ok(Self::Phone(phone))
            }
            _ => Err(StoreError::Invalid(
                "give one of id, email and phone; a phone number has six digits or more".to_owned(),
            )),
        }
    }
}

impl Whom<'_> {
    pub(super) fn how(&self) -> How {
        match self {
            Self::Id(_) => How::Id,
            Self::Email(_) => How::Email,
            Self::Phone(_) => How::Phone,
        }
    }
}

/// How a customer to be erased was named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// By an id.
    Id,
    /// By an e-mail address.
    Email,
    /// By a phone number.
    Phone,
    /// By a tombstone, after a backup was restored.
    Replay,
}

/// Our ids of those who were not erased yet and whom `whom` names, sorted.
pub(super) async fn named(
    tx: &DatabaseTransaction,
    tenant: TenantId,
    whom: &Whom<'_>,
) -> Result<Vec<String>> {
    // As the columns are compared in their indexes.
    const DIGITS: &str = "(replace(replace(replace(replace(replace(replace(phone, ' ', ''), '-', ''), '(', ''), ')', ''), '/', ''), '.', ''))";
    let query = match whom {
        // Ours before the source's, as everywhere.
        Whom::Id(id) => sql("SELECT id FROM customer WHERE tenant_id = ? AND erased_at IS NULL AND (id = ? OR external_id = ?) \
             ORDER BY CASE WHEN id = ? THEN 0 ELSE 1 END LIMIT 1")
            .bind(tenant.0)
            .bind(*id)
            .bind(*id)
            .bind(*id),
        Whom::Email(email) => {
            let spelled = in_small_letters(email.trim());
            sql("SELECT id FROM customer WHERE tenant_id = ? AND email IS NOT NULL AND lower(email) IN ? AND erased_at IS NULL \
                 UNION SELECT customer_id FROM customer_alias WHERE tenant_id = ? AND kind = 'email' AND value IN ? ORDER BY 1")
                .bind(tenant.0)
                .list(spelled.iter().map(String::as_str))
                .bind(tenant.0)
                .list(spelled.iter().map(String::as_str))
        }
        Whom::Phone(phone) => {
            let spelled = aliases::spellings(phone);
            sql("SELECT id FROM customer WHERE tenant_id = ? AND phone IS NOT NULL AND ")
                .bind(tenant.0)
                .then(DIGITS)
                .then(" IN ? AND erased_at IS NULL")
                .list(spelled.iter().map(String::as_str))
                // Aliases are kept without what people put between digits.
                .then(" UNION SELECT customer_id FROM customer_alias WHERE tenant_id = ? AND kind = 'phone' AND value IN ? ORDER BY 1")
                .bind(tenant.0)
                .list(spelled.iter().map(String::as_str))
        }
    };
    let found: Vec<String> = query.column(tx).await?;
    match whom {
        Whom::Id(id) if found.is_empty() => Ok(aliases::whose(tx, tenant, id).await?.into_iter().collect()),
        _ => Ok(found),
    }
}

/// Letters beyond ASCII of an address, of which every spelling is looked for. Of one with more of them two are: all small, and all large.
const MOST_SPELLED: usize = 6;

/// An address in small letters, as either database and aliases may have it: PostgreSQL lowers every letter, SQLite those of ASCII alone, and
/// then an É that was written large stays so.
fn in_small_letters(email: &str) -> Vec<String> {
    let letters: Vec<(char, char)> = email.chars().map(small_and_large).collect();
    if letters.iter().filter(|(small, large)| small != large).count() > MOST_SPELLED {
        let (small, large): (String, String) = letters.into_iter().unzip();
        return vec![small, large];
    }
    let mut spelled = vec![String::new()];
    for (small, large) in letters {
        let mut others = if small == large { Vec::new() } else { spelled.clone() };
        spelled.iter_mut().for_each(|one| one.push(small));
        others.iter_mut().for_each(|one| one.push(large));
        spelled.append(&mut others);
    }
    spelled
}

/// Both forms of a letter, where each is one letter beyond ASCII and belongs to the other: ß is not ss, and ı is not i. ASCII is small.
fn small_and_large(letter: char) -> (char, char) {
    fn alone(mut letters: impl ExactSizeIterator<Item = char>) -> Option<char> {
        letters.next().filter(|letter| letters.len() == 0 && !letter.is_ascii())
    }
    if letter.is_ascii() {
        return (letter.to_ascii_lowercase(), letter.to_ascii_lowercase());
    }
    let small = alone(letter.to_lowercase()).unwrap_or(letter);
    let large = alone(small.to_uppercase()).filter(|large| alone(large.to_lowercase()) == Some(small));
    (small, large.unwrap_or(small))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_spelled_in_every_way_and_as_no_other() {
        assert_eq!(in_small_letters("Ana@Example.com"), ["ana@example.com"]);
        assert_eq!(in_small_letters("JOSÉ@x.example"), ["josé@x.example", "josÉ@x.example"]);
        let mut four = in_small_letters("éloÏse@x.example");
        four.sort();
        assert_eq!(four, ["ÉloÏse@x.example", "Éloïse@x.example", "éloÏse@x.example", "éloïse@x.example"]);
        for other in
            ["strauß@x.example", "ılker@x.example", "ſam@x.example", "ﬁn@x.example", "\u{212A}im@x.example"]
        {
            assert!(in_small_letters(other).iter().all(|one| !one.is_ascii()), "{other}");
        }
        assert_eq!(in_small_letters("ééééééé@x.example"), ["ééééééé@x.example", "ÉÉÉÉÉÉÉ@x.example"]);
    }

    #[test]
    fn exactly_one_is_named() {
        assert!(matches!(Whom::of(Some("7"), None, None), Ok(Whom::Id("7"))));
        assert!(matches!(Whom::of(None, Some("a@b.example"), None), Ok(Whom::Email(_))));
        assert!(matches!(Whom::of(None, None, Some("030 12 34 56")), Ok(Whom::Phone(_))));
        for (id, email, phone) in [
            (None, None, None),
            (Some(" "), None, None),
            (None, Some(""), None),
            (None, None, Some("030-12")),
            (Some("7"), Some("a@b.example"), None),
        ] {
            assert!(Whom::of(id, email, phone).is_err(), "{id:?} {email:?} {phone:?}");
        }
    }
}
