-- Customers' rights: erasures and their receipts, legal holds, retention. See docs/decisions/0024.

-- A customer that was to be erased. It is the job while there is something to do, and the receipt afterwards; nothing in it names anybody.
CREATE TABLE erasure (
    tenant_id {int} NOT NULL,
    id {text} NOT NULL,
    -- Our id, which leads nowhere once the customer is gone.
    customer_id {text} NOT NULL,
    -- How they were named: 'id', 'email', 'phone' or 'replay'.
    asked_by {text} NOT NULL,
    actor {text} NOT NULL,
    asked_at {time} NOT NULL,
    -- 'interactions', 'conversations', 'person', 'audit', then 'done'.
    stage {text} NOT NULL,
    -- How far the stage is.
    cursor {text} NOT NULL,
    -- What the audit log is searched for; gone when the erasure is done.
    identifiers {json},
    -- What was removed, by what it was.
    removed {json} NOT NULL,
    done_at {time},
    -- When the file of an SQLite database was written anew without it.
    scrubbed_at {time},
    PRIMARY KEY (tenant_id, id)
){end};
CREATE UNIQUE INDEX erasure_customer ON erasure (tenant_id, customer_id);
CREATE INDEX erasure_open ON erasure (tenant_id, id) WHERE done_at IS NULL;
CREATE INDEX erasure_unscrubbed ON erasure (tenant_id, id) WHERE scrubbed_at IS NULL AND done_at IS NOT NULL;

-- What an erased customer was known by, as keyed digests: to find them again in a backup, never to know them.
CREATE TABLE tombstone (
    tenant_id {int} NOT NULL,
    erasure_id {text} NOT NULL,
    digest {text} NOT NULL,
    PRIMARY KEY (tenant_id, erasure_id, digest)
){end};
CREATE INDEX tombstone_digest ON tombstone (tenant_id, digest);

-- What those digests are keyed with. It never leaves the database.
CREATE TABLE tombstone_key (
    tenant_id {int} PRIMARY KEY REFERENCES tenant (id),
    key {text} NOT NULL
){end};

-- Customers of whom nothing is removed, whatever the clocks say, until somebody lifts the hold.
CREATE TABLE legal_hold (
    tenant_id {int} NOT NULL,
    customer_id {text} NOT NULL,
    reason {text} NOT NULL,
    placed_by {text} NOT NULL,
    placed_at {time} NOT NULL,
    PRIMARY KEY (tenant_id, customer_id)
){end};

-- What the clocks removed, run by run.
CREATE TABLE purge_run (
    tenant_id {int} NOT NULL,
    id {text} NOT NULL,
    started_at {time} NOT NULL,
    ended_at {time} NOT NULL,
    removed {json} NOT NULL,
    PRIMARY KEY (tenant_id, id)
){end};

-- When a node last did, or does, what is done now and then for a tenant.
CREATE TABLE upkeep (
    tenant_id {int} NOT NULL,
    task {text} NOT NULL,
    due_at {time} NOT NULL,
    PRIMARY KEY (tenant_id, task)
){end};

-- Ways to what belongs to a customer.
CREATE INDEX customer_email ON customer (tenant_id, lower(email)) WHERE email IS NOT NULL;
CREATE INDEX customer_phone ON customer (tenant_id,
    (replace(replace(replace(replace(replace(replace(phone, ' ', ''), '-', ''), '(', ''), ')', ''), '/', ''), '.', '')))
    WHERE phone IS NOT NULL;
CREATE INDEX conversation_customer ON conversation (tenant_id, customer_id, id);
CREATE INDEX backfill_item_interaction ON backfill_item (tenant_id, interaction_id);
CREATE INDEX outbox_subject ON outbox (tenant_id, subject_id);
CREATE INDEX interaction_conversation ON interaction (tenant_id, conversation_id, id);
