//! What else a customer goes by, as it is told: a list of kinds and values.

use undertone_core::arrival::Alias;

use super::check::{Check, MOST_WORD};
use super::given::Given;

/// More than anybody goes by.
const MOST_ALIASES: usize = 50;
/// The longest kind.
const MOST_KIND: usize = 40;

impl Check {
    /// Aliases: each `{"kind": "zendesk", "value": "77"}`. Kinds are `email`, `phone`, or the name of a source.
    pub fn aliases(&mut self, field: &str, given: Given<'_>) -> Option<Vec<Alias>> {
        let list = match given {
            Given::Nothing => return None,
            Given::List(list) => list,
            other => {
                self.wrong_type(field, &other, "a list of objects with `kind` and `value`");
                return None;
            }
        };
        if list.len() > MOST_ALIASES {
            let why = format!("has {} aliases; at most {MOST_ALIASES} are taken", list.len());
            self.refuse(field, "too_many", &why);
            return None;
        }
        let mut aliases = Vec::with_capacity(list.len());
        for (i, alias) in list.into_iter().enumerate() {
            aliases.extend(self.alias(&format!("{field}[{i}]"), alias));
        }
        Some(aliases)
    }

    fn alias(&mut self, field: &str, given: Given<'_>) -> Option<Alias> {
        let Given::Object(pairs) = given else {
            self.wrong_type(field, &given, "an object with `kind` and `value`");
            return None;
        };
        let [kind, value] = self.sort(&format!("{field}."), pairs, ["kind", "value"]);
        let (kind_field, value_field) = (format!("{field}.kind"), format!("{field}.value"));
        for (name, given) in [(&kind_field, &kind), (&value_field, &value)] {
            if *given == Given::Nothing {
                self.refuse(name, "missing", "is missing; an alias has a kind and a value");
            }
        }
        let kind = self.string(&kind_field, kind, MOST_KIND)?;
        let is_word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-".contains(c);
        if !kind.chars().all(is_word) {
            let why = "must be email, phone, or the name of a source in small letters, digits, - and _";
            self.refuse(&kind_field, "wrong_value", why);
            return None;
        }
        let value = match kind.as_str() {
            "email" => self.email(&value_field, value),
            "phone" => self.string(&value_field, value, MOST_WORD),
            _ => self.id(&value_field, value),
        }?;
        Some(Alias { kind, value })
    }
}
