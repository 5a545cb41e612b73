-- Words in braces differ between the two databases; migration.rs holds the list. Every key carries tenant_id, which is the isolation and
-- the shard key. Tenants, users, sessions and API keys are reference tables: small, the same on every shard.

CREATE TABLE tenant (
    id {int} PRIMARY KEY,
    slug {text} NOT NULL UNIQUE,
    name {text} NOT NULL,
    zone {text} NOT NULL,
    -- Rows whose days are still counted in an earlier zone are those up to this interaction; see rollups.rs.
    zone_cursor {text},
    -- Days before this one are kept as counters only.
    sealed_before {day},
    created_at {time} NOT NULL
){end};

CREATE TABLE tenant_modules (
    tenant_id {int} NOT NULL REFERENCES tenant (id),
    module {text} NOT NULL,
    active {bool} NOT NULL,
    settings {json} NOT NULL,
    updated_at {time} NOT NULL,
    PRIMARY KEY (tenant_id, module)
){end};

-- The subscription ledger: one row for each stretch in which a module was active.
CREATE TABLE module_period (
    tenant_id {int} NOT NULL REFERENCES tenant (id),
    id {text} NOT NULL,
    module {text} NOT NULL,
    activated_at {time} NOT NULL,
    activated_by {text} NOT NULL,
    deactivated_at {time},
    deactivated_by {text},
    monthly_price_cents {int} NOT NULL,
    PRIMARY KEY (tenant_id, id)
){end};
CREATE UNIQUE INDEX module_period_open ON module_period (tenant_id, module) WHERE deactivated_at IS NULL;

CREATE TABLE app_user (
    id {text} PRIMARY KEY,
    tenant_id {int} NOT NULL REFERENCES tenant (id),
    email {text} NOT NULL UNIQUE,
    name {text},
    role {text} NOT NULL,
    password_hash {text},
    active {bool} NOT NULL,
    failed_logins {int} NOT NULL,
    locked_until {time},
    created_at {time} NOT NULL
){end};
CREATE INDEX app_user_tenant ON app_user (tenant_id, id);

CREATE TABLE session (
    token_digest {text} PRIMARY KEY,
    user_id {text} NOT NULL REFERENCES app_user (id),
    csrf_token {text} NOT NULL,
    created_at {time} NOT NULL,
    last_seen_at {time} NOT NULL,
    expires_at {time} NOT NULL
){end};
CREATE INDEX session_of_user ON session (user_id);
CREATE INDEX session_expiry ON session (expires_at);

CREATE TABLE api_key (
    id {text} PRIMARY KEY,
    tenant_id {int} NOT NULL REFERENCES tenant (id),
    name {text} NOT NULL,
    token_digest {text} NOT NULL UNIQUE,
    scopes {text} NOT NULL,
    created_at {time} NOT NULL,
    expires_at {time},
    last_used_at {time},
    revoked_at {time}
){end};
CREATE INDEX api_key_tenant ON api_key (tenant_id, id);

CREATE TABLE account (
    tenant_id {int} NOT NULL,
    id {text} NOT NULL,
    external_id {text} NOT NULL,
    name {text},
    plan {text},
    value_cents {int},
    renewal_on {day},
    manager_id {text},
    created_at {time} NOT NULL,
    updated_at {time} NOT NULL,
    PRIMARY KEY (tenant_id, id)
){end};
CREATE UNIQUE INDEX account_external ON account (tenant_id, external_id);

CREATE TABLE customer (
    tenant_id {int} NOT NULL,
    id {text} NOT NULL,
    external_id {text} NOT NULL,
    account_id {text},
    name {text},
    email {text},
    phone {text},
    segment {text},
    attributes {json},
    opted_out_at {time},
    erased_at {time},
    created_at {time} NOT NULL,
    updated_at {time} NOT NULL,
    PRIMARY KEY (tenant_id, id)
){end};
CREATE UNIQUE INDEX customer_external ON customer (tenant_id, external_id);

