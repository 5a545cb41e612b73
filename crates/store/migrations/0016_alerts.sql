-- An alert: one customer whose score was at or under the threshold, told to people, on its way to somebody who takes care of it.
CREATE TABLE alert (
    tenant_id {int} NOT NULL,
    id {text} NOT NULL,
    customer_id {text},
    interaction_id {text} NOT NULL,
    -- As it stood when it was raised; the score of the interaction may be corrected since.
    score {int} NOT NULL,
    threshold {int} NOT NULL,
    label {text} NOT NULL,
    category {text} NOT NULL,
    channel {text} NOT NULL,
    -- open, acknowledged, snoozed, held (by an incident), resolved, withdrawn.
    state {text} NOT NULL,
    incident_id {text},
    raised_at {time} NOT NULL,
    due_at {time} NOT NULL,
    acknowledged_at {time},
    acknowledged_by {text},
    assigned_to {text},
    snoozed_until {time},
    ended_at {time},
    ended_by {text},
    note {text},
    -- How often others were told because nobody acknowledged it.
    escalated {int} NOT NULL,
    -- When the clock has something to do with it: the end of a snooze, or an escalation.
    next_at {time},
    version {int} NOT NULL,
    PRIMARY KEY (tenant_id, id)
){end};
CREATE INDEX alert_state ON alert (tenant_id, state, id);
CREATE INDEX alert_customer ON alert (tenant_id, customer_id, id);
CREATE INDEX alert_interaction ON alert (tenant_id, interaction_id);
CREATE INDEX alert_next ON alert (tenant_id, next_at) WHERE next_at IS NOT NULL;
CREATE INDEX alert_incident ON alert (tenant_id, incident_id, id) WHERE incident_id IS NOT NULL;

-- When people were last told of a customer. Whoever moves the moment raises the alert, and nobody else does.
CREATE TABLE alert_cooldown (
    tenant_id {int} NOT NULL,
    customer_id {text} NOT NULL,
    last_at {time} NOT NULL,
    PRIMARY KEY (tenant_id, customer_id)
){clustered};

-- What became of an alert, step by step.
CREATE TABLE alert_step (
    tenant_id {int} NOT NULL,
    alert_id {text} NOT NULL,
    id {text} NOT NULL,
    at {time} NOT NULL,
    step {text} NOT NULL,
    made_by {text} NOT NULL,
    detail {text},
    PRIMARY KEY (tenant_id, alert_id, id)
){clustered};

-- Many customers turning negative about the same category at once.
CREATE TABLE incident (
    tenant_id {int} NOT NULL,
    id {text} NOT NULL,
    category {text} NOT NULL,
    -- open, closed.
    state {text} NOT NULL,
    opened_at {time} NOT NULL,
    -- The customers in the window when it was opened, and what was usual.
    customers {int} NOT NULL,
    usual {real} NOT NULL,
    last_member_at {time} NOT NULL,
    closed_at {time},
    closed_by {text},
    version {int} NOT NULL,
    PRIMARY KEY (tenant_id, id)
){end};
CREATE UNIQUE INDEX incident_open ON incident (tenant_id, category) WHERE state = 'open';
CREATE INDEX incident_age ON incident (tenant_id, opened_at);

-- Customers who turned low about a category, each at the last time: what a surge is seen in. Rows older than the window are removed.
CREATE TABLE surge (
    tenant_id {int} NOT NULL,
    category {text} NOT NULL,
    customer_id {text} NOT NULL,
    at {time} NOT NULL,
    PRIMARY KEY (tenant_id, category, customer_id)
){clustered};
CREATE INDEX surge_at ON surge (tenant_id, category, at);
