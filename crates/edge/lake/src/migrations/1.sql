CREATE TABLE migrations (
    version    INTEGER PRIMARY KEY,
    name       TEXT NOT NULL,
    applied_us INTEGER NOT NULL
) STRICT;

-- Sources whose flows are part of the lake; a source is its content and the format that it was read as.
CREATE TABLE imports (
    id          INTEGER PRIMARY KEY,
    sha256      BLOB NOT NULL,
    size        INTEGER NOT NULL,
    format      TEXT NOT NULL,
    name        TEXT NOT NULL,
    imported_us INTEGER NOT NULL,
    flows       INTEGER NOT NULL,
    edges       INTEGER NOT NULL,
    from_us     INTEGER,
    to_us       INTEGER,
    bytes       INTEGER NOT NULL,
    UNIQUE (sha256, size, format)
) STRICT;

-- The manifest: a Parquet file is part of the lake when it is listed here, and only then.
CREATE TABLE files (
    path     TEXT PRIMARY KEY,
    relation TEXT NOT NULL,
    import   INTEGER NOT NULL REFERENCES imports (id),
    rows     INTEGER NOT NULL,
    bytes    INTEGER NOT NULL,
    from_us  INTEGER NOT NULL,
    to_us    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX files_by_time ON files (relation, from_us, to_us);
CREATE INDEX files_by_import ON files (import);

-- Files that were damaged and are part of the lake no longer.
CREATE TABLE quarantined (
    path     TEXT NOT NULL,
    relation TEXT NOT NULL,
    import   INTEGER NOT NULL,
    rows     INTEGER NOT NULL,
    from_us  INTEGER NOT NULL,
    to_us    INTEGER NOT NULL,
    moved_us INTEGER NOT NULL,
    reason   TEXT NOT NULL
) STRICT;

-- Workloads: one row for each state in which one was recorded; the latest counts.
CREATE TABLE workload_versions (
    workload    TEXT NOT NULL,
    recorded_us INTEGER NOT NULL,
    name        TEXT NOT NULL,
    criticality TEXT,
    labels      TEXT NOT NULL,
    PRIMARY KEY (workload, recorded_us)
) STRICT, WITHOUT ROWID;

-- Addresses (16 bytes, network order) and from when up to when they belong to a workload.
CREATE TABLE address_claims (
    workload TEXT NOT NULL,
    ip       BLOB NOT NULL,
    from_us  INTEGER NOT NULL,
    to_us    INTEGER NOT NULL,
    PRIMARY KEY (workload, ip, from_us)
) STRICT, WITHOUT ROWID;

-- Small documents in JSON, every version of them.
CREATE TABLE documents (
    kind        TEXT NOT NULL,
    key         TEXT NOT NULL,
    version     INTEGER NOT NULL,
    recorded_us INTEGER NOT NULL,
    body        TEXT,
    PRIMARY KEY (kind, key, version)
) STRICT, WITHOUT ROWID;
