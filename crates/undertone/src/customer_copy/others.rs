//! Names and addresses of other people, left out of a customer's copy: everybody who works for the tenant. Whom else the customer wrote about
//! in their own words stays: the words are theirs.

use serde_json::Value;
use undertone_scoring::redact::{Kind, Known, Redactor};
use undertone_store::people::Customer;
use undertone_store::{Store, StoreError, TenantId};

/// Staff read together.
const PAGE: i64 = 500;
/// What stands in place of somebody.
const SOMEBODY: &str = "[somebody else]";

/// The people to be left out.
pub struct Others {
    redactor: Redactor,
    emails: Vec<String>,
}

impl Others {
    /// Everybody who works for the tenant; but nobody who goes by the customer's own name or address.
    pub async fn of(store: &Store, tenant: TenantId, customer: &Customer) -> Result<Self, StoreError> {
        let mut known = Known::default();
        let is_own = |value: &String, own: &Option<String>| {
            own.as_ref().is_some_and(|own| own.trim().eq_ignore_ascii_case(value.trim()))
        };
        let mut after = String::new();
        loop {
            let page = store.staff(tenant, &after, PAGE).await?;
            let Some(last) = page.last() else { break };
            after.clone_from(&last.id);
            for person in page {
                known.names.extend(person.name.filter(|name| !is_own(name, &customer.name)));
                known.emails.extend(person.email.filter(|email| !is_own(email, &customer.email)));
            }
        }
        let emails = known.emails.iter().map(|email| email.to_lowercase()).collect();
        Ok(Self { redactor: Redactor::new(&known), emails })
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

    /// `text` without them; `None` where nobody of them is in it.
    fn without(&mut self, text: &str) -> Option<String> {
        let redacted = self.redactor.redact(text);
        let mut without = String::new();
        let mut kept = 0;
        for entity in redacted.entities() {
            let (start, end) = (entity.span.start, entity.span.end);
            let is_other = match entity.kind {
                Kind::Name => true,
                Kind::Email => {
                    text.get(start..end).is_some_and(|found| self.emails.contains(&found.to_lowercase()))
                }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn staff_is_left_out_and_the_customers_own_stays() {
        let known = Known {
            names: vec!["Berta Baumann".to_owned()],
            emails: vec!["berta@acme.example".to_owned()],
            ..Known::default()
        };
        let mut others =
            Others { redactor: Redactor::new(&known), emails: vec!["berta@acme.example".to_owned()] };
        let mut told = serde_json::json!({"texts": [{"body":
            "Berta Baumann (Berta@Acme.example) promised it. Reach me at ana@example.com, +49 170 5550123."}], "score": -60});
        others.leave_out_of(&mut told);
        assert_eq!(
            told["texts"][0]["body"],
            "[somebody else] ([somebody else]) promised it. Reach me at ana@example.com, +49 170 5550123."
        );
        assert_eq!(told["score"], -60);
    }
}
