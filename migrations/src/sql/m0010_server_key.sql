-- The database is bound to the master key of its server: a server with another data folder is refused before it changes anything.

CREATE TABLE server_key (
    single      boolean PRIMARY KEY DEFAULT true CHECK (single),
    fingerprint text NOT NULL CHECK (fingerprint ~ '^[0-9a-f]{64}$'),
    bound_at    timestamptz NOT NULL DEFAULT now()
);
COMMENT ON COLUMN server_key.fingerprint IS 'derived from the master key, from which nothing else can be derived by it';
