-- A number that begins with 00 is kept as one that begins with +, as it is looked for. Where the customer has both, one of them goes; where
-- another customer has the other, both stay, and an erasure by the number finds both.
DELETE FROM customer_alias WHERE kind = 'phone' AND value LIKE '00_%' AND EXISTS (SELECT 1 FROM customer_alias o WHERE o.tenant_id = customer_alias.tenant_id AND o.kind = 'phone' AND o.value = '+' || substr(customer_alias.value, 3) AND o.customer_id = customer_alias.customer_id);
UPDATE customer_alias SET value = '+' || substr(value, 3) WHERE kind = 'phone' AND value LIKE '00_%' AND NOT EXISTS (SELECT 1 FROM customer_alias o WHERE o.tenant_id = customer_alias.tenant_id AND o.kind = 'phone' AND o.value = '+' || substr(customer_alias.value, 3));
