"""The client's side of the connection: handshake, requests, liveness, reconnection, streams.

Sans-IO: frames in, envelopes out, the clock is passed in. The owner of the socket runs this loop:

    if session.wants_new_socket: close the old socket, open a new one, session.socket_opened()
    for envelope in session.take_outgoing(): socket.send_multipart(encode(envelope))
    for frames in socket: handle(session.receive(frames))
    handle(session.tick())

After a loss everything unanswered is resent: uploads are offered anew and continue where they were,
jobs are attached again, and requests are repeated (every one may be: they are idempotent).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from . import limits
from .arrays import Array, Bytes
from .codec import Envelope, decode, encode
from .errors import ErrorCode, MaquetteError, ProtocolError
from .events import (
    Answered,
    ClientEvent,
    Connected,
    JobChanged,
    JobProgressed,
    Lost,
    PreviewArrived,
    Protested,
    Refused,
    RequestFailed,
)
from .messages import (
    AttachJob,
    BackendMessage,
    BlobWanted,
    CancelJob,
    Chunk,
    ChunkStored,
    ClientMessage,
    Error,
    Hello,
    JobProgress,
    JobStatus,
    ListJobs,
    Ping,
    Pong,
    Preview,
    PreviewCredit,
    SubmitJob,
    Welcome,
)
from .peer_session import ENDED
from .recipe import Recipe
from .transfers import Transfers
from .version import MAJOR, MINOR

State = Literal["lost", "connecting", "ready", "refused"]
Request = SubmitJob | AttachJob | CancelJob | ListJobs


@dataclass
class _Waiting:
    """A request without an answer yet."""

    request: Request
    give_up_at: float


@dataclass
class _Job:
    """A job whose events this client wants."""

    credit: int = 0
    """Previews that the backend may still send."""
    last: tuple[Preview, Mapping[str, Array]] | None = None
    """To restore arrays that the next preview leaves out."""


@dataclass
class _Link:
    """What lives as long as one socket."""

    opened_at: float
    heard_at: float
    pinged_at: float
    seq: int = 0
    ticket_of: dict[int, int] = field(default_factory=dict)
    """By seq: the request that an answer belongs to."""
    outgoing: deque[Envelope] = field(default_factory=deque)


class ClientSession:
    """One client's talk with one backend, over any number of sockets one after another."""

    def __init__(
        self, now: Callable[[], float], client: str, *, capabilities: tuple[str, ...] = (), major: int = MAJOR
    ) -> None:
        """``now`` in seconds, never going back; ``client`` is free text for the backend's log."""
        self._now = now
        self._hello = Hello(major, MINOR, client, capabilities)
        self._state: State = "lost"
        self._failures = 0
        self._retry_at = self._offline_since = now()
        self._link = _Link(now(), now(), now())
        self._next_ticket = 1
        self._waiting: dict[int, _Waiting] = {}
        self._jobs: dict[str, _Job] = {}
        self._transfers = Transfers(now)

    # ---- the socket ---------------------------------------------------------------------------------
    @property
    def state(self) -> State:
        return self._state

    @property
    def wants_new_socket(self) -> bool:
        """True when the old socket is of no use and it is time to open another."""
        return self._state == "lost" and self._now() >= self._retry_at

    def socket_opened(self) -> None:
        """A new socket is there (the old one is closed): begins the handshake."""
        now = self._now()
        self._state = "connecting"
        self._link = _Link(now, now, now)
        self._jobs = {job_id: _Job() for job_id in self._jobs}
        self._send(self._hello)

    def reconnect(self) -> None:
        """Try again at once, also after a refusal (the backend was restarted or updated)."""
        if self._state in ("lost", "refused"):
            self._state, self._failures, self._retry_at = "lost", 0, self._now()

    def lose(self, error: MaquetteError) -> list[ClientEvent]:
        """The socket is of no use any more, as its owner found or this session did."""
        if self._state in ("lost", "refused"):
            return []
        if self._state == "ready":
            self._offline_since = self._now()
        self._state = "lost"
        self._retry_at = self._now() + min(limits.BACKOFF_FIRST_SECS * 2**self._failures, limits.BACKOFF_MAX_SECS)
        self._failures = min(self._failures + 1, 16)
        self._link.outgoing.clear()
        return [Lost(error)]

    # ---- what the client wants -----------------------------------------------------------------------
    def submit(self, job_id: str, recipe: Recipe) -> int:
        """Start a job whose blobs are uploaded; returns a ticket. Its events follow."""
        return self.request(SubmitJob(job_id, recipe))

    def attach(self, job_id: str) -> int:
        """Receive an older job's events; returns a ticket."""
        return self.request(AttachJob(job_id))

    def cancel(self, job_id: str, *, keep: bool = False) -> int:
        """End a job (``keep``: with what it has); returns a ticket. Goes before all bulk."""
        return self.request(CancelJob(job_id, keep))

    def list_jobs(self) -> int:
        """Ask for the client's jobs; returns a ticket."""
        return self.request(ListJobs())

    def request(self, request: Request, timeout_secs: float = limits.REQUEST_TIMEOUT_SECS) -> int:
        """Send a request; ``Answered`` or ``RequestFailed`` with the returned ticket follows, also
        over a loss of the connection.

        Raises:
            ProtocolError: the request cannot be sent (a bound), or too many wait already.
        """
        if len(self._waiting) >= limits.MAX_OPEN_REQUESTS // 2:
            raise ProtocolError(f"{len(self._waiting)} requests wait for an answer.", "Wait for the backend.")
        encode(Envelope(request, 1))  # so that a request that breaks a bound fails here, at its maker
        return self._begin(request, timeout_secs)

    def _begin(self, request: Request, timeout_secs: float = limits.REQUEST_TIMEOUT_SECS) -> int:
        ticket = self._next_ticket
        self._next_ticket += 1
        self._waiting[ticket] = _Waiting(request, self._now() + timeout_secs)
        if self._state == "ready":
            self._send_request(ticket)
        return ticket

    def upload(self, data: Bytes, sha256: str = "") -> str:
        """Bring a blob to the backend; returns its hash. ``Uploaded`` or ``TransferFailed`` follows.
        ``data`` is not copied and must not change meanwhile."""
        return self._transfers.upload(data, sha256)

    def download(self, sha256: str, size: int) -> None:
        """Fetch a result blob (``size``: ``arrays.ref_size``). ``Downloaded`` or ``TransferFailed`` follows."""
        self._transfers.download(sha256, size)

    def stop_transfer(self, sha256: str) -> None:
        """Forget an upload or download; no event follows."""
        self._transfers.stop(sha256)

    def forget(self, job_id: str) -> None:
        """Take no more interest in a job; it runs on."""
        self._jobs.pop(job_id, None)

    def preview_taken(self, job_id: str) -> None:
        """A preview has been shown: the backend may send another. Never called, the stream ends after
        ``limits.PREVIEW_CREDIT`` previews; that is what protects a busy client."""
        job = self._jobs.get(job_id)
        if job is not None and self._state == "ready":
            self._grant(job_id, job)

    # ---- out ------------------------------------------------------------------------------------------
    def take_outgoing(self) -> list[Envelope]:
        """All that may be sent now: first what is urgent, then chunks as far as the window allows."""
        sent = list(self._link.outgoing)
        self._link.outgoing.clear()
        while self._state == "ready":
            chunk = self._transfers.next_request(self._link.seq + 1)
            if chunk is None:
                break
            self._link.seq += 1
            sent.append(Envelope(chunk[0], self._link.seq, None, chunk[1]))
        return sent

    def _send(self, message: ClientMessage) -> int:
        self._link.seq += 1
        self._link.outgoing.append(Envelope(message, self._link.seq))
        return self._link.seq

    def _send_request(self, ticket: int) -> None:
        self._link.ticket_of[self._send(self._waiting[ticket].request)] = ticket

    def _grant(self, job_id: str, job: _Job) -> None:
        count = limits.PREVIEW_CREDIT - job.credit
        if count > 0:
            job.credit += count
            self._send(PreviewCredit(job_id, count))

    # ---- in -------------------------------------------------------------------------------------------
    def receive(self, frames: Sequence[Bytes]) -> list[ClientEvent]:
        """Take a message in and say what it means."""
        if self._state in ("lost", "refused"):
            return []
        try:
            envelope = decode(frames)
            if isinstance(envelope.message, ClientMessage):
                raise ProtocolError(f"{type(envelope.message).__name__} goes from a client to the backend only.")
        except ProtocolError as error:
            if error.code == ErrorCode.VERSION_MISMATCH:
                return self._refuse(error)
            return [Protested(error)]
        self._link.heard_at = self._now()
        return self._dispatch(envelope.message, envelope.re, envelope.arrays)

    def _dispatch(self, message: BackendMessage, re: int | None, arrays: Mapping[str, Array]) -> list[ClientEvent]:
        match message:
            case Welcome():
                return self._welcomed(message)
            case Pong():
                return []
            case Error():
                return self._error(message, re)
            case BlobWanted() | ChunkStored() | Chunk():
                return (
                    [*self._transfers.receive(re, message, arrays)]
                    if re is not None and self._transfers.owns(re)
                    else []
                )
            case JobProgress():
                return [JobProgressed(message)] if message.job_id in self._jobs else []
            case Preview():
                return self._preview(message, arrays)
            case _:
                return self._answered(message, re)

    def _welcomed(self, welcome: Welcome) -> list[ClientEvent]:
        if self._state != "connecting":
            return []
        self._state, self._failures = "ready", 0
        self._transfers.restart()
        asked = {waiting.request.job_id for waiting in self._waiting.values()
                 if isinstance(waiting.request, SubmitJob | AttachJob)}  # fmt: skip
        for ticket in self._waiting:
            self._send_request(ticket)
        for job_id in self._jobs:
            if job_id not in asked:
                self._begin(AttachJob(job_id))
        return [Connected(welcome)]

    def _answered(self, message: BackendMessage, re: int | None) -> list[ClientEvent]:
        """A job's state, as an answer or of the backend's own accord, or another answer."""
        ticket = None if re is None else self._link.ticket_of.pop(re, None)
        waiting = None if ticket is None else self._waiting.pop(ticket, None)
        events: list[ClientEvent] = []
        if ticket is not None and waiting is not None:
            events.append(Answered(ticket, waiting.request, message))
        if isinstance(message, JobStatus):
            self._follow(message, waiting.request if waiting is not None else None)
            events.append(JobChanged(message))
        return events

    def _follow(self, status: JobStatus, request: Request | None) -> None:
        if status.state in ENDED:
            self._jobs.pop(status.job_id, None)
        elif isinstance(request, SubmitJob | AttachJob):
            self._grant(status.job_id, self._jobs.setdefault(status.job_id, _Job()))

    def _preview(self, preview: Preview, arrays: Mapping[str, Array]) -> list[ClientEvent]:
        job = self._jobs.get(preview.job_id)
        if job is None:
            return []
        job.credit = max(job.credit - 1, 0)
        held = job.last[1] if job.last is not None and job.last[0].subject_id == preview.subject_id else {}
        unknown = [name for name in preview.kept if name not in held]
        if unknown:
            self._grant(preview.job_id, job)
            return [Protested(ProtocolError(f"A preview keeps arrays that never came: {', '.join(unknown)[:80]}."))]
        whole = {**{name: held[name] for name in preview.kept}, **arrays}
        job.last = (preview, whole)
        return [PreviewArrived(preview, whole)]

    def _error(self, message: Error, re: int | None) -> list[ClientEvent]:
        error = error_from(message)
        if error.code == ErrorCode.NO_HELLO:
            return self.lose(error)
        if self._state == "connecting" or error.code == ErrorCode.VERSION_MISMATCH:
            return self._refuse(error)
        if re is not None and self._transfers.owns(re):
            return [*self._transfers.refused(re, error)]
        ticket = None if re is None else self._link.ticket_of.pop(re, None)
        waiting = None if ticket is None else self._waiting.pop(ticket, None)
        if ticket is None or waiting is None:
            return [Protested(error)]
        if isinstance(waiting.request, SubmitJob | AttachJob):
            self._jobs.pop(waiting.request.job_id, None)
        return [RequestFailed(ticket, waiting.request, error)]

    def _refuse(self, error: MaquetteError) -> list[ClientEvent]:
        self._state = "refused"
        self._link.outgoing.clear()
        return [Refused(error), *self._fail_all(error)]

    def _fail_all(self, error: MaquetteError) -> list[ClientEvent]:
        failed = [RequestFailed(ticket, waiting.request, error) for ticket, waiting in self._waiting.items()]
        self._waiting.clear()
        return [*failed]

    # ---- time -----------------------------------------------------------------------------------------
    def tick(self) -> list[ClientEvent]:
        """What the passing of time brings; call it several times a second."""
        offline = None if self._state == "ready" else self._offline_since
        return [*self._liveness(), *self._timeouts(), *self._transfers.tick(offline)]

    def _liveness(self) -> list[ClientEvent]:
        now, link = self._now(), self._link
        if self._state == "connecting" and now - link.opened_at >= limits.HELLO_TIMEOUT_SECS:
            return self.lose(
                MaquetteError(
                    ErrorCode.UNREACHABLE,
                    f"No backend answered within {limits.HELLO_TIMEOUT_SECS:g} s.",
                    "Start the backend; if it runs elsewhere, check its address and that this key is enrolled.",
                )
            )
        if self._state != "ready":
            return []
        if now - link.heard_at >= limits.LIVENESS_SECS:
            silence = f"The backend has been silent for {limits.LIVENESS_SECS:g} s."
            return self.lose(MaquetteError(ErrorCode.UNREACHABLE, silence, "Maquette keeps trying to reach it."))
        if now - max(link.heard_at, link.pinged_at) >= limits.PING_INTERVAL_SECS:
            link.pinged_at = now
            self._send(Ping(link.seq + 1))
        return []

    def _timeouts(self) -> list[ClientEvent]:
        late = [ticket for ticket, waiting in self._waiting.items() if self._now() >= waiting.give_up_at]
        code = ErrorCode.TIMED_OUT if self._state == "ready" else ErrorCode.UNREACHABLE
        events: list[ClientEvent] = []
        for ticket in late:
            request = self._waiting.pop(ticket).request
            message = f"{type(request).__name__} was not answered in time."
            error = MaquetteError(code, message, "Check that the backend runs, then try again.")
            events.append(RequestFailed(ticket, request, error))
        return events


def error_from(message: Error) -> MaquetteError:
    """A backend's error as an exception; a code of a later minor version counts as ``internal``."""
    known = message.code in tuple(ErrorCode)
    code = ErrorCode(message.code) if known else ErrorCode.INTERNAL
    return MaquetteError(code, message.message, message.remedy)
