-- What the server's own role may not do, whatever statement it is given: rules about values. Which columns it may read and
-- write at all is granted at each start (server/src/db/grants.rs).
--
-- The rules bind every role but the one that owns the table, which repairs by hand. Functions with SECURITY DEFINER are
-- the owner's hands: they are few, each does one thing, and none is anybody's but the server's.

CREATE FUNCTION app_refuse() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NOT (SELECT pg_has_role(current_user, relowner, 'USAGE') FROM pg_class WHERE oid = TG_RELID) THEN
        RAISE EXCEPTION 'refused: %', TG_ARGV[0] USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN COALESCE(NEW, OLD);
END $$;
COMMENT ON FUNCTION app_refuse IS 'argument: why';

-- What is possible and should not be: it is done, and the audit log has it, which nobody but the owner can take back.
CREATE FUNCTION app_tell() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    was jsonb := to_jsonb(OLD);
    now_is jsonb := CASE TG_OP WHEN 'UPDATE' THEN to_jsonb(NEW) END;
    detail jsonb := '{}';
    name text;
BEGIN
    IF (SELECT pg_has_role(current_user, relowner, 'USAGE') FROM pg_class WHERE oid = TG_RELID) THEN
        RETURN NULL;
    END IF;
    FOR i IN 2 .. TG_NARGS - 1 LOOP
        name := TG_ARGV[i];
        detail := detail || jsonb_build_object(name, CASE
            WHEN TG_OP = 'UPDATE' AND now_is -> name IS DISTINCT FROM was -> name
                THEN jsonb_build_object('was', was -> name, 'is', now_is -> name)
            ELSE was -> name END);
    END LOOP;
    INSERT INTO public.audit_events (tenant_id, actor, action, subject, detail)
    VALUES ((was ->> 'tenant_id')::uuid, 'database', TG_ARGV[0], was ->> TG_ARGV[1], detail);
    RETURN NULL;
END $$;
COMMENT ON FUNCTION app_tell IS 'arguments: the event, the column of its subject, the columns that it tells';

-- The audit log: the time is the database's own at the moment of the statement, not at the beginning of a transaction, which
-- may have been left open for days.
CREATE FUNCTION app_audit_time() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    NEW.at := clock_timestamp();
    RETURN NEW;
END $$;
CREATE TRIGGER audit_time BEFORE INSERT ON audit_events FOR EACH ROW EXECUTE FUNCTION app_audit_time();
CREATE TRIGGER audit_only_grows BEFORE UPDATE OR DELETE ON audit_events FOR EACH ROW
    EXECUTE FUNCTION app_refuse('the audit log is only added to');
COMMENT ON COLUMN audit_events.at IS 'by the database''s clock, whatever the statement says';

-- A promise never shrinks, and a snapshot that was given up is not taken back.
CREATE TRIGGER promise_kept BEFORE UPDATE OF protected_until ON snapshots FOR EACH ROW
    WHEN (NEW.protected_until < OLD.protected_until) EXECUTE FUNCTION app_refuse('a promise is never shortened');
CREATE TRIGGER tiers_kept BEFORE UPDATE OF tiers ON snapshots FOR EACH ROW
    WHEN (NOT NEW.tiers @> OLD.tiers) EXECUTE FUNCTION app_refuse('a snapshot loses no tier');
CREATE TRIGGER state_goes_on BEFORE UPDATE OF state ON snapshots FOR EACH ROW
    WHEN (NEW.state <> OLD.state AND (OLD.state, NEW.state) NOT IN
          (('locking', 'complete'), ('locking', 'broken'), ('complete', 'expired')))
    EXECUTE FUNCTION app_refuse('a snapshot goes from locking to complete or broken, and from complete to expired');
-- By clocks that agree to minutes the server gives no snapshot up before its promise has ended.
CREATE TRIGGER expired_early AFTER UPDATE OF state ON snapshots FOR EACH ROW
    WHEN (NEW.state = 'expired' AND OLD.state <> 'expired' AND OLD.protected_until > now() + interval '15 minutes')
    EXECUTE FUNCTION app_tell('snapshot.expired_early', 'id', 'source_id', 'seq', 'protected_until');
-- Rebuilding a ledger does this, when the signed commit record says something else.
CREATE TRIGGER corrected AFTER UPDATE OF received_at, mode, manifest_hash, manifest_bytes ON snapshots FOR EACH ROW
    WHEN ((NEW.received_at, NEW.mode, NEW.manifest_hash, NEW.manifest_bytes)
          IS DISTINCT FROM (OLD.received_at, OLD.mode, OLD.manifest_hash, OLD.manifest_bytes))
    EXECUTE FUNCTION app_tell('snapshot.corrected', 'id', 'source_id', 'seq', 'received_at', 'mode', 'manifest_hash', 'manifest_bytes');

