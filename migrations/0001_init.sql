-- The catalog of one vault: a view of the vault's log plus the local queue. It can be rebuilt from the vault.
-- Times are milliseconds since 1970 (labels) unless said otherwise; counters never go back.

-- Single values by name: ids, counters, tunings.
CREATE TABLE fact (
    name  TEXT PRIMARY KEY,
    value ANY NOT NULL
) STRICT, WITHOUT ROWID;

-- Watched folders. Totals are of files chosen by the filters that have a version.
CREATE TABLE root (
    id    INTEGER PRIMARY KEY,
    path  BLOB NOT NULL UNIQUE,
    files INTEGER NOT NULL DEFAULT 0,
    bytes INTEGER NOT NULL DEFAULT 0
) STRICT;

-- Every path ever seen, as a tree. shape NULL: no version, or deleted. size..ino are the stamp of the latest version.
CREATE TABLE node (
    id     INTEGER PRIMARY KEY,
    parent INTEGER NOT NULL,              -- 0: this is "/"
    name   BLOB NOT NULL,
    root   INTEGER NOT NULL DEFAULT 0,    -- 0: only on the way to a root
    shape  INTEGER,                       -- 0 file, 1 folder, 2 anything else
    size   INTEGER NOT NULL DEFAULT 0,
    mtime  INTEGER NOT NULL DEFAULT 0,    -- nanoseconds, clipped
    ctime  INTEGER NOT NULL DEFAULT 0,
    ino    INTEGER NOT NULL DEFAULT 0,
    mount  INTEGER NOT NULL DEFAULT 0,    -- 1: a folder on which something was mounted
    seq    INTEGER NOT NULL DEFAULT 0,    -- of the latest record
    torn   INTEGER NOT NULL DEFAULT 0,    -- 1: the latest version changed while it was read
    fixed  INTEGER NOT NULL DEFAULT 0     -- 1: cut every 64 KiB, for life
) STRICT;
CREATE UNIQUE INDEX node_name ON node (parent, name);
CREATE INDEX node_torn ON node (root) WHERE torn = 1;
-- Names of one file find each other: a change through one makes all dirty.
CREATE TABLE hard_link (
    dev  INTEGER NOT NULL,
    ino  INTEGER NOT NULL,
    node INTEGER NOT NULL,
    PRIMARY KEY (dev, ino, node)
) STRICT, WITHOUT ROWID;
CREATE INDEX hard_link_node ON hard_link (node);

-- Paths owed a look.
CREATE TABLE dirty (
    node       INTEGER PRIMARY KEY,
    root       INTEGER NOT NULL,
    scope      INTEGER NOT NULL,          -- 0 this path, 1 the tree beneath
    generation INTEGER NOT NULL,          -- changes with every hint
    notice     INTEGER NOT NULL,          -- order of noticing; what a walk finds inherits the walk's
    noticed    INTEGER NOT NULL,
    due        INTEGER NOT NULL,          -- steady milliseconds of this run; 0: now
    deadline   INTEGER NOT NULL,          -- the same: however restless the path, look no later than this
    file       INTEGER NOT NULL DEFAULT 0,-- 1: a file without a version yet
    bytes      INTEGER NOT NULL DEFAULT 0,
    tries      INTEGER NOT NULL DEFAULT 0,
    error      TEXT                       -- why the last try failed
) STRICT;
CREATE INDEX dirty_notice ON dirty (root, notice) WHERE error IS NULL;
CREATE INDEX dirty_failed ON dirty (root, noticed) WHERE error IS NOT NULL;
CREATE INDEX dirty_tree ON dirty (node) WHERE scope = 1;

-- Records of the log: versions and deletions, published or not.
CREATE TABLE version (
    seq      INTEGER PRIMARY KEY,
    node     INTEGER NOT NULL,
    root     INTEGER NOT NULL,
    kind     INTEGER NOT NULL,            -- 0 version, 1 torn version, 2 deletion
    captured INTEGER NOT NULL,
    notice   INTEGER NOT NULL,
    noticed  INTEGER NOT NULL,
    shape    INTEGER,                     -- as in node; NULL: a deletion
    size     INTEGER NOT NULL DEFAULT 0,
    entry    BLOB,                        -- CBOR, docs/format.md section 5 without path and content
    content  BLOB,                        -- CBOR list of numbers: 0, n | pack.id, first, count
    waits    INTEGER NOT NULL DEFAULT 0,  -- packs it needs that are not stored
    segment  INTEGER                      -- that names it; NULL: not published
) STRICT;
CREATE INDEX version_node ON version (node, seq);
CREATE INDEX version_unpublished ON version (root, notice) WHERE segment IS NULL AND kind < 2;
CREATE INDEX version_ready ON version (seq) WHERE segment IS NULL AND waits = 0 AND kind < 2;
CREATE INDEX version_undeleted ON version (root, notice) WHERE segment IS NULL AND kind = 2;
CREATE INDEX version_segment ON version (segment) WHERE segment IS NOT NULL;

-- A version waits for packs that are not stored.
CREATE TABLE wait (
    pack    INTEGER NOT NULL,
    version INTEGER NOT NULL,
    PRIMARY KEY (pack, version)
) STRICT, WITHOUT ROWID;

-- Packs in the order they were opened.
CREATE TABLE pack (
    id      INTEGER PRIMARY KEY,
    hash    BLOB NOT NULL UNIQUE,
    tier    INTEGER NOT NULL,             -- 0 cold, 1 hot
    size    INTEGER NOT NULL,
    state   INTEGER NOT NULL,             -- 0 in the spool, 1 stored, 2 lost
    segment INTEGER,                      -- that names it
    record  BLOB NOT NULL                 -- CBOR, docs/format.md section 5
) STRICT;
CREATE INDEX pack_spooled ON pack (id) WHERE state = 0;
CREATE INDEX pack_unpublished ON pack (id) WHERE state = 1 AND segment IS NULL;

-- Where the chunks lie.
CREATE TABLE place (
    chunk  BLOB NOT NULL,
    pack   INTEGER NOT NULL,
    number INTEGER NOT NULL,
    PRIMARY KEY (chunk, pack)
) STRICT, WITHOUT ROWID;

-- The log. state: 0 in the spool, 1 stored.
CREATE TABLE segment (
    number  INTEGER PRIMARY KEY,
    hash    BLOB NOT NULL,
    size    INTEGER NOT NULL,
    state   INTEGER NOT NULL,
    written INTEGER NOT NULL
) STRICT;
CREATE INDEX segment_spooled ON segment (number) WHERE state = 0;

-- Packs found lost that the log does not say yet.
CREATE TABLE lost (
    hash BLOB PRIMARY KEY,
    seq  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What people should know happened; only the newest are kept.
CREATE TABLE event (
    id    INTEGER PRIMARY KEY,
    at    INTEGER NOT NULL,
    level INTEGER NOT NULL,               -- 0 good, 1 note, 2 warning, 3 alarm
    text  TEXT NOT NULL
) STRICT;
