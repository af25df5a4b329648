"""Uploads as a client meets them: when a chunk is acknowledged, and what becomes of one that cannot be written."""

from __future__ import annotations

import errno
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from maquette_backend.server.blob_store import BlobStore
from maquette_backend.server.client import Client
from maquette_backend.server.database import Database
from maquette_backend.server.disk import MAX_OPEN_FILES
from maquette_backend.server.holdings import Holdings
from maquette_backend.server.home import open_home
from maquette_backend.server.intake import Intake
from maquette_backend.server.uploads import MAX_CHUNKS_AHEAD, MAX_CHUNKS_HELD, Uploads
from maquette_protocol.arrays import Array, sha256_hex
from maquette_protocol.codec import Envelope, encode
from maquette_protocol.errors import ErrorCode, MaquetteError
from maquette_protocol.limits import CHUNK_BYTES
from maquette_protocol.messages import (
    BackendMessage,
    BlobWanted,
    ChunkStored,
    ClientMessage,
    Error,
    Hello,
    OfferBlob,
    PutChunk,
    Welcome,
)
from maquette_protocol.session import Asked, PeerSession
from maquette_protocol.version import MAJOR, MINOR

DATA = np.random.default_rng(0).bytes(3 * CHUNK_BYTES + 123)
NAME = sha256_hex(DATA)
OFFSETS = list(range(0, len(DATA), CHUNK_BYTES))


class Disk:
    """Stands in front of each write: can be held up, and can fail."""

    def __init__(self) -> None:
        self.moves = threading.Event()
        self.moves.set()
        self.errors: dict[int, int] = {}
        """Which write fails, counted from 0, and its errno."""
        self.writes = 0

    def __call__(self) -> None:
        assert self.moves.wait(10.0)
        number = self.errors.get(self.writes)
        self.writes += 1
        if number is not None:
            raise OSError(number, os.strerror(number))


class Side:
    """One client's connection."""

    def __init__(self, backend: Backend, owner: str) -> None:
        self._backend = backend
        self._seq = 0
        session = PeerSession(time.monotonic, lambda: Welcome(MAJOR, MINOR, "test", (), "cpu"))
        self._client = Client(owner, session)
        self._answers: dict[int, BackendMessage] = {}
        self.ask(Hello(MAJOR, MINOR, "test"))

    def ask(self, message: ClientMessage, arrays: Mapping[str, Array] | None = None) -> int:
        self._seq += 1
        frames = encode(Envelope(message, self._seq, None, arrays or {}))
        for event in self._client.session.receive(frames):
            assert isinstance(event, Asked) or isinstance(message, Hello)
            if isinstance(event, Asked):
                self._backend.handle(self._client, event)
        return self._seq

    def put(self, offset: int, data: bytes = DATA, sha256: str = NAME) -> int:
        chunk = np.frombuffer(data[offset : offset + CHUNK_BYTES], np.uint8)
        return self.ask(PutChunk(sha256, offset), {"chunk": chunk})

    def offer(self, data: bytes = DATA, sha256: str = NAME) -> BackendMessage:
        return self.wait(self.ask(OfferBlob(sha256, len(data))))

    def now(self, seq: int) -> BackendMessage | None:
        """The answer, if it is there already."""
        self._backend.run_calls()
        for sent in self._client.session.take_outgoing():
            assert isinstance(sent.message, BackendMessage)
            assert sent.re is not None
            self._answers[sent.re] = sent.message
        return self._answers.get(seq)

    def wait(self, seq: int) -> BackendMessage:
        end = time.monotonic() + 10.0
        while (answer := self.now(seq)) is None:
            assert time.monotonic() < end, f"request {seq} was not answered"
            time.sleep(0.001)
        return answer


class Backend:
    """The part of a backend that takes blobs in; ``run_calls`` stands for its loop."""

    def __init__(self, root: Path, disk: Disk) -> None:
        home = open_home(root)
        self.database = Database(home.journal)
        self.holdings = Holdings(self.database, 2**30)
        self.store = BlobStore(home.blobs)
        self.partials = home.blobs / "partial"
        self._calls: deque[Callable[[], None]] = deque()
        self.uploads = Uploads(self.store, Intake(self.partials, disk), self.holdings, self._calls.append)

    def handle(self, client: Client, asked: Asked) -> None:
        try:
            if isinstance(asked.message, OfferBlob):
                answer = self.uploads.offer(client, asked.seq, asked.message)
            else:
                assert isinstance(asked.message, PutChunk)
                answer = self.uploads.put(client, asked.seq, asked.message, asked.arrays)
        except MaquetteError as error:
            client.session.refuse(asked.seq, error)
            return
        if answer is not None:
            client.session.answer(asked.seq, answer)

    def run_calls(self) -> None:
        while self._calls:
            self._calls.popleft()()

    def in_files(self) -> int:
        """Bytes in the files of blobs on their way."""
        return sum(path.stat().st_size for path in self.partials.glob("*/*.part"))