-- A lock falls when S3 was asked again and shows less: somebody has bypassed GOVERNANCE, or released it. That is told. What
-- is pending and signed for once more has no version any more, and so no lock: nothing needs it.
CREATE TRIGGER lock_confirmed BEFORE UPDATE OF locked_until, lock_mode ON objects FOR EACH ROW
    WHEN ((NEW.locked_until < OLD.locked_until OR (NEW.locked_until IS NULL AND OLD.locked_until IS NOT NULL)
           OR (OLD.lock_mode = 'compliance' AND NEW.lock_mode IS DISTINCT FROM 'compliance'))
          AND NOT (OLD.state = 'pending' AND NEW.state = 'pending' AND NEW.version_id IS NULL AND NEW.locked_until IS NULL)
          AND (NEW.locked_until IS NULL OR NEW.lock_mode IS NULL OR NEW.confirmed_at IS NULL
               OR NEW.confirmed_at <= OLD.confirmed_at))
    EXECUTE FUNCTION app_refuse('a lock falls only with a newer confirmation');
CREATE TRIGGER lock_fell AFTER UPDATE OF locked_until, lock_mode ON objects FOR EACH ROW
    WHEN ((NEW.locked_until < OLD.locked_until OR (OLD.lock_mode = 'compliance' AND NEW.lock_mode = 'governance'))
          AND NEW.locked_until IS NOT NULL)
    EXECUTE FUNCTION app_tell('object.lock_fell', 'source_id', 'hash', 'kind', 'version_id', 'lock_mode', 'locked_until',
                              'confirmed_at', 'born', 'dropped');
CREATE TRIGGER state_goes_on BEFORE UPDATE OF state ON objects FOR EACH ROW
    WHEN (NEW.state <> OLD.state AND (OLD.state = 'deleting' OR NEW.state = 'pending'))
    EXECUTE FUNCTION app_refuse('an object that is being deleted stays so, and none becomes pending again');
-- A row that is deleted and added anew could have any lock.
CREATE TRIGGER forgotten_early AFTER DELETE ON objects FOR EACH ROW
    WHEN (COALESCE(OLD.locked_until, OLD.signed_until) > now() + interval '15 minutes')
    EXECUTE FUNCTION app_tell('object.forgotten_early', 'source_id', 'hash', 'kind', 'version_id', 'lock_mode', 'locked_until',
                              'born', 'dropped');

CREATE TRIGGER lock_kept BEFORE UPDATE OF locked_until, deleting ON spare_versions FOR EACH ROW
    WHEN (NEW.locked_until < OLD.locked_until OR (OLD.deleting AND NOT NEW.deleting))
    EXECUTE FUNCTION app_refuse('a spare version''s lock does not fall, and its deletion is not taken back');

-- Policies.
CREATE FUNCTION app_keep_policy() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    less text := CASE
        WHEN NEW.retention_days < OLD.retention_days THEN 'retention_days'
        WHEN OLD.mode = 'compliance' AND NEW.mode <> 'compliance' THEN 'mode'
        WHEN NEW.keep_last < OLD.keep_last THEN 'keep_last'
        WHEN NEW.grace_hours < OLD.grace_hours THEN 'grace_hours'
        WHEN NEW.lock_cap_days < OLD.lock_cap_days THEN 'lock_cap_days'
        -- Null is reckoned, so neither is known to be the longer one.
        WHEN NEW.lock_ahead_days IS DISTINCT FROM OLD.lock_ahead_days
             AND (NEW.lock_ahead_days > OLD.lock_ahead_days) IS NOT TRUE THEN 'lock_ahead_days'
        -- Another zone begins the periods elsewhere, and with them the tiers.
        WHEN NEW.time_zone <> OLD.time_zone THEN 'time_zone'
        WHEN jsonb_typeof(NEW.tiers) <> 'array' OR EXISTS (
            SELECT FROM jsonb_to_recordset(OLD.tiers) AS o(every text, retention_days integer)
            WHERE NOT EXISTS (SELECT FROM jsonb_to_recordset(NEW.tiers) AS n(every text, retention_days integer)
                              WHERE n.every = o.every AND n.retention_days >= o.retention_days)) THEN 'tiers'
    END;
BEGIN
    IF less IS NOT NULL
       AND NOT (SELECT pg_has_role(current_user, relowner, 'USAGE') FROM pg_class WHERE oid = TG_RELID) THEN
        RAISE EXCEPTION 'refused: a policy never shrinks: %', less USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER policy_kept
    BEFORE UPDATE OF retention_days, mode, keep_last, grace_hours, lock_cap_days, lock_ahead_days, time_zone, tiers ON backup_sets
    FOR EACH ROW EXECUTE FUNCTION app_keep_policy();
