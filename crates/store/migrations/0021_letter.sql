-- The letter a mail goes in with others: set before it is first sent, so that a later try is the same letter. None: it is in none yet.
ALTER TABLE mail ADD COLUMN letter_id {text};
CREATE INDEX mail_letter ON mail (tenant_id, user_id, letter_id) WHERE letter_id IS NOT NULL AND state = 'pending';
