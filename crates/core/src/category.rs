//! What interactions are about: the tenant's issue categories, and a default list for support.

use serde::{Deserialize, Serialize};

/// A category's short name: lower-case letters, digits and `_`, 1 to 40 of them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CategoryId(String);

impl CategoryId {
    /// The category of what fits no other. Every list has it, whether named or not.
    #[must_use]
    pub fn other() -> Self {
        Self("other".to_owned())
    }

    /// A category's name, or `None` where `id` is empty, too long or holds other characters.
    #[must_use]
    pub fn new(id: &str) -> Option<Self> {
        let fits = (1..=40).contains(&id.len())
            && id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        fits.then(|| Self(id.to_owned()))
    }

    /// The short name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The short name as a person reads it: `product_quality` is "product quality".
    #[must_use]
    pub fn words(&self) -> String {
        self.0.replace('_', " ")
    }
}

impl TryFrom<String> for CategoryId {
    type Error = String;

    fn try_from(id: String) -> Result<Self, String> {
        Self::new(&id).ok_or_else(|| {
            format!("“{id}” is no category id: use 1 to 40 lower-case letters, digits and _, such as late_delivery")
        })
    }
}

impl From<CategoryId> for String {
    fn from(id: CategoryId) -> String {
        id.0
    }
}

/// An issue category of a tenant. A text belongs to the category whose name and examples it resembles most.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Category {
    /// Its short name.
    pub id: CategoryId,
    /// Its name in words, such as "Late or lost delivery". At most 200 characters.
    pub name: String,
    /// Sentences customers write about it. A handful says more than the name. At most 20, of at most 300 characters.
    #[serde(default)]
    pub examples: Vec<String>,
}

/// The default list: what support teams sort by everywhere. The ids in this order are what the embedded model was trained on.
pub const SUPPORT: [(&str, &str); 14] = [
    ("billing", "charges, invoices and payments"),
    ("refund", "refunds, returns and compensation"),
    ("delivery", "shipping, arrival and installation visits"),
    ("product_quality", "defective, damaged, wrong or disappointing goods"),
    ("technical", "bugs, outages, errors and slowness"),
    ("account_access", "logging in, passwords and verification"),
    ("cancellation", "ending a contract, subscription or order"),
    ("customer_service", "how people were treated and whether they were answered"),
    ("pricing", "prices, plans and contract terms"),
    ("booking", "reservations, appointments and schedules"),
    ("how_to", "how something works and where to find it"),
    ("feature_request", "something customers wish it did"),
    ("security", "fraud, privacy and safety"),
    ("other", "anything else"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_short_plain_words() {
        for id in ["billing", "late_delivery", "level_2"] {
            assert_eq!(CategoryId::new(id).unwrap().as_str(), id);
        }
        for id in ["", "Billing", "late delivery", "ärger", &"x".repeat(41)] {
            assert_eq!(CategoryId::new(id), None, "{id}");
        }
        assert_eq!(CategoryId::new("product_quality").unwrap().words(), "product quality");
    }

    #[test]
    fn the_default_list_is_well_formed() {
        let mut seen = std::collections::BTreeSet::new();
        for (id, name) in SUPPORT {
            assert!(CategoryId::new(id).is_some() && !name.is_empty(), "{id}");
            assert!(seen.insert(id), "{id} stands twice");
        }
        assert!(seen.contains(CategoryId::other().as_str()));
    }
}
