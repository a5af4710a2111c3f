-- What a run commits: its request, and its change in pages. Both go when the run ends, or when the ledger has the change.

CREATE TABLE commit_requests (
    tenant_id uuid NOT NULL REFERENCES tenants,
    run_id    uuid NOT NULL PRIMARY KEY,
    request   jsonb NOT NULL,
    FOREIGN KEY (tenant_id, run_id) REFERENCES runs (tenant_id, id)
);

CREATE TABLE commit_pages (
    tenant_id  uuid NOT NULL REFERENCES tenants,
    run_id     uuid NOT NULL,
    number     integer NOT NULL CHECK (number BETWEEN 0 AND 999),
    section    smallint NOT NULL,
    entries    integer NOT NULL CHECK (entries BETWEEN 1 AND 4000),
    last_hash  bytea NOT NULL CHECK (length(last_hash) = 32),
    digest     bytea NOT NULL CHECK (length(digest) = 32),
    content    bytea NOT NULL CHECK (length(content) <= 200000),
    PRIMARY KEY (run_id, number),
    FOREIGN KEY (tenant_id, run_id) REFERENCES runs (tenant_id, id)
);
COMMENT ON COLUMN commit_pages.section IS 'what it holds, and the order of the pages: 1 added, 2 dropped, 3 worn';
COMMENT ON COLUMN commit_pages.last_hash IS 'the next page of the section begins after it';
COMMENT ON COLUMN commit_pages.digest IS 'hash of the content: the same page may be sent again, another under its number may not';
-- Hashes do not compress.
ALTER TABLE commit_pages ALTER COLUMN content SET STORAGE EXTERNAL;

COMMENT ON COLUMN runs.commit_request IS 'no longer written or read: commit_requests and commit_pages took its place';

-- What the objects come to that the newest snapshot of a large source needs, so that a commit counts what it changes and not
-- all that is there. It follows from the ledger: a row may be deleted at any time, and must be when the ledger is changed
-- otherwise than by a commit.
CREATE TABLE set_sums (
    tenant_id uuid NOT NULL REFERENCES tenants,
    source_id uuid NOT NULL PRIMARY KEY,
    seq       bigint NOT NULL CHECK (seq > 0),
    content   bytea NOT NULL,
    FOREIGN KEY (tenant_id, source_id) REFERENCES sources (tenant_id, id)
);
COMMENT ON COLUMN set_sums.seq IS 'the snapshot; of any other it says nothing';
ALTER TABLE set_sums ALTER COLUMN content SET STORAGE EXTERNAL;

DO $$
DECLARE name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['commit_requests', 'commit_pages', 'set_sums'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY tenant ON %I USING (tenant_id = app_tenant()) WITH CHECK (tenant_id = app_tenant())', name);
    END LOOP;
END $$;
