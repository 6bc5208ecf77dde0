-- A restore from cold storage: what each pack waits for. Every pack of the job has a row when one of them is frozen; a
-- job that needs no thaw has none, and fetches in the order of ids.
CREATE TABLE thaw (
    pack   INTEGER PRIMARY KEY,
    wanted INTEGER NOT NULL,              -- the lower, the sooner
    bytes  INTEGER NOT NULL,              -- of it that are read
    round  INTEGER NOT NULL DEFAULT 0,    -- in which it is to be fetched
    chunk  INTEGER NOT NULL DEFAULT 0,    -- what lies before is on the disk
    state  INTEGER NOT NULL DEFAULT 2,    -- 0 frozen, 1 asked for, 2 ready, 3 frozen and not in the plan: never asked for
    asked  INTEGER,                       -- when, ms since 1970
    until  INTEGER,                       -- when its copy goes, ms since 1970; NULL: never, or not known
    turn   INTEGER                        -- its place in the order of fetching, given when it was taken up
) STRICT;
CREATE INDEX thaw_next ON thaw (round, state, wanted) WHERE turn IS NULL;
CREATE INDEX thaw_turn ON thaw (round, turn) WHERE turn IS NOT NULL;
CREATE INDEX pack_hash ON pack (hash);
