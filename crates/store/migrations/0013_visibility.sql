-- What the visibility policy needs.

-- Which accounts somebody looks after.
CREATE INDEX account_manager ON account (tenant_id, manager_id) WHERE manager_id IS NOT NULL;

-- Whether a customer is in an open conversation, or wrote something that belongs to none.
CREATE INDEX conversation_open ON conversation (tenant_id, customer_id) WHERE closed_at IS NULL;
CREATE INDEX interaction_apart ON interaction (tenant_id, customer_id) WHERE conversation_id IS NULL AND kind IN ('message', 'comment');

-- Customers who wrote in a conversation that is another customer's. Few are.
CREATE TABLE conversation_guest (
    tenant_id {int} NOT NULL,
    customer_id {text} NOT NULL,
    conversation_id {text} NOT NULL,
    PRIMARY KEY (tenant_id, customer_id, conversation_id)
){clustered};

-- Days of which figures of groups were published, or looked at in vain. What was published stays as it is: the difference of two publications
-- would be about whoever changed in between.
CREATE TABLE published_day (
    tenant_id {int} NOT NULL,
    day {day} NOT NULL,
    published_at {time},
    next_look_at {time} NOT NULL,
    PRIMARY KEY (tenant_id, day)
){clustered};

-- The groups of a day, none of which overlaps another: everything that is told is a sum of whole groups. Empty: no team, no queue.
CREATE TABLE published_group (
    tenant_id {int} NOT NULL,
    day {day} NOT NULL,
    -- Everything that was too small for a group of its own. Has neither team nor queue.
    pooled {bool} NOT NULL,
    team_id {text} NOT NULL,
    queue {text} NOT NULL,
    customers {int} NOT NULL,
    scored {int} NOT NULL,
    sum_score {int} NOT NULL,
    positive {int} NOT NULL,
    neutral {int} NOT NULL,
    negative {int} NOT NULL,
    mixed {int} NOT NULL,
    PRIMARY KEY (tenant_id, day, pooled, team_id, queue)
){clustered};
CREATE INDEX interaction_sentiment_day ON interaction_sentiment (tenant_id, occurred_on);
