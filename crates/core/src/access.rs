//! Who may do what: one table of roles, scopes of API keys and what each permits. Routes, pages, documentation and tests read it here.
//!
//! What somebody may *see* of a score they may read at all is another question; see [`crate::visibility`].

use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Defines an enum with a word for each variant, and what it means for people.
macro_rules! words {
    ($(#[$about:meta])* $name:ident { $($(#[doc = $doc:literal])+ $variant:ident = $word:literal,)+ }) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum $name { $($(#[doc = $doc])+ $variant,)+ }

        impl $name {
            /// All of them, in the order of the documentation.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The word in the API, in commands and in the database.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }

            /// What it means, for people: one sentence.
            #[must_use]
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$variant => concat!($($doc),+).trim_ascii(),)+ }
            }
        }

        impl FromStr for $name {
            type Err = String;

            fn from_str(word: &str) -> Result<Self, String> {
                Self::ALL.iter().copied().find(|known| known.as_str() == word).ok_or_else(|| {
                    let known: Vec<&str> = Self::ALL.iter().map(|known| known.as_str()).collect();
                    format!("“{word}” is none of {}", known.join(", "))
                })
            }
        }
    };
}

words! {
    /// What somebody is in their tenant.
    Role {
        /// Runs the installation for this tenant; may do everything, and alone appoints other admins.
        Admin = "admin",
        /// Runs the tenant: settings, people, keys, privacy.
        TenantAdmin = "tenant_admin",
        /// Leads support: works what needs attention, corrects verdicts, sees the numbers of agents where they are switched on.
        Supervisor = "supervisor",
        /// Leads teams: the same, but of agents' numbers only those of their own teams.
        Manager = "manager",
        /// Checks verdicts for quality: the review queue and blind labelling.
        Reviewer = "reviewer",
        /// Looks after accounts: their customers and what became of them.
        AccountManager = "account_manager",
        /// Talks to customers: logs interactions, sees what the policy allows, and their own numbers.
        Agent = "agent",
        /// Reads only.
        Analyst = "analyst",
    }
}

words! {
    /// What an API key may be given.
    Scope {
        /// Hand in interactions, customers and what belongs to them.
        Ingest = "ingest",
        /// Read what was handed in and what came of it.
        Read = "read",
        /// Whatever an administrator may do, except what a person has to answer for.
        Admin = "admin",
    }
}

words! {
    /// What may be permitted.
    Permission {
        /// Keep one's own account: password, sessions, second factor.
        Account = "account",
        /// Hand in interactions, customers, accounts, agents and conversations; note that a customer objects to being scored.
        Ingest = "ingest",
        /// Change what decides who sees what: another account or segment of a known customer, another team of a known agent, another queue of a known conversation; with a key also by interactions, other content of a known one, and the close of a conversation with one.
        Revise = "revise",
        /// Read interactions, customers, overviews and settings, as far as the visibility policy shows them.
        Read = "read",
        /// Score a text without keeping it.
        Score = "score",
        /// Correct a verdict, and clear a correction.
        Correct = "correct",
        /// Look after alerts: acknowledge, assign, snooze, resolve, end incidents.
        Alerts = "alerts",
        /// Work the review queue.
        Review = "review",
        /// Look at agreement, choose samples and shares of the review.
        ManageReview = "manage_review",
        /// See the numbers of agents, once they are switched on.
        AgentNumbers = "agent_numbers",
        /// See one's own numbers, once they are switched on.
        OwnNumbers = "own_numbers",
        /// Export what is read as a file.
        Export = "export",
        /// Customers' rights: the end of an opt-out, the copy of what is held, erasure, legal hold, retention.
        Privacy = "privacy",
        /// Change settings and phrases; switch the module and the numbers of agents on and off.
        Settings = "settings",
        /// Teach the tenant's own lesson.
        Calibrate = "calibrate",
        /// Score what is there already, and score again.
        Backfill = "backfill",
        /// Read each single call to an LLM.
        Calls = "calls",
        /// Invite people, change roles and teams, deactivate.
        Users = "users",
        /// Make and revoke API keys, and keep the keys of LLM providers.
        Keys = "keys",
        /// Read, verify and export the audit log.
        Audit = "audit",
    }
}

/// One line of the table: a permission, the roles and the scopes that have it.
pub type Grant = (Permission, &'static [Role], &'static [Scope]);

use Role::{AccountManager, Admin, Agent, Analyst, Manager, Reviewer, Supervisor, TenantAdmin};

