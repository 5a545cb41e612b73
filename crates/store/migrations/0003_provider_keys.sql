-- Keys that a tenant has of its own for a provider of language models. Sealed: nonce, cipher text and tag in hexadecimal digits, bound to
-- tenant_id, provider and base_url; key_id names the master key that opens it, which is never in the database.
CREATE TABLE provider_key (
    tenant_id {int} NOT NULL,
    provider {text} NOT NULL,
    -- The address the key is used at; NULL is the provider's own.
    base_url {text},
    key_id {text} NOT NULL,
    last_four {text},
    set_by {text} NOT NULL,
    set_at {time} NOT NULL,
    sealed {text} NOT NULL,
    PRIMARY KEY (tenant_id, provider)
){end};
