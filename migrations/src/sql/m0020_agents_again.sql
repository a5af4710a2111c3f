-- The token that an agent was enrolled with: it stays bound to it, so that an agent which lost the answer may ask again.
ALTER TABLE agents ADD COLUMN token_id uuid;
CREATE UNIQUE INDEX agents_by_token ON agents (token_id) WHERE token_id IS NOT NULL;
COMMENT ON COLUMN agents.token_id IS 'row of enrollment_tokens; NULL for agents of older servers';
