//! A provider as somebody sets it, looked at before it is kept.

use std::collections::BTreeSet;

use serde::Deserialize;
use undertone_core::Role;
use undertone_store::secrets::Secret;
use undertone_store::sign_on::NewSignOnProvider;

use crate::api::problem::FieldError;

/// The longest address and client id, in characters.
const LONGEST: usize = 500;
/// Domains at most.
const MOST_DOMAINS: usize = 100;
/// What the log-in page calls a provider that has no name.
const LABEL: &str = "single sign-on";

/// What somebody sets.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Draft {
    pub issuer: String,
    pub client_id: String,
    #[serde(default)]
    pub client_secret: Option<String>,
    #[serde(default)]
    pub label: Option<String>,
    pub allowed_domains: Vec<String>,
    #[serde(default)]
    pub default_role: Option<Role>,
    #[serde(default)]
    pub trusts_second_factor: bool,
    /// The version that was seen; none where there was no provider.
    #[serde(default)]
    pub version: Option<i64>,
}

/// An issuer's address as it stands in what it signs: nothing is taken away from it.
///
/// # Errors
/// With what it must be.
fn usable_issuer(address: &str) -> Result<(), &'static str> {
    let told = "the issuer is an https:// address without user, query and fragment, or http:// on this machine, as the provider's own documentation writes it";
    let url = reqwest::Url::parse(address).map_err(|_| told)?;
    let fits = address.len() <= LONGEST
        && address.chars().all(|c| c.is_ascii_graphic())
        && url.has_host()
        && url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none()
        && super::exchange::may_be_asked(address, address);
    if fits { Ok(()) } else { Err(told) }
}

fn domain(given: &str) -> Option<String> {
    let domain = given.trim().trim_start_matches('@').to_lowercase();
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.chars().all(|c| c.is_alphanumeric() || c == '-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    (domain.len() <= 253 && domain.contains('.') && domain.split('.').all(label)).then_some(domain)
}

impl Draft {
    /// The provider, or everything that is wrong with it where somebody in this role sets it. The secret is not repeated.
    pub fn checked(self, by: Role) -> Result<NewSignOnProvider, Vec<FieldError>> {
        let mut errors = Vec::new();
        let mut refuse = |field: &str, message: &str| {
            errors.push(FieldError::invalid(field, message));
        };
        if let Err(told) = usable_issuer(&self.issuer) {
            refuse("issuer", told);
        }
        let visible = |text: &str| {
            (1..=LONGEST).contains(&text.len()) && text.chars().all(|c| c.is_ascii_graphic() || c == ' ')
        };
        if !visible(&self.client_id) {
            refuse("client_id", "the client id has 1 to 500 visible characters");
        }
        if self.client_secret.as_deref().is_some_and(|secret| !visible(secret.trim())) {
            refuse("client_secret", "the client secret has 1 to 500 visible ASCII characters");
        }
        let label = self.label.as_deref().map_or(LABEL, str::trim);
        if !(1..=60).contains(&label.chars().count()) || label.contains(char::is_control) {
            refuse("label", "the label has 1 to 60 characters");
        }
        let allowed_domains: BTreeSet<String> =
            self.allowed_domains.iter().filter_map(|given| domain(given)).collect();
        let all_fit = self.allowed_domains.iter().all(|given| domain(given).is_some());
        if !all_fit || !(1..=MOST_DOMAINS).contains(&allowed_domains.len()) {
            refuse(
                "allowed_domains",
                "name 1 to 100 domains of e-mail addresses, such as example.com; each is meant without those below it",
            );
        }
        if self.default_role.is_some_and(|role| !by.may_appoint(role)) {
            refuse("default_role", "your role may not make anybody that");
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        Ok(NewSignOnProvider {
            label: label.to_owned(),
            issuer: self.issuer,
            client_id: self.client_id,
            client_secret: self.client_secret.map(|secret| Secret::new(secret).trimmed()),
            allowed_domains,
            default_role: self.default_role,
            trusts_second_factor: self.trusts_second_factor,
            version: self.version,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft(issuer: &str, domains: &[&str]) -> Draft {
        Draft {
            issuer: issuer.to_owned(),
            client_id: "undertone".to_owned(),
            client_secret: Some("marker-of-a-secret".to_owned()),
            label: None,
            allowed_domains: domains.iter().map(|&domain| domain.to_owned()).collect(),
            default_role: Some(Role::Agent),
            trusts_second_factor: false,
            version: None,
        }
    }

    #[test]
    fn issuers_are_taken_as_they_are() {
        for issuer in
            ["https://accounts.google.com", "https://acme.eu.auth0.com/", "http://localhost:8081/realms/a"]
        {
            assert_eq!(draft(issuer, &["example.com"]).checked(Role::TenantAdmin).unwrap().issuer, issuer);
        }
        for issuer in [
            "",
            "accounts.google.com",
            "http://id.example.com",
            "https://user@id.example.com",
            "https://id.example.com?x=1",
            "https://id.example.com#x",
            "ftp://id.example.com",
            "https://id example.com",
        ] {
            let errors = draft(issuer, &["example.com"]).checked(Role::TenantAdmin).unwrap_err();
            assert_eq!((errors.len(), errors[0].field.as_str()), (1, "issuer"), "{issuer}");
        }
    }

    #[test]
    fn domains_are_whole_domains() {
        let taken = draft("https://id.example.com", &["Example.com", "@müller.example "]);
        let domains = taken.checked(Role::TenantAdmin).unwrap().allowed_domains;
        assert!(domains.iter().eq(["example.com", "müller.example"]), "{domains:?}");
        for wrong in [&[][..], &["com"], &["*.example.com"], &["example..com"], &["a@example.com"], &[""]] {
            let errors = draft("https://id.example.com", wrong).checked(Role::TenantAdmin).unwrap_err();
            assert_eq!(errors[0].field, "allowed_domains", "{wrong:?}");
        }
    }

    #[test]
    fn nobody_makes_people_what_they_could_not_appoint() {
        let with = |role, by| {
            let draft =
                Draft { default_role: Some(role), ..draft("https://id.example.com", &["example.com"]) };
            draft.checked(by).is_ok()
        };
        assert!(with(Role::Admin, Role::Admin) && with(Role::TenantAdmin, Role::TenantAdmin));
        assert!(!with(Role::Admin, Role::TenantAdmin));
    }
}
