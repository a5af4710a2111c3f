-- Whose store a job needs: jobs are claimed in turns, and no storage account or endpoint may have all of them.
--
-- The server before this step still runs on it. Its jobs have null here, and count under their tenant's ceiling only.

ALTER TABLE jobs
    ADD COLUMN storage_account_id uuid,
    ADD COLUMN endpoint           text;
COMMENT ON COLUMN jobs.endpoint IS 'in lower case';
CREATE INDEX jobs_running ON jobs (lease_until) WHERE state = 'running';
