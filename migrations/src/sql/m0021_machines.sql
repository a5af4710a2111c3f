-- The machines that an agent's calls came from: two of them that take turns share a copied state folder.
ALTER TABLE agents ADD COLUMN machines jsonb;
COMMENT ON COLUMN agents.machines IS 'the machine that called last and the one before: hashed ids, and host names';
