-- The lists of one source, newest first, as they are read page by page; a source among many is found without those of the others.
CREATE INDEX runs_by_source ON runs (source_id, created_at DESC, id DESC);
CREATE INDEX snapshots_by_source ON snapshots (source_id, received_at DESC, id DESC);
-- Restores belong to a source by their snapshot.
CREATE INDEX restores_by_snapshot ON restores (snapshot_id, created_at DESC, id DESC);
