-- What LLM calls of a tenant's day or month hold and took, in tokens and in millionths of a US dollar. A call may be made while its most
-- still fits under the cap beside all three parts, so whether it may is read from two rows, whatever the history.
CREATE TABLE ai_budget (
    tenant_id {int} NOT NULL,
    -- 'day' or 'month'.
    period {text} NOT NULL,
    -- The tenant's day; of a month the first.
    begins {day} NOT NULL,
    -- The most that calls under way can take.
    held_tokens {int} NOT NULL DEFAULT 0,
    held_micros {int} NOT NULL DEFAULT 0,
    -- The most that calls can have taken of which nothing was heard again.
    assumed_tokens {int} NOT NULL DEFAULT 0,
    assumed_micros {int} NOT NULL DEFAULT 0,
    -- What the provider reported.
    spent_tokens {int} NOT NULL DEFAULT 0,
    spent_micros {int} NOT NULL DEFAULT 0,
    -- What was told of: 1 for 65 percent of the cap, 2 for 85, 4 for 100, added up.
    told_tokens {int} NOT NULL DEFAULT 0,
    told_micros {int} NOT NULL DEFAULT 0,
    PRIMARY KEY (tenant_id, period, begins)
){clustered};

-- The ledger: every call that was to be made. It counts for the day it was reserved on, whenever it ends.
CREATE TABLE ai_call (
    tenant_id {int} NOT NULL,
    id {text} NOT NULL,
    day {day} NOT NULL,
    month {day} NOT NULL,
    feature {text} NOT NULL,
    model {text} NOT NULL,
    scorer {text} NOT NULL,
    owner {text} NOT NULL,
    batched {bool} NOT NULL,
    texts {int} NOT NULL,
    -- 'held', then 'settled', 'released' (nothing was charged) or 'expired' (nobody knows; it may still be settled or released).
    state {text} NOT NULL,
    most_tokens {int} NOT NULL,
    -- NULL here and in cost_micros: the model has no price.
    most_micros {int},
    reserved_at {time} NOT NULL,
    lease_until {time} NOT NULL,
    expired_at {time},
    released_at {time},
    settled_at {time},
    input_tokens {int} NOT NULL DEFAULT 0,
    cache_read_tokens {int} NOT NULL DEFAULT 0,
    cache_write_5m_tokens {int} NOT NULL DEFAULT 0,
    cache_write_1h_tokens {int} NOT NULL DEFAULT 0,
    output_tokens {int} NOT NULL DEFAULT 0,
    cost_micros {int},
    saved_cache_micros {int} NOT NULL DEFAULT 0,
    saved_packing_tokens {int} NOT NULL DEFAULT 0,
    saved_packing_micros {int} NOT NULL DEFAULT 0,
    saved_batch_micros {int} NOT NULL DEFAULT 0,
    PRIMARY KEY (tenant_id, id)
){end};
CREATE INDEX ai_call_held ON ai_call (tenant_id, lease_until, id) WHERE state = 'held';
CREATE INDEX ai_call_age ON ai_call (tenant_id, reserved_at);

-- The ledger added up, for reports; it outlives the ledger's rows.
CREATE TABLE ai_usage (
    tenant_id {int} NOT NULL,
    day {day} NOT NULL,
    feature {text} NOT NULL,
    model {text} NOT NULL,
    scorer {text} NOT NULL,
    calls {int} NOT NULL,
    texts {int} NOT NULL,
    input_tokens {int} NOT NULL,
    cache_read_tokens {int} NOT NULL,
    cache_write_5m_tokens {int} NOT NULL,
    cache_write_1h_tokens {int} NOT NULL,
    output_tokens {int} NOT NULL,
    cost_micros {int} NOT NULL,
    unpriced_calls {int} NOT NULL,
    overrun_tokens {int} NOT NULL,
    overrun_micros {int} NOT NULL,
    lost_calls {int} NOT NULL,
    lost_tokens {int} NOT NULL,
    lost_micros {int} NOT NULL,
    saved_cache_micros {int} NOT NULL,
    saved_packing_tokens {int} NOT NULL,
    saved_packing_micros {int} NOT NULL,
    saved_batch_micros {int} NOT NULL,
    PRIMARY KEY (tenant_id, day, feature, model, scorer)
){clustered};