CREATE TABLE customer_alias (
    tenant_id {int} NOT NULL,
    kind {text} NOT NULL,
    value {text} NOT NULL,
    customer_id {text} NOT NULL,
    PRIMARY KEY (tenant_id, kind, value)
){end};
CREATE INDEX customer_alias_customer ON customer_alias (tenant_id, customer_id);

CREATE TABLE team (
    tenant_id {int} NOT NULL,
    id {text} NOT NULL,
    external_id {text} NOT NULL,
    name {text},
    created_at {time} NOT NULL,
    updated_at {time} NOT NULL,
    PRIMARY KEY (tenant_id, id)
){end};
CREATE UNIQUE INDEX team_external ON team (tenant_id, external_id);

CREATE TABLE agent (
    tenant_id {int} NOT NULL,
    id {text} NOT NULL,
    external_id {text} NOT NULL,
    team_id {text},
    user_id {text},
    name {text},
    email {text},
    created_at {time} NOT NULL,
    updated_at {time} NOT NULL,
    PRIMARY KEY (tenant_id, id)
){end};
CREATE UNIQUE INDEX agent_external ON agent (tenant_id, external_id);

CREATE TABLE conversation (
    tenant_id {int} NOT NULL,
    id {text} NOT NULL,
    external_id {text} NOT NULL,
    customer_id {text},
    subject {text},
    priority {text},
    queue {text},
    tags {json},
    opened_at {time} NOT NULL,
    closed_at {time},
    reopened_at {time},
    created_at {time} NOT NULL,
    updated_at {time} NOT NULL,
    PRIMARY KEY (tenant_id, id)
){end};
CREATE UNIQUE INDEX conversation_external ON conversation (tenant_id, external_id);

-- The interaction row is its own job. While a node works on it, next_attempt_at is the end of that node's lease.
CREATE TABLE interaction (
    tenant_id {int} NOT NULL,
    id {text} NOT NULL,
    source {text} NOT NULL,
    external_id {text} NOT NULL,
    digest {text} NOT NULL,
    revision {int} NOT NULL,
    kind {text} NOT NULL,
    author_kind {text} NOT NULL,
    direction {text} NOT NULL,
    visibility {text} NOT NULL,
    channel {text} NOT NULL,
    channel_name {text},
    customer_id {text},
    agent_id {text},
    conversation_id {text},
    segment {text} NOT NULL,
    occurred_at {time} NOT NULL,
    received_at {time} NOT NULL,
    score_state {text} NOT NULL,
    reason {text},
    detail {text},
    attempts {int} NOT NULL,
    next_attempt_at {time} NOT NULL,
    lease_owner {text},
    decided_at {time},
    PRIMARY KEY (tenant_id, id)
){end};
CREATE UNIQUE INDEX interaction_external ON interaction (tenant_id, source, external_id);
CREATE INDEX interaction_due ON interaction (tenant_id, next_attempt_at, id) WHERE score_state = 'pending';
CREATE INDEX interaction_undecided ON interaction (tenant_id, score_state, id) WHERE score_state <> 'scored';
CREATE INDEX interaction_customer ON interaction (tenant_id, customer_id, id);

-- The text stands apart: it is erased and expires on its own.
CREATE TABLE interaction_text (
    tenant_id {int} NOT NULL,
    interaction_id {text} NOT NULL,
    revision {int} NOT NULL,
    body {text} NOT NULL,
    PRIMARY KEY (tenant_id, interaction_id, revision)
){end};

-- Append-only: every verdict ever given.
CREATE TABLE verdict (
    tenant_id {int} NOT NULL,
    id {text} NOT NULL,
    interaction_id {text} NOT NULL,
    text_revision {int} NOT NULL,
    body {text} NOT NULL,
    scored_at {time} NOT NULL,
    PRIMARY KEY (tenant_id, id)
){end};
CREATE INDEX verdict_interaction ON verdict (tenant_id, interaction_id, id);

