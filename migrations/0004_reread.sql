-- What re-reading the roots told. How far a round has come is the fact 'reread': the node it looked at last. A round goes
-- through the nodes in order, and so those looked at longest ago come first.

-- Files that are not what was captured of them, though their stamp is. A finding counts for as long as its node has that
-- version and that stamp: a file written anew or restored is another matter, and was read for it.
CREATE TABLE rot (
    node  INTEGER PRIMARY KEY,
    seq   INTEGER NOT NULL,               -- the version it was compared with
    ctime INTEGER NOT NULL,               -- of the stamp
    what  INTEGER NOT NULL,               -- 0 other bytes, 1 cannot be read
    at    INTEGER NOT NULL,               -- when it was first found
    said  TEXT NOT NULL
) STRICT;

-- The last run that came to its end; one row at most.
CREATE TABLE rereading (
    one     INTEGER PRIMARY KEY CHECK (one = 1),
    begun   INTEGER NOT NULL,
    ended   INTEGER NOT NULL,
    looked  INTEGER NOT NULL,             -- files
    bytes   INTEGER NOT NULL,
    wrong   INTEGER NOT NULL,
    skipped INTEGER NOT NULL,             -- changed since, torn, not safe yet, or out of reach
    note    TEXT NOT NULL                 -- what could not be looked at, and why
) STRICT;
