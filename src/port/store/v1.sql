CREATE TABLE counter (
    name  TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE session (
    opened          INTEGER PRIMARY KEY,
    id              TEXT NOT NULL UNIQUE,
    started_unix_ms INTEGER NOT NULL,
    direction       TEXT NOT NULL CHECK (direction IN ('inbound', 'outbound')),
    open            INTEGER NOT NULL CHECK (open IN (0, 1)),
    meta            TEXT NOT NULL
) STRICT;
CREATE INDEX session_open ON session (opened) WHERE open = 1;
CREATE INDEX session_outbound ON session (started_unix_ms) WHERE direction = 'outbound';

CREATE TABLE event (
    seq     INTEGER PRIMARY KEY,
    session INTEGER NOT NULL REFERENCES session (opened),
    kind    TEXT NOT NULL CHECK (kind IN ('call', 'agent')),
    name    TEXT NOT NULL,
    json    TEXT NOT NULL
) STRICT;
CREATE INDEX event_of_session ON event (session, kind, seq);
CREATE INDEX event_of_stream ON event (seq) WHERE kind = 'agent';

CREATE TABLE transcript (
    session  INTEGER NOT NULL REFERENCES session (opened),
    position INTEGER NOT NULL,
    entry    TEXT NOT NULL,
    PRIMARY KEY (session, position)
) STRICT, WITHOUT ROWID;

CREATE TABLE pending (
    arrived         INTEGER PRIMARY KEY,
    request_id      TEXT NOT NULL UNIQUE,
    expires_unix_ms INTEGER NOT NULL,
    request         TEXT NOT NULL
) STRICT;
