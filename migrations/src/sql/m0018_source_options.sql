-- What limits a source beside its exclude lines, and what a run said of its source. The server before this step still runs on it: a
-- source of before, or that it makes, takes everything as it did.
ALTER TABLE sources ADD COLUMN options jsonb NOT NULL DEFAULT '{}';
COMMENT ON COLUMN sources.options IS 'as it travels to the agent; what is not there takes away nothing';
ALTER TABLE runs ADD COLUMN report jsonb;
COMMENT ON COLUMN runs.report IS 'lines that matched nothing, and what was read again; null before the commit, and of older agents';
