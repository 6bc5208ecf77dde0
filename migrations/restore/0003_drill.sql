-- A drill: what it tries, and what became of each. A restore has no rows here.
CREATE TABLE drill_pack (
    pack   INTEGER PRIMARY KEY,
    hash   BLOB NOT NULL,
    tier   INTEGER NOT NULL,              -- 0 cold, 1 hot
    size   INTEGER NOT NULL,
    state  INTEGER NOT NULL DEFAULT 0,    -- 0 not known yet, 1 sound, 2 damaged
    reason TEXT
) STRICT;

CREATE TABLE drill_file (
    id     INTEGER PRIMARY KEY,
    path   BLOB NOT NULL,
    seq    INTEGER NOT NULL,
    size   INTEGER NOT NULL,
    state  INTEGER NOT NULL DEFAULT 0,    -- 0 not compared yet, 1 as recorded, 2 as recorded and as the live file, 3 failed, 4 not tried
    reason TEXT
) STRICT;
CREATE INDEX drill_file_left ON drill_file (id) WHERE state = 0;
CREATE INDEX drill_file_wrong ON drill_file (id) WHERE state > 2;
