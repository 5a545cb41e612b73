-- What agents write in a conversation counts for everybody who writes in it. See docs/decisions/0021.
CREATE INDEX conversation_guest_conversation ON conversation_guest (tenant_id, conversation_id);
-- So all contacts are counted anew.
UPDATE agent_numbers SET counted_to = '' WHERE is_on;
