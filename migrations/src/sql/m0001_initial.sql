-- The first schema.
--
-- Tenancy has two walls. The second one is here: every table that belongs to a tenant has row-level security,
-- bound to the transaction's setting `app.tenant_id`. The server's own role owns nothing and bypasses nothing.
-- Foreign keys are checked without row-level security, so those inside a tenant carry the tenant's id too.
-- An unset setting reads as NULL or, on a reused connection, as an empty string: both see no row.

CREATE FUNCTION app_tenant() RETURNS uuid LANGUAGE sql STABLE PARALLEL SAFE
    AS $$ SELECT NULLIF(current_setting('app.tenant_id', true), '')::uuid $$;
CREATE FUNCTION app_user() RETURNS uuid LANGUAGE sql STABLE PARALLEL SAFE
    AS $$ SELECT NULLIF(current_setting('app.user_id', true), '')::uuid $$;
-- The instance scope: the list of tenants, and the job queue. Nothing that a tenant stores.
CREATE FUNCTION app_instance() RETURNS boolean LANGUAGE sql STABLE PARALLEL SAFE
    AS $$ SELECT COALESCE(current_setting('app.instance', true), '') = 'on' $$;

CREATE TABLE users (
    id            uuid PRIMARY KEY,
    email         text NOT NULL UNIQUE CHECK (email = lower(email)),
    password_hash text NOT NULL,
    operator      boolean NOT NULL,
    created_at    timestamptz NOT NULL
);

CREATE TABLE sessions (
    id         text PRIMARY KEY,
    user_id    uuid REFERENCES users ON DELETE CASCADE,
    data       jsonb NOT NULL,
    expires_at timestamptz NOT NULL
);
CREATE INDEX sessions_by_expiry ON sessions (expires_at);
CREATE INDEX sessions_by_user ON sessions (user_id);

CREATE TABLE tenants (
    id         uuid PRIMARY KEY,
    name       text NOT NULL UNIQUE CHECK (name <> ''),
    created_at timestamptz NOT NULL
);

CREATE TABLE memberships (
    tenant_id  uuid NOT NULL REFERENCES tenants,
    user_id    uuid NOT NULL REFERENCES users,
    role       text NOT NULL CHECK (role IN ('owner', 'technician', 'auditor')),
    created_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, user_id)
);
CREATE INDEX memberships_by_user ON memberships (user_id);

CREATE TABLE storage_accounts (
    id            uuid PRIMARY KEY,
    tenant_id     uuid NOT NULL REFERENCES tenants,
    name          text NOT NULL,
    endpoint      text NOT NULL,
    region        text NOT NULL,
    access_key    text NOT NULL,
    secret_sealed bytea NOT NULL,
    path_style    boolean NOT NULL,
    created_at    timestamptz NOT NULL,
    UNIQUE (tenant_id, id),
    UNIQUE (tenant_id, name)
);

CREATE TABLE backup_sets (
    id                 uuid PRIMARY KEY,
    tenant_id          uuid NOT NULL REFERENCES tenants,
    storage_account_id uuid NOT NULL,
    name               text NOT NULL,
    bucket             text NOT NULL,
    prefix             text NOT NULL,
    retention_days     integer NOT NULL CHECK (retention_days > 0),
    mode               text NOT NULL CHECK (mode IN ('compliance', 'governance')),
    lock_ahead_days    integer NOT NULL CHECK (lock_ahead_days > 0),
    grace_hours        integer NOT NULL CHECK (grace_hours > 0),
    lock_cap_days      integer NOT NULL CHECK (lock_cap_days >= retention_days),
    recovery_key       text NOT NULL,
    inspection         jsonb,
    created_at         timestamptz NOT NULL,
    UNIQUE (tenant_id, id),
    UNIQUE (tenant_id, name),
    FOREIGN KEY (tenant_id, storage_account_id) REFERENCES storage_accounts (tenant_id, id)
);

CREATE TABLE enrollment_tokens (
    id            uuid PRIMARY KEY,
    tenant_id     uuid NOT NULL REFERENCES tenants,
    backup_set_id uuid NOT NULL,
    secret_hash   bytea NOT NULL,
    created_by    text NOT NULL,
    created_at    timestamptz NOT NULL,
    expires_at    timestamptz NOT NULL,
    used_at       timestamptz,
    FOREIGN KEY (tenant_id, backup_set_id) REFERENCES backup_sets (tenant_id, id)
);

