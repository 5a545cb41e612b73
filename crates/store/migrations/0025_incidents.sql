-- What an incident has let go so far: it does so in slices.
ALTER TABLE incident ADD COLUMN still_low {int} NOT NULL DEFAULT 0;
ALTER TABLE incident ADD COLUMN no_longer_low {int} NOT NULL DEFAULT 0;
-- Whom an alert is about, as the cooldown has it: the customer, or of nobody known the conversation or the channel. Of those from before
-- only what is held has it.
ALTER TABLE alert ADD COLUMN cooldown_key {text};
UPDATE alert SET cooldown_key = COALESCE(customer_id, (SELECT 'conversation:' || i.conversation_id FROM interaction i WHERE i.tenant_id = alert.tenant_id AND i.id = alert.interaction_id), 'channel:' || channel) WHERE state = 'held';
CREATE INDEX alert_held ON alert (tenant_id, incident_id, cooldown_key) WHERE state = 'held';
