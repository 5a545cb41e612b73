-- What names no customer in a conversation is the conversation's customer's. See docs/decisions/0024.
CREATE INDEX interaction_nobodys ON interaction (tenant_id, conversation_id, id) WHERE customer_id IS NULL AND conversation_id IS NOT NULL;

-- Conversations that became a customer's while more stood in them than goes over in one transaction: the rest follows.
CREATE TABLE conversation_backlog (
    tenant_id {int} NOT NULL,
    conversation_id {text} NOT NULL,
    PRIMARY KEY (tenant_id, conversation_id)
){clustered};

-- By what the conversations of erased customers were known, as digests keyed as tombstones are: what comes late into one is kept without words.
CREATE TABLE erased_conversation (
    tenant_id {int} NOT NULL,
    digest {text} NOT NULL,
    PRIMARY KEY (tenant_id, digest)
){clustered};

-- A conversation that was there before its customer was named stayed nobody's: it is the first one's who wrote in it. Not where it began before
-- all that stands in it: then somebody was erased who began it.
UPDATE conversation SET customer_id = (SELECT i.customer_id FROM interaction i WHERE i.tenant_id = conversation.tenant_id AND i.conversation_id = conversation.id AND i.customer_id IS NOT NULL ORDER BY i.id LIMIT 1)
    WHERE customer_id IS NULL
    AND EXISTS (SELECT 1 FROM interaction i WHERE i.tenant_id = conversation.tenant_id AND i.conversation_id = conversation.id AND i.customer_id IS NOT NULL)
    AND EXISTS (SELECT 1 FROM interaction i WHERE i.tenant_id = conversation.tenant_id AND i.conversation_id = conversation.id AND i.occurred_at = conversation.opened_at);
DELETE FROM conversation_guest WHERE EXISTS (SELECT 1 FROM conversation v WHERE v.tenant_id = conversation_guest.tenant_id AND v.id = conversation_guest.conversation_id AND v.customer_id = conversation_guest.customer_id);
-- What names nobody follows, with its counters, as everywhere.
INSERT INTO conversation_backlog (tenant_id, conversation_id) SELECT DISTINCT i.tenant_id, i.conversation_id FROM interaction i
    JOIN conversation v ON v.tenant_id = i.tenant_id AND v.id = i.conversation_id WHERE i.customer_id IS NULL AND v.customer_id IS NOT NULL;
