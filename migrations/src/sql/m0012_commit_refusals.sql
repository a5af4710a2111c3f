-- Since when the store refuses what a commit asks of it, and how often in a row.
ALTER TABLE runs ADD COLUMN refused_since timestamptz;
ALTER TABLE runs ADD COLUMN refusals integer NOT NULL DEFAULT 0;
COMMENT ON COLUMN runs.refusals IS 'refusals of the store in a row, over the tries of the commit; any other outcome of a try begins anew';

-- The later snapshots whose objects a restore may read as well: more than one, oldest leave first.
ALTER TABLE restores ADD COLUMN later_snapshots jsonb NOT NULL DEFAULT '[]';
UPDATE restores SET later_snapshots = jsonb_build_array(later_snapshot_id) WHERE later_snapshot_id IS NOT NULL;
ALTER TABLE restores DROP COLUMN later_snapshot_id;

-- A commit record is put under its snapshot's number: the row of one that was signed and never made live has it too.
UPDATE objects o SET born = s.seq, dropped = s.seq + 1
FROM snapshots s
WHERE o.kind = 5 AND o.born IS NULL AND s.tenant_id = o.tenant_id AND s.source_id = o.source_id AND s.run_id = o.run_id;
