"""A client's uploads and downloads: one window over all of them, lost chunks asked again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from . import limits
from .arrays import Array, Bytes
from .blobs import Download, Upload
from .errors import ErrorCode, MaquetteError, ProtocolError
from .events import Downloaded, TransferEvent, TransferFailed, TransferMoved, Uploaded
from .messages import BlobWanted, Chunk, ChunkStored, GetChunk, OfferBlob, PutChunk

TransferRequest = OfferBlob | PutChunk | GetChunk
TransferAnswer = BlobWanted | ChunkStored | Chunk


@dataclass
class _Transfer:
    work: Upload | Download
    stalls: int = 0
    """Restarts since it last moved."""
    repeats: int = 0
    """Times that all was sent and the blob was still not whole there."""


class Transfers:
    """Blobs on their way, for ``ClientSession``; one transfer a hash."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._active: dict[str, _Transfer] = {}
        self._sent: dict[int, tuple[TransferRequest, float]] = {}
        """By seq: what waits for an answer, and since when."""
        self._heard_at = now()

    def upload(self, data: Bytes, sha256: str) -> str:
        """Start sending a blob, unless it is on its way already; returns its hash."""
        work = Upload(data, sha256)
        self._active.setdefault(work.sha256, _Transfer(work))
        return work.sha256

    def download(self, sha256: str, size: int) -> None:
        """Start fetching a blob, unless it is on its way already."""
        if sha256 not in self._active:
            self._active[sha256] = _Transfer(Download(sha256, size))

    def stop(self, sha256: str) -> None:
        """Forget a transfer; what has arrived stays where it is."""
        self._active.pop(sha256, None)
        self._forget(sha256)

    def next_request(self, seq: int) -> tuple[TransferRequest, Mapping[str, Array]] | None:
        """The next message to send under ``seq``, or none while the window is full."""
        if len(self._sent) >= limits.CHUNK_WINDOW:
            return None
        for sha256, transfer in self._active.items():
            request = self._request_of(sha256, transfer.work)
            if request is not None:
                self._sent[seq] = (request[0], self._now())
                return request
        return None

    def _request_of(self, sha256: str, work: Upload | Download) -> tuple[TransferRequest, Mapping[str, Array]] | None:
        if isinstance(work, Download):
            wanted = work.next_request()
            return None if wanted is None else (GetChunk(sha256, *wanted), {})
        if not work.offered:
            waiting = any(isinstance(sent, OfferBlob) and sent.sha256 == sha256 for sent, _ in self._sent.values())
            return None if waiting else (OfferBlob(sha256, work.size), {})
        chunk = work.next_chunk()
        return None if chunk is None else (PutChunk(sha256, chunk[0]), {"chunk": np.frombuffer(chunk[1], np.uint8)})

    def owns(self, seq: int | None) -> bool:
        """True when the answer to ``seq`` belongs here."""
        return seq in self._sent

    def receive(self, seq: int, answer: TransferAnswer, arrays: Mapping[str, Array]) -> list[TransferEvent]:
        """Take the answer to ``seq`` in; one that does not fit what was asked fails the transfer."""
        request, _ = self._sent.pop(seq)
        self._heard_at = self._now()
        transfer = self._active.get(request.sha256)
        if transfer is None:
            return []
        try:
            _apply(transfer.work, request, answer, arrays)
        except ProtocolError as error:
            return self._fail(request.sha256, error)
        transfer.stalls = transfer.stalls if isinstance(answer, BlobWanted) else 0
        return self._after(request.sha256, transfer)

    def _after(self, sha256: str, transfer: _Transfer) -> list[TransferEvent]:
        work = transfer.work
        done = work.stored if isinstance(work, Upload) else work.arrived
        moved = TransferMoved(sha256, done, work.size)
        if work.complete:
            return [moved, *self._finish(sha256, work)]
        if isinstance(work, Upload) and work.starved:
            return [moved, *self._repeat(sha256, transfer, None)]
        return [moved]

    def _finish(self, sha256: str, work: Upload | Download) -> list[TransferEvent]:
        if isinstance(work, Upload):
            self.stop(sha256)
            return [Uploaded(sha256)]
        try:
            event = Downloaded(sha256, work.content())
        except ProtocolError as error:
            return self._fail(sha256, error)
        self.stop(sha256)
        return [event]

    def refused(self, seq: int, error: MaquetteError) -> list[TransferEvent]:
        """The backend refused the request ``seq``. A blob that was corrupt or collected is sent anew."""
        request, _ = self._sent.pop(seq)
        transfer = self._active.get(request.sha256)
        if transfer is None:
            return []
        again = error.code in (ErrorCode.BLOB_CORRUPT, ErrorCode.BLOB_MISSING) and isinstance(request, PutChunk)
        return self._repeat(request.sha256, transfer, error) if again else self._fail(request.sha256, error)

    def tick(self, offline_since: float | None) -> list[TransferEvent]:
        """Notice lost chunks, and an outage (``offline_since`` is when the connection went)."""
        now = self._now()
        if offline_since is not None:
            if now - offline_since < limits.OUTAGE_SECS:
                return []
            error = MaquetteError(ErrorCode.UNREACHABLE, "The backend cannot be reached.", "Start the backend.")
            return [event for sha256 in list(self._active) for event in self._fail(sha256, error)]
        late = {
            request.sha256
            for request, at in self._sent.values()
            if now - max(at, self._heard_at) >= limits.CHUNK_TIMEOUT_SECS
        }
        return [event for sha256 in late for event in self._stalled(sha256, self._active[sha256])]

    def restart(self) -> None:
        """A new connection: nothing is on the way any more, and all is offered or asked for anew."""
        self._sent.clear()
        self._heard_at = self._now()
        for transfer in self._active.values():
            transfer.work.restart()

    def _stalled(self, sha256: str, transfer: _Transfer) -> list[TransferEvent]:
        """A chunk or its answer was lost: begin again, unless nothing has moved since the last few times."""
        transfer.stalls += 1
        return self._again(sha256, transfer.stalls, None)

    def _repeat(self, sha256: str, transfer: _Transfer, error: MaquetteError | None) -> list[TransferEvent]:
        """All was sent, and yet the blob is not whole there. Chunks move each time, so that does not count."""
        transfer.repeats += 1
        return self._again(sha256, transfer.repeats, error)

    def _again(self, sha256: str, attempts: int, error: MaquetteError | None) -> list[TransferEvent]:
        if attempts >= limits.MAX_TRANSFER_ATTEMPTS:
            late = MaquetteError(ErrorCode.TIMED_OUT, f"The transfer of {sha256[:12]}… stands still.", "Try again.")
            return self._fail(sha256, error or late)
        self._forget(sha256)
        self._active[sha256].work.restart()
        return []

    def _fail(self, sha256: str, error: MaquetteError) -> list[TransferEvent]:
        self.stop(sha256)
        return [TransferFailed(sha256, error)]

    def _forget(self, sha256: str) -> None:
        self._sent = {seq: sent for seq, sent in self._sent.items() if sent[0].sha256 != sha256}


