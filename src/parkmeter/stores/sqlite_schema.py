"""The schema of the local gateway's store, as the steps that lead to it."""

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
    CREATE INDEX spent_by_day ON spent (day);
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
    """
    CREATE TABLE requests (
        endpoint TEXT NOT NULL,
        minute INTEGER NOT NULL,
        count INTEGER NOT NULL,
        PRIMARY KEY (endpoint, minute)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX requests_by_age ON requests (minute);
    """,
    """
    CREATE TABLE marks (
        endpoint TEXT NOT NULL,
        at TEXT NOT NULL,
        number INTEGER NOT NULL,
        lasting INTEGER NOT NULL,
        body TEXT NOT NULL,
        runs TEXT,
        PRIMARY KEY (endpoint, at, number)
    ) STRICT;
    CREATE INDEX marks_with_runs ON marks (endpoint, at) WHERE runs IS NOT NULL;
    """,
    """
    CREATE TABLE audit (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        body TEXT NOT NULL
    ) STRICT;
    """,
    """
    CREATE TABLE usage (
        endpoint TEXT NOT NULL,
        minute INTEGER NOT NULL,
        who TEXT NOT NULL,
        answers INTEGER NOT NULL,
        unknown INTEGER NOT NULL,
        input INTEGER NOT NULL,
        output INTEGER NOT NULL,
        PRIMARY KEY (endpoint, minute, who)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX usage_by_minute ON usage (minute) WHERE minute % 1440 <> 0;
    CREATE TABLE usage_since (minute INTEGER NOT NULL) STRICT;
    INSERT INTO usage_since VALUES (CAST(strftime('%s', 'now') AS INTEGER) / 60);
    """,
)
"""Each migrates the file from its index to the next (`PRAGMA user_version`). Never edited."""
