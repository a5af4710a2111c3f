-- A permission to restore is used as often as wanted until it runs out or is ended by hand. Each use is a row of its own that names it.
-- A row of before that names none is both: a permission while it is 'authorised' or 'running', and its one use.
ALTER TABLE restores DROP CONSTRAINT restores_state_check;
ALTER TABLE restores ADD CONSTRAINT restores_state_check
    CHECK (state IN ('authorised', 'running', 'succeeded', 'failed', 'ended'));
ALTER TABLE restores ADD COLUMN permission_id uuid;
ALTER TABLE restores ADD CONSTRAINT restores_permission
    FOREIGN KEY (tenant_id, permission_id) REFERENCES restores (tenant_id, id);
ALTER TABLE restores ADD COLUMN purpose text NOT NULL DEFAULT 'restore'
    CHECK (purpose IN ('restore', 'dry_run', 'verification'));
COMMENT ON COLUMN restores.purpose IS 'of a use: what the agent says it is for';
CREATE INDEX restores_by_permission ON restores (permission_id) WHERE permission_id IS NOT NULL;

-- A use is its permission's: the same snapshot and agent, and not a moment longer.
CREATE FUNCTION app_use_within_permission() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM public.restores AS permission
        WHERE permission.id = NEW.permission_id AND permission.tenant_id = NEW.tenant_id AND permission.permission_id IS NULL
          AND permission.state IN ('authorised', 'running') AND permission.snapshot_id = NEW.snapshot_id
          AND permission.agent_id = NEW.agent_id AND permission.expires_at >= NEW.expires_at) THEN
        RAISE EXCEPTION 'refused: no open permission allows this restore' USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END $$;
REVOKE ALL ON FUNCTION app_use_within_permission FROM PUBLIC;
CREATE TRIGGER within_permission BEFORE INSERT ON restores FOR EACH ROW WHEN (NEW.permission_id IS NOT NULL)
    EXECUTE FUNCTION app_use_within_permission();
-- What has ended stays so.
CREATE TRIGGER ended_stays BEFORE UPDATE OF state ON restores FOR EACH ROW
    WHEN (OLD.state = 'ended' AND NEW.state <> 'ended') EXECUTE FUNCTION app_refuse('a permission that was ended stays so');
