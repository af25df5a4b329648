"""The one SQLite file of a backend, opened so that a commit survives a power cut and no second backend can share it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from maquette_protocol.errors import ErrorCode, MaquetteError

_TABLES = """
CREATE TABLE IF NOT EXISTS jobs (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    job_id TEXT NOT NULL UNIQUE,
    owner TEXT NOT NULL,
    recipe BLOB NOT NULL,
    recipe_hash TEXT NOT NULL,
    state TEXT NOT NULL,
    wish TEXT NOT NULL DEFAULT 'go_on',
    deaths INTEGER NOT NULL DEFAULT 0,
    token INTEGER NOT NULL DEFAULT 0,
    created_unix_secs REAL NOT NULL,
    ended_unix_secs REAL,
    status BLOB
);
CREATE INDEX IF NOT EXISTS jobs_by_owner ON jobs (owner);
CREATE TABLE IF NOT EXISTS holdings (
    owner TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    size INTEGER NOT NULL,
    complete INTEGER NOT NULL,
    touched_unix_secs REAL NOT NULL,
    PRIMARY KEY (owner, sha256)
);
CREATE INDEX IF NOT EXISTS holdings_by_blob ON holdings (sha256);
"""


class Database:
    """A connection and its transactions. ``after_commit`` is called after each one (fault tests end the process there)."""

    def __init__(self, path: Path, after_commit: Callable[[], None] = lambda: None) -> None:
        self._after_commit = after_commit
        self._connection = sqlite3.connect(path, isolation_level=None, timeout=0.5)
        self._connection.row_factory = sqlite3.Row
        try:
            # An exclusive lock, held until the process ends, is also what keeps a second backend out.
            self._connection.execute("PRAGMA locking_mode=EXCLUSIVE")
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.execute("PRAGMA synchronous=FULL")
            self._connection.executescript("BEGIN IMMEDIATE;" + _TABLES + "COMMIT;")
        except sqlite3.OperationalError as error:
            self._connection.close()
            raise MaquetteError(
                ErrorCode.CONFLICT,
                f"The journal {path} can't be opened: {error}.",
                "Another backend probably runs with this home; stop it, or choose another --home.",
            ) from error

    def rows(self, query: str, *values: object) -> list[sqlite3.Row]:
        return self._connection.execute(query, values).fetchall()

    def row(self, query: str, *values: object) -> sqlite3.Row | None:
        return self._connection.execute(query, values).fetchone()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """A transaction: durable when the block is left, undone when it raises.

        Raises:
            MaquetteError: DISK_FULL when SQLite can't grow its file.
        """
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            yield self._connection
            self._connection.execute("COMMIT")
        except BaseException as error:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            if isinstance(error, sqlite3.OperationalError) and "full" in str(error):
                raise MaquetteError(
                    ErrorCode.DISK_FULL, "The backend's disk is full.", "Free some space in the backend's home."
                ) from error
            raise
        self._after_commit()

    def close(self) -> None:
        self._connection.close()
