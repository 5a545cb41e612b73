-- The latest that a customer said, whenever it was scored: whether they are still low.
CREATE INDEX interaction_sentiment_occurred ON interaction_sentiment (tenant_id, customer_id, occurred_at, interaction_id);

-- How often in a row a customer turned low within the window; 1: they turned low anew.
ALTER TABLE surge ADD COLUMN times {int} NOT NULL DEFAULT 1;

-- Customers who turned low about a category on each of the tenant's days: what is usual.
CREATE TABLE surge_daily (
    tenant_id {int} NOT NULL,
    category {text} NOT NULL,
    day {day} NOT NULL,
    customers {int} NOT NULL,
    PRIMARY KEY (tenant_id, category, day)
){clustered};
