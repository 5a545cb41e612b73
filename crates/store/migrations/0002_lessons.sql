-- Texts that a tenant's people labelled, to teach the embedded model. The key is the digest of kind and text: a text has one label.
CREATE TABLE labelled_text (
    tenant_id {int} NOT NULL,
    digest {text} NOT NULL,
    kind {text} NOT NULL,
    body {text} NOT NULL,
    label {text} NOT NULL,
    labelled_by {text} NOT NULL,
    labelled_at {time} NOT NULL,
    PRIMARY KEY (tenant_id, digest)
){end};

-- What was learnt from them, version by version. At most one is in force.
CREATE TABLE lesson (
    tenant_id {int} NOT NULL,
    version {int} NOT NULL,
    model_version {text} NOT NULL,
    body {text} NOT NULL,
    trial {json} NOT NULL,
    made_by {text} NOT NULL,
    made_at {time} NOT NULL,
    active {bool} NOT NULL,
    PRIMARY KEY (tenant_id, version)
){end};
CREATE UNIQUE INDEX lesson_active ON lesson (tenant_id) WHERE active;

-- Corrections are labels too; they are looked for among many sentiments.
CREATE INDEX interaction_sentiment_corrected ON interaction_sentiment (tenant_id, interaction_id) WHERE human_override_label IS NOT NULL;
