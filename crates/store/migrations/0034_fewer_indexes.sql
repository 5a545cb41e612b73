-- Each message, and each event, was written into indexes that little or nothing asks for: what waits too long is found among what waits for
-- its destination, and old events go by their place.
DROP INDEX delivery_waiting;
DROP INDEX outbox_age;
-- What has no place yet stands in an index of its own, by which the first of it is found. Where it stood here too, SQLite took this one, and
-- sorted all that waited for every few events that were placed.
DROP INDEX outbox_position;
CREATE UNIQUE INDEX outbox_position ON outbox (tenant_id, position) WHERE position IS NOT NULL;
