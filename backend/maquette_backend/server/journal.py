"""The truth about jobs: every change of a job's state is on disk before anyone is told of it.

Recipes and results are kept as the bytes that the caller gives; the journal does not look into them.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import cast

from maquette_protocol.errors import ErrorCode, MaquetteError
from maquette_protocol.messages import JobState

from ..workers.executor import Wish
from .database import Database

MAX_DEATHS = 2
"""A job on which this many workers died is a poison job and is given up."""


@dataclass(frozen=True)
class JobRecord:
    """One job as the journal has it."""

    number: int
    """Order of acceptance."""
    job_id: str
    owner: str
    """The client's public key."""
    recipe: bytes
    state: JobState
    wish: Wish
    deaths: int
    """Workers that died on it."""
    token: int
    """Fencing token of the newest lease."""
    created_unix_secs: float
    status: bytes | None
    """The final status, encoded; None until the job has ended."""


class Journal:
    """Jobs in SQLite. Each method that changes something is one durable transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def accept(self, job_id: str, owner: str, recipe: bytes, recipe_hash: str, now_unix_secs: float) -> bool:
        """Record a new job as queued. False when this very job was accepted before.

        Raises:
            MaquetteError: CONFLICT when the id was used for another recipe or by another client.
        """
        held = self._database.row("SELECT owner, recipe_hash FROM jobs WHERE job_id = ?", job_id)
        if held is not None:
            if (held["owner"], held["recipe_hash"]) == (owner, recipe_hash):
                return False
            raise MaquetteError(
                ErrorCode.CONFLICT, f"The job id {job_id} was used before, for something else.", "Submit with a new id."
            )
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT INTO jobs (job_id, owner, recipe, recipe_hash, state, created_unix_secs)"
                " VALUES (?, ?, ?, ?, 'queued', ?)",
                (job_id, owner, recipe, recipe_hash, now_unix_secs),
            )
        return True

    def job(self, job_id: str) -> JobRecord | None:
        row = self._database.row("SELECT * FROM jobs WHERE job_id = ?", job_id)
        return None if row is None else _record(row)

    def job_of(self, job_id: str, owner: str) -> JobRecord:
        """The client's own job. Another client's job looks like one that does not exist.

        Raises:
            MaquetteError: UNKNOWN_JOB.
        """
        record = self.job(job_id)
        if record is None or record.owner != owner:
            raise MaquetteError(
                ErrorCode.UNKNOWN_JOB, f"This key has no job {job_id}.", "List the jobs to see those that exist."
            )
        return record

    def jobs_of(self, owner: str, limit: int) -> list[JobRecord]:
        """The client's newest jobs, newest first."""
        query = "SELECT * FROM jobs WHERE owner = ? ORDER BY number DESC LIMIT ?"
        return [_record(row) for row in self._database.rows(query, owner, limit)]

    def unfinished(self) -> list[JobRecord]:
        """Queued and running jobs in the order of their acceptance."""
        query = "SELECT * FROM jobs WHERE state IN ('queued', 'running') ORDER BY number"
        return [_record(row) for row in self._database.rows(query)]

    def begin(self, job_id: str) -> int:
        """The job runs from now on; returns the new lease's fencing token."""
        with self._database.transaction() as connection:
            row = connection.execute(
                "UPDATE jobs SET state = 'running', token = token + 1 WHERE job_id = ? RETURNING token", (job_id,)
            ).fetchone()
        return row["token"]

    def requeue(self, job_id: str) -> None:
        """The job waits again, through no fault of its own: the backend stops, or was killed."""
        self._update(job_id, "state = 'queued'")

    def worker_died(self, job_id: str) -> int:
        """The job waits again after its worker died; returns how many died on it so far."""
        with self._database.transaction() as connection:
            row = connection.execute(
                "UPDATE jobs SET state = 'queued', deaths = deaths + 1 WHERE job_id = ? RETURNING deaths", (job_id,)
            ).fetchone()
        return row["deaths"]

    def set_wish(self, job_id: str, wish: Wish) -> None:
        """What the client wants of its running job; survives a restart."""
        self._update(job_id, "wish = ?", wish)

    def end(self, job_id: str, state: JobState, status: bytes, now_unix_secs: float) -> None:
        """The job has ended; ``status`` is the answer to whoever asks from now on."""
        self._update(job_id, "state = ?, status = ?, ended_unix_secs = ?", state, status, now_unix_secs)

    def forget_before(self, ended_unix_secs: float) -> list[str]:
        """Drop the jobs that ended before a time; returns their ids."""
        with self._database.transaction() as connection:
            rows = connection.execute(
                "DELETE FROM jobs WHERE ended_unix_secs < ? RETURNING job_id", (ended_unix_secs,)
            ).fetchall()
        return [row["job_id"] for row in rows]

    def _update(self, job_id: str, change: str, *values: object) -> None:
        with self._database.transaction() as connection:
            connection.execute(f"UPDATE jobs SET {change} WHERE job_id = ?", (*values, job_id))


def _record(row: sqlite3.Row) -> JobRecord:
    return JobRecord(
        number=row["number"],
        job_id=row["job_id"],
        owner=row["owner"],
        recipe=row["recipe"],
        state=cast(JobState, row["state"]),
        wish=cast(Wish, row["wish"]),
        deaths=row["deaths"],
        token=row["token"],
        created_unix_secs=row["created_unix_secs"],
        status=row["status"],
    )
