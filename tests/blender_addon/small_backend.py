"""A backend in a thread, for driving the add-on: the real protocol over real CURVE, and a geometry so simple that
every number it returns is known. What it refines, it inflates by a tenth, and colours orange."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import zmq
from maquette_protocol import arrays, auth, codec, limits, messages, recipe, session
from maquette_protocol.blobs import RangeSet
from maquette_protocol.errors import ErrorCode, MaquetteError
from zmq.auth.thread import ThreadAuthenticator

ORANGE = (230, 120, 30)
GROWTH = np.float32(1.1)
TEXTURE_SIZE = 32


@dataclass
class Job:
    job_id: str
    recipe: recipe.Recipe
    step: int = 0
    status: messages.JobStatus | None = None


@dataclass
class Script:
    """What the backend does; tests change it while it runs."""

    steps: int = 4
    hold_at: int | None = None
    """Stay before this step until it is set to none."""
    fail_with: MaquetteError | None = None
    readings: dict[str, messages.PromptReading] = field(default_factory=dict)
    """By a subject's name; told after the first step, as a loaded prior does."""
    notices: tuple[str, ...] = ()
    """Told then, too."""
    tells_origin: bool = True
    """Where a new surface came from; backends before protocol 1.2 do not say."""
    share_seen: float = 1.0
    """Of each result's surface."""
    upscales_by: str = "lanczos"
    seen: list[object] = field(default_factory=list)
    """Every request, in order."""


