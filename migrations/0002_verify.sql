-- What looking at the vault told: of each stored pack, of what is wrong, and of what became of packs that were lost.

-- One row for each stored pack, kept in step by the triggers below.
CREATE TABLE seen (
    pack   INTEGER PRIMARY KEY,
    etag   TEXT,                          -- learnt from a listing while the size was right
    summed INTEGER NOT NULL DEFAULT 0,    -- when the server's own checksum last agreed, or there was none; 0: never
    read   INTEGER NOT NULL DEFAULT 0     -- when all its bytes last agreed; 0: never
) STRICT;
CREATE INDEX seen_summed ON seen (summed);
CREATE INDEX seen_read ON seen (read);
-- All an inventory needs, in the order of a listing.
CREATE INDEX pack_stored ON pack (tier, hash, size) WHERE state = 1;

-- What is wrong with an object of the vault, by the check that found it (0 inventory, 1 checksum, 2 read).
CREATE TABLE defect (
    name  TEXT NOT NULL,
    found INTEGER NOT NULL,
    wrong INTEGER NOT NULL,               -- 0 missing, 1 size, 2 bytes, 3 etag, 4 hidden, 5 covered, 6 archived, 7 stranger
    pack  INTEGER,
    size  INTEGER NOT NULL,               -- as it should be
    at    INTEGER NOT NULL,               -- when it was first found
    said  TEXT NOT NULL,
    PRIMARY KEY (name, found, wrong)
) STRICT, WITHOUT ROWID;
CREATE INDEX defect_pack ON defect (pack) WHERE pack IS NOT NULL;
-- The same of an inventory that is not over: it counts for nothing until then.
CREATE TABLE suspect (
    name  TEXT NOT NULL,
    wrong INTEGER NOT NULL,
    pack  INTEGER,
    size  INTEGER NOT NULL,
    at    INTEGER NOT NULL,
    said  TEXT NOT NULL,
    PRIMARY KEY (name, wrong)
) STRICT, WITHOUT ROWID;

-- The last run of each check that came to its end.
CREATE TABLE checked (
    way     INTEGER PRIMARY KEY,          -- 0 inventory, 1 checksum, 2 read
    begun   INTEGER NOT NULL,
    ended   INTEGER NOT NULL,
    looked  INTEGER NOT NULL,             -- objects
    bytes   INTEGER NOT NULL,
    wrong   INTEGER NOT NULL,
    skipped INTEGER NOT NULL,             -- frozen, or the server keeps nothing to compare
    foreigners INTEGER NOT NULL,          -- objects that are not ours
    unnamed INTEGER NOT NULL,             -- packs like ours that no log names
    note    TEXT NOT NULL                 -- what could not be looked at, and why
) STRICT;

-- Files whose latest version needs a pack that is missing or damaged and waits for the owner: not safe.
CREATE TABLE risk (
    root  INTEGER PRIMARY KEY,
    files INTEGER NOT NULL,
    bytes INTEGER NOT NULL
) STRICT;

-- Packs given up for lost. state: 0 their files are read again, 1 all they held is back, 2 some of it is not.
CREATE TABLE loss (
    pack   INTEGER PRIMARY KEY,
    seq    INTEGER NOT NULL,              -- of the record in the log
    at     INTEGER NOT NULL,
    notice INTEGER NOT NULL,              -- judged once nothing noticed up to here is owed a look; 0: not yet known
    state  INTEGER NOT NULL,
    owner  INTEGER NOT NULL,              -- 1: given up on the owner's word
    why    TEXT NOT NULL
) STRICT;
CREATE INDEX loss_open ON loss (state) WHERE state != 1;
-- Versions that need bytes of a lost pack that lie nowhere else.
CREATE TABLE casualty (
    version INTEGER NOT NULL,
    pack    INTEGER NOT NULL,
    PRIMARY KEY (version, pack)
) STRICT, WITHOUT ROWID;
CREATE INDEX casualty_pack ON casualty (pack);

CREATE TRIGGER pack_comes_stored AFTER INSERT ON pack WHEN NEW.state = 1 BEGIN
    INSERT OR IGNORE INTO seen (pack) VALUES (NEW.id);
END;
CREATE TRIGGER pack_becomes_stored AFTER UPDATE OF state ON pack WHEN NEW.state = 1 BEGIN
    INSERT OR IGNORE INTO seen (pack) VALUES (NEW.id);
END;
CREATE TRIGGER pack_becomes_lost AFTER UPDATE OF state ON pack WHEN NEW.state = 2 BEGIN
    DELETE FROM seen WHERE pack = NEW.id;
    DELETE FROM defect WHERE pack = NEW.id;
    DELETE FROM suspect WHERE pack = NEW.id;
END;
CREATE TRIGGER pack_goes AFTER DELETE ON pack BEGIN
    DELETE FROM seen WHERE pack = OLD.id;
END;

INSERT INTO seen (pack) SELECT id FROM pack WHERE state = 1;
INSERT INTO loss (pack, seq, at, notice, state, owner, why)
    SELECT id, 0, 0, 0, 0, 0, 'the log says that it is lost' FROM pack
    WHERE state = 2 AND segment IS NOT NULL AND LENGTH(record) > 0;
