"""The backend's side of one connection: hello first, numbered requests, previews by credit.

Sans-IO: frames in, envelopes out, the clock is passed in. One ``PeerSession`` belongs to one routing
id; a new socket of the same client gets a new one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from . import limits
from .arrays import Array, Bytes
from .codec import Envelope, decode
from .errors import ErrorCode, MaquetteError, ProtocolError
from .events import Asked, Broke, Greeted, PeerEvent
from .messages import (
    BackendMessage,
    ClientMessage,
    Error,
    Hello,
    JobProgress,
    JobStatus,
    Ping,
    Pong,
    Preview,
    PreviewCredit,
    Welcome,
)
from .version import MISMATCH_REMEDY, compatible, mismatch

ENDED = ("finished", "failed", "cancelled")
"""States after which a job sends nothing more."""


@dataclass
class _Stream:
    """What one attached job has to tell: newest progress, newest preview, and the credit for it."""

    credit: int = 0
    progress: JobProgress | None = None
    preview: tuple[Preview, Mapping[str, Array]] | None = None
    last: tuple[Preview, Mapping[str, Array]] | None = None
    """What the client holds, to leave out what it has already."""


@dataclass
class _Queue:
    control: deque[tuple[BackendMessage, int | None, Mapping[str, Array]]] = field(default_factory=deque)
    given_back: list[Envelope] = field(default_factory=list)


class PeerSession:
    """One client, as the backend sees it."""

    def __init__(self, now: Callable[[], float], welcome: Callable[[], Welcome]) -> None:
        """``now`` in seconds; ``welcome`` is asked for the answer to a client's hello."""
        self._now = now
        self._welcome = welcome
        self._heard_at = now()
        self._hello: Hello | None = None
        self._last_seq_in = 0
        self._seq = 0
        self._open: set[int] = set()
        self._streams: dict[str, _Stream] = {}
        self._queue = _Queue()

    @property
    def hello(self) -> Hello | None:
        """What the client said it is, once it was welcomed."""
        return self._hello

    @property
    def lost(self) -> bool:
        """True after ``limits.LIVENESS_SECS`` without a message: the owner forgets this session."""
        return self._now() - self._heard_at >= limits.LIVENESS_SECS

    @property
    def attached(self) -> frozenset[str]:
        """Jobs whose events go to this client."""
        return frozenset(self._streams)

    # ---- in -------------------------------------------------------------------------------------------
    def receive(self, frames: Sequence[Bytes]) -> list[PeerEvent]:
        """Take a message in (without the routing id). Hello, ping and credit are dealt with here."""
        self._heard_at = self._now()
        envelope: Envelope | None = None
        try:
            envelope = decode(frames)
            return self._dispatch(envelope)
        except ProtocolError as error:
            self._say(_error_message(error), error.seq if envelope is None else envelope.seq)
            return [Broke(error)]

    def _dispatch(self, envelope: Envelope) -> list[PeerEvent]:
        message, seq = envelope.message, envelope.seq
        if not isinstance(message, ClientMessage):
            raise ProtocolError(f"{type(message).__name__} goes from the backend to a client only.")
        if seq <= self._last_seq_in:
            raise ProtocolError(f"Message {seq} came after message {self._last_seq_in}.")
        self._last_seq_in = seq
        if isinstance(message, Hello):
            return self._greet(seq, message)
        if self._hello is None:
            raise ProtocolError("A connection begins with Hello.", "Connect again.", ErrorCode.NO_HELLO)
        if isinstance(message, Ping):
            self._say(Pong(message.nonce), seq)
            return []
        if isinstance(message, PreviewCredit):
            self._grant(message)
            return []
        return self._ask(seq, message, envelope.arrays)

    def _greet(self, seq: int, hello: Hello) -> list[PeerEvent]:
        if self._hello is not None:
            raise ProtocolError("Hello comes once on a connection.")
        if not compatible(hello.major):
            raise ProtocolError(mismatch(hello.major, "client"), MISMATCH_REMEDY, ErrorCode.VERSION_MISMATCH)
        self._hello = hello
        self._say(self._welcome(), seq)
        return [Greeted(hello)]

    def _grant(self, message: PreviewCredit) -> None:
        """Credit for a job that is not attached is void: the client grants it after the answer."""
        stream = self._streams.get(message.job_id)
        if stream is not None:
            stream.credit = min(stream.credit + max(message.count, 0), limits.MAX_PREVIEW_CREDIT)

    def _ask(self, seq: int, message: ClientMessage, arrays: Mapping[str, Array]) -> list[PeerEvent]:
        if len(self._open) >= limits.MAX_OPEN_REQUESTS:
            raise ProtocolError(f"More than {limits.MAX_OPEN_REQUESTS} requests wait for an answer.", "Wait.")
        self._open.add(seq)
        return [Asked(seq, message, arrays)]

    # ---- out ------------------------------------------------------------------------------------------
    def answer(self, seq: int, message: BackendMessage, arrays: Mapping[str, Array] | None = None) -> None:
        """Answer the request ``seq``, once."""
        if seq not in self._open:
            raise ValueError(f"request {seq} is not open")
        self._open.discard(seq)
        self._say(message, seq, arrays)

    def refuse(self, seq: int, error: MaquetteError) -> None:
        """Answer the request ``seq`` with an error."""
        self.answer(seq, _error_message(error))

    def attach(self, job_id: str) -> None:
        """Send this job's events to this client from now on; call it before answering."""
        self._streams.setdefault(job_id, _Stream())

    def detach(self, job_id: str) -> None:
        """Send no more of this job's events."""
        self._streams.pop(job_id, None)

    def status(self, status: JobStatus) -> None:
        """A job's new state, if attached; it replaces an unsent older one, and an end detaches."""
        if status.job_id not in self._streams:
            return
        old = [item for item in self._queue.control if _is_status(item, status.job_id)]
        for item in old:
            self._queue.control.remove(item)
        self._say(status, None)
        if status.state in ENDED:
            self.detach(status.job_id)

    def progress(self, progress: JobProgress) -> None:
        """A job's newest progress, if attached; an unsent older one is dropped."""
        if progress.job_id in self._streams:
            self._streams[progress.job_id].progress = progress

    def wants_preview(self, job_id: str) -> bool:
        """True when a preview made now could be sent."""
        stream = self._streams.get(job_id)
        return stream is not None and stream.credit > 0

    def preview(self, preview: Preview, arrays: Mapping[str, Array]) -> None:
        """A job's newest preview with *all* its arrays; an unsent older one is dropped. The arrays must
        not be changed afterwards. What the client holds already is left out when it is sent."""
        if preview.job_id in self._streams:
            self._streams[preview.job_id].preview = (preview, arrays)

    def take_outgoing(self) -> list[Envelope]:
        """All that may be sent now, most urgent first: answers and states, progress, previews.

        After ``give_back`` only that, so that what waits for a slow reader is still replaced by newer.
        """
        if self._queue.given_back:
            again, self._queue.given_back = self._queue.given_back, []
            return again
        sent: list[Envelope] = []
        while self._queue.control:
            message, re, arrays = self._queue.control.popleft()
            sent.append(self._number(message, re, arrays))
        for stream in self._streams.values():
            if stream.progress is not None:
                sent.append(self._number(stream.progress, None, {}))
                stream.progress = None
        sent.extend(self._preview_of(stream) for stream in self._streams.values() if stream.preview and stream.credit)
        return sent

    def give_back(self, envelopes: Sequence[Envelope]) -> None:
        """Envelopes taken but not sent (the socket's queue is full); they come next, alone."""
        self._queue.given_back = [*envelopes, *self._queue.given_back]

    def _preview_of(self, stream: _Stream) -> Envelope:
        assert stream.preview is not None
        preview, arrays = stream.preview
        kept = _kept(stream.last, preview, arrays)
        stream.last, stream.preview = stream.preview, None
        stream.credit -= 1
        rest = {name: array for name, array in arrays.items() if name not in kept}
        return self._number(replace(preview, kept=kept), None, rest)

    def _number(self, message: BackendMessage, re: int | None, arrays: Mapping[str, Array]) -> Envelope:
        self._seq += 1
        return Envelope(message, self._seq, re, arrays)

    def _say(self, message: BackendMessage, re: int | None, arrays: Mapping[str, Array] | None = None) -> None:
        self._queue.control.append((message, re, arrays or {}))


def _kept(
    last: tuple[Preview, Mapping[str, Array]] | None, new: Preview, arrays: Mapping[str, Array]
) -> tuple[str, ...]:
    """Names of the arrays that the client has from the last preview: same subject, equal content."""
    if last is None or last[0].subject_id != new.subject_id:
        return ()
    return tuple(sorted(name for name, array in arrays.items() if name in last[1] and _same(array, last[1][name])))


def _same(a: Array, b: Array) -> bool:
    return a is b or (a.dtype == b.dtype and a.shape == b.shape and bool(np.array_equal(a, b)))


def _is_status(item: tuple[BackendMessage, int | None, Mapping[str, Array]], job_id: str) -> bool:
    message, re, _ = item
    return re is None and isinstance(message, JobStatus) and message.job_id == job_id


def _error_message(error: MaquetteError) -> Error:
    short = limits.MAX_TEXT_CHARS
    return Error(str(error.code), error.message[:short], error.remedy[:short])
