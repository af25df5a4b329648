"""What the two sessions report to whoever owns the socket: typed, frozen, nothing of the transport."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from .arrays import Array
from .errors import MaquetteError
from .messages import BackendMessage, ClientMessage, Hello, JobProgress, JobStatus, Preview, Welcome


# ---- client side ----------------------------------------------------------------------------------
@dataclass(frozen=True)
class Connected:
    """The backend has welcomed this client (again, after a loss)."""

    welcome: Welcome


@dataclass(frozen=True)
class Lost:
    """The connection is gone; the session reconnects by itself and resends what was unanswered."""

    error: MaquetteError


@dataclass(frozen=True)
class Refused:
    """The backend will not have this client (version, key); no reconnection until ``reconnect()``."""

    error: MaquetteError


@dataclass(frozen=True)
class Answered:
    """A request was answered. A ``JobStatus`` answer is also reported as ``JobChanged``."""

    ticket: int
    request: ClientMessage
    answer: BackendMessage


@dataclass(frozen=True)
class RequestFailed:
    """A request was refused, or not answered in time; it changed nothing, or nothing is known."""

    ticket: int
    request: ClientMessage
    error: MaquetteError


@dataclass(frozen=True)
class JobChanged:
    """A job's whole state, whenever it is told."""

    status: JobStatus


@dataclass(frozen=True)
class JobProgressed:
    progress: JobProgress


@dataclass(frozen=True)
class PreviewArrived:
    """A preview with all its arrays (kept ones restored). Call ``preview_taken`` once it is shown."""

    preview: Preview
    arrays: Mapping[str, Array]


@dataclass(frozen=True)
class TransferMoved:
    """Bytes done of an upload or a download."""

    sha256: str
    done: int
    size: int


@dataclass(frozen=True)
class Uploaded:
    """The backend has the whole blob, and checked its hash."""

    sha256: str


@dataclass(frozen=True)
class Downloaded:
    """A whole blob, its hash checked."""

    sha256: str
    data: bytearray = field(repr=False)


@dataclass(frozen=True)
class TransferFailed:
    sha256: str
    error: MaquetteError


@dataclass(frozen=True)
class Protested:
    """Something that could not be understood came in, or the backend says so of ours; for the log."""

    error: MaquetteError


TransferEvent = TransferMoved | Uploaded | Downloaded | TransferFailed
ClientEvent = (
    Connected | Lost | Refused | Answered | RequestFailed | JobChanged | JobProgressed | PreviewArrived | TransferEvent
    | Protested
)  # fmt: skip


# ---- backend side ---------------------------------------------------------------------------------
@dataclass(frozen=True)
class Greeted:
    """A client said hello and was welcomed."""

    hello: Hello


@dataclass(frozen=True)
class Asked:
    """A request to be answered with ``answer(seq, …)`` or ``refuse(seq, …)``."""

    seq: int
    message: ClientMessage
    arrays: Mapping[str, Array]


@dataclass(frozen=True)
class Broke:
    """The client broke the protocol and was told so; for the log."""

    error: MaquetteError


PeerEvent = Greeted | Asked | Broke
