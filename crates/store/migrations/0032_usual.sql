-- When a customer turned low anew: whoever writes again while they are low makes no incident last. Not known of those from before.
ALTER TABLE surge ADD COLUMN turned_at {time};
-- How many customers turned low anew about a category in each window of the tenant's days: what is usual at that time of day. A window is so
-- many minutes long, and they are counted from midnight. What was counted by whole days said nothing of busy hours.
DROP TABLE surge_daily;
CREATE TABLE surge_usual (
    tenant_id {int} NOT NULL,
    category {text} NOT NULL,
    minutes {int} NOT NULL,
    slot {int} NOT NULL,
    day {day} NOT NULL,
    customers {int} NOT NULL,
    PRIMARY KEY (tenant_id, category, minutes, slot, day)
){clustered};
CREATE INDEX surge_usual_age ON surge_usual (tenant_id, day);