CREATE TRIGGER place_kept BEFORE UPDATE OF recovery_key, storage_account_id, bucket, prefix ON backup_sets FOR EACH ROW
    WHEN ((NEW.recovery_key, NEW.storage_account_id, NEW.bucket, NEW.prefix)
          IS DISTINCT FROM (OLD.recovery_key, OLD.storage_account_id, OLD.bucket, OLD.prefix))
    EXECUTE FUNCTION app_refuse('the recovery key and the place of a backup set do not change');

-- Who people and agents are. The grants do not let the server's role write any of this; should a later grant be too wide, the
-- rules are still here.
CREATE TRIGGER behind_functions BEFORE INSERT OR UPDATE OR DELETE ON users FOR EACH ROW
    EXECUTE FUNCTION app_refuse('users change behind functions only');
CREATE TRIGGER behind_functions BEFORE INSERT OR UPDATE OR DELETE ON memberships FOR EACH ROW
    EXECUTE FUNCTION app_refuse('memberships change behind functions only');
CREATE TRIGGER identity_kept BEFORE UPDATE OF backup_set_id, signing_key, credential_hash, keyed ON agents FOR EACH ROW
    WHEN ((NEW.backup_set_id, NEW.signing_key, NEW.credential_hash, NEW.keyed)
          IS DISTINCT FROM (OLD.backup_set_id, OLD.signing_key, OLD.credential_hash, OLD.keyed))
    EXECUTE FUNCTION app_refuse('an agent''s identity changes behind functions only');
CREATE TRIGGER token_kept BEFORE UPDATE OF backup_set_id, secret_hash, keyed, used_at, expires_at ON enrollment_tokens FOR EACH ROW
    WHEN ((NEW.backup_set_id, NEW.secret_hash, NEW.keyed) IS DISTINCT FROM (OLD.backup_set_id, OLD.secret_hash, OLD.keyed)
          OR (OLD.used_at IS NOT NULL AND NEW.used_at IS DISTINCT FROM OLD.used_at) OR NEW.expires_at > OLD.expires_at)
    EXECUTE FUNCTION app_refuse('a used token stays used, and none lasts longer');

-- Who is signed in. A row that somebody else than the server has written has no right proof.
ALTER TABLE sessions ADD COLUMN proof bytea NOT NULL DEFAULT '';
COMMENT ON COLUMN sessions.proof IS 'keyed hash of id, user and end; a session without the right one is none';
CREATE TRIGGER user_kept BEFORE UPDATE OF user_id, data ON sessions FOR EACH ROW
    WHEN (NEW.user_id IS DISTINCT FROM OLD.user_id OR NEW.data -> 'user' IS DISTINCT FROM OLD.data -> 'user')
    EXECUTE FUNCTION app_refuse('a session stays its user''s');

-- Numbers that count up.
CREATE TRIGGER counts_up BEFORE UPDATE OF newest_seq ON sources FOR EACH ROW
    WHEN (NEW.newest_seq < OLD.newest_seq) EXECUTE FUNCTION app_refuse('snapshot numbers count up');
CREATE TRIGGER counts_up BEFORE UPDATE OF epoch ON server_epoch FOR EACH ROW
    WHEN (NEW.epoch < OLD.epoch) EXECUTE FUNCTION app_refuse('the epoch counts up');

-- The owner's hands.
CREATE FUNCTION app_first_operator(new_id uuid, new_email text, new_password_hash text, now_is timestamptz) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    LOCK TABLE public.users IN SHARE ROW EXCLUSIVE MODE;
    IF EXISTS (SELECT FROM public.users) THEN
        RAISE EXCEPTION 'refused: there are users already' USING ERRCODE = 'insufficient_privilege';
    END IF;
    INSERT INTO public.users (id, email, password_hash, operator, created_at)
    VALUES (new_id, new_email, new_password_hash, true, now_is);
END $$;
COMMENT ON FUNCTION app_first_operator IS 'the first user of an instance, and no other';

CREATE FUNCTION app_key_credential(agent uuid, keyed_hash bytea) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    UPDATE public.agents SET credential_hash = keyed_hash, keyed = true
    WHERE id = agent AND NOT keyed AND tenant_id = public.app_tenant()
$$;
CREATE FUNCTION app_key_token(token uuid, keyed_hash bytea) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    UPDATE public.enrollment_tokens SET secret_hash = keyed_hash, keyed = true
    WHERE id = token AND NOT keyed AND tenant_id = public.app_tenant()
$$;
COMMENT ON FUNCTION app_key_credential IS 'puts the key over a hash of the time before there was one, once';
COMMENT ON FUNCTION app_key_token IS 'puts the key over a hash of the time before there was one, once';

-- Functions are everybody's when they are made.
REVOKE ALL ON FUNCTION app_first_operator, app_key_credential, app_key_token FROM PUBLIC;
