-- When an upload address was last signed for an object.
ALTER TABLE objects ADD COLUMN signed_at timestamptz;
CREATE INDEX objects_unsent ON objects (tenant_id, signed_at) WHERE state = 'pending' AND version_id IS NULL;
