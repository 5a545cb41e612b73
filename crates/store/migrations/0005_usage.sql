-- What LLM calls took is counted call by call since 0004, in ai_call, ai_usage and ai_budget. Before that nothing was ever counted here:
-- no scorer asked an LLM.
DROP TABLE ai_usage_day;