CREATE TABLE agents (
    id              uuid PRIMARY KEY,
    tenant_id       uuid NOT NULL REFERENCES tenants,
    backup_set_id   uuid NOT NULL,
    hostname        text NOT NULL,
    os              text NOT NULL,
    version         text NOT NULL,
    signing_key     text NOT NULL,
    credential_hash bytea NOT NULL,
    enrolled_at     timestamptz NOT NULL,
    last_seen_at    timestamptz,
    UNIQUE (tenant_id, id),
    FOREIGN KEY (tenant_id, backup_set_id) REFERENCES backup_sets (tenant_id, id)
);

CREATE TABLE sources (
    id            uuid PRIMARY KEY,
    tenant_id     uuid NOT NULL REFERENCES tenants,
    agent_id      uuid NOT NULL,
    backup_set_id uuid NOT NULL,
    name          text NOT NULL,
    paths         jsonb NOT NULL,
    excludes      jsonb NOT NULL,
    schedule      jsonb NOT NULL,
    next_due      timestamptz,
    newest_seq    bigint NOT NULL DEFAULT 0 CHECK (newest_seq >= 0),
    created_at    timestamptz NOT NULL,
    UNIQUE (tenant_id, id),
    UNIQUE (tenant_id, agent_id, name),
    FOREIGN KEY (tenant_id, agent_id) REFERENCES agents (tenant_id, id),
    FOREIGN KEY (tenant_id, backup_set_id) REFERENCES backup_sets (tenant_id, id)
);
CREATE INDEX sources_by_due ON sources (tenant_id, next_due);

CREATE TABLE runs (
    id              uuid PRIMARY KEY,
    tenant_id       uuid NOT NULL REFERENCES tenants,
    source_id       uuid NOT NULL,
    state           text NOT NULL CHECK (state IN ('queued', 'running', 'committing', 'locking', 'succeeded', 'failed')),
    created_at      timestamptz NOT NULL,
    started_at      timestamptz,
    deadline        timestamptz,
    reported_at     timestamptz,
    received_at     timestamptz,
    finished_at     timestamptz,
    progress        jsonb,
    commit_request  jsonb,
    confirmed       bigint NOT NULL DEFAULT 0,
    to_confirm      bigint NOT NULL DEFAULT 0,
    snapshot_id     uuid,
    error           text,
    UNIQUE (tenant_id, id),
    FOREIGN KEY (tenant_id, source_id) REFERENCES sources (tenant_id, id)
);
-- One run of a source at a time.
CREATE UNIQUE INDEX runs_one_open ON runs (source_id) WHERE state IN ('queued', 'running', 'committing', 'locking');
CREATE INDEX runs_newest ON runs (tenant_id, created_at DESC);

CREATE TABLE snapshots (
    id              uuid PRIMARY KEY,
    tenant_id       uuid NOT NULL REFERENCES tenants,
    source_id       uuid NOT NULL,
    run_id          uuid NOT NULL,
    seq             bigint NOT NULL CHECK (seq > 0),
    state           text NOT NULL CHECK (state IN ('locking', 'complete')),
    received_at     timestamptz NOT NULL,
    protected_until timestamptz NOT NULL,
    lock_need       timestamptz NOT NULL,
    mode            text NOT NULL CHECK (mode IN ('compliance', 'governance')),
    manifest_hash   bytea NOT NULL CHECK (length(manifest_hash) = 32),
    manifest_bytes  bigint NOT NULL,
    totals          jsonb NOT NULL,
    UNIQUE (tenant_id, id),
    UNIQUE (source_id, seq),
    FOREIGN KEY (tenant_id, source_id) REFERENCES sources (tenant_id, id),
    FOREIGN KEY (tenant_id, run_id) REFERENCES runs (tenant_id, id)
);
CREATE INDEX snapshots_newest ON snapshots (tenant_id, received_at DESC);

