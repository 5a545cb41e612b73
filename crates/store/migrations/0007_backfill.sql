-- A run that scores what was not scored, or scores again. It goes from the newest interaction to the oldest: what lies before the cursor is
-- still to be looked at. The cursor moves in the transaction in which the interactions it passed become items.
CREATE TABLE backfill_run (
    tenant_id {int} NOT NULL,
    id {text} NOT NULL,
    -- 'unscored', 'refresh' or 'single'.
    mode {text} NOT NULL,
    -- 'running', 'paused', 'done', 'cancelled' or 'failed'.
    state {text} NOT NULL,
    detail {text},
    asked {json} NOT NULL,
    estimate {json} NOT NULL,
    notify {bool} NOT NULL,
    cursor {text} NOT NULL,
    -- Nothing is left to be looked at.
    exhausted {bool} NOT NULL,
    -- There is something to do, be it only to hear what became of a batch.
    to_do {bool} NOT NULL,
    -- No slice is begun before this.
    rests_until {time} NOT NULL,
    -- Interactions that became items, and what became of them.
    opened {int} NOT NULL,
    scored {int} NOT NULL,
    skipped {int} NOT NULL,
    failed {int} NOT NULL,
    superseded {int} NOT NULL,
    tokens {int} NOT NULL,
    cost_micros {int} NOT NULL,
    started_at {time} NOT NULL,
    started_by {text} NOT NULL,
    -- Since when it runs without a break, and how many were decided before that.
    running_since {time} NOT NULL,
    decided_before {int} NOT NULL,
    ended_at {time},
    ended_by {text},
    report {json},
    -- The node that drives it, and until when nobody else does.
    lease_owner {text},
    lease_until {time} NOT NULL,
    -- When a node last had it in hand.
    driven_at {time},
    PRIMARY KEY (tenant_id, id)
){end};
CREATE UNIQUE INDEX backfill_run_active ON backfill_run (tenant_id) WHERE state IN ('running', 'paused') AND mode <> 'single';
CREATE INDEX backfill_run_to_do ON backfill_run (tenant_id, id) WHERE to_do;

-- An interaction of a run. It is a job of its own, so that the interaction keeps its state and verdict until there is another.
CREATE TABLE backfill_item (
    tenant_id {int} NOT NULL,
    run_id {text} NOT NULL,
    interaction_id {text} NOT NULL,
    -- The revision of the text that is scored. One that is revised meanwhile is scored as what is new, and not here.
    revision {int} NOT NULL,
    attempts {int} NOT NULL,
    next_attempt_at {time} NOT NULL,
    -- The node that began it and has not finished it.
    begun_by {text},
    -- Why it waits, or has no new verdict.
    reason {text},
    detail {text},
    -- A common answer did not serve it: it is asked about alone.
    alone {bool} NOT NULL,
    -- The request of a batch it is part of, and its place there.
    request_id {text},
    place {int},
    -- 'scored', 'skipped', 'failed', 'superseded' or 'cancelled'.
    outcome {text},
    old_verdict_id {text},
    old_score {int},
    old_label {text},
    new_verdict_id {text},
    new_score {int},
    new_label {text},
    PRIMARY KEY (tenant_id, run_id, interaction_id)
){end};
CREATE INDEX backfill_item_open ON backfill_item (tenant_id, run_id, interaction_id) WHERE outcome IS NULL;
CREATE INDEX backfill_item_request ON backfill_item (tenant_id, request_id, place) WHERE request_id IS NOT NULL;

-- A batch at the provider's.
CREATE TABLE message_batch (
    tenant_id {int} NOT NULL,
    id {text} NOT NULL,
    run_id {text} NOT NULL,
    -- The provider's id; NULL until it is known.
    provider_id {text},
    -- 'made' (its rows are there, and it may be at the provider's), 'in_progress', 'canceling', 'ended', then 'read', or 'lost': nobody can
    -- know what became of it.
    state {text} NOT NULL,
    -- Where it was sent. It is asked for nowhere else.
    base_url {text} NOT NULL,
    model {text} NOT NULL,
    prompt_version {text} NOT NULL,
    requests {int} NOT NULL,
    made_at {time} NOT NULL,
    -- It was looked for in vain, or asked about, until then.
    next_look_at {time} NOT NULL,
    expires_at {time},
    detail {text},
    ended_at {time},
    PRIMARY KEY (tenant_id, id)
){end};
CREATE INDEX message_batch_run ON message_batch (tenant_id, run_id, id);

-- A request in it. Its id is the custom_id.
CREATE TABLE message_batch_request (
    tenant_id {int} NOT NULL,
    id {text} NOT NULL,
    batch_id {text} NOT NULL,
    -- The call in the ledger that its money is set aside with.
    call_id {text} NOT NULL,
    texts {int} NOT NULL,
    -- Of what was asked: where it can not be told again to the letter, the answer belongs to something else.
    digest {text} NOT NULL,
    -- 'succeeded', 'errored', 'canceled', 'expired' or 'lost'; NULL until that is known and dealt with.
    result {text},
    PRIMARY KEY (tenant_id, id)
){end};
CREATE INDEX message_batch_request_open ON message_batch_request (tenant_id, batch_id, id) WHERE result IS NULL;
