-- Whether an anomaly is open on a snapshot. What was there before has none.

ALTER TABLE snapshots ADD COLUMN sound boolean NOT NULL DEFAULT true;
COMMENT ON COLUMN snapshots.sound IS 'no anomaly was found, or a person decided that it is good: it takes tiers, and counts as last-good';
COMMENT ON COLUMN snapshots.clean IS 'no warnings: a period whose tier only an unclean one has is taken once more by a clean one';
