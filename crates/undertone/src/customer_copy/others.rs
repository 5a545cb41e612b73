//! Names, addresses and numbers of other people, left out of a customer's copy: everybody who works for the tenant, customers of the same
//! company, and whoever else takes part in their conversations. Whom else the customer wrote about in their own words stays: the words are
//! theirs.

use std::collections::HashSet;

use serde_json::Value;
use undertone_scoring::redact::{Kind, Known, Redactor, name_words};
use undertone_store::people::Customer;
use undertone_store::privacy::copy::others::Other;
use undertone_store::privacy::digits_of_number;
use undertone_store::{Store, StoreError, TenantId};

/// People read together.
const PAGE: i64 = 500;
/// What stands in place of somebody.
const SOMEBODY: &str = "[somebody else]";

/// The people to be left out.
pub struct Others {
    redactor: Redactor,
    /// Words of the customer's own name. Somebody else may have the same first name, or the same last one.
    own: HashSet<String>,
    emails: Vec<String>,
    numbers: Vec<String>,
}

impl Others {
    /// All of them; but nobody who goes by the customer's own name, address or number.
    pub async fn of(store: &Store, tenant: TenantId, customer: &Customer) -> Result<Self, StoreError> {
        let mut known = Known::default();
        let mut add = |page: Vec<Other>| {
            let last = page.last().map(|last| last.id.clone());
            for person in page {
                known.names.extend(person.name.filter(|name| !is_own(name, customer.name.as_deref())));
                known.emails.extend(person.email.filter(|email| !is_own(email, customer.email.as_deref())));
                known.phones.extend(person.phone.filter(|phone| !is_own_number(phone, customer)));
            }
            last
        };
        let mut after = Some(String::new());
        while let Some(last) = after {
            after = add(store.staff(tenant, &last, PAGE).await?);
        }
        let mut after = Some(String::new());
        while let Some(last) = after {
            after = add(store.customers_beside(tenant, customer, &last, PAGE).await?);
        }
        Ok(Self::new(&known, customer.name.as_deref()))
    }

    fn new(known: &Known, own: Option<&str>) -> Self {
        Self {
            redactor: Redactor::new(known),
            own: own.into_iter().flat_map(name_words).collect(),
            emails: known.emails.iter().map(|email| email.to_lowercase()).collect(),
            numbers: known.phones.iter().filter_map(|phone| digits_of_number(phone)).collect(),
        }
    }

    /// Leaves them out of every text in `json`.
    pub fn leave_out_of(&mut self, json: &mut Value) {
        match json {
            Value::String(text) => {
                if let Some(without) = self.without(text) {
                    *text = without;
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.leave_out_of(item)),
            Value::Object(fields) => fields.values_mut().for_each(|value| self.leave_out_of(value)),
            _ => {}
        }
    }

    /// Leaves them out of every text that stands under `field` in `json`, however deep.
    pub fn leave_out_of_field(&mut self, field: &str, json: &mut Value) {
        match json {
            Value::Array(items) => items.iter_mut().for_each(|item| self.leave_out_of_field(field, item)),
            Value::Object(fields) => {
                for (name, value) in fields.iter_mut() {
                    if name == field {
                        self.leave_out_of(value);
                    } else {
                        self.leave_out_of_field(field, value);
                    }
                }
            }
            _ => {}
        }
    }

    /// `text` without them; `None` where nobody of them is in it.
    fn without(&mut self, text: &str) -> Option<String> {
        let redacted = self.redactor.redact(text);
        let mut without = String::new();
        let mut kept = 0;
        for entity in redacted.entities() {
            let (start, end) = (entity.span.start, entity.span.end);
            let is_other = match entity.kind {
                Kind::Name => text
                    .get(start..end)
                    .is_none_or(|found| !name_words(found).all(|word| self.own.contains(&word))),
                Kind::Email => {
                    text.get(start..end).is_some_and(|found| self.emails.contains(&found.to_lowercase()))
                }
                Kind::Phone => text.get(start..end).and_then(digits_of_number).is_some_and(|found| {
                    self.numbers.iter().any(|number| number.ends_with(&found) || found.ends_with(number))
                }),
                _ => false,
            };
            if is_other {
                without += text.get(kept..start)?;
                without += SOMEBODY;
                kept = end;
            }
        }
        if kept == 0 {
            return None;
        }
        without += text.get(kept..)?;
        Some(without)
    }
}

fn is_own(value: &str, own: Option<&str>) -> bool {
    own.is_some_and(|own| own.trim().eq_ignore_ascii_case(value.trim()))
}

fn is_own_number(phone: &str, customer: &Customer) -> bool {
    let own = customer.phone.as_deref().and_then(digits_of_number);
    own.is_some_and(|own| digits_of_number(phone).is_some_and(|phone| phone == own))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn staff_is_left_out_and_the_customers_own_stays() {
        let known = Known {
            names: vec!["Berta Baumann".to_owned()],
            emails: vec!["berta@acme.example".to_owned()],
            phones: vec!["+49 170 5550999".to_owned()],
        };
        let mut others = Others::new(&known, Some("Ana Lopez"));
        let mut told = serde_json::json!({"texts": [{"body":
            "Berta Baumann (Berta@Acme.example) promised it, on 0170 / 555 09 99. Reach me at ana@example.com, +49 170 5550123."}], "score": -60});
        others.leave_out_of(&mut told);
        assert_eq!(
            told["texts"][0]["body"],
            "[somebody else] ([somebody else]) promised it, on [somebody else]. Reach me at ana@example.com, +49 170 5550123."
        );
        assert_eq!(told["score"], -60);
    }

    #[test]
    fn a_name_that_the_customer_shares_with_somebody_stays_theirs() {
        let known = Known { names: vec!["Ana Schmidt".to_owned()], ..Known::default() };
        let mut told = serde_json::json!([{"id": "schmidt", "made": {"model": "ana"},
            "text": "Ana Lopez here, Ana Schmidt promised it"}, {"text": "ANÁ again, not Schmidt"}]);
        let mut others = Others::new(&known, Some("Ana López"));
        others.leave_out_of_field("text", &mut told);
        let wanted = serde_json::json!([{"id": "schmidt", "made": {"model": "ana"},
            "text": "Ana Lopez here, [somebody else] promised it"}, {"text": "ANÁ again, not [somebody else]"}]);
        assert_eq!(told, wanted);
        // Of whom nothing is known has no name of their own.
        let mut told = serde_json::json!("Ana here, Ana Schmidt promised it");
        Others::new(&known, None).leave_out_of(&mut told);
        assert_eq!(told, "[somebody else] here, [somebody else] promised it");
    }
}
