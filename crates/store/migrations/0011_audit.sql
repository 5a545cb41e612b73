-- The audit log as a chain of digests, sealed per tenant; see docs/decisions/0023. What an entry says never changes: its payload may go, and it
-- gets its place in the chain once. Entries go only up to a checkpoint, which keeps the digest that the rest of the chain begins with.
ALTER TABLE audit_log ADD COLUMN from_address {text};
-- What the digest of a payload begins with, so that nobody finds an erased payload by trying what it may have been. Goes with the payload.
ALTER TABLE audit_log ADD COLUMN payload_salt {text};
ALTER TABLE audit_log ADD COLUMN seq {int};
ALTER TABLE audit_log ADD COLUMN digest {text};
CREATE UNIQUE INDEX audit_log_chain ON audit_log (tenant_id, seq) WHERE seq IS NOT NULL;
CREATE INDEX audit_log_unsealed ON audit_log (tenant_id, id) WHERE seq IS NULL;
CREATE INDEX audit_log_time ON audit_log (tenant_id, at, id);
CREATE INDEX audit_log_actor ON audit_log (tenant_id, actor, at, id);
CREATE INDEX audit_log_action ON audit_log (tenant_id, action, at, id);
CREATE INDEX audit_log_subject ON audit_log (tenant_id, subject, at, id);

-- Where a tenant's chain ends. Whoever seals holds this row.
CREATE TABLE audit_chain (
    tenant_id {int} PRIMARY KEY REFERENCES tenant (id),
    seq {int} NOT NULL,
    digest {text} NOT NULL,
    sealed_at {time}
){end};

-- Entries up to seq were removed when their time was over.
CREATE TABLE audit_checkpoint (
    tenant_id {int} NOT NULL REFERENCES tenant (id),
    seq {int} NOT NULL,
    digest {text} NOT NULL,
    removed {int} NOT NULL,
    created_at {time} NOT NULL,
    PRIMARY KEY (tenant_id, seq)
){end};

{on sqlite} CREATE TRIGGER audit_log_keeps BEFORE UPDATE ON audit_log WHEN
    NEW.tenant_id IS NOT OLD.tenant_id OR NEW.id IS NOT OLD.id OR NEW.at IS NOT OLD.at OR NEW.actor IS NOT OLD.actor
    OR NEW.action IS NOT OLD.action OR NEW.subject IS NOT OLD.subject OR NEW.from_address IS NOT OLD.from_address
    OR NEW.payload_digest IS NOT OLD.payload_digest OR (NEW.payload IS NOT NULL AND NEW.payload IS NOT OLD.payload)
    OR (NEW.payload_salt IS NOT OLD.payload_salt AND (NEW.payload_salt IS NOT NULL OR NEW.payload IS NOT NULL))
    OR (OLD.seq IS NOT NULL AND (NEW.seq IS NOT OLD.seq OR NEW.digest IS NOT OLD.digest)) OR (NEW.seq IS NULL) <> (NEW.digest IS NULL)
    BEGIN SELECT RAISE(ABORT, 'the audit log is append-only: an entry is not changed'); END;
{on sqlite} CREATE TRIGGER audit_log_forgets_salt AFTER UPDATE OF payload ON audit_log WHEN NEW.payload IS NULL AND NEW.payload_salt IS NOT NULL
    BEGIN UPDATE audit_log SET payload_salt = NULL WHERE tenant_id = NEW.tenant_id AND id = NEW.id; END;
{on sqlite} CREATE TRIGGER audit_log_stays BEFORE DELETE ON audit_log WHEN
    OLD.seq IS NULL OR OLD.seq > COALESCE((SELECT MAX(seq) FROM audit_checkpoint WHERE tenant_id = OLD.tenant_id), 0)
    BEGIN SELECT RAISE(ABORT, 'the audit log is append-only: an entry goes only with a checkpoint'); END;
{on sqlite} CREATE TRIGGER audit_checkpoint_fits BEFORE INSERT ON audit_checkpoint WHEN NOT EXISTS
    (SELECT 1 FROM audit_log WHERE tenant_id = NEW.tenant_id AND seq = NEW.seq AND digest = NEW.digest)
    BEGIN SELECT RAISE(ABORT, 'a checkpoint of the audit log has the digest of its entry'); END;
{on sqlite} CREATE TRIGGER audit_checkpoint_keeps BEFORE UPDATE ON audit_checkpoint
    BEGIN SELECT RAISE(ABORT, 'a checkpoint of the audit log is not changed'); END;
{on sqlite} CREATE TRIGGER audit_checkpoint_stays BEFORE DELETE ON audit_checkpoint
    BEGIN SELECT RAISE(ABORT, 'a checkpoint of the audit log stays'); END;

