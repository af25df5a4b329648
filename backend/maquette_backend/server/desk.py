"""Answers the clients' requests: blobs in and out, jobs submitted, followed, cancelled, listed.

``owner`` is always the client's public key as the ZAP handler confirmed it, never anything that the client says.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from maquette_protocol.arrays import Array
from maquette_protocol.blobs import chunk_length
from maquette_protocol.checks import check_recipe
from maquette_protocol.errors import ErrorCode, MaquetteError, ProtocolError
from maquette_protocol.events import Asked
from maquette_protocol.messages import (
    AttachJob,
    BackendMessage,
    CancelJob,
    Chunk,
    GetChunk,
    JobList,
    ListJobs,
    OfferBlob,
    PutChunk,
    SubmitJob,
)
from maquette_protocol.peer_session import ENDED
from maquette_protocol.recipe import Recipe

from .blob_store import BlobStore
from .client import Client
from .holdings import Holdings
from .job_keeper import JobKeeper, recipe_refs
from .uploads import Uploads

MAX_LISTED_JOBS = 100


class Desk:
    """Every request comes here; ``Uploads`` and ``JobKeeper`` do the most of it."""

    def __init__(
        self,
        store: BlobStore,
        uploads: Uploads,
        holdings: Holdings,
        jobs: JobKeeper,
        priors: Callable[[], tuple[str, ...]],
        controls: Callable[[], tuple[str, ...]],
    ) -> None:
        self._store = store
        self._uploads = uploads
        self._holdings = holdings
        self._jobs = jobs
        self._priors = priors
        self._controls = controls

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
        self._uploads.close()

    def _answer(self, client: Client, asked: Asked) -> tuple[BackendMessage | None, Mapping[str, Array]]:
        match asked.message:
            case OfferBlob() as message:
                return self._uploads.offer(client, asked.seq, message), {}
            case PutChunk() as message:
                return self._uploads.put(client, asked.seq, message, asked.arrays), {}
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

    # ---- results ----
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
        check_recipe(submit.recipe, self._priors(), self._controls())
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
        """Raises ``MaquetteError`` BLOB_MISSING naming the object that is not all here."""
        used: list[str] = []
        for name, refs in recipe_refs(recipe):
            for ref in refs:
                if not (self._holdings.complete(owner, ref.sha256) and self._store.has(ref.sha256)):
                    raise MaquetteError(
                        ErrorCode.BLOB_MISSING,
                        f"Not all of “{name}” is here: blob {ref.sha256} is missing.",
                        "Upload it, then submit again.",
                    )
                used.append(ref.sha256)
        self._holdings.touch(owner, used, time.time())
