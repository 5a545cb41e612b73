-- Something about the text or the LLM's answer made this verdict suspicious: it is checked whatever the tenant's shares are.
ALTER TABLE review_item ADD COLUMN suspicious {bool} NOT NULL DEFAULT FALSE;
CREATE INDEX review_item_suspicious ON review_item (tenant_id, id) WHERE suspicious AND done_at IS NULL;
