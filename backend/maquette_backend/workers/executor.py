"""Who runs jobs for the gateway: an interface that a local process, and later a cluster, implements."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from maquette_protocol.arrays import Array
from maquette_protocol.messages import JobProgress, Preview, PromptReading, SubjectResult
from maquette_protocol.recipe import Recipe

from ..refine.events import Wish

Outcome = Literal["finished", "failed", "cancelled", "shelved"]


# ---- gateway → worker -----------------------------------------------------------------------------
@dataclass(frozen=True)
class RunJob:
    """Run a job, from its checkpoint if there is one. Everything said about it carries ``token``."""

    job_id: str
    token: int
    recipe: Recipe
    wish: Wish = "go_on"


@dataclass(frozen=True)
class SetWish:
    token: int
    wish: Wish


@dataclass(frozen=True)
class WantPreviews:
    """Whether anybody would see a preview now."""

    token: int
    wanted: bool


@dataclass(frozen=True)
class Shutdown:
    """Leave the job with its checkpoint, report it as shelved, and exit."""


# ---- worker → gateway -----------------------------------------------------------------------------
@dataclass(frozen=True)
class Ready:
    device: str


@dataclass(frozen=True)
class Beat:
    """Sent every second, whatever the worker does."""


@dataclass(frozen=True)
class PromptsRead:
    """What the prior makes of the job's prompts."""

    job_id: str
    token: int
    readings: tuple[PromptReading, ...]


@dataclass(frozen=True)
class Noticed:
    """What was changed so that the job could go on."""

    job_id: str
    token: int
    sentence: str


@dataclass(frozen=True)
class Progressed:
    token: int
    progress: JobProgress


@dataclass(frozen=True)
class Previewed:
    """With the preview's arrays."""

    token: int
    preview: Preview


@dataclass(frozen=True)
class Ended:
    job_id: str
    token: int
    outcome: Outcome
    results: tuple[SubjectResult, ...] = ()
    error_code: str = ""
    error_message: str = ""
    error_remedy: str = ""


Order = RunJob | SetWish | WantPreviews | Shutdown
Report = Ready | Beat | PromptsRead | Noticed | Progressed | Previewed | Ended


@dataclass(frozen=True)
class Heard:
    """A worker's report."""

    worker: str
    report: Report
    arrays: Mapping[str, Array] = field(default_factory=dict)


@dataclass(frozen=True)
class Lost:
    """A worker is gone; nothing more comes from it."""

    worker: str
    reason: str


class Executor(Protocol):
    """Holds workers. No call blocks, except ``stop``. A worker's name is never used again for another one."""

    @property
    def device(self) -> str:
        """What computes, for people."""
        ...

    def start(self) -> None: ...

    def free_worker(self) -> str | None:
        """A worker that is ready and has no job."""
        ...

    def send(self, worker: str, order: Order) -> None:
        """Orders to a worker that is gone are dropped: its ``Lost`` is on the way."""
        ...

    def give_up(self, worker: str) -> None:
        """Kill a worker that does not do as it is told; ``Lost`` follows and another one starts."""
        ...

    def take(self) -> list[Heard | Lost]:
        """What came since the last call, in order."""
        ...

    def tick(self, now_secs: float) -> None:
        """Look after the workers' health; to be called about every second."""
        ...

    def stop(self, grace_secs: float) -> None:
        """Ask the workers to shelve their jobs and exit, and kill them when they take longer."""
        ...
