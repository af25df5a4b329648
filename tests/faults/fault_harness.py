"""A real backend process and a real client over CURVE, for tests that break one of them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import numpy as np
import psutil
import zmq
from maquette_backend.server.keys import ClientKeys, KeyPair, generate_key_pair
from maquette_protocol import limits
from maquette_protocol.arrays import array_bytes, array_ref
from maquette_protocol.auth import Connection, read_connection
from maquette_protocol.codec import encode
from maquette_protocol.errors import MaquetteError
from maquette_protocol.messages import BackendMessage, JobStatus
from maquette_protocol.recipe import MeshRef, Recipe, Stages, Subject
from maquette_protocol.session import (
    Answered,
    ClientSession,
    Connected,
    Downloaded,
    JobChanged,
    JobProgressed,
    PreviewArrived,
    Refused,
    RequestFailed,
    TransferFailed,
    Uploaded,
)

HERE = Path(__file__).parent
E = TypeVar("E")


class BackendProcess:
    """A backend in its own process, in a home that outlives it."""

    def __init__(self, home: Path, *arguments: str) -> None:
        self.home = home
        home.mkdir(exist_ok=True)
        environment = {**os.environ, "PYTHONPATH": str(HERE), "FAULT_LOG": str(home), "OMP_NUM_THREADS": "2"}
        command = [sys.executable, str(HERE / "fault_backend.py"), "--home", str(home), *arguments]
        with (home / "stderr.log").open("a") as log:
            self.process = subprocess.Popen(command, env=environment, stderr=log)

    @property
    def connection(self) -> Connection:
        """What the connection file of *this* process says, as soon as it is there."""

        def read() -> Connection | None:
            try:
                found = read_connection(self.home / "connection.json")
            except MaquetteError:
                return None
            return found if found.pid == self.process.pid else None

        return wait_for(read, 15.0)

    def lines(self, log: str) -> list[str]:
        path = self.home / log
        return path.read_text().splitlines() if path.exists() else []

    def worker_pid(self) -> int:
        """The process that began a job last."""
        wait_for(lambda: self.lines("runs.log"), 10.0)
        return int(self.lines("runs.log")[-1].split()[0])

    def end(self) -> int:
        """SIGTERM, and wait."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(15.0)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(5.0)


@contextmanager
def backend(home: Path, *arguments: str) -> Iterator[BackendProcess]:
    """A backend that is ended, with its children, when the block is left."""
    started = BackendProcess(home, *arguments)
    children: list[psutil.Process] = []
    try:
        yield started
    finally:
        if started.process.poll() is None:
            children = psutil.Process(started.process.pid).children()
            try:
                started.end()
            except subprocess.TimeoutExpired:
                started.kill()
        for child in children:
            if child.is_running():
                child.kill()


