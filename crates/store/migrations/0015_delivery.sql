-- Events on their way out: each gets its place in the tenant's order once its transaction is over, and in the same step a delivery for
-- everybody who wants it. Until then `position` is null; ids alone would not do, because a transaction may commit after a younger one.
ALTER TABLE outbox ADD COLUMN position {int};
CREATE UNIQUE INDEX outbox_position ON outbox (tenant_id, position);
CREATE INDEX outbox_unplaced ON outbox (tenant_id, id) WHERE position IS NULL;

CREATE TABLE event_sequence (
    tenant_id {int} PRIMARY KEY,
    last {int} NOT NULL,
    -- The youngest event that is not kept any more: whoever has not read on until there has missed something.
    removed {int} NOT NULL,
    -- What hides places from those who follow: gaps would tell of events they may not see.
    cursor_key {text} NOT NULL
){clustered};

-- Where events go besides the in-app inbox and people's e-mail.
CREATE TABLE destination (
    tenant_id {int} NOT NULL,
    id {text} NOT NULL,
    kind {text} NOT NULL,
    name {text} NOT NULL,
    -- What is no secret: event types, payload, options of the kind.
    config {json} NOT NULL,
    -- Address and keys, sealed: an address of Slack or Teams is a key itself.
    secrets {text} NOT NULL,
    key_id {text} NOT NULL,
    -- The address without what is secret in it, for people.
    shown_address {text} NOT NULL,
    active {bool} NOT NULL,
    inactive_reason {text},
    -- How it fares: since when and how often in a row it failed, and when it is tried again.
    failing_since {time},
    failures {int} NOT NULL,
    resume_at {time},
    last_delivered_at {time},
    version {int} NOT NULL,
    created_at {time} NOT NULL,
    updated_at {time} NOT NULL,
    PRIMARY KEY (tenant_id, id)
){end};
CREATE UNIQUE INDEX destination_name ON destination (tenant_id, name);

-- One message on its way to one destination. `event_id` is what the receiver sees as the message's id, on every try the same. What it says
-- stands with the event alone, and is written anew for each try: what is erased, or may not be seen any more, goes nowhere.
CREATE TABLE delivery (
    tenant_id {int} NOT NULL,
    id {text} NOT NULL,
    destination_id {text} NOT NULL,
    event_id {text} NOT NULL,
    event {text} NOT NULL,
    subject_id {text} NOT NULL,
    -- 0, or the how manieth replay of the same event this is.
    replay {int} NOT NULL,
    state {text} NOT NULL,
    attempts {int} NOT NULL,
    next_at {time} NOT NULL,
    lease_owner {text},
    last_status {int},
    last_error {text},
    created_at {time} NOT NULL,
    finished_at {time},
    PRIMARY KEY (tenant_id, id)
){end};
CREATE UNIQUE INDEX delivery_once ON delivery (tenant_id, destination_id, event_id, replay);
CREATE INDEX delivery_due ON delivery (tenant_id, destination_id, next_at, id) WHERE state = 'pending';
CREATE INDEX delivery_waiting ON delivery (tenant_id, created_at) WHERE state = 'pending';
CREATE INDEX delivery_of_destination ON delivery (tenant_id, destination_id, id);
CREATE INDEX delivery_of_subject ON delivery (tenant_id, subject_id);
CREATE INDEX delivery_age ON delivery (tenant_id, created_at);

-- Every try, for people who ask why nothing came.
CREATE TABLE delivery_attempt (
    tenant_id {int} NOT NULL,
    delivery_id {text} NOT NULL,
    attempt {int} NOT NULL,
    at {time} NOT NULL,
    millis {int} NOT NULL,
    status {int},
    outcome {text} NOT NULL,
    error {text},
    PRIMARY KEY (tenant_id, delivery_id, at)
){clustered};
