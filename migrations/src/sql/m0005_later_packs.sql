-- A restore whose snapshot has lost objects may read what the newest complete snapshot of the source needs, too: the same
-- chunks may lie in packs that were sent again. Which snapshot that is, once the agent has said what is lost.
ALTER TABLE restores ADD COLUMN later_snapshot_id uuid;
ALTER TABLE restores ADD CONSTRAINT restores_later_snapshot
    FOREIGN KEY (tenant_id, later_snapshot_id) REFERENCES snapshots (tenant_id, id);
