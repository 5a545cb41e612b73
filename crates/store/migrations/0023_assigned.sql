-- Who looks for what is theirs to take care of does not read everybody's.
CREATE INDEX alert_assigned ON alert (tenant_id, assigned_to, id) WHERE assigned_to IS NOT NULL;
