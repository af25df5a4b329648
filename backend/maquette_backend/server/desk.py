"""Answers the clients' requests: blobs in and out, jobs submitted, followed, cancelled, listed.

``owner`` is always the client's public key as the ZAP handler confirmed it, never anything that the client says.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from maquette_protocol import limits
from maquette_protocol.arrays import Array, array_bytes
from maquette_protocol.blobs import check_size, chunk_length
from maquette_protocol.checks import check_recipe
from maquette_protocol.errors import ErrorCode, MaquetteError, ProtocolError
from maquette_protocol.events import Asked
from maquette_protocol.messages import (
    AttachJob,
    BackendMessage,
    BlobWanted,
    CancelJob,
    Chunk,
    ChunkStored,
    GetChunk,
    JobList,
    ListJobs,
    OfferBlob,
    PutChunk,
    SubmitJob,
)
from maquette_protocol.peer_session import ENDED, PeerSession
from maquette_protocol.recipe import Recipe

from .blob_store import BlobStore
from .holdings import Holdings
from .intake import Intake, Partial
from .job_keeper import JobKeeper, mesh_refs

MAX_LISTED_JOBS = 100
MAX_CHUNKS_HELD = 128
"""Chunks in memory that wait for the disk, of all clients together (128 MiB)."""


@dataclass(frozen=True)
class Client:
    """Whoever asks: the key that was admitted, and the connection's session."""

    owner: str
    session: PeerSession