{on postgres} CREATE FUNCTION audit_log_keeps() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF NEW.payload IS NULL THEN NEW.payload_salt := NULL; END IF; IF
    NEW.tenant_id IS DISTINCT FROM OLD.tenant_id OR NEW.id IS DISTINCT FROM OLD.id OR NEW.at IS DISTINCT FROM OLD.at
    OR NEW.actor IS DISTINCT FROM OLD.actor OR NEW.action IS DISTINCT FROM OLD.action OR NEW.subject IS DISTINCT FROM OLD.subject
    OR NEW.from_address IS DISTINCT FROM OLD.from_address OR NEW.payload_digest IS DISTINCT FROM OLD.payload_digest
    OR (NEW.payload IS NOT NULL AND (NEW.payload IS DISTINCT FROM OLD.payload OR NEW.payload_salt IS DISTINCT FROM OLD.payload_salt))
    OR (OLD.seq IS NOT NULL AND (NEW.seq IS DISTINCT FROM OLD.seq OR NEW.digest IS DISTINCT FROM OLD.digest))
    OR (NEW.seq IS NULL) <> (NEW.digest IS NULL)
    THEN RAISE EXCEPTION 'the audit log is append-only: an entry is not changed'; END IF; RETURN NEW; END $$;
{on postgres} CREATE FUNCTION audit_log_stays() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF OLD.seq IS NULL OR OLD.seq > COALESCE((SELECT MAX(seq) FROM audit_checkpoint WHERE tenant_id = OLD.tenant_id), 0)
    THEN RAISE EXCEPTION 'the audit log is append-only: an entry goes only with a checkpoint'; END IF; RETURN OLD; END $$;
{on postgres} CREATE FUNCTION audit_checkpoint_fits() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF NOT EXISTS (SELECT 1 FROM audit_log WHERE tenant_id = NEW.tenant_id AND seq = NEW.seq AND digest = NEW.digest)
    THEN RAISE EXCEPTION 'a checkpoint of the audit log has the digest of its entry'; END IF; RETURN NEW; END $$;
{on postgres} CREATE FUNCTION audit_log_refuses() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    RAISE EXCEPTION 'the audit log and its checkpoints stay'; END $$;
{on postgres} CREATE TRIGGER audit_log_keeps BEFORE UPDATE ON audit_log FOR EACH ROW EXECUTE FUNCTION audit_log_keeps();
{on postgres} CREATE TRIGGER audit_log_stays BEFORE DELETE ON audit_log FOR EACH ROW EXECUTE FUNCTION audit_log_stays();
{on postgres} CREATE TRIGGER audit_log_is_not_emptied BEFORE TRUNCATE ON audit_log FOR EACH STATEMENT EXECUTE FUNCTION audit_log_refuses();
{on postgres} CREATE TRIGGER audit_checkpoint_fits BEFORE INSERT ON audit_checkpoint FOR EACH ROW EXECUTE FUNCTION audit_checkpoint_fits();
{on postgres} CREATE TRIGGER audit_checkpoint_stays BEFORE UPDATE OR DELETE ON audit_checkpoint FOR EACH ROW EXECUTE FUNCTION audit_log_refuses();
{on postgres} CREATE TRIGGER audit_checkpoint_is_not_emptied BEFORE TRUNCATE ON audit_checkpoint FOR EACH STATEMENT EXECUTE FUNCTION audit_log_refuses();
