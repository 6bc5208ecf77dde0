-- Drills as the log tells of them, and those it does not tell of yet.
CREATE TABLE drill (
    id      BLOB PRIMARY KEY,             -- 16 bytes, of the drill itself
    at      INTEGER NOT NULL,             -- when it ended
    proof   INTEGER NOT NULL,             -- 0 sealed bytes, 1 contents
    verdict INTEGER NOT NULL,             -- 0 proved, 1 failed, 2 partly
    receipt BLOB NOT NULL,                -- CBOR, docs/format.md section 5
    segment INTEGER                       -- that tells of it; NULL: none yet
) STRICT, WITHOUT ROWID;
CREATE INDEX drill_at ON drill (at);
CREATE INDEX drill_unpublished ON drill (at) WHERE segment IS NULL;

-- When each pack was last proved, by the kind of proof.
CREATE TABLE drilled (
    hash  BLOB NOT NULL,
    proof INTEGER NOT NULL,
    at    INTEGER NOT NULL,
    PRIMARY KEY (hash, proof)
) STRICT, WITHOUT ROWID;
