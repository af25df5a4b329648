"""What the main thread asks of the connection's thread, and what it hears back. Plain data, no bpy, no zmq."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ._protocol import arrays, errors, messages, recipe
from .refined import Frame, Refined


# ---- main thread → connection ---------------------------------------------------------------------
@dataclass(frozen=True)
class StartJob:
    """Upload what the backend lacks, then submit."""

    job_id: str
    recipe: recipe.Recipe
    blobs: Mapping[str, arrays.Bytes] = field(repr=False)


@dataclass(frozen=True)
class FollowJob:
    """Attach to a job of an earlier time; fetch its results if it has ended."""

    job_id: str


@dataclass(frozen=True)
class EndJob:
    """Cancel; with ``keep`` stop early and deliver what there is."""

    job_id: str
    keep: bool = False


@dataclass(frozen=True)
class PreviewShown:
    """Another preview is welcome."""

    job_id: str


@dataclass(frozen=True)
class Reconnect:
    """Read the connection file again and try at once."""


@dataclass(frozen=True)
class Rest:
    """End the thread, and leave all that is open to the next one."""


Command = StartJob | FollowJob | EndJob | PreviewShown | Reconnect | Rest


# ---- connection → main thread ---------------------------------------------------------------------
@dataclass(frozen=True)
class Online:
    welcome: messages.Welcome


@dataclass(frozen=True)
class Offline:
    error: errors.MaquetteError
    final: bool = False
    """No further try until ``Reconnect``."""


@dataclass(frozen=True)
class Uploading:
    job_id: str
    done: int
    size: int


@dataclass(frozen=True)
class Changed:
    """A job's state; results that are ready follow as ``Delivered``."""

    status: messages.JobStatus


@dataclass(frozen=True)
class Progressed:
    progress: messages.JobProgress


@dataclass(frozen=True)
class Previewed:
    frame: Frame


@dataclass(frozen=True)
class Delivered:
    """A job has ended well; its results are here."""

    job_id: str
    subjects: tuple[Refined, ...]


@dataclass(frozen=True)
class Failed:
    """A job has ended, or never began, because of this."""

    job_id: str
    error: errors.MaquetteError
    unknown: bool = False
    """The job may still run or hold results: following it later makes sense."""


Event = Online | Offline | Uploading | Changed | Progressed | Previewed | Delivered | Failed