-- The ledger: an object is needed by the snapshots with born <= seq < dropped.
CREATE TABLE objects (
    tenant_id    uuid NOT NULL REFERENCES tenants,
    source_id    uuid NOT NULL,
    hash         bytea NOT NULL CHECK (length(hash) = 32),
    kind         smallint NOT NULL,
    size_bytes   bigint NOT NULL CHECK (size_bytes >= 0),
    content_md5  bytea NOT NULL CHECK (length(content_md5) = 16),
    state        text NOT NULL CHECK (state IN ('pending', 'live', 'deleting')),
    run_id       uuid NOT NULL,
    signed_until timestamptz NOT NULL,
    version_id   text,
    lock_mode    text CHECK (lock_mode IN ('compliance', 'governance')),
    locked_until timestamptz,
    confirmed_at timestamptz,
    missing_since timestamptz,
    born         bigint,
    dropped      bigint,
    PRIMARY KEY (source_id, hash),
    CHECK (dropped IS NULL OR born < dropped),
    CHECK (state = 'pending' OR (version_id IS NOT NULL AND locked_until IS NOT NULL AND born IS NOT NULL)),
    FOREIGN KEY (tenant_id, source_id) REFERENCES sources (tenant_id, id),
    FOREIGN KEY (tenant_id, run_id) REFERENCES runs (tenant_id, id)
);
COMMENT ON COLUMN objects.signed_until IS 'the retain-until date that was signed into the newest upload address';
COMMENT ON COLUMN objects.missing_since IS 'when S3 first said that this version is gone: its data enters the next backup again';
COMMENT ON COLUMN objects.locked_until IS 'the retain-until date that a HEAD of this version last showed';
CREATE INDEX objects_needed ON objects (source_id, locked_until) WHERE state = 'live' AND dropped IS NULL;

CREATE TABLE restores (
    id            uuid PRIMARY KEY,
    tenant_id     uuid NOT NULL REFERENCES tenants,
    snapshot_id   uuid NOT NULL,
    agent_id      uuid NOT NULL,
    state         text NOT NULL CHECK (state IN ('authorised', 'running', 'succeeded', 'failed')),
    authorised_by text NOT NULL,
    created_at    timestamptz NOT NULL,
    expires_at    timestamptz NOT NULL,
    finished_at   timestamptz,
    progress      jsonb,
    error         text,
    UNIQUE (tenant_id, id),
    FOREIGN KEY (tenant_id, snapshot_id) REFERENCES snapshots (tenant_id, id),
    FOREIGN KEY (tenant_id, agent_id) REFERENCES agents (tenant_id, id)
);
CREATE INDEX restores_newest ON restores (tenant_id, created_at DESC);

CREATE TABLE jobs (
    id          uuid PRIMARY KEY,
    tenant_id   uuid NOT NULL REFERENCES tenants,
    kind        text NOT NULL,
    subject     uuid NOT NULL,
    state       text NOT NULL CHECK (state IN ('ready', 'running')),
    run_at      timestamptz NOT NULL,
    lease_until timestamptz,
    attempt     integer NOT NULL DEFAULT 0,
    last_error  text,
    UNIQUE (kind, subject)
);
CREATE INDEX jobs_by_due ON jobs (run_at);

CREATE TABLE audit_events (
    id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id uuid REFERENCES tenants,
    at        timestamptz NOT NULL,
    actor     text NOT NULL,
    action    text NOT NULL,
    subject   text NOT NULL,
    detail    jsonb NOT NULL
);
CREATE INDEX audit_by_tenant ON audit_events (tenant_id, id DESC);

DO $$
DECLARE name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['storage_accounts', 'backup_sets', 'enrollment_tokens', 'agents', 'sources',
                                'runs', 'snapshots', 'objects', 'restores'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY tenant ON %I USING (tenant_id = app_tenant()) WITH CHECK (tenant_id = app_tenant())', name);
    END LOOP;
END $$;

ALTER TABLE tenants ENABLE ROW LEVEL SECURITY;
ALTER TABLE tenants FORCE ROW LEVEL SECURITY;
CREATE POLICY visible ON tenants FOR SELECT USING (
    id = app_tenant() OR app_instance()
    OR EXISTS (SELECT FROM memberships m WHERE m.tenant_id = tenants.id AND m.user_id = app_user()));
CREATE POLICY created ON tenants FOR INSERT WITH CHECK (app_instance());

ALTER TABLE memberships ENABLE ROW LEVEL SECURITY;
ALTER TABLE memberships FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON memberships USING (tenant_id = app_tenant()) WITH CHECK (tenant_id = app_tenant());
CREATE POLICY own ON memberships FOR SELECT USING (user_id = app_user());

ALTER TABLE jobs ENABLE ROW LEVEL SECURITY;
ALTER TABLE jobs FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON jobs USING (tenant_id = app_tenant()) WITH CHECK (tenant_id = app_tenant());
CREATE POLICY instance ON jobs USING (app_instance()) WITH CHECK (app_instance());

ALTER TABLE audit_events ENABLE ROW LEVEL SECURITY;
ALTER TABLE audit_events FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON audit_events USING (tenant_id = app_tenant()) WITH CHECK (tenant_id = app_tenant());
CREATE POLICY instance ON audit_events FOR INSERT WITH CHECK (app_instance() AND tenant_id IS NULL);
