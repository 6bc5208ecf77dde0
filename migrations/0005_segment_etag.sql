-- What a listing said of a segment of the log when it was last known to be right: another ETag is looked into.
CREATE TABLE segment_seen (
    number INTEGER PRIMARY KEY,
    etag   TEXT NOT NULL
) STRICT;
