"""The tables of the file, its mark and its version."""

from __future__ import annotations

__all__ = ["ADDED", "APPLICATION_ID", "SCHEMA", "VERSION"]

APPLICATION_ID = 0x4E515545  # "NQUE" in the header: whose file it is
VERSION = 1  # raise it with every change of the tables that an older release could not use

# What a file of this version may lack when an earlier release has made it: added when the file is
# opened.  A release that does not know these can use the file all the same.
ADDED = """
CREATE TABLE IF NOT EXISTS job_logs (
    job  INTEGER NOT NULL,                            -- jobs.seq
    n    INTEGER NOT NULL,                            -- rises by one a line
    line TEXT    NOT NULL,
    PRIMARY KEY (job, n)
) WITHOUT ROWID;
CREATE TRIGGER IF NOT EXISTS job_logs_removed AFTER DELETE ON jobs
    BEGIN DELETE FROM job_logs WHERE job = OLD.seq; END;

CREATE TABLE IF NOT EXISTS log_mark (                 -- tells which log belongs to the file
    id     INTEGER PRIMARY KEY CHECK (id = 1),
    stamp  TEXT NOT NULL,
    before TEXT NOT NULL,
    salts  TEXT NOT NULL,
    bases  TEXT NOT NULL
);
INSERT OR IGNORE INTO log_mark VALUES (1, lower(hex(randomblob(8))), '', '', '');
"""

SCHEMA = """
CREATE TABLE jobs (
    seq           INTEGER PRIMARY KEY AUTOINCREMENT,  -- the order of enqueuing
    queue         TEXT    NOT NULL,
    id            TEXT    NOT NULL,
    name          TEXT    NOT NULL,
    data          TEXT    NOT NULL,
    opts          TEXT    NOT NULL,
    timestamp     INTEGER NOT NULL,
    state         TEXT    NOT NULL,                   -- never 'paused': the queue is
    priority      INTEGER NOT NULL,
    place         INTEGER NOT NULL,                   -- the order among equals
    due_at        INTEGER,                            -- of a delayed job, unix milliseconds
    owner         TEXT,                               -- the manager that runs it
    token         INTEGER NOT NULL DEFAULT 0,         -- rises at every claim: fences late outcomes
    processed_on  INTEGER,
    finished_on   INTEGER,
    attempts_made INTEGER NOT NULL DEFAULT 0,
    progress      TEXT,
    returnvalue   TEXT,
    failed_reason TEXT,
    stacktrace    TEXT    NOT NULL DEFAULT '[]',
    UNIQUE (queue, id)
);
CREATE INDEX jobs_ready  ON jobs (queue, priority, place) WHERE state = 'waiting';
CREATE INDEX jobs_due    ON jobs (queue, due_at)          WHERE state = 'delayed';
CREATE INDEX jobs_active ON jobs (queue, owner)           WHERE state = 'active';
CREATE INDEX jobs_done   ON jobs (queue, finished_on)     WHERE state = 'completed';
CREATE INDEX jobs_failed ON jobs (queue, finished_on)     WHERE state = 'failed';

CREATE TABLE queues (
    name         TEXT PRIMARY KEY,
    paused       INTEGER NOT NULL DEFAULT 0,
    places       INTEGER NOT NULL DEFAULT 0,          -- the last place that was given out
    window_open  INTEGER NOT NULL DEFAULT 0,          -- of the limiter
    window_count INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;

CREATE TABLE queue_events (
    seq    INTEGER PRIMARY KEY AUTOINCREMENT,
    origin TEXT NOT NULL,                             -- the manager that has told its own listeners
    type   TEXT NOT NULL,
    queue  TEXT NOT NULL,
    job_id TEXT,
    detail TEXT                                       -- what a removed job cannot say any more
);

CREATE TABLE owners (
    id      TEXT PRIMARY KEY,
    boot_id TEXT    NOT NULL,
    pid_ns  TEXT    NOT NULL,
    pid     INTEGER NOT NULL,
    started TEXT    NOT NULL,                         -- tells a pid from a later one of that number
    expires_monotonic REAL NOT NULL,                  -- judges within one boot: clocks may be set
    expires_wall      REAL NOT NULL                   -- judges across boots
) WITHOUT ROWID;

CREATE TABLE state (
    scope      TEXT NOT NULL,
    key        TEXT NOT NULL,
    value      TEXT NOT NULL,
    expires_at REAL,
    PRIMARY KEY (scope, key)
) WITHOUT ROWID;
CREATE INDEX state_expiry ON state (expires_at) WHERE expires_at IS NOT NULL;

CREATE TABLE events (
    seq    INTEGER PRIMARY KEY AUTOINCREMENT,
    run_id TEXT NOT NULL,
    event  TEXT NOT NULL
);
CREATE INDEX events_run ON events (run_id, seq);

CREATE TABLE runs (
    id          TEXT PRIMARY KEY,
    flow        TEXT NOT NULL,
    status      TEXT NOT NULL,
    started_at  REAL NOT NULL,
    finished_at REAL,
    due_at      REAL,
    record      TEXT NOT NULL
);
CREATE INDEX runs_running ON runs (started_at)  WHERE status = 'running';
CREATE INDEX runs_ended   ON runs (finished_at) WHERE status != 'running';
CREATE INDEX runs_due     ON runs (due_at)      WHERE due_at IS NOT NULL;

CREATE TABLE tallies (flow TEXT PRIMARY KEY, tally TEXT NOT NULL) WITHOUT ROWID;
"""
SCHEMA += ADDED