class SmallBackend:
    """One ROUTER, any number of clients that hold the one enrolled key."""

    def __init__(self, connection_file: Path) -> None:
        self.connection_file = connection_file
        self.script = Script()
        self.jobs: dict[str, Job] = {}
        self.blobs: dict[str, bytes] = {}
        self._parts: dict[str, tuple[bytearray, RangeSet]] = {}
        self._peers: dict[bytes, session.PeerSession] = {}
        self._context = zmq.Context()
        self._stop = threading.Event()
        self._open(connection_file)
        self._thread = threading.Thread(target=self._run, daemon=True, name="small-backend")
        self._thread.start()

    def _open(self, connection_file: Path) -> None:
        server_public, server_secret = zmq.curve_keypair()
        public, secret = zmq.curve_keypair()
        self._authenticator = ThreadAuthenticator(self._context)
        self._authenticator.start()
        self._authenticator.configure_curve_callback(auth.ZAP_DOMAIN, credentials_provider=_Only(public))
        self._socket = self._context.socket(zmq.ROUTER)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.curve_server = True
        self._socket.curve_secretkey = server_secret
        self._socket.curve_publickey = server_public
        self._socket.zap_domain = auth.ZAP_DOMAIN.encode()
        port = self._socket.bind_to_random_port("tcp://127.0.0.1")
        self.connection = auth.Connection(
            f"tcp://127.0.0.1:{port}", server_public.decode(), public.decode(), secret.decode()
        )
        auth.write_connection(connection_file, self.connection)

    def close(self) -> None:
        """Go away without a word, as a killed backend does."""
        self._stop.set()
        self._thread.join(5)
        self._authenticator.stop()
        self._context.destroy(linger=0)

    # ---- the loop -----------------------------------------------------------------------------------
    def _run(self) -> None:
        while not self._stop.is_set():
            while self._socket.poll(5):
                route, *frames = self._socket.recv_multipart()
                peer = self._peers.setdefault(route, session.PeerSession(time.monotonic, _welcome))
                for event in peer.receive(frames):
                    if isinstance(event, session.Asked):
                        self._answer(peer, event)
            for job in list(self.jobs.values()):
                self._advance(job)
            for route, peer in self._peers.items():
                for envelope in peer.take_outgoing():
                    self._socket.send_multipart([route, *codec.encode(envelope)])
        self._socket.close(linger=0)

    def _answer(self, peer: session.PeerSession, asked: session.Asked) -> None:
        message = asked.message
        if not isinstance(message, messages.PutChunk | messages.GetChunk):
            self.script.seen.append(message)
        match message:
            case messages.OfferBlob():
                self._offer(peer, asked.seq, message)
            case messages.PutChunk():
                self._put(peer, asked.seq, message, asked.arrays)
            case messages.GetChunk():
                data = self.blobs[message.sha256]
                part = np.frombuffer(data, np.uint8)[message.offset : message.offset + message.length]
                peer.answer(asked.seq, messages.Chunk(message.sha256, message.offset, len(data)), {"chunk": part})
            case messages.SubmitJob():
                job = self.jobs.setdefault(message.job_id, Job(message.job_id, message.recipe))
                self._attach(peer, asked.seq, job)
            case messages.AttachJob() | messages.CancelJob():
                self._for_job(peer, asked.seq, message)
            case messages.ListJobs():
                peer.answer(asked.seq, messages.JobList(()))

    def _for_job(self, peer: session.PeerSession, seq: int, message: messages.AttachJob | messages.CancelJob) -> None:
        job = self.jobs.get(message.job_id)
        if job is None:
            peer.refuse(seq, MaquetteError(ErrorCode.UNKNOWN_JOB, "There is no such job.", "Refine again."))
            return
        if isinstance(message, messages.CancelJob) and job.status is None:
            job.status = self._finished(job) if message.keep else messages.JobStatus(job.job_id, "cancelled")
        self._attach(peer, seq, job)

    def _attach(self, peer: session.PeerSession, seq: int, job: Job) -> None:
        peer.attach(job.job_id)
        peer.answer(seq, job.status or self._running(job))

    def _offer(self, peer: session.PeerSession, seq: int, offer: messages.OfferBlob) -> None:
        if offer.sha256 not in self.blobs:
            self._parts.setdefault(offer.sha256, (bytearray(offer.size), RangeSet()))
        missing = () if offer.sha256 in self.blobs else self._parts[offer.sha256][1].missing(offer.size)
        peer.answer(seq, messages.BlobWanted(offer.sha256, missing))

    def _put(
        self, peer: session.PeerSession, seq: int, put: messages.PutChunk, given: Mapping[str, arrays.Array]
    ) -> None:
        data, ranges = self._parts[put.sha256]
        chunk = given["chunk"].tobytes()
        data[put.offset : put.offset + len(chunk)] = chunk
        ranges.add(put.offset, put.offset + len(chunk))
        if ranges.covers(len(data)):
            assert arrays.sha256_hex(data) == put.sha256
            self.blobs[put.sha256] = bytes(data)
        peer.answer(seq, messages.ChunkStored(put.sha256, put.offset, put.sha256 in self.blobs))

    # ---- refining -----------------------------------------------------------------------------------
    def _advance(self, job: Job) -> None:
        if job.status is not None or job.step == self.script.hold_at:
            return
        job.step += 1
        if job.step == 1:
            for peer in self._peers.values():
                peer.status(self._running(job))
        for peer in self._peers.values():
            for subject in job.recipe.subjects:
                positions, triangles, uvs = self.refined(subject, job.step / self.script.steps)
                frame = messages.Preview(job.job_id, subject.subject_id, "geometry", job.step, 1)
                peer.preview(frame, {"positions": positions, "triangles": triangles, "corner_uvs": uvs,
                                     "texture": texture()})  # fmt: skip
            left = self.script.steps - job.step
            peer.progress(
                messages.JobProgress(job.job_id, "geometry", "", job.step, self.script.steps, left * 0.1, 1 / job.step)
            )
        if job.step >= self.script.steps:
            failure = self.script.fail_with
            job.status = self._finished(job) if failure is None else messages.JobStatus(
                job.job_id, "failed", error_code=str(failure.code), error_message=failure.message,
                error_remedy=failure.remedy,
            )  # fmt: skip
            for peer in self._peers.values():
                peer.status(job.status)

    def refined(self, subject: recipe.Subject, amount: float = 1.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Positions, triangles and corner UVs of a subject inflated by ``amount`` of a tenth. ``remesh`` also puts a
        vertex into each triangle's middle, so that the topology is another."""
        positions, triangles = (self._array(ref) for ref in (subject.mesh.positions, subject.mesh.triangles))
        given = subject.mesh.corner_uvs
        uvs = np.zeros((len(triangles), 3, 2), np.float32) if given is None else self._array(given)
        if subject.mode == "remesh":
            positions, triangles, uvs = split(positions, triangles, uvs)
        if subject.mode != "texture_only":
            share = np.ones(len(positions), np.float32) if subject.mask is None else self._array(subject.mask)
            share = np.append(share, np.ones(len(positions) - len(share), np.float32))  # vertices that remesh adds
            positions = positions * (1 + (GROWTH - 1) * np.float32(amount) * share[:, None])
        return positions.astype(np.float32), triangles.astype(np.int32), uvs.astype(np.float32)

    def _array(self, ref: recipe.ArrayRef) -> np.ndarray:
        return arrays.array_from(ref, self.blobs[ref.sha256])

    def _finished(self, job: Job) -> messages.JobStatus:
        results = []
        for subject in job.recipe.subjects:
            refs = [self._store(array) for array in self.refined(subject)]
            same = subject.mode != "remesh"
            times = subject.upscale
            color = self._store(texture().repeat(times, 0).repeat(times, 1))
            origin = None if same or not self.script.tells_origin else self._origin(subject)
            other = data_maps() if subject.material == "pbr" else {}
            maps = {name: self._store(data.repeat(times, 0).repeat(times, 1)) for name, data in other.items()}
            looks = {"seen": self.script.share_seen, "upscaled_by": self.script.upscales_by if times > 1 else ""}
            results.append(
                messages.SubjectResult(subject.subject_id, recipe.MeshRef(*refs), same, color, origin, **maps, **looks)
            )
        return replace(self._running(job), state="finished", results=tuple(results))

    def _origin(self, subject: recipe.Subject) -> messages.SurfaceOrigin:
        positions, triangles = (self._array(ref) for ref in (subject.mesh.positions, subject.mesh.triangles))
        found = split_origin(len(positions), triangles)
        return messages.SurfaceOrigin(*(self._store(array) for array in found))

    def _running(self, job: Job) -> messages.JobStatus:
        told = {"readings": self._readings(job), "notices": self.script.notices} if job.step else {}
        return messages.JobStatus(job.job_id, "running", **told)

    def _readings(self, job: Job) -> tuple[messages.PromptReading, ...]:
        told = ((subject.subject_id, self.script.readings.get(subject.name)) for subject in job.recipe.subjects)
        return tuple(replace(reading, subject_id=subject_id) for subject_id, reading in told if reading)

    def _store(self, array: np.ndarray) -> recipe.ArrayRef:
        ref = arrays.array_ref(array)
        self.blobs[ref.sha256] = bytes(arrays.array_bytes(array))
        return ref


class _Only:
    """Enrols one key."""

    def __init__(self, public: bytes) -> None:
        self._public = public

    def callback(self, domain: str, key: bytes) -> bool:
        """Asked by the authenticator; the key comes as Z85."""
        return key == self._public


def _welcome() -> messages.Welcome:
    return messages.Welcome(1, 0, "small backend", ("starter",), "CPU", limits={"triangles": limits.MAX_TRIANGLES})


def texture() -> np.ndarray:
    """u1 [32,32,3]: orange, with a black lowest row, so that up and down can be told apart."""
    out = np.full((TEXTURE_SIZE, TEXTURE_SIZE, 3), ORANGE, np.uint8)
    out[0] = 0
    return out


def data_maps() -> dict[str, np.ndarray]:
    """The other maps of a full material: a rough left half, metal all over, a tilted normal."""
    roughness = np.full((TEXTURE_SIZE, TEXTURE_SIZE), 51, np.uint8)
    roughness[:, : TEXTURE_SIZE // 2] = 204
    normal = np.full((TEXTURE_SIZE, TEXTURE_SIZE, 3), (178, 128, 240), np.uint8)
    return {"roughness": roughness, "metallic": np.full((TEXTURE_SIZE, TEXTURE_SIZE), 255, np.uint8), "normal": normal}


def split(positions: np.ndarray, triangles: np.ndarray, uvs: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Each triangle into three around its middle."""
    middle = len(positions) + np.arange(len(triangles))
    centres, uv_centres = positions[triangles].mean(axis=1), uvs.mean(axis=1)
    faces = [np.stack([triangles[:, i], triangles[:, (i + 1) % 3], middle], axis=1) for i in range(3)]
    corners = [np.stack([uvs[:, i], uvs[:, (i + 1) % 3], uv_centres], axis=1) for i in range(3)]
    return np.concatenate([positions, centres]), np.concatenate(faces), np.concatenate(corners)


def split_origin(vertices: int, triangles: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where ``split``'s vertices and faces come from: triangles [V], weights [V,3], triangles [F]."""
    count = len(triangles)
    of_vertices = np.zeros((vertices, 2), np.int32)
    for corner in range(3):
        of_vertices[triangles[:, corner]] = np.stack([np.arange(count), np.full(count, corner)], axis=1)
    weights = np.concatenate([np.eye(3)[of_vertices[:, 1]], np.full((count, 3), 1 / 3)])
    found = np.concatenate([of_vertices[:, 0], np.arange(count)])
    return found.astype(np.int32), weights.astype(np.float32), np.tile(np.arange(count), 3).astype(np.int32)
