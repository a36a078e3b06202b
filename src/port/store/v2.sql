CREATE TABLE answered (
    key             BLOB PRIMARY KEY,
    request         BLOB NOT NULL,
    expires_unix_ms INTEGER NOT NULL,
    status          INTEGER NOT NULL,
    body            TEXT NOT NULL
) STRICT;
