-- What systems say of who exists; what people write stays in workload_versions. Where sources contradict each other, the
-- greater rank's word counts.
CREATE TABLE workload_words (
    workload    TEXT NOT NULL,
    source      TEXT NOT NULL,
    scope       TEXT NOT NULL,
    recorded_us INTEGER NOT NULL,
    rank        INTEGER NOT NULL,
    name        TEXT NOT NULL,
    labels      TEXT NOT NULL,
    PRIMARY KEY (workload, source, scope, recorded_us)
) STRICT, WITHOUT ROWID;

-- Addresses as sources give them: as they said it, so that what is learnt later of the end of one changes all of history.
CREATE TABLE address_words (
    workload TEXT NOT NULL,
    source   TEXT NOT NULL,
    scope    TEXT NOT NULL,
    ip       BLOB NOT NULL,
    from_us  INTEGER NOT NULL,
    to_us    INTEGER NOT NULL,
    PRIMARY KEY (workload, source, scope, ip, from_us)
) STRICT, WITHOUT ROWID;

-- What a thing is known by in other sources.
CREATE TABLE workload_keys (
    key      TEXT PRIMARY KEY,
    workload TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Names of addresses, for as long as an answer was good.
CREATE TABLE address_names (
    ip      BLOB NOT NULL,
    from_us INTEGER NOT NULL,
    to_us   INTEGER NOT NULL,
    name    TEXT NOT NULL,
    PRIMARY KEY (ip, name, from_us)
) STRICT, WITHOUT ROWID;
