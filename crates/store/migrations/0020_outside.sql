-- What of the summary may leave: without what names a person or opens a door. None where nobody redacted it, as before this step.
ALTER TABLE interaction_sentiment ADD COLUMN outside_summary {text};