/// The table. A role or scope that is not in a line does not have the permission.
pub const GRANTS: &[Grant] = &[
    (Permission::Account, Role::ALL, &[]),
    (Permission::Ingest, &[Admin, TenantAdmin, Supervisor, Manager, AccountManager, Agent], &[Scope::Ingest]),
    (Permission::Revise, &[Admin, TenantAdmin], &[Scope::Ingest]),
    (Permission::Read, Role::ALL, &[Scope::Read]),
    (Permission::Score, Role::ALL, &[Scope::Read]),
    (
        Permission::Correct,
        &[Admin, TenantAdmin, Supervisor, Manager, Reviewer, AccountManager, Agent],
        &[Scope::Admin],
    ),
    (Permission::Alerts, &[Admin, TenantAdmin, Supervisor, Manager, AccountManager, Agent], &[Scope::Admin]),
    (Permission::Review, &[Admin, TenantAdmin, Supervisor, Reviewer], &[]),
    (Permission::ManageReview, &[Admin, TenantAdmin, Supervisor], &[Scope::Admin]),
    (Permission::AgentNumbers, &[Admin, TenantAdmin, Supervisor, Manager], &[]),
    (Permission::OwnNumbers, Role::ALL, &[]),
    (Permission::Export, &[Admin, TenantAdmin, Supervisor, Manager, AccountManager, Analyst], &[Scope::Read]),
    (Permission::Privacy, &[Admin, TenantAdmin], &[Scope::Admin]),
    (Permission::Settings, &[Admin, TenantAdmin], &[Scope::Admin]),
    (Permission::Calibrate, &[Admin, TenantAdmin], &[Scope::Admin]),
    (Permission::Backfill, &[Admin, TenantAdmin], &[Scope::Admin]),
    (Permission::Calls, &[Admin, TenantAdmin], &[Scope::Admin]),
    (Permission::Users, &[Admin, TenantAdmin], &[]),
    (Permission::Keys, &[Admin, TenantAdmin], &[Scope::Admin]),
    (Permission::Audit, &[Admin, TenantAdmin], &[Scope::Admin]),
];

/// The table as Markdown, as it stands in `docs/access.md`: a line for each permission, a column for each role and scope.
#[must_use]
pub fn table() -> String {
    let roles = Role::ALL.iter().map(|role| format!("`{}`", role.as_str()));
    let keys = Scope::ALL.iter().map(|scope| format!("key: `{}`", scope.as_str()));
    let heads: Vec<String> = roles.chain(keys).collect();
    let mut table = format!("| | {} |\n|---|{}\n", heads.join(" | "), ":-:|".repeat(heads.len()));
    for permission in Permission::ALL {
        let mark = |has: bool| if has { "●" } else { "" };
        let roles = Role::ALL.iter().map(|role| mark(role.may(*permission)));
        let cells: Vec<&str> =
            roles.chain(Scope::ALL.iter().map(|scope| mark(scope.may(*permission)))).collect();
        table.push_str(&format!(
            "| `{}`: {} | {} |\n",
            permission.as_str(),
            permission.meaning().trim_end_matches('.'),
            cells.join(" | ")
        ));
    }
    table
}

impl Permission {
    fn grant(self) -> (&'static [Role], &'static [Scope]) {
        GRANTS.iter().find(|(one, ..)| *one == self).map_or((&[], &[]), |(_, roles, scopes)| (roles, scopes))
    }

    /// The roles that have it.
    #[must_use]
    pub fn roles(self) -> &'static [Role] {
        self.grant().0
    }

    /// The scopes of API keys that have it.
    #[must_use]
    pub fn scopes(self) -> &'static [Scope] {
        self.grant().1
    }
}

impl Role {
    /// Somebody in this role may do it.
    #[must_use]
    pub fn may(self, permission: Permission) -> bool {
        permission.roles().contains(&self)
    }

    /// Somebody in this role may give `other` to a person, or take it from them: nobody hands out more than they have.
    #[must_use]
    pub fn may_appoint(self, other: Self) -> bool {
        self == Admin || (self == TenantAdmin && other != Admin)
    }

    /// Somebody in this role may give an API key this scope: nothing comes with it that they may not do themselves.
    #[must_use]
    pub fn may_give(self, scope: Scope) -> bool {
        Permission::ALL.iter().filter(|permission| scope.may(**permission)).all(|one| self.may(*one))
    }
}

impl Scope {
    /// A key with this scope may do it.
    #[must_use]
    pub fn may(self, permission: Permission) -> bool {
        permission.scopes().contains(&self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_permission_has_one_line_and_somebody_has_it() {
        for permission in Permission::ALL {
            let lines = GRANTS.iter().filter(|(one, ..)| one == permission).count();
            assert_eq!(lines, 1, "{}", permission.as_str());
            assert!(permission.roles().contains(&Admin), "{}", permission.as_str());
        }
    }

    #[test]
    fn the_documentation_has_the_table() {
        let told = include_str!("../../../docs/access.md");
        assert!(told.contains(&table()), "docs/access.md must have this table:\n\n{}", table());
        for role in Role::ALL {
            let line = format!("| `{}` | {} |", role.as_str(), role.meaning());
            assert!(told.contains(&line), "docs/access.md must have this line: {line}");
        }
    }

    #[test]
    fn an_analyst_changes_nothing() {
        let has: Vec<&str> =
            Permission::ALL.iter().filter(|p| Analyst.may(**p)).map(|p| p.as_str()).collect();
        assert_eq!(has, ["account", "read", "score", "own_numbers", "export"]);
    }

    #[test]
    fn nobody_appoints_above_themselves() {
        for role in Role::ALL {
            assert_eq!(role.may_appoint(Admin), *role == Admin);
            assert_eq!(role.may_appoint(Agent), role.may(Permission::Users));
        }
    }

    #[test]
    fn no_key_may_more_than_who_gives_it() {
        for scope in Scope::ALL {
            assert!(TenantAdmin.may_give(*scope));
        }
        assert!(Supervisor.may_give(Scope::Read) && !Supervisor.may_give(Scope::Admin));
        assert!(!Analyst.may_give(Scope::Ingest));
    }

    #[test]
    fn words_come_back() {
        for role in Role::ALL {
            assert_eq!(role.as_str().parse(), Ok(*role));
            assert!(role.meaning().ends_with('.'), "{}", role.meaning());
        }
        assert!("boss".parse::<Role>().unwrap_err().contains("supervisor"));
    }
}
