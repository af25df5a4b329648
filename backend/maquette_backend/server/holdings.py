"""Which client may read which blob, and how much of its quota each takes.

A client holds the blobs that it uploaded and the results of its jobs. Knowing a hash is not enough: a client that
offers a blob which another client uploaded has to upload it too.
"""

from __future__ import annotations

from maquette_protocol.errors import ErrorCode, MaquetteError

from .database import Database


class Holdings:
    """The holdings table. Sizes are bytes, times Unix seconds."""

    def __init__(self, database: Database, quota_bytes: int) -> None:
        self._database = database
        self._quota_bytes = quota_bytes

    def complete(self, owner: str, sha256: str) -> bool:
        """Whether the client holds the whole blob, and so may read it and refer to it."""
        return self._database.row(
            "SELECT 1 FROM holdings WHERE owner = ? AND sha256 = ? AND complete = 1", owner, sha256
        ) is not None  # fmt: skip

    def offered(self, owner: str, sha256: str) -> int | None:
        """The size that the client announced for a blob; None when it never offered it."""
        row = self._database.row("SELECT size FROM holdings WHERE owner = ? AND sha256 = ?", owner, sha256)
        return None if row is None else row["size"]

    def used_bytes(self, owner: str) -> int:
        row = self._database.row("SELECT COALESCE(SUM(size), 0) AS used FROM holdings WHERE owner = ?", owner)
        return 0 if row is None else row["used"]

    def reserve(self, owner: str, sha256: str, size: int, now_unix_secs: float) -> None:
        """Count an announced blob against the client's quota before a byte of it arrives.

        Raises:
            MaquetteError: QUOTA_EXCEEDED.
        """
        before = self.offered(owner, sha256) or 0
        used = self.used_bytes(owner) - before
        if used + size > self._quota_bytes:
            raise MaquetteError(
                ErrorCode.QUOTA_EXCEEDED,
                f"A blob of {size} bytes does not fit: {used} of this key's {self._quota_bytes} bytes are taken.",
                "Wait until old uploads are collected, or have the backend's operator raise --quota-gib.",
            )
        self._put(owner, sha256, size, False, now_unix_secs)

    def settle(self, owner: str, sha256: str, size: int, now_unix_secs: float) -> None:
        """The client holds the whole blob from now on."""
        self._put(owner, sha256, size, True, now_unix_secs)

    def drop(self, owner: str, sha256: str) -> None:
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM holdings WHERE owner = ? AND sha256 = ?", (owner, sha256))

    def touch(self, owner: str, sha256s: list[str], now_unix_secs: float) -> None:
        """The blobs are in use: their age for collection starts anew."""
        with self._database.transaction() as connection:
            connection.executemany(
                "UPDATE holdings SET touched_unix_secs = ? WHERE owner = ? AND sha256 = ?",
                [(now_unix_secs, owner, sha256) for sha256 in sha256s],
            )

    def forget_before(self, touched_unix_secs: float, keep: frozenset[str]) -> list[tuple[str, str]]:
        """Drop what was not used since a time, except the blobs in ``keep``; returns (owner, sha256) pairs."""
        query = "SELECT owner, sha256 FROM holdings WHERE touched_unix_secs < ?"
        old = [
            (row["owner"], row["sha256"])
            for row in self._database.rows(query, touched_unix_secs)
            if row["sha256"] not in keep
        ]
        with self._database.transaction() as connection:
            connection.executemany("DELETE FROM holdings WHERE owner = ? AND sha256 = ?", old)
        return old

    def is_held(self, sha256: str) -> bool:
        """Whether anybody holds the blob."""
        return self._database.row("SELECT 1 FROM holdings WHERE sha256 = ?", sha256) is not None

    def _put(self, owner: str, sha256: str, size: int, complete: bool, now_unix_secs: float) -> None:
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT INTO holdings VALUES (?, ?, ?, ?, ?) ON CONFLICT (owner, sha256) DO UPDATE SET"
                " size = excluded.size, complete = excluded.complete, touched_unix_secs = excluded.touched_unix_secs",
                (owner, sha256, size, int(complete), now_unix_secs),
            )
