-- Sweep and groom: what the planner must know, and what it decided.
--
-- The server before this step still runs on it: nothing is taken away, and what is new has a default.

ALTER TABLE backup_sets
    ALTER COLUMN lock_ahead_days DROP NOT NULL,
    ADD COLUMN time_zone text NOT NULL DEFAULT 'UTC',
    ADD COLUMN tiers     jsonb NOT NULL DEFAULT '[]',
    ADD COLUMN keep_last integer NOT NULL DEFAULT 1 CHECK (keep_last > 0);
COMMENT ON COLUMN backup_sets.lock_ahead_days IS 'Q; null: reckoned for each source';

ALTER TABLE storage_accounts ADD COLUMN provider jsonb;
COMMENT ON COLUMN storage_accounts.provider IS 'abilities and prices; null: those of Amazon S3 Standard';

ALTER TABLE sources
    ADD COLUMN retired_at      timestamptz,
    ADD COLUMN next_sweep_at   timestamptz,
    ADD COLUMN lock_ahead_days integer CHECK (lock_ahead_days > 0);
COMMENT ON COLUMN sources.next_sweep_at IS 'null: never swept, so due';
COMMENT ON COLUMN sources.lock_ahead_days IS 'Q as the last sweep reckoned it';

ALTER TABLE snapshots
    DROP CONSTRAINT snapshots_state_check,
    ADD CONSTRAINT snapshots_state_check CHECK (state IN ('locking', 'complete', 'expired')),
    ADD COLUMN tiers      jsonb NOT NULL DEFAULT '[]',
    ADD COLUMN clean      boolean NOT NULL DEFAULT true,
    ADD COLUMN pinned     boolean NOT NULL DEFAULT false,
    ADD COLUMN expired_at timestamptz,
    ADD CONSTRAINT snapshots_expired_check CHECK ((state = 'expired') = (expired_at IS NOT NULL));
-- Not an UPDATE: row-level security binds the schema's owner too, and would show it no row.
ALTER TABLE snapshots
    ALTER COLUMN clean TYPE boolean USING COALESCE((totals ->> 'warnings')::bigint, 0) = 0;
COMMENT ON COLUMN snapshots.clean IS 'no warnings: it uses the periods of its tiers up';
COMMENT ON COLUMN snapshots.pinned IS 'held by an anomaly until a person decides; open restores hold it too';
COMMENT ON COLUMN snapshots.protected_until IS 'the promise, as S3 last confirmed it for all that the snapshot needs';

ALTER TABLE objects
    DROP CONSTRAINT objects_state_check,
    ADD CONSTRAINT objects_state_check CHECK (state IN ('pending', 'live', 'deleting', 'unknown')),
    DROP CONSTRAINT objects_check1,
    ADD CONSTRAINT objects_live_check CHECK (state <> 'live'
        OR (version_id IS NOT NULL AND locked_until IS NOT NULL AND born IS NOT NULL)),
    ADD COLUMN live_bytes      bigint CHECK (live_bytes >= 0),
    ADD COLUMN add_again_since timestamptz;
COMMENT ON COLUMN objects.live_bytes IS 'how much of it the newest snapshot still uses; null: not known, taken for all of it';
COMMENT ON COLUMN objects.add_again_since IS 'since when the next run is asked to add its data again instead of reusing it';
CREATE INDEX objects_by_lock ON objects (source_id, locked_until) WHERE state <> 'deleting';
CREATE INDEX objects_deleting ON objects (source_id) WHERE state = 'deleting';
CREATE INDEX objects_not_reused ON objects (source_id)
    WHERE state = 'live' AND dropped IS NULL AND (missing_since IS NOT NULL OR add_again_since IS NOT NULL);

-- Versions that Holdfast put and that a later one under the same key took the place of: nothing needs them, and they go
-- when their lock ends.
CREATE TABLE spare_versions (
    tenant_id    uuid NOT NULL REFERENCES tenants,
    source_id    uuid NOT NULL,
    key          text NOT NULL,
    version_id   text NOT NULL,
    size_bytes   bigint NOT NULL CHECK (size_bytes >= 0),
    locked_until timestamptz NOT NULL,
    deleting     boolean NOT NULL DEFAULT false,
    PRIMARY KEY (source_id, key, version_id),
    FOREIGN KEY (tenant_id, source_id) REFERENCES sources (tenant_id, id)
);

CREATE TABLE sweeps (
    -- Counts up: sweeps are told apart also when a clock was set back.
    id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id uuid NOT NULL REFERENCES tenants,
    source_id uuid NOT NULL,
    began_at  timestamptz NOT NULL,
    ended_at  timestamptz NOT NULL,
    report    jsonb NOT NULL,
    FOREIGN KEY (tenant_id, source_id) REFERENCES sources (tenant_id, id)
);
CREATE INDEX sweeps_newest ON sweeps (source_id, id DESC);

-- Jobs that work on one source run one at a time.
ALTER TABLE jobs ADD COLUMN source_id uuid;
CREATE UNIQUE INDEX jobs_one_of_source ON jobs (source_id) WHERE state = 'running';

DO $$
DECLARE name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['spare_versions', 'sweeps'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY tenant ON %I USING (tenant_id = app_tenant()) WITH CHECK (tenant_id = app_tenant())', name);
    END LOOP;
END $$;

-- The ledger forgets only what was set to `deleting` in a transaction before.
CREATE POLICY groomed ON objects AS RESTRICTIVE FOR DELETE USING (state = 'deleting');
CREATE POLICY groomed ON spare_versions AS RESTRICTIVE FOR DELETE USING (deleting);
