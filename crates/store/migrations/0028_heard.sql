-- Who heard of an alert: the users who were told of it, and the destinations that took it. Its end is told to them whatever the visibility
-- policy says by then. It stays when the alert is erased, and holds nothing of the customer.
CREATE TABLE alert_heard (
    tenant_id {int} NOT NULL,
    alert_id {text} NOT NULL,
    -- A user or a destination, by id.
    who {text} NOT NULL,
    at {time} NOT NULL,
    PRIMARY KEY (tenant_id, alert_id, who)
){clustered};
CREATE INDEX alert_heard_age ON alert_heard (tenant_id, at);
INSERT INTO alert_heard (tenant_id, alert_id, who, at) SELECT n.tenant_id, n.subject_id, i.user_id, MIN(n.created_at) FROM inbox_item i JOIN notice n ON n.tenant_id = i.tenant_id AND n.position = i.position WHERE n.event IN ('alert.raised', 'alert.reminded', 'alert.escalated') GROUP BY n.tenant_id, n.subject_id, i.user_id;
INSERT INTO alert_heard (tenant_id, alert_id, who, at) SELECT d.tenant_id, d.subject_id, d.destination_id, MIN(d.created_at) FROM delivery d WHERE d.event IN ('alert.raised', 'alert.reminded', 'alert.escalated') AND d.state = 'delivered' GROUP BY d.tenant_id, d.subject_id, d.destination_id;
-- When an e-mail was due at first, from which its three days count; it is tried later.
ALTER TABLE mail ADD COLUMN due_at {time};
UPDATE mail SET due_at = CASE WHEN attempts = 0 THEN next_at ELSE created_at END;
-- When people were told of an alert; of one that an incident holds nobody was.
ALTER TABLE alert ADD COLUMN told_at {time};
UPDATE alert SET told_at = raised_at WHERE state <> 'held';
