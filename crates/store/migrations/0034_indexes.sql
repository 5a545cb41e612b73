-- Each message, event, notice and alert was written into indexes that nothing asks for, or that others serve as well: what waits too long is
-- found among what waits for its destination, and what is old goes by its place or its id.
DROP INDEX delivery_waiting;
DROP INDEX delivery_age;
DROP INDEX outbox_age;
DROP INDEX mail_age;
DROP INDEX mail_letter;
DROP INDEX notice_interaction;
DROP INDEX incident_age;
DROP INDEX tombstone_digest;
-- What is sent again is a stretch of time of one destination.
CREATE INDEX delivery_made ON delivery (tenant_id, destination_id, created_at, id);
-- What waits for one person is little beside all that they got.
CREATE INDEX mail_pending ON mail (tenant_id, user_id, position) WHERE state = 'pending';
-- What was corrected is read latest first.
DROP INDEX interaction_sentiment_corrected;
CREATE INDEX interaction_sentiment_corrected ON interaction_sentiment (tenant_id, human_override_at, interaction_id)
    WHERE human_override_label IS NOT NULL;
-- What has no place yet stands in an index of its own, by which the first of it is found. Where it stood here too, SQLite took this one, and
-- sorted all that waited for every few events that were placed.
DROP INDEX outbox_position;
CREATE UNIQUE INDEX outbox_position ON outbox (tenant_id, position) WHERE position IS NOT NULL;