-- Append-only: every correction ever made. Neither score nor label: the override was cleared.
CREATE TABLE sentiment_override (
    tenant_id {int} NOT NULL,
    id {text} NOT NULL,
    interaction_id {text} NOT NULL,
    score {int},
    label {text},
    reason {text},
    made_by {text} NOT NULL,
    made_at {time} NOT NULL,
    PRIMARY KEY (tenant_id, id)
){end};
CREATE INDEX sentiment_override_interaction ON sentiment_override (tenant_id, interaction_id, id);

-- The current sentiment of an interaction: the latest verdict and a person's correction beside it.
CREATE TABLE interaction_sentiment (
    tenant_id {int} NOT NULL,
    interaction_id {text} NOT NULL,
    verdict_id {text} NOT NULL,
    customer_id {text},
    agent_id {text},
    channel {text} NOT NULL,
    segment {text} NOT NULL,
    language {text} NOT NULL,
    scorer {text} NOT NULL,
    model {text} NOT NULL,
    score {int} NOT NULL,
    label {text} NOT NULL,
    confidence {int} NOT NULL,
    needs_review {bool} NOT NULL,
    dominant_emotion {text} NOT NULL,
    urgency {text} NOT NULL,
    category {text} NOT NULL,
    summary {text} NOT NULL,
    keywords {json} NOT NULL,
    tokens {int} NOT NULL,
    cost_micros {int} NOT NULL,
    occurred_at {time} NOT NULL,
    occurred_on {day} NOT NULL,
    scored_at {time} NOT NULL,
    scored_on {day} NOT NULL,
    created_at {time} NOT NULL,
    human_override_score {int},
    human_override_label {text},
    human_override_reason {text},
    human_override_by {text},
    human_override_at {time},
    effective_score {int} GENERATED ALWAYS AS (COALESCE(human_override_score, score)) STORED,
    effective_label {text} GENERATED ALWAYS AS (COALESCE(human_override_label, label)) STORED,
    PRIMARY KEY (tenant_id, interaction_id)
){end};
CREATE INDEX interaction_sentiment_scored ON interaction_sentiment (tenant_id, scored_at, interaction_id);
CREATE INDEX interaction_sentiment_customer ON interaction_sentiment (tenant_id, customer_id, scored_at, interaction_id);
CREATE INDEX interaction_sentiment_negative ON interaction_sentiment (tenant_id, scored_at, effective_score)
    WHERE effective_label = 'negative';

-- Counters of effective sentiments by the tenant's day of occurrence and what an analyst breaks it down by.
CREATE TABLE sentiment_daily (
    tenant_id {int} NOT NULL,
    day {day} NOT NULL,
    channel {text} NOT NULL,
    language {text} NOT NULL,
    scorer {text} NOT NULL,
    category {text} NOT NULL,
    segment {text} NOT NULL,
    scored {int} NOT NULL,
    sum_score {int} NOT NULL,
    positive {int} NOT NULL,
    neutral {int} NOT NULL,
    negative {int} NOT NULL,
    mixed {int} NOT NULL,
    PRIMARY KEY (tenant_id, day, channel, language, scorer, category, segment)
){clustered};

-- The same counts, coarse: 'occurred' by day of occurrence, 'scored' by day of scoring, 'all' of all time (its day is 1970-01-01), and
-- 'sealed', 'sealed_scored': the part of 'all' and 'scored' that rests on days whose rows may be gone.
CREATE TABLE sentiment_counter (
    tenant_id {int} NOT NULL,
    counter {text} NOT NULL,
    day {day} NOT NULL,
    scored {int} NOT NULL,
    sum_score {int} NOT NULL,
    positive {int} NOT NULL,
    neutral {int} NOT NULL,
    negative {int} NOT NULL,
    mixed {int} NOT NULL,
    PRIMARY KEY (tenant_id, counter, day)
){clustered};

