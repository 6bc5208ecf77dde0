-- One restore: what is to be fetched in the order of fetching, and how far it came. Thrown away when it is done.
-- Paths begin at the target. Pack ids are those of the catalog the restore was planned from.

-- Single values by name: target, plan, counters.
CREATE TABLE fact (
    name  TEXT PRIMARY KEY,
    value ANY NOT NULL
) STRICT, WITHOUT ROWID;

-- Packs that are needed.
CREATE TABLE pack (
    id     INTEGER PRIMARY KEY,
    hash   BLOB NOT NULL,
    tier   INTEGER NOT NULL,              -- 0 cold, 1 hot
    record BLOB                           -- CBOR, docs/format.md section 5; NULL: nothing tells what is in it
) STRICT;

-- Files of no chunk or several. A file of one chunk is its piece.
CREATE TABLE file (
    id     INTEGER PRIMARY KEY,
    path   BLOB NOT NULL,
    entry  BLOB NOT NULL,
    chunks INTEGER NOT NULL,
    owed   INTEGER NOT NULL,              -- chunks that are not on the disk yet
    state  INTEGER NOT NULL DEFAULT 0     -- 0 being written, 1 done, 2 failed, 3 named, its name not yet on the disk
) STRICT;
CREATE INDEX file_whole ON file (id) WHERE owed = 0 AND state = 0;
CREATE INDEX file_named ON file (id) WHERE state = 3;

-- Runs of chunks and where they go. Round 0 is the plan; each later round fetches from elsewhere what the one before
-- found damaged.
CREATE TABLE piece (
    round  INTEGER NOT NULL,
    pack   INTEGER NOT NULL,
    first  INTEGER NOT NULL,
    file   INTEGER NOT NULL,
    offset INTEGER NOT NULL,
    count  INTEGER NOT NULL,
    origin INTEGER NOT NULL,              -- the pack the plan had it in
    path   BLOB,                          -- of a file of one chunk
    entry  BLOB,
    PRIMARY KEY (round, pack, first, file, offset)
) STRICT, WITHOUT ROWID;

-- What comes after the files, by kind: 0 hard links, 1 other things, 2 folders (deepest last in id order).
CREATE TABLE thing (
    kind   INTEGER NOT NULL,
    id     INTEGER NOT NULL,
    path   BLOB NOT NULL,
    entry  BLOB NOT NULL,
    first  BLOB,                          -- of a hard link: the name its file is restored under
    done   INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (kind, id)
) STRICT, WITHOUT ROWID;

-- The first name of each file that has several.
CREATE TABLE first_name (
    dev     INTEGER NOT NULL,
    ino     INTEGER NOT NULL,
    content BLOB NOT NULL,                -- a hash: same file and same content
    path    BLOB NOT NULL,
    PRIMARY KEY (dev, ino, content)
) STRICT, WITHOUT ROWID;

CREATE TABLE failure (
    path   BLOB PRIMARY KEY,
    reason TEXT NOT NULL
) STRICT, WITHOUT ROWID;
