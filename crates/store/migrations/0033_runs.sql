-- Which scorers texts were put to of late is told to customers: by when runs ended, so that it does not hang on how many there ever were.
CREATE INDEX backfill_run_ended ON backfill_run (tenant_id, ended_at);
