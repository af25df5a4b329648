"""The wire against its budgets: an upload through the gateway beside a bare transfer, and ping under load."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import zmq
from maquette_backend.server.keys import generate_key_pair
from maquette_protocol.auth import Connection, read_connection
from maquette_protocol.blobs import Upload
from maquette_protocol.codec import Envelope, decode, encode
from maquette_protocol.errors import MaquetteError
from maquette_protocol.limits import CHUNK_BYTES, CHUNK_WINDOW
from maquette_protocol.messages import BlobWanted, ChunkStored, Hello, OfferBlob, Ping, Pong, PutChunk
from maquette_protocol.version import MAJOR, MINOR

from benchmarks.rows import Row

BLOB_BYTES = 64 * 2**20
REPEATS = 15
PINGS = 500


def rows() -> list[Row]:
    """Measure both lines."""
    # A home in memory where there is one: this is about the wire, and disks differ by a factor of ten.
    memory = "/dev/shm" if Path("/dev/shm").is_dir() else None
    with tempfile.TemporaryDirectory(dir=memory) as folder, _backend(Path(folder)) as connection:
        return [_over_raw(connection, Path(folder)), _ping_row(connection)]


def _over_raw(connection: Connection, home: Path) -> Row:
    """Best of a few, turn by turn, so that both meet the same neighbours on the machine."""
    through, bare = [], []
    for _ in range(REPEATS):
        data = os.urandom(BLOB_BYTES)
        bare.append(_raw_secs(data))
        through.append(_upload_secs(connection, data))
        # The next turn writes into the same memory. What a virtual machine touches for the first time it has to get from
        # its host, which took up to 0.2 s for one blob; the bare sockets keep nothing and would never pay for that.
        for stored in home.glob("blobs/??/*"):
            stored.unlink()
    ratio = min(bare) / min(through)
    how = (
        f"64 MiB in 1 MiB chunks, window 8, CURVE, loopback, best of {REPEATS}: {min(through):.2f} s through the gateway "
        f"(hash checked, stored in memory that was used before), {min(bare):.2f} s between two bare sockets of one context"
    )
    return Row("wire.over_raw_zmq", ratio, "ratio", ">= 0.8", ratio >= 0.8, how)


def _ping_row(connection: Connection) -> Row:
    burners = [
        subprocess.Popen([sys.executable, "-c", "import os\nos.nice(5)\nwhile True: pass"])
        for _ in range(os.cpu_count() or 1)
    ]
    try:
        with _client(connection) as socket:
            waits = sorted(_ping_secs(socket, nonce) for nonce in range(PINGS))
    finally:
        for burner in burners:
            burner.kill()
            burner.wait()
    value = 1000 * waits[int(0.99 * PINGS)]
    how = f"{PINGS} pings, one process at a worker's priority (nice 5) spinning on each core"
    return Row("wire.ping_p99_ms", value, "ms", "<= 50", value <= 50, how)


def _ping_secs(socket: zmq.Socket[bytes], nonce: int) -> float:
    time.sleep(0.005)
    begin = time.perf_counter()
    socket.send_multipart(encode(Envelope(Ping(nonce), 10 + nonce)))
    while decode(socket.recv_multipart()).message != Pong(nonce):
        continue
    return time.perf_counter() - begin


def _upload_secs(connection: Connection, data: bytes) -> float:
    """From the offer to the acknowledgement that the whole blob is checked and stored."""
    upload = Upload(data)
    with _client(connection) as socket:
        begin = time.perf_counter()
        seq = 2
        socket.send_multipart(encode(Envelope(OfferBlob(upload.sha256, upload.size), seq)))
        while not upload.complete:
            message = decode(socket.recv_multipart(copy=True)).message
            if isinstance(message, BlobWanted):
                upload.wanted(message.missing)
            elif isinstance(message, ChunkStored):
                upload.acknowledged(message.offset, message.complete)
            while (chunk := upload.next_chunk()) is not None:
                seq += 1
                arrays = {"chunk": np.frombuffer(chunk[1], np.uint8)}
                frames = encode(Envelope(PutChunk(upload.sha256, chunk[0]), seq, None, arrays))
                socket.send_multipart(frames, copy=False)
        return time.perf_counter() - begin


def _raw_secs(data: bytes) -> float:
    """The same chunks and window between two CURVE sockets that do nothing else."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    server_keys, keys = generate_key_pair(), generate_key_pair()
    router = context.socket(zmq.ROUTER)
    router.curve_server = True
    router.curve_secretkey = server_keys.secret.encode()
    port = router.bind_to_random_port("tcp://127.0.0.1")
    count = len(data) // CHUNK_BYTES
    receiver = threading.Thread(target=_receive_raw, args=(router, count))
    receiver.start()
    dealer = _dealer(context, Connection(f"tcp://127.0.0.1:{port}", server_keys.public, keys.public, keys.secret))
    dealer.send(b"hello")
    dealer.recv()
    view = memoryview(data)
    begin = time.perf_counter()
    for place in range(count):
        if place >= CHUNK_WINDOW:
            dealer.recv()
        dealer.send(view[place * CHUNK_BYTES : (place + 1) * CHUNK_BYTES], copy=False)
    for _ in range(min(CHUNK_WINDOW, count)):
        dealer.recv()
    secs = time.perf_counter() - begin
    receiver.join()
    context.destroy(linger=0)
    return secs


def _receive_raw(router: zmq.Socket[bytes], count: int) -> None:
    """Acknowledge the greeting and every chunk."""
    for _ in range(count + 1):
        routing_id = router.recv_multipart(copy=False)[0].bytes
        router.send_multipart([routing_id, b"stored"])


@contextmanager
def _backend(home: Path) -> Iterator[Connection]:
    command = [sys.executable, "-m", "maquette_backend", "serve", "--home", str(home)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        yield _wait_for_connection(home / "connection.json")
    finally:
        process.terminate()
        process.wait(20)


def _wait_for_connection(path: Path) -> Connection:
    for _ in range(200):
        try:
            return read_connection(path)
        except MaquetteError:
            time.sleep(0.1)
    return read_connection(path)


@contextmanager
def _client(connection: Connection) -> Iterator[zmq.Socket[bytes]]:
    """A socket that was welcomed."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    socket = _dealer(context, connection)
    socket.send_multipart(encode(Envelope(Hello(MAJOR, MINOR, "benchmark"), 1)))
    socket.recv_multipart()
    try:
        yield socket
    finally:
        context.destroy(linger=0)


def _dealer(context: zmq.Context[zmq.Socket[bytes]], connection: Connection) -> zmq.Socket[bytes]:
    socket = context.socket(zmq.DEALER)
    socket.linger = 0
    socket.curve_serverkey = connection.server_public_key.encode()
    socket.curve_publickey = connection.client_public_key.encode()
    socket.curve_secretkey = connection.client_secret_key.encode()
    socket.connect(connection.endpoint)
    return socket
