-- What S3 no longer shows: believed only after several askings, and told of the snapshots that lost it.

ALTER TABLE objects
    ADD COLUMN absent_askings  integer NOT NULL DEFAULT 0 CHECK (absent_askings >= 0),
    ADD COLUMN absent_since    timestamptz,
    ADD COLUMN absent_asked_at timestamptz,
    ADD CONSTRAINT objects_absent_check CHECK ((absent_askings > 0) = (absent_since IS NOT NULL AND absent_asked_at IS NOT NULL));
COMMENT ON COLUMN objects.absent_askings IS 'how often in a row S3 had no such version, neither by name nor in the listing of its key';
COMMENT ON COLUMN objects.missing_since IS 'since when S3 has no such version, believed after several askings; a later sighting clears it';
CREATE INDEX objects_absent ON objects (source_id) WHERE absent_askings > 0 OR missing_since IS NOT NULL;
-- Read beside a listing, which has an object's kind and hash in its keys, in this order.
CREATE INDEX objects_by_key ON objects (source_id, kind, hash);

ALTER TABLE snapshots
    DROP CONSTRAINT snapshots_state_check,
    ADD CONSTRAINT snapshots_state_check CHECK (state IN ('locking', 'complete', 'expired', 'broken'));
COMMENT ON COLUMN snapshots.state IS 'broken: an object that it needs vanished between its number and its commit record';

ALTER TABLE backup_sets
    ADD COLUMN compliance_proven_at timestamptz,
    ADD COLUMN compliance_tried_at  timestamptz;
COMMENT ON COLUMN backup_sets.compliance_proven_at IS 'when S3 refused to shorten a COMPLIANCE lock of the set that it had just extended';
