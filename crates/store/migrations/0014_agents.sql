-- What the numbers of agents need; see docs/decisions/0021.

-- Whether they are on; without a row they never were.
CREATE TABLE agent_numbers (
    tenant_id {int} PRIMARY KEY REFERENCES tenant (id),
    is_on {bool} NOT NULL,
    reason {text},
    -- The version of the text that was acknowledged.
    acknowledged {text},
    switched_by {text} NOT NULL,
    switched_at {time} NOT NULL,
    -- After switching on: customers up to this one are counted. NULL: all are.
    counted_to {text}
){end};

-- Customers whose contacts are counted anew. Filled only while the numbers are on.
CREATE TABLE agent_stale (
    tenant_id {int} NOT NULL,
    customer_id {text} NOT NULL,
    marks {int} NOT NULL,
    PRIMARY KEY (tenant_id, customer_id)
){clustered};

-- One agent in one conversation, or in an interaction that belongs to none. There only while the numbers are on. Scores are hundredths of a
-- point: the mean after the agent's first reply, and that before it where it is known.
CREATE TABLE agent_contact (
    tenant_id {int} NOT NULL,
    customer_id {text} NOT NULL,
    contact_id {text} NOT NULL,
    agent_id {text} NOT NULL,
    day {day} NOT NULL,
    scored {int} NOT NULL,
    score_after {int} NOT NULL,
    score_before {int},
    PRIMARY KEY (tenant_id, customer_id, contact_id, agent_id)
){clustered};
-- All that the numbers are made of, in the order in which they are summed.
CREATE INDEX agent_contact_sums ON agent_contact (tenant_id, agent_id, customer_id, day, scored, score_after, score_before);
