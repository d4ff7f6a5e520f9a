-- What each import received of each exporter in each hour, and what of it is missing. Rows of import 0 add up what
-- listeners received: such imports are never repeated, and one of them every few seconds would drown the state.
CREATE TABLE coverage (
    import   INTEGER NOT NULL,
    source   TEXT NOT NULL,
    exporter TEXT NOT NULL,
    hour_us  INTEGER NOT NULL,
    body     TEXT NOT NULL,
    PRIMARY KEY (import, source, exporter, hour_us)
) STRICT, WITHOUT ROWID;
CREATE INDEX coverage_by_time ON coverage (hour_us);
