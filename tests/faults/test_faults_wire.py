"""Strangers, broken frames, broken uploads, full disks, slow readers: the gateway refuses, says why, and lives on."""

from __future__ import annotations

import os
import threading
import time

import numpy as np
import pytest
import zmq
from fault_harness import CHUNK, POSITIONS, TRIANGLES, Client, backend, client, enrol, tetrahedron, wait_for
from maquette_backend.server.keys import generate_key_pair
from maquette_protocol import limits
from maquette_protocol.arrays import sha256_hex
from maquette_protocol.codec import HEADER, MAGIC, Envelope, decode, encode
from maquette_protocol.errors import ErrorCode
from maquette_protocol.messages import BlobWanted, ChunkStored, Hello, JobStatus, OfferBlob, PutChunk
from maquette_protocol.session import Downloaded, PreviewArrived, Refused, TransferFailed, Uploaded
from maquette_protocol.version import MAJOR, MINOR


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    with backend(tmp_path_factory.mktemp("wire") / "home") as started:
        assert started.connection
        yield started


def _serves(gateway) -> bool:
    """Whether another client is served: an upload, whole and checked."""
    with client(gateway.connection) as user:
        return isinstance(user.upload_bytes(os.urandom(1000)), Uploaded)


def test_a_key_that_is_not_enrolled_gets_no_answer(gateway):
    """It knows the server's public key, so CURVE alone would let it in."""
    stranger = Client(gateway.connection, generate_key_pair())
    stranger.pump()
    assert stranger.socket.poll(1000) == 0
    stranger.close()
    assert _serves(gateway)


def test_a_wrong_server_key_gets_no_answer(gateway):
    connection = gateway.connection
    mistaken = type(connection)(
        connection.endpoint, generate_key_pair().public, connection.client_public_key, connection.client_secret_key
    )
    stranger = Client(mistaken)
    stranger.pump()
    assert stranger.socket.poll(1000) == 0
    stranger.close()


def test_a_socket_without_curve_gets_no_answer(gateway):
    context = zmq.Context()
    plain = context.socket(zmq.DEALER)
    plain.connect(gateway.connection.endpoint)
    plain.send_multipart(encode(Envelope(Hello(MAJOR, MINOR, "plain"), 1)))
    assert plain.poll(1000) == 0
    context.destroy(linger=0)
    assert _serves(gateway)


def test_a_revoked_key_is_not_heard_any_more(gateway):
    keys = enrol(gateway.home)
    with client(gateway.connection, keys) as user:
        from maquette_backend.server.keys import ClientKeys

        ClientKeys(gateway.home / "keys").revoke(keys.public)
        ticket = user.session.list_jobs()
        end = time.monotonic() + 1.0
        while time.monotonic() < end:
            user.pump()
        assert not [event for event in user.events if getattr(event, "ticket", None) == ticket]


def test_another_major_version_is_told_both(gateway):
    future = Client(gateway.connection, major=MAJOR + 7)
    refused = future.wait(lambda event: isinstance(event, Refused))
    future.close()
    assert isinstance(refused, Refused)
    assert refused.error.code == ErrorCode.VERSION_MISMATCH
    assert str(MAJOR + 7) in refused.error.message
    assert str(MAJOR) in refused.error.message


@pytest.mark.parametrize(
    "frames",
    [
        [b""],
        [b"\0" * 8],
        [os.urandom(8), os.urandom(100)],
        [HEADER.pack(MAGIC, MAJOR, 0, 0), os.urandom(200)],
        [HEADER.pack(MAGIC, MAJOR, 0, 0), b"\xdd\xff\xff\xff\xff"],
        [HEADER.pack(MAGIC, MAJOR, 0, 0), b"\x81" * 60000],
        [HEADER.pack(MAGIC, MAJOR, 0, 17), b"\x80", *[b"x"] * 17],
        [HEADER.pack(MAGIC, MAJOR, 0, 500), b"\x80", *[b"x"] * 500],
        [HEADER.pack(MAGIC, MAJOR, 0, 0), b"\x80" * (limits.MAX_CONTROL_BYTES + 1)],
        [HEADER.pack(MAGIC, MAJOR, 0, 1), b"\x80", b"x" * (limits.MAX_PAYLOAD_BYTES + 1)],
        [b"x" * 5_000_000],
    ],
    ids=["empty", "zeros", "noise", "noise-body", "huge-list", "deep", "17-frames", "500-frames", "long-control",
         "oversize-frame", "oversize-header"],
)  # fmt: skip
def test_malformed_frames_leave_the_gateway_alive(gateway, frames):
    with client(gateway.connection) as user:
        user.socket.send_multipart(frames)
        assert _serves(gateway)
    assert gateway.process.poll() is None


