"""Blobs from the clients: offered, taken in chunk by chunk, kept.

A chunk is acknowledged when it came and its bounds were checked, not when it is on the disk; only ``complete`` promises
that. A chunk that then cannot be written spoils its blob until it is offered again: every later answer says why, and the
last chunk's answer always waits for the outcome.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
from maquette_protocol import limits
from maquette_protocol.arrays import Array, array_bytes
from maquette_protocol.blobs import check_size
from maquette_protocol.errors import ErrorCode, MaquetteError, ProtocolError
from maquette_protocol.messages import BackendMessage, BlobWanted, ChunkStored, OfferBlob, PutChunk

from .blob_store import BlobStore
from .client import Client
from .disk import DiskThread
from .holdings import Holdings
from .intake import Incoming, Intake

MAX_CHUNKS_HELD = 128
"""Chunks in memory that wait for the disk, of all clients together (128 MiB)."""
MAX_CHUNKS_AHEAD = 2 * limits.CHUNK_WINDOW
"""While more wait for the disk, chunks are acknowledged when they are written. So clients that keep to their window
stay below ``MAX_CHUNKS_HELD`` until 14 of them meet a disk that stands still."""


@dataclass(frozen=True)
class _Reply:
    """An answer that waits for the disk."""

    client: Client
    seq: int
    incoming: Incoming
    message: BlobWanted | ChunkStored


class Uploads:
    """Answers ``OfferBlob`` and ``PutChunk``. ``call_soon`` runs a function on the gateway's loop, from any thread."""

    def __init__(
        self,
        store: BlobStore,
        intake: Intake,
        holdings: Holdings,
        call_soon: Callable[[Callable[[], None]], None],
    ) -> None:
        self._store = store
        self._intake = intake
        self._holdings = holdings
        self._call_soon = call_soon
        self._disk = DiskThread(call_soon)
        # Each is counted by one thread only, so neither needs a lock.
        self._taken = 0
        self._finished = 0

    @property
    def chunks_held(self) -> int:
        """Chunks in memory, written or not, whose turn on the disk's thread is not over."""
        return self._taken - self._finished

    def close(self) -> None:
        """Finish what is being written; blobs on their way stay for the next start."""
        self._disk.close()

    def offer(self, client: Client, seq: int, offer: OfferBlob) -> BackendMessage | None:
        """What is missing of a blob; None when the disk must be asked first."""
        owner, sha256, size = client.owner, offer.sha256, offer.size
        check_size(sha256, size)
        if self._holdings.complete(owner, sha256) and self._store.has(sha256):
            self._holdings.touch(owner, [sha256], time.time())
            return BlobWanted(sha256, ())
        incoming = self._intake.find(owner, sha256)
        if incoming is None or incoming.size != size:
            self._store.require_room(size)
            self._holdings.reserve(owner, sha256, size, time.time())
            incoming = self._intake.open(owner, sha256, size)
        reply = _Reply(client, seq, incoming, BlobWanted(sha256, ()))
        if incoming.partial.failure is not None:
            self._store.require_room(size)
            self._disk.submit(partial(self._reopen, reply))
        elif incoming.missing:
            return BlobWanted(sha256, incoming.missing)
        else:
            self._disk.submit(partial(self._settle, reply))
        return None

    def put(self, client: Client, seq: int, put: PutChunk, arrays: Mapping[str, Array]) -> BackendMessage | None:
        """Take a chunk in; None when its answer waits for the disk."""
        incoming = self._intake.find(client.owner, put.sha256)
        if incoming is None:
            return self._put_again(client.owner, put)
        if incoming.partial.failure is not None:
            raise incoming.partial.failure
        chunk = _chunk(arrays)
        if self.chunks_held >= MAX_CHUNKS_HELD:
            raise ProtocolError(f"More than {MAX_CHUNKS_HELD} chunks wait for the disk.", "Keep to the window.")
        stored = ChunkStored(put.sha256, put.offset, False)
        reply = _Reply(client, seq, incoming, stored)
        if not incoming.take(put.offset, len(chunk)):
            if incoming.missing:
                return stored
            self._disk.submit(partial(self._settle, reply))
            return None
        ahead = self.chunks_held < MAX_CHUNKS_AHEAD and bool(incoming.missing)
        self._taken += 1
        self._disk.submit(partial(self._store_chunk, incoming, put.offset, chunk, None if ahead else reply))
        return stored if ahead else None

    def _put_again(self, owner: str, put: PutChunk) -> BackendMessage:
        if self._holdings.complete(owner, put.sha256):
            return ChunkStored(put.sha256, put.offset, True)
        raise MaquetteError(ErrorCode.BLOB_MISSING, f"The blob {put.sha256[:12]}… was not offered.", "Offer it first.")

    # ---- on the disk's thread ----
    def _store_chunk(self, incoming: Incoming, offset: int, chunk: memoryview, reply: _Reply | None) -> None:
        try:
            self._report(reply, incoming, lambda: incoming.partial.store_chunk(offset, chunk, self._store))
        finally:
            self._finished += 1

    def _settle(self, reply: _Reply) -> None:
        self._report(reply, reply.incoming, lambda: reply.incoming.partial.settle(self._store))

    def _reopen(self, reply: _Reply) -> None:
        reply.incoming.partial.reopen()
        self._call_soon(partial(self._reopened, reply))

    def _report(self, reply: _Reply | None, incoming: Incoming, work: Callable[[], bool]) -> None:
        """Do it, and send the loop the outcome. Without a reply the blob keeps its failure for the next answer."""
        outcome: bool | MaquetteError
        try:
            outcome = work()
        except MaquetteError as error:
            outcome = error
        self._disk.used(incoming.partial)
        if reply is not None:
            self._call_soon(partial(self._settled, reply, outcome))

    # ---- on the loop again ----
    def _reopened(self, reply: _Reply) -> None:
        reply.incoming.forget_unwritten()
        if reply.incoming.missing:
            reply.client.session.answer(reply.seq, BlobWanted(reply.message.sha256, reply.incoming.missing))
        else:
            self._disk.submit(partial(self._settle, reply))

    def _settled(self, reply: _Reply, outcome: bool | MaquetteError) -> None:
        message, session = reply.message, reply.client.session
        try:
            stored = self._recorded(reply, outcome)
        except MaquetteError as error:
            session.refuse(reply.seq, error)
            return
        if isinstance(message, ChunkStored):
            session.answer(reply.seq, ChunkStored(message.sha256, message.offset, stored))
        elif stored:
            session.answer(reply.seq, message)
        else:  # what had arrived was lost meanwhile
            self._reopened(reply)

    def _recorded(self, reply: _Reply, outcome: bool | MaquetteError) -> bool:
        """Whether the blob is stored, once the journal says so too; raises what went wrong."""
        owner, sha256 = reply.client.owner, reply.message.sha256
        if self._intake.find(owner, sha256) is reply.incoming:
            if outcome is True:
                self._holdings.settle(owner, sha256, reply.incoming.size, time.time())
                self._intake.forget(owner, sha256)
            elif isinstance(outcome, MaquetteError) and outcome.code == ErrorCode.BLOB_CORRUPT:
                self._intake.forget(owner, sha256)
                self._holdings.drop(owner, sha256)
        if isinstance(outcome, MaquetteError):
            raise outcome
        return outcome


def _chunk(arrays: Mapping[str, Array]) -> memoryview:
    chunk = arrays.get("chunk")
    if chunk is None or len(arrays) != 1 or chunk.dtype != np.uint8 or chunk.ndim != 1:
        raise ProtocolError("A chunk message carries one array named chunk, u1 [n].")
    if chunk.nbytes > limits.CHUNK_BYTES:
        raise ProtocolError(f"A chunk has at most {limits.CHUNK_BYTES} bytes.")
    return array_bytes(chunk)