class Client:
    """One client: a DEALER socket around the protocol's own session."""

    def __init__(self, connection: Connection, keys: KeyPair | None = None, **session: int) -> None:
        self._connection = connection
        self._keys = keys or KeyPair(connection.client_public_key, connection.client_secret_key)
        self._context: zmq.Context = zmq.Context()
        self.socket: zmq.Socket = self._open()
        self.session = ClientSession(time.monotonic, "test", **session)
        self.session.socket_opened()
        self.events: list[object] = []

    def _open(self) -> zmq.Socket:
        opened = self._context.socket(zmq.DEALER)
        opened.linger = 0
        opened.curve_serverkey = self._connection.server_public_key.encode()
        opened.curve_publickey = self._keys.public.encode()
        opened.curve_secretkey = self._keys.secret.encode()
        opened.connect(self._connection.endpoint)
        return opened

    def pump(self, wait_ms: int = 5) -> None:
        for envelope in self.session.take_outgoing():
            self.socket.send_multipart(encode(envelope))
        while self.socket.poll(wait_ms):
            self._take(self.session.receive(self.socket.recv_multipart()))
            wait_ms = 0
            for envelope in self.session.take_outgoing():
                self.socket.send_multipart(encode(envelope))
        self._take(self.session.tick())

    def _take(self, events: list) -> None:
        for event in events:
            self.events.append(event)
            if isinstance(event, PreviewArrived):
                self.session.preview_taken(event.preview.job_id)

    def wait(self, wanted: Callable[[object], bool], secs: float = 10.0) -> object:
        """The first event from now on, or held already, that is wanted; it is taken out."""
        end = time.monotonic() + secs
        while True:
            for event in self.events:
                if wanted(event):
                    self.events.remove(event)
                    return event
            assert time.monotonic() < end, f"nothing came in {secs} s but {self.events[-5:]}"
            self.pump()

    def connect(self) -> Client:
        self.wait(lambda event: isinstance(event, Connected | Refused))
        assert self.session.state == "ready"
        return self

    def upload(self, *arrays: np.ndarray) -> None:
        for array in arrays:
            self.upload_bytes(bytes(array_bytes(array)))

    def upload_bytes(self, data: bytes, sha256: str = "", secs: float = 20.0) -> Uploaded | TransferFailed:
        sha256 = self.session.upload(data, sha256)
        found = self.wait(lambda e: isinstance(e, Uploaded | TransferFailed) and e.sha256 == sha256, secs)
        assert isinstance(found, Uploaded | TransferFailed)
        return found

    def download(self, sha256: str, size: int) -> Downloaded | TransferFailed:
        self.session.download(sha256, size)
        found = self.wait(lambda e: isinstance(e, Downloaded | TransferFailed) and e.sha256 == sha256)
        assert isinstance(found, Downloaded | TransferFailed)
        return found

    def answer(self, ticket: int, secs: float = 10.0) -> BackendMessage | MaquetteError:
        """The answer to a request, or the error that it was refused with."""
        found = self.wait(lambda e: isinstance(e, Answered | RequestFailed) and e.ticket == ticket, secs)
        return found.answer if isinstance(found, Answered) else found.error

    def submit(self, recipe: Recipe, job_id: str = "") -> str:
        job_id = job_id or new_id()
        answer = self.answer(self.session.submit(job_id, recipe))
        assert isinstance(answer, JobStatus), answer
        return job_id

    def ended(self, job_id: str, secs: float = 15.0) -> JobStatus:
        found = self.wait(
            lambda e: isinstance(e, JobChanged) and e.status.job_id == job_id
            and e.status.state in ("finished", "failed", "cancelled"), secs,
        )  # fmt: skip
        assert isinstance(found, JobChanged)
        return found.status

    def progressed(self, job_id: str, step: int) -> None:
        self.wait(lambda e: isinstance(e, JobProgressed) and e.progress.job_id == job_id and e.progress.step >= step)

    def close(self) -> None:
        self._context.destroy(linger=0)


@contextmanager
def client(connection: Connection, keys: KeyPair | None = None) -> Iterator[Client]:
    made = Client(connection, keys)
    try:
        yield made.connect()
    finally:
        made.close()


def enrol(home: Path) -> KeyPair:
    """Another client's key, let in while the backend runs."""
    keys = generate_key_pair()
    ClientKeys(home / "keys").enrol(keys.public, "another")
    return keys


POSITIONS = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], np.float32)
TRIANGLES = np.array([[0, 2, 1], [0, 1, 3], [1, 2, 3], [0, 3, 2]], np.int32)


def tetrahedron(steps: int, seed: int = 0) -> Recipe:
    """A recipe for ``count_steps``; its blobs are POSITIONS and TRIANGLES."""
    mesh = MeshRef(array_ref(POSITIONS), array_ref(TRIANGLES))
    subject = Subject("ab" * 16, "Tetra", "a tetrahedron", mesh, mode="keep_topology")
    return Recipe((subject,), stages=Stages(geometry_steps=steps), seed=seed)


def new_id() -> str:
    return uuid.uuid4().hex


def wait_for(look: Callable[[], E | None], secs: float) -> E:
    """Whatever ``look`` finds, as soon as it does."""
    end = time.monotonic() + secs
    while not (found := look()):
        assert time.monotonic() < end, f"nothing was found in {secs} s"
        time.sleep(0.02)
    return found


CHUNK = limits.CHUNK_BYTES