def _put_some(user: Client, data: bytes, offsets: tuple[int, ...]) -> None:
    """Offer a blob and send some of its chunks; returns once all of that is answered."""
    sha256 = sha256_hex(data)
    messages = [
        (OfferBlob(sha256, len(data)), {}),
        *((PutChunk(sha256, at), {"chunk": np.frombuffer(data[at : at + CHUNK], np.uint8)}) for at in offsets),
    ]
    for place, (message, arrays) in enumerate(messages):
        user.socket.send_multipart(encode(Envelope(message, 100 + place, None, arrays)))
    for _ in messages:
        assert user.socket.poll(2000)
        assert isinstance(decode(user.socket.recv_multipart()).message, BlobWanted | ChunkStored)


def _upload_and_count(user: Client, data: bytes) -> list[int]:
    """The offsets of the chunks that had to be sent until all of ``data`` was there; it is read back."""
    sent: list[int] = []
    user.session.upload(data)
    done = None
    while done is None:
        outgoing = user.session.take_outgoing()
        sent += [envelope.message.offset for envelope in outgoing if isinstance(envelope.message, PutChunk)]
        for envelope in outgoing:
            user.socket.send_multipart(encode(envelope))
        assert user.socket.poll(5000)
        events = user.session.receive(user.socket.recv_multipart())
        done = next((event for event in events if isinstance(event, Uploaded | TransferFailed)), None)
    assert isinstance(done, Uploaded)
    got = user.download(sha256_hex(data), len(data))
    assert isinstance(got, Downloaded)
    assert got.data == data
    return sorted(sent)


def test_an_upload_cut_off_half_way_resumes_over_a_restart_of_the_gateway(tmp_path):
    data = os.urandom(5 * CHUNK + 77)
    home = tmp_path / "home"
    with backend(home) as first:
        assert first.connection
        keys = enrol(home)
        with client(first.connection, keys) as user:
            _put_some(user, data, (0, 2 * CHUNK, 3 * CHUNK))
        wait_for(lambda: list(home.glob("blobs/partial/*/*.log")), 5.0)  # the log follows when nothing more comes
        first.kill()
    with backend(home) as second, client(second.connection, keys) as user:
        assert _upload_and_count(user, data) == [CHUNK, 4 * CHUNK, 5 * CHUNK]


def test_killed_between_acknowledgement_and_write_it_asks_for_the_chunks_again(tmp_path):
    data = os.urandom(5 * CHUNK + 77)
    offsets = tuple(range(0, 5 * CHUNK, CHUNK))
    home = tmp_path / "home"
    with backend(home, "--write-secs", "1") as first:
        assert first.connection
        keys = enrol(home)
        with client(first.connection, keys) as user:
            _put_some(user, data, offsets)
        first.kill()
    assert sum(path.stat().st_size for path in home.glob("blobs/partial/*/*.part")) < 5 * CHUNK
    with backend(home) as second, client(second.connection, keys) as user:
        sent = _upload_and_count(user, data)
        assert sent == sorted(set(sent))
        assert {4 * CHUNK, 5 * CHUNK} <= set(sent)


def test_a_backend_that_is_stopped_writes_what_it_acknowledged(tmp_path):
    data = os.urandom(5 * CHUNK + 77)
    home = tmp_path / "home"
    with backend(home, "--write-secs", "0.2") as first:
        assert first.connection
        keys = enrol(home)
        with client(first.connection, keys) as user:
            _put_some(user, data, (0, CHUNK, 2 * CHUNK, 3 * CHUNK))
        assert first.end() == 0
    with backend(home) as second, client(second.connection, keys) as user:
        assert _upload_and_count(user, data) == [4 * CHUNK, 5 * CHUNK]


def test_a_disk_that_fills_up_during_an_upload_is_said_and_the_rest_is_taken_when_there_is_room(tmp_path):
    data = os.urandom(12 * CHUNK + 77)
    with backend(tmp_path / "home", "--no-space-at", "4", "5") as gateway, client(gateway.connection) as user:
        for _ in range(2):
            failed = user.upload_bytes(data)
            assert isinstance(failed, TransferFailed)
            assert failed.error.code == ErrorCode.DISK_FULL
        assert _upload_and_count(user, data) == [at * CHUNK for at in range(3, 13)]


def test_clients_that_keep_their_window_wait_for_a_slow_disk_and_are_not_refused(tmp_path):
    """Seven upload at once, 84 MiB, at 10 ms a chunk; a ping is answered meanwhile."""
    with backend(tmp_path / "home", "--write-secs", "0.01") as gateway:
        users = [Client(gateway.connection).connect() for _ in range(7)]
        names = [user.session.upload(os.urandom(12 * CHUNK)) for user in users]
        done: set[str] = set()
        end = time.monotonic() + 30.0
        while len(done) < len(users):
            assert time.monotonic() < end
            for user in users:
                user.pump(1)
                assert not [event for event in user.events if isinstance(event, TransferFailed)]
                done |= {event.sha256 for event in user.events if isinstance(event, Uploaded)}
        assert done == set(names)
        for user in users:
            user.close()


