"""Which job runs next, on which worker, until when. Pure: no clock, no disk, no socket of its own.

Fair between clients: the client whose turn is longest ago goes first, and its jobs go in the order they came.
A lease with a fencing token says who may report on a job; a worker that lost its lease is not heard
(Kleppmann, "How to do distributed locking", 2016).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass


@dataclass(frozen=True)
class Lease:
    """One worker's right to report on one job until ``expires_secs`` (monotonic clock)."""

    job_id: str
    owner: str
    worker: str
    token: int
    expires_secs: float


class Scheduler:
    """The queue and the leases. All times are seconds of one monotonic clock that the caller reads."""

    def __init__(self, lease_secs: float) -> None:
        self._lease_secs = lease_secs
        self._waiting: dict[str, deque[str]] = {}
        """Owner → job ids. The dictionary's order is the order of the owners' turns."""
        self._leases: dict[str, Lease] = {}

    # ---- the queue ----
    def enqueue(self, job_id: str, owner: str) -> None:
        self._waiting.setdefault(owner, deque()).append(job_id)

    def enqueue_first(self, job_id: str, owner: str) -> None:
        """Put back a job that had already begun: it goes before its owner's other jobs, at the owner's next turn,
        and that turn is the next one."""
        jobs = self._waiting.pop(owner, deque())
        jobs.appendleft(job_id)
        self._waiting = {owner: jobs, **self._waiting}

    def withdraw(self, job_id: str) -> bool:
        """Take a waiting job out of the queue; False when it does not wait."""
        for owner, jobs in self._waiting.items():
            if job_id in jobs:
                jobs.remove(job_id)
                if not jobs:
                    del self._waiting[owner]
                return True
        return False

    def order(self) -> list[str]:
        """The waiting jobs in the order in which they will start."""
        lanes = [deque(jobs) for jobs in self._waiting.values()]
        order: list[str] = []
        while lanes:
            order += [lane.popleft() for lane in lanes]
            lanes = [lane for lane in lanes if lane]
        return order

    def positions(self) -> dict[str, int]:
        """Waiting job → how many jobs are ahead of it, those that run included."""
        return {job_id: place + len(self._leases) for place, job_id in enumerate(self.order())}

    # ---- the leases ----
    def next_job(self) -> tuple[str, str] | None:
        """(job id, owner) of the job whose turn it is, without taking it."""
        for owner, jobs in self._waiting.items():
            return jobs[0], owner
        return None

    def lease(self, worker: str, token: int, now_secs: float) -> Lease | None:
        """Give the next job to ``worker``; None when none waits. ``token`` must grow with every lease of a job."""
        turn = self.next_job()
        if turn is None:
            return None
        job_id, owner = turn
        jobs = self._waiting.pop(owner)
        jobs.popleft()
        if jobs:
            self._waiting[owner] = jobs  # at the end: the others' turns come first
        self._leases[job_id] = Lease(job_id, owner, worker, token, now_secs + self._lease_secs)
        return self._leases[job_id]

    def holds(self, job_id: str, token: int) -> bool:
        """Whether ``token`` is the job's current lease: only then may its bearer report."""
        lease = self._leases.get(job_id)
        return lease is not None and lease.token == token

    def renew(self, job_id: str, token: int, now_secs: float) -> None:
        if self.holds(job_id, token):
            held = self._leases[job_id]
            self._leases[job_id] = Lease(job_id, held.owner, held.worker, token, now_secs + self._lease_secs)

    def release(self, job_id: str, token: int) -> bool:
        """End a lease; False when ``token`` had lost it before."""
        if not self.holds(job_id, token):
            return False
        del self._leases[job_id]
        return True

    def lease_of(self, job_id: str) -> Lease | None:
        return self._leases.get(job_id)

    def leases(self) -> dict[str, Lease]:
        """All leases, by job."""
        return dict(self._leases)

    def leases_of(self, worker: str) -> list[Lease]:
        return [lease for lease in self._leases.values() if lease.worker == worker]

    def expired(self, now_secs: float) -> list[Lease]:
        return [lease for lease in self._leases.values() if lease.expires_secs <= now_secs]
