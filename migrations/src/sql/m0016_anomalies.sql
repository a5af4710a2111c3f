-- What makes a snapshot suspicious beside the last sound one, and what a person said of it.
ALTER TABLE snapshots
    ADD COLUMN anomalies jsonb NOT NULL DEFAULT '[]',
    ADD COLUMN judgement text CHECK (judgement IN ('good', 'bad')),
    ADD COLUMN judged_at timestamptz,
    ADD CHECK ((judgement IS NULL) = (judged_at IS NULL)),
    ADD CHECK (judgement IS NULL OR sound = (judgement = 'good'));
COMMENT ON COLUMN snapshots.anomalies IS 'what of it differs from the newest sound snapshot before, by path of the source';
COMMENT ON COLUMN snapshots.judgement IS 'what a person decided of a snapshot that is not sound';
COMMENT ON COLUMN snapshots.pinned IS 'no longer written or read: the newest sound snapshots never lapse, and open restores hold theirs';

-- What lay below each path of the source, by agents that tell it: what the next snapshot is compared with.
CREATE TABLE snapshot_paths (
    tenant_id   uuid NOT NULL REFERENCES tenants,
    snapshot_id uuid NOT NULL PRIMARY KEY,
    paths       jsonb NOT NULL,
    FOREIGN KEY (tenant_id, snapshot_id) REFERENCES snapshots (tenant_id, id)
);
ALTER TABLE snapshot_paths ENABLE ROW LEVEL SECURITY;
ALTER TABLE snapshot_paths FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON snapshot_paths USING (tenant_id = app_tenant()) WITH CHECK (tenant_id = app_tenant());
