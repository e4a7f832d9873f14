"""The tables of the local store's file, and how an older file comes to have them. Data only."""

MIGRATIONS = (
    """
    CREATE TABLE meters (
        name TEXT PRIMARY KEY,
        version INTEGER NOT NULL,
        settled INTEGER NOT NULL,
        body TEXT NOT NULL
    ) STRICT;
    CREATE INDEX unsettled_meters ON meters (name) WHERE settled = 0;
    CREATE TABLE journal (
        endpoint TEXT NOT NULL,
        number INTEGER NOT NULL,
        body TEXT NOT NULL,
        PRIMARY KEY (endpoint, number)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE keys (
        endpoint TEXT NOT NULL,
        key TEXT NOT NULL,
        at TEXT NOT NULL,
        number INTEGER NOT NULL,
        PRIMARY KEY (endpoint, key)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX keys_by_age ON keys (at);
    CREATE TABLE spent (
        token_id TEXT NOT NULL,
        day TEXT NOT NULL,
        minutes REAL NOT NULL,
        PRIMARY KEY (token_id, day)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE tokens (
        id TEXT PRIMARY KEY,
        created_at TEXT NOT NULL,
        body TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
    """,
    """
    CREATE TABLE devices (
        name TEXT PRIMARY KEY,
        holder TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
    """,
    """
    CREATE TABLE posted (
        place INTEGER PRIMARY KEY,
        endpoint TEXT NOT NULL,
        number INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE followers (
        name TEXT PRIMARY KEY,
        place INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    """,
)
"""Each brings the file from its index to the next number (`PRAGMA user_version`). Never edited."""

SCHEMA = len(MIGRATIONS)
"""The number of the schema this parkmeter knows."""
