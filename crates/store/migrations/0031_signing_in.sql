-- Which log-in or session a second factor is set up in, as a digest: nobody else is shown its seed, and a first code counts there only.
ALTER TABLE second_factor ADD COLUMN set_up_by {text};
-- Seeds of earlier versions that nobody confirmed were shown to whoever came next.
DELETE FROM second_factor WHERE confirmed_at IS NULL;

-- Browsers in which somebody logged in: they may try that person's password while strangers have locked the address. See docs/decisions/0019.
CREATE TABLE known_browser (
    token_digest {text} PRIMARY KEY,
    user_id {text} NOT NULL REFERENCES app_user (id),
    expires_at {time} NOT NULL
){end};
CREATE INDEX known_browser_user ON known_browser (user_id, expires_at);
CREATE INDEX known_browser_expiry ON known_browser (expires_at);
