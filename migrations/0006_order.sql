-- Who goes first. A rank is priority * 3 + band: 0 first and small, to 8 last and large.

-- Of paths that no rule of the root names.
ALTER TABLE root ADD COLUMN priority INTEGER NOT NULL DEFAULT 1;

ALTER TABLE dirty ADD COLUMN rank INTEGER NOT NULL DEFAULT 3;
ALTER TABLE dirty ADD COLUMN newness INTEGER GENERATED ALWAYS AS (-notice) VIRTUAL;
-- By rank, within it the newest first, and what one walk found in the order in which it was found.
CREATE INDEX dirty_turn ON dirty (rank, newness, node) WHERE scope = 0;

ALTER TABLE pack ADD COLUMN rank INTEGER NOT NULL DEFAULT 3;
-- Of the file for which it was opened; 0: not known.
ALTER TABLE pack ADD COLUMN root INTEGER NOT NULL DEFAULT 0;
-- All that sending needs to know: these columns lie behind the record, which is long.
CREATE INDEX pack_turn ON pack (rank, id, root, hash, tier, size) WHERE state = 0;