@contextmanager
def backend(root: Path, disk: Disk) -> Iterator[Backend]:
    made = Backend(root, disk)
    try:
        yield made
    finally:
        disk.moves.set()
        made.uploads.close()
        made.database.close()


def test_a_chunk_is_acknowledged_before_it_is_on_the_disk_but_never_the_last(tmp_path):
    disk = Disk()
    with backend(tmp_path, disk) as made:
        side = Side(made, "ada")
        assert side.offer() == BlobWanted(NAME, ((0, len(DATA)),))
        disk.moves.clear()
        seqs = [side.put(offset) for offset in OFFSETS]
        assert [side.now(seq) for seq in seqs] == [*(ChunkStored(NAME, at, False) for at in OFFSETS[:-1]), None]
        assert made.in_files() == 0
        assert not made.store.has(NAME)
        disk.moves.set()
        assert side.wait(seqs[-1]) == ChunkStored(NAME, OFFSETS[-1], True)
        assert made.store.path(NAME).read_bytes() == DATA
        assert made.holdings.complete("ada", NAME)
        assert made.uploads.chunks_held == 0


def test_an_offer_of_what_has_come_but_is_not_written_waits_for_the_outcome(tmp_path):
    """A client that lost its connection may not take the blob for complete."""
    disk = Disk()
    with backend(tmp_path, disk) as made:
        first, second = Side(made, "ada"), Side(made, "ada")
        first.offer()
        disk.moves.clear()
        for offset in OFFSETS:
            first.put(offset)
        seq = second.ask(OfferBlob(NAME, len(DATA)))
        again = second.put(0)
        assert second.now(seq) is None
        assert second.now(again) is None
        disk.moves.set()
        assert second.wait(seq) == BlobWanted(NAME, ())
        assert second.wait(again) == ChunkStored(NAME, 0, True)
        assert made.store.has(NAME)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.permutations(OFFSETS),
    st.integers(0, len(OFFSETS) - 1),
    st.sampled_from([errno.ENOSPC, errno.EIO]),
    st.booleans(),
)
def test_an_error_of_the_disk_reaches_the_client_and_the_next_offer_begins_anew(
    tmp_path_factory, order, failing, number, held_up
):
    """Whichever write fails, seen while chunks still come or only after all were acknowledged."""
    disk = Disk()
    disk.errors[failing] = number
    code = ErrorCode.DISK_FULL if number == errno.ENOSPC else ErrorCode.INTERNAL
    with backend(tmp_path_factory.mktemp("home"), disk) as made:
        side = Side(made, "ada")
        side.offer()
        if held_up:
            disk.moves.clear()
        seqs = [side.put(offset) for offset in order]
        disk.moves.set()
        answers = [side.wait(seq) for seq in seqs]
        assert isinstance(answers[-1], Error)
        assert {answer.code for answer in answers if isinstance(answer, Error)} == {str(code)}
        assert not made.store.has(NAME)
        missing = side.offer()
        assert isinstance(missing, BlobWanted)
        assert {start for start, _ in missing.missing} <= set(order[failing:])
        assert sum(end - start for start, end in missing.missing) > 0
        wanted = [at for at in OFFSETS if any(start <= at < end for start, end in missing.missing)]
        assert order[failing] in wanted
        seqs = [side.put(offset) for offset in wanted]
        assert side.wait(seqs[-1]) == ChunkStored(NAME, wanted[-1], True)
        assert made.store.path(NAME).read_bytes() == DATA


def test_after_a_failure_other_blobs_and_other_clients_go_on(tmp_path):
    disk = Disk()
    disk.errors[0] = errno.ENOSPC
    with backend(tmp_path, disk) as made:
        ada, bob = Side(made, "ada"), Side(made, "bob")
        ada.offer()
        bob.offer()
        ada.put(0)
        seqs = [bob.put(offset) for offset in OFFSETS]
        assert bob.wait(seqs[-1]) == ChunkStored(NAME, OFFSETS[-1], True)
        refused = ada.wait(ada.put(CHUNK_BYTES))
        assert isinstance(refused, Error)
        assert refused.code == ErrorCode.DISK_FULL
        assert not made.holdings.complete("ada", NAME)
        other = b"x" * 77
        ada.offer(other, sha256_hex(other))
        assert ada.wait(ada.put(0, other, sha256_hex(other))) == ChunkStored(sha256_hex(other), 0, True)


def test_a_chunk_sent_again_while_it_waits_is_not_written_over(tmp_path):
    disk = Disk()
    with backend(tmp_path, disk) as made:
        side = Side(made, "ada")
        side.offer()
        disk.moves.clear()
        side.put(0)
        assert side.now(side.put(0, bytes(len(DATA)))) == ChunkStored(NAME, 0, False)
        assert made.uploads.chunks_held == 1
        disk.moves.set()
        seqs = [side.put(offset) for offset in OFFSETS[1:]]
        assert side.wait(seqs[-1]) == ChunkStored(NAME, OFFSETS[-1], True)


