-- What a person did: 'set' a correction, 'clear' it, or 'agree' with the verdict, which moves nothing. Which verdict and text they had
-- before them, and which revision of the correction they replaced.
ALTER TABLE sentiment_override ADD COLUMN act {text} NOT NULL DEFAULT 'set';
ALTER TABLE sentiment_override ADD COLUMN verdict_id {text};
ALTER TABLE sentiment_override ADD COLUMN text_revision {int};
ALTER TABLE sentiment_override ADD COLUMN previous_id {text};

-- The revision that set or cleared what stands in human_override_*, and the verdict that a person agreed with last.
ALTER TABLE interaction_sentiment ADD COLUMN human_override_id {text};
ALTER TABLE interaction_sentiment ADD COLUMN human_agreed_verdict_id {text};

-- Verdicts that people check: one item for each interaction. It enters in the transaction that records the verdict, or that corrects it.
CREATE TABLE review_item (
    tenant_id {int} NOT NULL,
    id {text} NOT NULL,
    interaction_id {text} NOT NULL,
    -- What is labelled and what it is compared with: the text and the verdict of the time it entered.
    verdict_id {text} NOT NULL,
    text_revision {int} NOT NULL,
    score {int} NOT NULL,
    label {text} NOT NULL,
    -- Why it is here; several may hold.
    unsure {bool} NOT NULL,
    disagreed {bool} NOT NULL,
    overridden {bool} NOT NULL,
    called_positive {bool} NOT NULL,
    random {bool} NOT NULL,
    queued_at {time} NOT NULL,
    -- How many raters are wanted, 1 to 3, and how many have labelled it.
    wanted {int} NOT NULL,
    given {int} NOT NULL,
    -- Who has it in hand, and until when nobody else does.
    claimed_by {text},
    claimed_until {time},
    done_at {time},
    -- What most raters said; NULL while it is not done, or where three said three things.
    settled_label {text},
    PRIMARY KEY (tenant_id, id)
){end};
CREATE UNIQUE INDEX review_item_interaction ON review_item (tenant_id, interaction_id);
CREATE INDEX review_item_open ON review_item (tenant_id, given, id) WHERE done_at IS NULL;
CREATE INDEX review_item_waiting ON review_item (tenant_id, id) WHERE done_at IS NULL;
CREATE INDEX review_item_claimed ON review_item (tenant_id, claimed_by, id) WHERE claimed_by IS NOT NULL;
CREATE INDEX review_item_age ON review_item (tenant_id, queued_at) WHERE done_at IS NULL;
CREATE INDEX review_item_settled ON review_item (tenant_id, done_at, id) WHERE settled_label IS NOT NULL;
CREATE INDEX review_item_done ON review_item (tenant_id, done_at, id) WHERE done_at IS NOT NULL;
CREATE INDEX review_item_results ON review_item (tenant_id, id) WHERE done_at IS NOT NULL;

-- What raters said of them, each without knowing of the verdict or of another's label.
CREATE TABLE review_label (
    tenant_id {int} NOT NULL,
    item_id {text} NOT NULL,
    rater {text} NOT NULL,
    label {text} NOT NULL,
    score {int},
    note {text},
    given_at {time} NOT NULL,
    -- 1 for the first label of the item, 2 for the second …
    place {int} NOT NULL,
    PRIMARY KEY (tenant_id, item_id, rater)
){end};
CREATE UNIQUE INDEX review_label_place ON review_label (tenant_id, item_id, place);
