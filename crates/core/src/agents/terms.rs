//! What whoever switches the numbers of agents on acknowledges.

/// The version of [`TERMS`]. Whoever switches on names it, and the audit log keeps it.
pub const TERMS_VERSION: &str = "2026-11";

/// What is acknowledged. Changing it takes a new [`TERMS_VERSION`].
pub const TERMS: &str = "These figures say how customers felt around single employees' replies. Showing them is monitoring of employees. In many countries \
that needs an agreement with the works council or the employees' representatives beforehand (in Germany § 87(1) no. 6 BetrVG), a legal basis in employment \
data protection law (in the EU Article 88 GDPR and national law), information of the employees, and often a data protection impact assessment (Article 35 GDPR). \
Where AI is used to monitor and evaluate people's performance at work, the EU AI Act may make it high-risk. I confirm that this was examined for us and is \
settled; that the employees concerned know that the figures exist, what they are made of, who sees them and that they may see their own; that no pay, \
warning, transfer or dismissal follows from them automatically or from them alone; and that I know that every look at them is recorded.";
