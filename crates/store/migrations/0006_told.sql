-- Of which cap told_tokens and told_micros tell, the highest of the day or month: a cap that is raised above it is told of anew.
ALTER TABLE ai_budget ADD COLUMN told_tokens_cap {int} NOT NULL DEFAULT 0;
ALTER TABLE ai_budget ADD COLUMN told_micros_cap {int} NOT NULL DEFAULT 0;
