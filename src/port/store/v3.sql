CREATE TABLE service_event (
    seq  INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    json TEXT NOT NULL
) STRICT;
