-- Bearers are kept as keyed hashes only, and a database that was restored from a backup is noticed.

-- The ids of sessions stood here as they are. They can not be hashed here, since the key is the server's: everybody signs in
-- again.
DELETE FROM sessions;
ALTER TABLE sessions ADD CONSTRAINT sessions_id_check CHECK (id ~ '^[0-9a-f]{64}$');
COMMENT ON COLUMN sessions.id IS 'keyed hash of the id in the cookie';

-- The server puts its key over what stands in these rows when it starts.
ALTER TABLE agents ADD COLUMN keyed boolean NOT NULL DEFAULT false;
ALTER TABLE enrollment_tokens ADD COLUMN keyed boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN agents.keyed IS 'the hash is keyed; if not, it is of the time before there was a key';
COMMENT ON COLUMN enrollment_tokens.keyed IS 'the hash is keyed; if not, it is of the time before there was a key';
CREATE INDEX agents_unkeyed ON agents (tenant_id) WHERE NOT keyed;
CREATE INDEX enrollment_tokens_unkeyed ON enrollment_tokens (tenant_id) WHERE NOT keyed;

-- How often the server was started, raised at each start here and in its data folder.
CREATE TABLE server_epoch (
    single boolean PRIMARY KEY DEFAULT true CHECK (single),
    epoch  bigint NOT NULL CHECK (epoch > 0)
);

-- What the operators of the instance have to know, until one of them says that it is dealt with.
CREATE TABLE instance_notices (
    id         uuid PRIMARY KEY,
    kind       text NOT NULL,
    found_at   timestamptz NOT NULL,
    settled_at timestamptz,
    settled_by text,
    CHECK ((settled_at IS NULL) = (settled_by IS NULL))
);
CREATE INDEX instance_notices_open ON instance_notices (found_at) WHERE settled_at IS NULL;