-- What is known of a customer by their current sentiments.
CREATE TABLE customer_sentiment (
    tenant_id {int} NOT NULL,
    customer_id {text} NOT NULL,
    scored {int} NOT NULL,
    sum_score {int} NOT NULL,
    positive {int} NOT NULL,
    neutral {int} NOT NULL,
    negative {int} NOT NULL,
    mixed {int} NOT NULL,
    average {real} GENERATED ALWAYS AS (CAST(sum_score AS {real}) / NULLIF(scored, 0)) STORED,
    PRIMARY KEY (tenant_id, customer_id)
){clustered};
CREATE INDEX customer_sentiment_at_risk ON customer_sentiment (tenant_id, average, customer_id) WHERE scored >= 2 AND sum_score <= 0;

-- Tokens and cost by the day they were used on. Nothing is taken back here when a verdict is replaced.
CREATE TABLE ai_usage_day (
    tenant_id {int} NOT NULL,
    day {day} NOT NULL,
    feature {text} NOT NULL,
    model {text} NOT NULL,
    requests {int} NOT NULL,
    tokens_in {int} NOT NULL,
    tokens_out {int} NOT NULL,
    cost_micros {int} NOT NULL,
    PRIMARY KEY (tenant_id, day, feature, model)
){clustered};

-- Events on their way out, written in the transaction of their cause.
CREATE TABLE outbox (
    tenant_id {int} NOT NULL,
    id {text} NOT NULL,
    event {text} NOT NULL,
    subject_id {text} NOT NULL,
    to_workflow {bool} NOT NULL,
    to_webhooks {bool} NOT NULL,
    payload {json} NOT NULL,
    created_at {time} NOT NULL,
    PRIMARY KEY (tenant_id, id)
){end};
CREATE INDEX outbox_age ON outbox (tenant_id, created_at);

-- Human and administrative acts. Append-only; the digest is over the payload, so that a payload can be erased and the chain still holds.
CREATE TABLE audit_log (
    tenant_id {int} NOT NULL,
    id {text} NOT NULL,
    at {time} NOT NULL,
    actor {text} NOT NULL,
    action {text} NOT NULL,
    subject {text} NOT NULL,
    payload {text},
    payload_digest {text} NOT NULL,
    PRIMARY KEY (tenant_id, id)
){end};

-- What the seed promises to whoever queries the database: a correction takes precedence in every aggregate.
CREATE VIEW v_customer_sentiment_rollup AS
SELECT tenant_id, customer_id,
    COUNT(*) AS total_scored,
    AVG(COALESCE(human_override_score, score)) AS avg_score,
    SUM(CASE WHEN COALESCE(human_override_label, label) = 'positive' THEN 1 ELSE 0 END) AS count_positive,
    SUM(CASE WHEN COALESCE(human_override_label, label) = 'negative' THEN 1 ELSE 0 END) AS count_negative,
    SUM(CASE WHEN COALESCE(human_override_label, label) = 'neutral' THEN 1 ELSE 0 END) AS count_neutral,
    SUM(CASE WHEN COALESCE(human_override_label, label) = 'mixed' THEN 1 ELSE 0 END) AS count_mixed,
    MIN(scored_at) AS first_scored_at,
    MAX(scored_at) AS last_scored_at
FROM interaction_sentiment WHERE customer_id IS NOT NULL GROUP BY tenant_id, customer_id;

CREATE VIEW v_agent_sentiment_rollup AS
SELECT tenant_id, agent_id,
    COUNT(*) AS total_scored,
    AVG(COALESCE(human_override_score, score)) AS avg_score,
    SUM(CASE WHEN COALESCE(human_override_label, label) = 'positive' THEN 1 ELSE 0 END) AS count_positive,
    SUM(CASE WHEN COALESCE(human_override_label, label) = 'negative' THEN 1 ELSE 0 END) AS count_negative,
    SUM(CASE WHEN COALESCE(human_override_label, label) = 'neutral' THEN 1 ELSE 0 END) AS count_neutral,
    SUM(CASE WHEN COALESCE(human_override_label, label) = 'mixed' THEN 1 ELSE 0 END) AS count_mixed,
    MIN(scored_at) AS first_scored_at,
    MAX(scored_at) AS last_scored_at
FROM interaction_sentiment WHERE agent_id IS NOT NULL GROUP BY tenant_id, agent_id;
