-- The model that the tenant's LLMs are asked for where a module chose none; NULL is the provider's, where one is known.
ALTER TABLE tenant ADD COLUMN llm_model {text};