def test_wrong_bytes_are_said_with_the_last_chunk_and_all_is_missing_again(tmp_path):
    with backend(tmp_path, Disk()) as made:
        side = Side(made, "ada")
        side.offer()
        seqs = [side.put(offset, bytes(len(DATA))) for offset in OFFSETS]
        answers = [side.wait(seq) for seq in seqs]
        assert answers[:-1] == [ChunkStored(NAME, at, False) for at in OFFSETS[:-1]]
        assert isinstance(answers[-1], Error)
        assert answers[-1].code == ErrorCode.BLOB_CORRUPT
        assert side.offer() == BlobWanted(NAME, ((0, len(DATA)),))
        assert made.holdings.used_bytes("ada") == len(DATA)


def test_what_is_no_chunk_of_the_blob_is_refused_at_once(tmp_path):
    with backend(tmp_path, Disk()) as made:
        side = Side(made, "ada")
        side.offer()
        for offset, length in [(1, CHUNK_BYTES), (0, 5), (4 * CHUNK_BYTES, 1), (-CHUNK_BYTES, 9)]:
            seq = side.ask(PutChunk(NAME, offset), {"chunk": np.zeros(length, np.uint8)})
            refused = side.now(seq)
            assert isinstance(refused, Error)
            assert refused.code == ErrorCode.MALFORMED
        assert made.uploads.chunks_held == 0


def test_memory_stays_bounded_when_the_disk_stands_still(tmp_path):
    """First the acknowledgements wait; whoever does not wait for them is refused in the end. Then all is written."""
    disk = Disk()
    data = bytes((MAX_CHUNKS_HELD + 9) * CHUNK_BYTES)
    sha256 = sha256_hex(data)
    with backend(tmp_path, disk) as made:
        side = Side(made, "ada")
        side.offer(data, sha256)
        disk.moves.clear()
        seqs = []
        for place in range(MAX_CHUNKS_HELD + 8):
            seqs.append(side.put(place * CHUNK_BYTES, data, sha256))
            assert made.uploads.chunks_held == min(place + 1, MAX_CHUNKS_HELD)
        answers = [side.now(seq) for seq in seqs]
        assert all(isinstance(answer, ChunkStored) for answer in answers[:MAX_CHUNKS_AHEAD])
        assert all(answer is None for answer in answers[MAX_CHUNKS_AHEAD:MAX_CHUNKS_HELD])
        assert all(isinstance(answer, Error) for answer in answers[MAX_CHUNKS_HELD:])
        disk.moves.set()
        assert all(isinstance(side.wait(seq), ChunkStored) for seq in seqs[:MAX_CHUNKS_HELD])
        assert made.uploads.chunks_held == 0
        assert side.offer(data, sha256) == BlobWanted(sha256, ((MAX_CHUNKS_HELD * CHUNK_BYTES, len(data)),))


def test_few_files_are_open_at_a_time_and_none_when_nothing_comes(tmp_path):
    blobs = [bytes([place]) * (CHUNK_BYTES + 1) for place in range(MAX_OPEN_FILES + 9)]
    disk = Disk()
    with backend(tmp_path, disk) as made:
        side = Side(made, "ada")
        for blob in blobs:
            side.offer(blob, sha256_hex(blob))
            side.put(0, blob, sha256_hex(blob))
            assert _open_partials(tmp_path) <= MAX_OPEN_FILES + 1  # one is opened before another is closed
        _wait_until(lambda: disk.writes == len(blobs))
        _wait_until(lambda: _open_partials(tmp_path) == 0)
        assert len(list(made.partials.glob("*/*.log"))) == len(blobs)
        for blob in blobs:
            seq = side.put(CHUNK_BYTES, blob, sha256_hex(blob))
            assert side.wait(seq) == ChunkStored(sha256_hex(blob), CHUNK_BYTES, True)
    assert _open_partials(tmp_path) == 0


def _open_partials(folder: Path) -> int:
    return sum(
        file.path.startswith(str(folder)) and file.path.endswith(".part") for file in psutil.Process().open_files()
    )


def _wait_until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 10.0
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.parametrize("torn", [0, 3, 16])
def test_a_backend_that_starts_again_asks_for_what_its_log_does_not_have(tmp_path, torn):
    with backend(tmp_path, Disk()) as made:
        side = Side(made, "ada")
        side.offer()
        side.put(0)
        side.put(CHUNK_BYTES)
    log = next(made.partials.glob("*/*.log"))
    log.write_bytes(log.read_bytes()[: 32 - torn])
    for already in (2 - (torn > 0), 3 - (torn > 0)):  # also after more was logged behind the torn record
        with backend(tmp_path, Disk()) as made:
            side = Side(made, "ada")
            assert side.offer() == BlobWanted(NAME, ((already * CHUNK_BYTES, len(DATA)),))
            side.put(already * CHUNK_BYTES)
