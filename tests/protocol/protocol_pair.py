"""A client and a small backend joined in memory, through real frames, under a clock that tests turn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from maquette_protocol.arrays import sha256_hex
from maquette_protocol.blobs import RangeSet, check_chunk, chunk_length
from maquette_protocol.codec import Envelope, encode
from maquette_protocol.errors import ErrorCode, MaquetteError
from maquette_protocol.messages import (
    AttachJob,
    BlobWanted,
    CancelJob,
    Chunk,
    ChunkStored,
    GetChunk,
    JobList,
    JobStatus,
    ListJobs,
    OfferBlob,
    PutChunk,
    SubmitJob,
    Welcome,
)
from maquette_protocol.recipe_text import recipe_hash
from maquette_protocol.session import Asked, ClientEvent, ClientSession, PeerEvent, PeerSession

Frames = list[bytes]


@dataclass
class Clock:
    secs: float = 1000.0

    def __call__(self) -> float:
        return self.secs


@dataclass
class Backend:
    """Blobs and jobs as the protocol promises them; outlives connections."""

    blobs: dict[str, tuple[bytearray, RangeSet]] = field(default_factory=dict)
    jobs: dict[str, str] = field(default_factory=dict)
    """Job id → hash of its recipe."""
    chunks: int = 0

    def handle(self, peer: PeerSession, asked: Asked) -> None:
        try:
            self._handle(peer, asked)
        except MaquetteError as error:
            peer.refuse(asked.seq, error)

    def _handle(self, peer: PeerSession, asked: Asked) -> None:
        match asked.message:
            case OfferBlob(sha256, size):
                _, have = self.blobs.setdefault(sha256, (bytearray(size), RangeSet()))
                peer.answer(asked.seq, BlobWanted(sha256, have.missing(size)))
            case PutChunk(sha256, offset):
                peer.answer(asked.seq, self._store(sha256, offset, asked.arrays["chunk"].tobytes()))
            case GetChunk(sha256, offset, _):
                data, _ = self.blobs[sha256]
                part = data[offset : offset + chunk_length(offset, len(data))]
                peer.answer(asked.seq, Chunk(sha256, offset, len(data)), {"chunk": np.frombuffer(part, np.uint8)})
            case SubmitJob(job_id, recipe):
                if self.jobs.setdefault(job_id, recipe_hash(recipe)) != recipe_hash(recipe):
                    raise MaquetteError(ErrorCode.CONFLICT, f"Job {job_id} has another recipe.", "Make a new id.")
                peer.attach(job_id)
                peer.answer(asked.seq, JobStatus(job_id, "running"))
            case AttachJob(job_id) | CancelJob(job_id, _) if job_id not in self.jobs:
                raise MaquetteError(ErrorCode.UNKNOWN_JOB, f"There is no job {job_id}.")
            case AttachJob(job_id):
                peer.attach(job_id)
                peer.answer(asked.seq, JobStatus(job_id, "running"))
            case CancelJob(job_id, _):
                peer.answer(asked.seq, JobStatus(job_id, "cancelled"))
                peer.detach(job_id)
            case ListJobs():
                peer.answer(asked.seq, JobList(()))
            case _:
                raise AssertionError(asked.message)

    def _store(self, sha256: str, offset: int, chunk: bytes) -> ChunkStored:
        self.chunks += 1
        data, have = self.blobs[sha256]
        check_chunk(offset, len(chunk), len(data))
        data[offset : offset + len(chunk)] = chunk
        have.add(offset, offset + len(chunk))
        complete = have.covers(len(data))
        if complete and sha256_hex(data) != sha256:
            del self.blobs[sha256]
            raise MaquetteError(ErrorCode.BLOB_CORRUPT, "The blob has another hash.")
        return ChunkStored(sha256, offset, complete)


class Pair:
    """The wire between the two. ``up`` and ``down`` may drop or change frames on their way."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.backend = Backend()
        self.client = ClientSession(self.clock, "test")
        self.peer = self._new_peer()
        self.up: Callable[[Envelope], Frames | None] = _as_is
        self.down: Callable[[Envelope], Frames | None] = _as_is
        self.client_events: list[ClientEvent] = []
        self.peer_events: list[PeerEvent] = []
        self.sent_up: list[Envelope] = []
        self.sent_down: list[Envelope] = []
        self.sockets = 0

    def _new_peer(self) -> PeerSession:
        return PeerSession(self.clock, lambda: Welcome(1, 0, "test", ("starter",), "CPU"))

    def turn(self) -> bool:
        """One round of the client's loop; False when nothing moved."""
        if self.client.wants_new_socket:
            self.sockets += 1
            self.peer = self._new_peer()
            self.client.socket_opened()
        up, down = self.client.take_outgoing(), []
        self.sent_up += up
        for frames in filter(None, map(self.up, up)):
            for event in self.peer.receive(frames):
                self.peer_events.append(event)
                if isinstance(event, Asked):
                    self.backend.handle(self.peer, event)
        down = self.peer.take_outgoing()
        self.sent_down += down
        for frames in filter(None, map(self.down, down)):
            self.client_events += self.client.receive(frames)
        self.client_events += self.client.tick()
        return bool(up or down)

    def settle(self) -> list[ClientEvent]:
        """Turn until nothing moves; the client's events since the last call."""
        while self.turn():
            pass
        return self.take()

    def wait(self, secs: float, step: float = 0.25) -> list[ClientEvent]:
        """Let time pass in steps, turning the loop at each; the client's events since the last call."""
        for _ in range(round(secs / step)):
            self.clock.secs += step
            while self.turn():
                pass
        return self.take()

    def take(self) -> list[ClientEvent]:
        events, self.client_events = self.client_events, []
        return events


def _as_is(envelope: Envelope) -> Frames | None:
    return [bytes(frame) for frame in encode(envelope)]


def lose(_envelope: Envelope) -> Frames | None:
    """A wire that swallows everything."""
    return None