def _apply(
    work: Upload | Download, request: TransferRequest, answer: TransferAnswer, arrays: Mapping[str, Array]
) -> None:
    """One answer's effect. Raises ``ProtocolError`` when it does not fit the request."""
    match work, request, answer:
        case Upload(), OfferBlob(), BlobWanted() if answer.sha256 == request.sha256:
            work.wanted(answer.missing)
        case Upload(), PutChunk(), ChunkStored() if (answer.sha256, answer.offset) == (request.sha256, request.offset):
            work.acknowledged(answer.offset, answer.complete)
        case Download(), GetChunk(), Chunk() if (answer.sha256, answer.offset) == (request.sha256, request.offset):
            work.receive(answer.offset, chunk_bytes(arrays), answer.size)
        case _:
            raise ProtocolError(f"{type(answer).__name__} is no answer to {request}.")


def chunk_bytes(arrays: Mapping[str, Array]) -> memoryview:
    """The bytes of the payload array ``chunk``.

    Raises:
        ProtocolError: it is missing, or not u1 [n].
    """
    chunk = arrays.get("chunk")
    if chunk is None or chunk.dtype != np.uint8 or chunk.ndim != 1:
        raise ProtocolError("A chunk message needs one payload array named chunk, u1 [n].")
    return chunk.data
