-- A run that failed for the store's or the network's sake is queued again, and waits.
ALTER TABLE runs ADD COLUMN not_before timestamptz;
ALTER TABLE runs ADD COLUMN retries integer NOT NULL DEFAULT 0;
COMMENT ON COLUMN runs.not_before IS 'of a queued run: no agent takes it before; cleared when that has come';
COMMENT ON COLUMN runs.retries IS 'runs before this one that failed in a row, each of which had it queued again';
