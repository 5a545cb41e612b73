-- The cascade's two scorers contradict each other in this verdict; a person should look.
ALTER TABLE interaction_sentiment ADD COLUMN disagreed {bool} NOT NULL DEFAULT FALSE;
CREATE INDEX interaction_sentiment_disagreed ON interaction_sentiment (tenant_id, scored_at, interaction_id) WHERE disagreed;

-- What the cascade did, by the tenant's day of scoring and by why the LLM was asked: 'always', 'language', 'ambiguous', 'unsure', or 'sure'
-- where it was not. Counted as it is recorded: what is scored again counts again.
CREATE TABLE cascade_day (
    tenant_id {int} NOT NULL,
    day {day} NOT NULL,
    why {text} NOT NULL,
    verdicts {int} NOT NULL,
    asked {int} NOT NULL,
    unanswered {int} NOT NULL,
    changed {int} NOT NULL,
    disagreed {int} NOT NULL,
    tokens_in {int} NOT NULL,
    tokens_out {int} NOT NULL,
    cost_micros {int} NOT NULL,
    PRIMARY KEY (tenant_id, day, why)
){clustered};

-- How sure the embedded model was of what it read, whoever's verdict stands: the readings of a day by confidence, 0 to 100, and by why
-- an LLM would be asked about them, whatever the threshold ('always', 'language', 'ambiguous'), or only under one ('unsure').
CREATE TABLE reading_day (
    tenant_id {int} NOT NULL,
    day {day} NOT NULL,
    why {text} NOT NULL,
    confidence {int} NOT NULL,
    readings {int} NOT NULL,
    PRIMARY KEY (tenant_id, day, why, confidence)
){clustered};