def test_a_corrupt_upload_is_refused_and_the_right_bytes_can_follow(gateway):
    data = os.urandom(CHUNK + 5)
    with client(gateway.connection) as user:
        failed = user.upload_bytes(bytes(len(data)), sha256_hex(data))
        assert isinstance(failed, TransferFailed)
        assert failed.error.code == ErrorCode.BLOB_CORRUPT
        assert isinstance(user.upload_bytes(data), Uploaded)


def test_a_quota_holds_for_each_client(tmp_path):
    with backend(tmp_path / "home", "--quota", str(3 * CHUNK)) as gateway, client(gateway.connection) as user:
        first = os.urandom(2 * CHUNK)
        assert isinstance(user.upload_bytes(first), Uploaded)
        failed = user.upload_bytes(os.urandom(2 * CHUNK))
        assert isinstance(failed, TransferFailed)
        assert failed.error.code == ErrorCode.QUOTA_EXCEEDED
        assert isinstance(user.upload_bytes(first), Uploaded)  # held already: costs nothing
        with client(gateway.connection, enrol(gateway.home)) as other:
            assert isinstance(other.upload_bytes(first), Uploaded)


def test_a_full_disk_is_said_and_small_work_goes_on(tmp_path):
    with backend(tmp_path / "home", "--free-bytes", str(65 * 2**20)) as gateway, client(gateway.connection) as user:
        failed = user.upload_bytes(os.urandom(2 * CHUNK))
        assert isinstance(failed, TransferFailed)
        assert failed.error.code == ErrorCode.DISK_FULL
        user.upload(POSITIONS, TRIANGLES)
        assert user.ended(user.submit(tetrahedron(3))).state == "finished"


def test_a_blob_of_another_key_must_be_uploaded_again_to_be_read(gateway):
    data = os.urandom(1234)
    sha256 = sha256_hex(data)
    with client(gateway.connection) as owner, client(gateway.connection, enrol(gateway.home)) as other:
        assert isinstance(owner.upload_bytes(data), Uploaded)
        refused = other.download(sha256, len(data))
        assert isinstance(refused, TransferFailed)
        assert refused.error.code == ErrorCode.BLOB_MISSING
        assert isinstance(other.upload_bytes(data), Uploaded)
        assert isinstance(other.download(sha256, len(data)), Downloaded)


def test_a_client_that_does_not_read_blocks_nobody(gateway):
    """It asks for 200 MiB of downloads and for a job's events, and reads none of them."""
    data = os.urandom(16 * CHUNK)
    with client(gateway.connection) as slow, client(gateway.connection) as quick:
        quick.upload(POSITIONS, TRIANGLES)
        assert isinstance(slow.upload_bytes(data), Uploaded)
        from maquette_protocol.messages import GetChunk

        for place in range(200):
            message = GetChunk(sha256_hex(data), place % 16 * CHUNK, CHUNK)
            slow.socket.send_multipart(encode(Envelope(message, 1000 + place)))
        begin = time.monotonic()
        job_id = quick.submit(tetrahedron(30))
        quick.wait(lambda event: isinstance(event, PreviewArrived))
        status = quick.ended(job_id)
        assert isinstance(status, JobStatus)
        assert status.state == "finished"
        assert time.monotonic() - begin < 5.0


def test_ping_stays_quick_while_a_worker_burns_all_cores(tmp_path):
    with (
        backend(tmp_path / "home", "--entry", "fault_jobs:burn_all_cores") as gateway,
        client(gateway.connection) as user,
    ):
        user.upload(POSITIONS, TRIANGLES)
        job_id = user.submit(tetrahedron(3))
        assert gateway.worker_pid()
        with client(gateway.connection) as other:
            waits = sorted(ping_secs(other, 300))
        assert waits[int(0.99 * len(waits))] <= 0.050
        user.session.cancel(job_id)
        assert user.ended(job_id).state == "cancelled"


def ping_secs(user: Client, count: int) -> list[float]:
    """Round trips of ``count`` pings, one after another, with 5 ms between them."""
    from maquette_protocol.codec import decode
    from maquette_protocol.messages import Ping, Pong

    waits: list[float] = []
    for nonce in range(count):
        begin = time.perf_counter()
        user.socket.send_multipart(encode(Envelope(Ping(nonce), 10_000 + nonce)))
        while decode(user.socket.recv_multipart()).message != Pong(nonce):
            pass
        waits.append(time.perf_counter() - begin)
        threading.Event().wait(0.005)
    return waits
