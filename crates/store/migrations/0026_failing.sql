-- Since when a destination is away, and when people were told that it takes nothing: once each time, however its failures and refusals mix.
ALTER TABLE destination ADD COLUMN away_since {time};
ALTER TABLE destination ADD COLUMN failing_told_at {time};
UPDATE destination SET away_since = failing_since WHERE resume_at IS NOT NULL;
UPDATE destination SET failing_told_at = updated_at WHERE failing_since IS NOT NULL AND (failures >= 8 OR resume_at IS NULL AND failures >= 3);
-- What failed, and what waits, are few among many that arrive: a page of them costs what it shows. So does the search for an earlier message
-- about the same thing, and for what waits too long.
CREATE INDEX delivery_failed ON delivery (tenant_id, destination_id, id) WHERE state = 'failed';
CREATE INDEX delivery_pending ON delivery (tenant_id, destination_id, id) WHERE state = 'pending';
CREATE INDEX delivery_turn ON delivery (tenant_id, destination_id, subject_id, id) WHERE state = 'pending';
DROP INDEX delivery_waiting;
CREATE INDEX delivery_waiting ON delivery (tenant_id, state, created_at) WHERE state = 'pending';
