-- What people are told: one notice for each event that somebody hears of. What it says is shown, and sent, as the person may see it at that
-- moment.
CREATE TABLE notice (
    tenant_id {int} NOT NULL,
    -- The event's place in the tenant's order.
    position {int} NOT NULL,
    event_id {text} NOT NULL,
    event {text} NOT NULL,
    category {text} NOT NULL,
    subject_id {text} NOT NULL,
    -- The interaction it is about; none: no single one.
    interaction_id {text},
    payload {json} NOT NULL,
    happened_at {time} NOT NULL,
    created_at {time} NOT NULL,
    PRIMARY KEY (tenant_id, position)
){clustered};
CREATE INDEX notice_subject ON notice (tenant_id, subject_id);
CREATE INDEX notice_interaction ON notice (tenant_id, interaction_id) WHERE interaction_id IS NOT NULL;
CREATE INDEX notice_age ON notice (tenant_id, created_at);

-- How far a tenant's events were told to people. Whoever moves it tells them, and nobody else does.
CREATE TABLE notice_cursor (
    tenant_id {int} PRIMARY KEY,
    position {int} NOT NULL
){clustered};

-- The inbox of each person.
CREATE TABLE inbox_item (
    tenant_id {int} NOT NULL,
    user_id {text} NOT NULL,
    position {int} NOT NULL,
    read_at {time},
    PRIMARY KEY (tenant_id, user_id, position)
){clustered};
CREATE INDEX inbox_unread ON inbox_item (tenant_id, user_id, position) WHERE read_at IS NULL;
CREATE INDEX inbox_notice ON inbox_item (tenant_id, position);

-- E-mail on its way to a person. What waits for the same moment and goes together is one message.
CREATE TABLE mail (
    tenant_id {int} NOT NULL,
    user_id {text} NOT NULL,
    position {int} NOT NULL,
    -- What its Message-ID is made of, on every try the same.
    id {text} NOT NULL,
    together {bool} NOT NULL,
    -- pending, sent, failed, dropped.
    state {text} NOT NULL,
    attempts {int} NOT NULL,
    next_at {time} NOT NULL,
    lease_owner {text},
    last_error {text},
    created_at {time} NOT NULL,
    finished_at {time},
    PRIMARY KEY (tenant_id, user_id, position)
){clustered};
CREATE INDEX mail_due ON mail (tenant_id, next_at, user_id) WHERE state = 'pending';
CREATE INDEX mail_notice ON mail (tenant_id, position);
CREATE INDEX mail_age ON mail (tenant_id, created_at);

-- What each person chose about being told; nobody who chose nothing has a row.
CREATE TABLE notification_preference (
    tenant_id {int} NOT NULL,
    user_id {text} NOT NULL,
    preferences {json} NOT NULL,
    version {int} NOT NULL,
    updated_at {time} NOT NULL,
    PRIMARY KEY (tenant_id, user_id)
){clustered};

-- What signs the links that end e-mails of a category.
CREATE TABLE notification_key (
    tenant_id {int} PRIMARY KEY,
    key {text} NOT NULL
){clustered};