class Desk:
    """``call_soon`` runs a function on the gateway's loop; it may be called from any thread."""

    def __init__(
        self,
        store: BlobStore,
        intake: Intake,
        holdings: Holdings,
        jobs: JobKeeper,
        priors: tuple[str, ...],
        call_soon: Callable[[Callable[[], None]], None],
    ) -> None:
        self._store = store
        self._intake = intake
        self._holdings = holdings
        self._jobs = jobs
        self._priors = priors
        self._call_soon = call_soon
        self._disk = ThreadPoolExecutor(1, "blobs")
        self._chunks_held = 0

    def handle(self, client: Client, asked: Asked) -> None:
        """Answer or refuse one request, at once or later."""
        try:
            answer, arrays = self._answer(client, asked)
        except MaquetteError as error:
            client.session.refuse(asked.seq, error)
            return
        if answer is not None:
            client.session.answer(asked.seq, answer, arrays)

    def close(self) -> None:
        """Finish what is being written; blobs on their way stay for the next start."""
        self._disk.shutdown(wait=True)

    def _answer(self, client: Client, asked: Asked) -> tuple[BackendMessage | None, Mapping[str, Array]]:
        match asked.message:
            case OfferBlob() as message:
                return self._offer(client, asked.seq, message), {}
            case PutChunk() as message:
                return self._put(client, asked.seq, message, asked.arrays), {}
            case GetChunk() as message:
                return self._get(client.owner, message)
            case SubmitJob() as message:
                return self._submit(client, message), {}
            case AttachJob(job_id):
                return self._follow(client, job_id), {}
            case CancelJob(job_id, keep):
                return self._jobs.cancel(client.owner, job_id, keep, time.monotonic(), time.time()), {}
            case ListJobs():
                return JobList(self._jobs.summaries(client.owner, MAX_LISTED_JOBS)), {}
            case other:
                raise ProtocolError(f"{type(other).__name__} is not a request.")

    # ---- blobs ----
    def _offer(self, client: Client, seq: int, offer: OfferBlob) -> BackendMessage | None:
        owner, sha256, size = client.owner, offer.sha256, offer.size
        check_size(sha256, size)
        if self._holdings.complete(owner, sha256) and self._store.has(sha256):
            self._holdings.touch(owner, [sha256], time.time())
            return BlobWanted(sha256, ())
        received = self._intake.find(owner, sha256)
        if received is None or received.size != size:
            self._store.require_room(size)
            self._holdings.reserve(owner, sha256, size, time.time())
            received = self._intake.open(owner, sha256, size)
        if received.missing:
            return BlobWanted(sha256, received.missing)
        self._on_disk(client, seq, received, BlobWanted(sha256, ()), received.settle)
        return None

    def _put(self, client: Client, seq: int, put: PutChunk, arrays: Mapping[str, Array]) -> BackendMessage | None:
        owner, sha256 = client.owner, put.sha256
        received = self._intake.find(owner, sha256)
        if received is None:
            if self._holdings.complete(owner, sha256):
                return ChunkStored(sha256, put.offset, True)
            raise MaquetteError(ErrorCode.BLOB_MISSING, f"The blob {sha256[:12]}… was not offered.", "Offer it first.")
        if self._chunks_held >= MAX_CHUNKS_HELD:
            raise ProtocolError(f"More than {MAX_CHUNKS_HELD} chunks wait for the disk.", "Keep to the window.")
        self._chunks_held += 1
        chunk = _chunk(arrays)
        store_chunk = partial(received.store_chunk, put.offset, chunk)
        self._on_disk(client, seq, received, ChunkStored(sha256, put.offset, False), store_chunk)
        return None

    def _on_disk(
        self,
        client: Client,
        seq: int,
        received: Partial,
        answer: BlobWanted | ChunkStored,
        work: Callable[[BlobStore], bool],
    ) -> None:
        """Write, hash and sync on another thread, in order, and answer when that is done."""
        future = self._disk.submit(work, self._store)
        done = partial(self._written, client, seq, received, answer)
        future.add_done_callback(lambda future: self._call_soon(lambda: done(future)))

    def _written(
        self, client: Client, seq: int, received: Partial, answer: BlobWanted | ChunkStored, done: Future[bool]
    ) -> None:
        key = (client.owner, received.sha256)
        if isinstance(answer, ChunkStored):
            self._chunks_held -= 1
        try:
            stored = done.result()
        except MaquetteError as error:
            if error.code == ErrorCode.BLOB_CORRUPT and self._intake.find(*key) is received:
                self._intake.forget(*key)
                self._holdings.drop(*key)
            client.session.refuse(seq, error)
            return
        if stored and self._intake.find(*key) is received:
            self._holdings.settle(*key, received.size, time.time())
            self._intake.forget(*key)
        client.session.answer(seq, replace(answer, complete=stored) if isinstance(answer, ChunkStored) else answer)

    def _get(self, owner: str, get: GetChunk) -> tuple[BackendMessage, Mapping[str, Array]]:
        if not self._holdings.complete(owner, get.sha256):
            raise MaquetteError(
                ErrorCode.BLOB_MISSING,
                f"This key holds no blob {get.sha256[:12]}….",
                "Ask for a result of its own job.",
            )
        size = self._store.size(get.sha256)
        length = chunk_length(get.offset, size)
        if get.length < length:
            raise ProtocolError(f"The chunk at {get.offset} has {length} bytes; {get.length} were asked for.")
        return Chunk(get.sha256, get.offset, size), {"chunk": self._store.map(get.sha256, get.offset, length)}

    # ---- jobs ----
    def _submit(self, client: Client, submit: SubmitJob) -> BackendMessage:
        check_recipe(submit.recipe, self._priors)
        self._require_blobs(client.owner, submit.recipe)
        status = self._jobs.submit(client.owner, submit.job_id, submit.recipe, time.time())
        if status.state not in ENDED:
            client.session.attach(submit.job_id)
        return status

    def _follow(self, client: Client, job_id: str) -> BackendMessage:
        status = self._jobs.status(client.owner, job_id)
        if status.state not in ENDED:
            client.session.attach(job_id)
        return status

    def _require_blobs(self, owner: str, recipe: Recipe) -> None:
        """Raises ``MaquetteError`` BLOB_MISSING naming the mesh that is not here."""
        used: list[str] = []
        for holder in (*recipe.subjects, *recipe.context):
            for ref in mesh_refs(holder.mesh):
                if not (self._holdings.complete(owner, ref.sha256) and self._store.has(ref.sha256)):
                    raise MaquetteError(
                        ErrorCode.BLOB_MISSING,
                        f"The mesh of “{holder.name}” is not here: blob {ref.sha256} is missing.",
                        "Upload it, then submit again.",
                    )
                used.append(ref.sha256)
        self._holdings.touch(owner, used, time.time())


def _chunk(arrays: Mapping[str, Array]) -> memoryview:
    chunk = arrays.get("chunk")
    if chunk is None or len(arrays) != 1 or chunk.dtype != np.uint8 or chunk.ndim != 1:
        raise ProtocolError("A chunk message carries one array named chunk, u1 [n].")
    if chunk.nbytes > limits.CHUNK_BYTES:
        raise ProtocolError(f"A chunk has at most {limits.CHUNK_BYTES} bytes.")
    return array_bytes(chunk)
