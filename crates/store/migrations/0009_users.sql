-- What people need to be invited, to prove who they are, and to belong to teams.

-- The version moves with each change that an administrator makes: who changes what somebody else changed meanwhile is told.
ALTER TABLE app_user ADD COLUMN version {int} NOT NULL DEFAULT 1;
ALTER TABLE app_user ADD COLUMN last_login_at {time};
-- Wrong passwords are counted in login_failure, for addresses without an account too.
ALTER TABLE app_user DROP COLUMN failed_logins;
ALTER TABLE app_user DROP COLUMN locked_until;

CREATE TABLE user_team (
    tenant_id {int} NOT NULL,
    user_id {text} NOT NULL,
    team_id {text} NOT NULL,
    PRIMARY KEY (tenant_id, user_id, team_id)
){clustered};
CREATE INDEX user_team_members ON user_team (tenant_id, team_id, user_id);

-- A person is one agent at most.
CREATE UNIQUE INDEX agent_of_user ON agent (tenant_id, user_id) WHERE user_id IS NOT NULL;

-- Links that let somebody set a password, once. One at a time for each person.
CREATE TABLE user_link (
    token_digest {text} PRIMARY KEY,
    tenant_id {int} NOT NULL REFERENCES tenant (id),
    user_id {text} NOT NULL UNIQUE REFERENCES app_user (id),
    purpose {text} NOT NULL,
    created_at {time} NOT NULL,
    expires_at {time} NOT NULL
){end};

-- Log-ins that failed, by the digest of the address that was typed, whether somebody has it or not. Forgotten after a day.
CREATE TABLE login_failure (
    email_digest {text} PRIMARY KEY,
    failed {int} NOT NULL,
    last_at {time} NOT NULL,
    locked_until {time}
){end};
CREATE INDEX login_failure_age ON login_failure (last_at);

-- A session's token is replaced from time to time. The one before works until the new one was seen, and a moment longer.
ALTER TABLE session ADD COLUMN rotate_at {time};
ALTER TABLE session ADD COLUMN previous_digest {text};
ALTER TABLE session ADD COLUMN rotated_at {time};
ALTER TABLE session ADD COLUMN confirmed_at {time};
CREATE UNIQUE INDEX session_previous ON session (previous_digest) WHERE previous_digest IS NOT NULL;

-- Second factor: codes of an authenticator app (RFC 6238). Its seed is sealed as provider keys are, bound to tenant_id and user_id.
CREATE TABLE second_factor (
    user_id {text} PRIMARY KEY REFERENCES app_user (id),
    tenant_id {int} NOT NULL,
    key_id {text} NOT NULL,
    sealed {text} NOT NULL,
    set_up_at {time} NOT NULL,
    -- NULL until a first code proved that the app has the seed; until then nobody is asked for one.
    confirmed_at {time},
    -- Codes of this step of 30 seconds, and of those before it, are used up.
    last_step {int} NOT NULL
){end};
CREATE INDEX second_factor_tenant ON second_factor (tenant_id, user_id);

-- Codes for when the app is lost, once each: digests of 118 random bits.
CREATE TABLE recovery_code (
    user_id {text} NOT NULL REFERENCES app_user (id),
    code_digest {text} NOT NULL,
    used_at {time},
    PRIMARY KEY (user_id, code_digest)
){clustered};

-- Log-ins that wait for a second factor: the password was right, or the tenant's provider vouched.
CREATE TABLE login_step (
    token_digest {text} PRIMARY KEY,
    user_id {text} NOT NULL REFERENCES app_user (id),
    next {text} NOT NULL,
    expires_at {time} NOT NULL
){end};
CREATE INDEX login_step_expiry ON login_step (expires_at);

-- When the session's person showed a second factor; NULL: they did not.
ALTER TABLE session ADD COLUMN second_factor_at {time};

-- Single sign-on: the tenant's OpenID provider. The client secret is sealed, bound to tenant_id, issuer and client_id.
CREATE TABLE sign_on_provider (
    tenant_id {int} PRIMARY KEY REFERENCES tenant (id),
    issuer {text} NOT NULL,
    client_id {text} NOT NULL,
    key_id {text} NOT NULL,
    sealed {text} NOT NULL,
    -- What the log-in page calls it.
    label {text} NOT NULL,
    -- Domains of addresses that may sign on, a JSON list; never empty.
    allowed_domains {text} NOT NULL,
    -- What somebody becomes who is not known yet; NULL: only people who are known may sign on.
    default_role {text},
    -- The provider asks for a second factor itself.
    trusts_second_factor {bool} NOT NULL,
    -- The role of whoever set it: it signs in nobody whom they could not have appointed.
    vouched_by {text} NOT NULL,
    version {int} NOT NULL,
    set_by {text} NOT NULL,
    set_at {time} NOT NULL
){end};

-- Whom a provider means by a subject.
CREATE TABLE sign_on_identity (
    tenant_id {int} NOT NULL,
    issuer {text} NOT NULL,
    subject {text} NOT NULL,
    user_id {text} NOT NULL REFERENCES app_user (id),
    linked_at {time} NOT NULL,
    PRIMARY KEY (tenant_id, issuer, subject)
){end};
CREATE UNIQUE INDEX sign_on_identity_user ON sign_on_identity (user_id, issuer);
