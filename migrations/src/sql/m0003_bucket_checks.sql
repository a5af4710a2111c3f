-- Rebuilding a ledger from the bucket, and the server's own periodic look into it.

-- What a rebuild does not find in the bucket has no version and no lock, and snapshots need it all the same.
ALTER TABLE objects
    DROP CONSTRAINT objects_live_check,
    ADD CONSTRAINT objects_live_check CHECK (state <> 'live' OR (born IS NOT NULL
        AND (missing_since IS NOT NULL OR (version_id IS NOT NULL AND locked_until IS NOT NULL))));

-- A commit waits for its snapshot's promise, and for nothing else.
ALTER TABLE snapshots DROP COLUMN lock_need;

ALTER TABLE backup_sets ADD COLUMN next_check_at timestamptz;
COMMENT ON COLUMN backup_sets.next_check_at IS 'when the bucket is compared with the ledger next; null: not planned yet';

-- The server's periodic comparison of a bucket with the ledger.
CREATE TABLE bucket_checks (
    -- Counts up: checks are told apart also when a clock was set back.
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id     uuid NOT NULL REFERENCES tenants,
    backup_set_id uuid NOT NULL,
    began_at      timestamptz NOT NULL,
    ended_at      timestamptz NOT NULL,
    report        jsonb NOT NULL,
    FOREIGN KEY (tenant_id, backup_set_id) REFERENCES backup_sets (tenant_id, id)
);
CREATE INDEX bucket_checks_newest ON bucket_checks (backup_set_id, id DESC);

-- What the last one found that is not as it should be; gone from here when a later one no longer finds it.
CREATE TABLE bucket_findings (
    tenant_id     uuid NOT NULL REFERENCES tenants,
    backup_set_id uuid NOT NULL,
    source_id     uuid NOT NULL,
    key           text NOT NULL,
    version_id    text NOT NULL,
    kind          text NOT NULL,
    needed        boolean NOT NULL,
    detail        text NOT NULL,
    first_seen_at timestamptz NOT NULL,
    last_seen_at  timestamptz NOT NULL,
    PRIMARY KEY (source_id, key, version_id, kind),
    FOREIGN KEY (tenant_id, backup_set_id) REFERENCES backup_sets (tenant_id, id),
    FOREIGN KEY (tenant_id, source_id) REFERENCES sources (tenant_id, id)
);
CREATE INDEX bucket_findings_of_set ON bucket_findings (backup_set_id);
COMMENT ON COLUMN bucket_findings.needed IS 'a snapshot that is kept needs it';

DO $$
DECLARE name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['bucket_checks', 'bucket_findings'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY tenant ON %I USING (tenant_id = app_tenant()) WITH CHECK (tenant_id = app_tenant())', name);
    END LOOP;
END $$;
