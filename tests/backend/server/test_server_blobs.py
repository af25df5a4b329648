"""The blob store and the intake: any order, any interruption, and only the right bytes get in."""

from __future__ import annotations

import errno
import os
import resource
import stat
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from maquette_backend.server.blob_store import BlobStore, disk_errors
from maquette_backend.server.home import open_home, write_private
from maquette_backend.server.intake import Intake
from maquette_backend.server.keys import ClientKeys, generate_key_pair, load_server_keys
from maquette_backend.server.partial import LOG_EVERY_CHUNKS, Partial
from maquette_backend.server.serve import refuse_open_bind
from maquette_protocol.arrays import sha256_hex
from maquette_protocol.errors import ErrorCode, MaquetteError, ProtocolError
from maquette_protocol.limits import CHUNK_BYTES

SIZE = 3 * CHUNK_BYTES + 123
DATA = np.random.default_rng(0).bytes(SIZE)
NAME = sha256_hex(DATA)
OFFSETS = list(range(0, SIZE, CHUNK_BYTES))


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.permutations(OFFSETS), st.integers(0, 4))
def test_chunks_in_any_order_with_a_restart_anywhere_make_the_blob(tmp_path, order, restart_after):
    store = BlobStore(open_home(tmp_path / "home").blobs)
    store.delete(NAME)
    partial = Partial(tmp_path / "partial", NAME, SIZE)
    for place, offset in enumerate(order):
        if place == restart_after:
            partial.rest()
            partial = Partial(tmp_path / "partial", NAME, SIZE)
        arrived = sum(min(CHUNK_BYTES, SIZE - at) for at in order[:place])
        assert sum(end - start for start, end in partial.missing) == SIZE - arrived
        complete = partial.store_chunk(offset, DATA[offset : offset + CHUNK_BYTES], store)
        assert complete == (place == len(order) - 1)
    assert partial.missing == ()
    assert partial.store_chunk(0, DATA[:CHUNK_BYTES], store)  # once more does no harm
    assert store.path(NAME).read_bytes() == DATA
    assert list((tmp_path / "partial").iterdir()) == []


def test_a_chunk_sent_again_with_other_bytes_changes_nothing(tmp_path):
    """Its first bytes are in the running hash: written over, they would pass the check and be stored."""
    store = BlobStore(open_home(tmp_path / "home").blobs)
    partial = Partial(tmp_path / "partial", NAME, SIZE)
    for offset in OFFSETS[:-1]:
        partial.store_chunk(offset, DATA[offset : offset + CHUNK_BYTES], store)
    assert not partial.store_chunk(0, bytes(CHUNK_BYTES), store)
    assert partial.store_chunk(OFFSETS[-1], DATA[OFFSETS[-1] :], store)
    assert store.path(NAME).read_bytes() == DATA


def test_after_a_refused_write_the_hash_is_of_what_is_in_the_file(tmp_path):
    """Other bytes sent in place of the refused chunk must be found out."""
    store = BlobStore(open_home(tmp_path / "home").blobs)
    partial = Partial(tmp_path / "partial", NAME, SIZE)
    data = tmp_path / "partial" / f"{NAME}.{SIZE}.part"
    data.mkdir()  # the chunk cannot be written
    for offset in OFFSETS[:2]:
        with pytest.raises(MaquetteError, match="disk failed") as caught:
            partial.store_chunk(offset, DATA[offset : offset + CHUNK_BYTES], store)
        assert caught.value.code == ErrorCode.INTERNAL
    data.rmdir()
    partial.reopen()
    partial.store_chunk(0, bytes(CHUNK_BYTES), store)
    for offset in OFFSETS[1:-1]:
        partial.store_chunk(offset, DATA[offset : offset + CHUNK_BYTES], store)
    with pytest.raises(MaquetteError) as caught:
        partial.store_chunk(OFFSETS[-1], DATA[OFFSETS[-1] :], store)
    assert caught.value.code == ErrorCode.BLOB_CORRUPT
    assert not store.has(NAME)


def test_wrong_bytes_are_thrown_away(tmp_path):
    store = BlobStore(open_home(tmp_path / "home").blobs)
    partial = Partial(tmp_path / "partial", NAME, SIZE)
    for offset in OFFSETS[:-1]:
        assert not partial.store_chunk(offset, bytes(CHUNK_BYTES), store)
    with pytest.raises(MaquetteError) as caught:
        partial.store_chunk(OFFSETS[-1], bytes(SIZE - OFFSETS[-1]), store)
    assert caught.value.code == ErrorCode.BLOB_CORRUPT
    assert not store.has(NAME)
    assert list((tmp_path / "partial").iterdir()) == []


def test_a_torn_log_record_only_costs_its_chunk(tmp_path):
    partial = Partial(tmp_path, NAME, SIZE)
    store = BlobStore(tmp_path / "blobs")
    partial.store_chunk(0, DATA[:CHUNK_BYTES], store)
    partial.store_chunk(CHUNK_BYTES, DATA[CHUNK_BYTES : 2 * CHUNK_BYTES], store)
    partial.rest()
    log = next(tmp_path.glob("*.log"))
    log.write_bytes(log.read_bytes()[:-3])
    assert Partial(tmp_path, NAME, SIZE).missing == ((CHUNK_BYTES, SIZE),)


def test_the_log_lags_by_a_few_chunks_and_never_claims_what_is_not_written(tmp_path):
    size = 3 * LOG_EVERY_CHUNKS * CHUNK_BYTES
    partial = Partial(tmp_path, NAME, size)
    chunk = bytes(CHUNK_BYTES)
    for place in range(2 * LOG_EVERY_CHUNKS + 3):
        partial.store_chunk(place * CHUNK_BYTES, chunk, BlobStore(tmp_path))
        logged = (place + 1) // LOG_EVERY_CHUNKS * LOG_EVERY_CHUNKS
        assert Partial(tmp_path, NAME, size).missing == ((logged * CHUNK_BYTES, size),)
    partial.rest()
    assert Partial(tmp_path, NAME, size).missing == partial.missing


def test_a_log_that_cannot_grow_lags_and_refuses_nothing(tmp_path):
    partial = Partial(tmp_path, NAME, SIZE)
    store = BlobStore(open_home(tmp_path / "home").blobs)
    log = tmp_path / f"{NAME}.{SIZE}.log"
    log.mkdir()
    partial.store_chunk(0, DATA[:CHUNK_BYTES], store)
    partial.rest()
    log.rmdir()
    partial.rest()
    assert Partial(tmp_path, NAME, SIZE).missing == ((CHUNK_BYTES, SIZE),)


@pytest.mark.parametrize(("offset", "length"), [(1, CHUNK_BYTES), (0, 5), (4 * CHUNK_BYTES, 1), (-CHUNK_BYTES, 9)])
def test_what_is_no_chunk_of_the_blob_is_not_written(tmp_path, offset, length):
    with pytest.raises(ProtocolError):
        Partial(tmp_path, NAME, SIZE).store_chunk(offset, bytes(length), BlobStore(tmp_path))


def test_two_clients_never_share_a_partial(tmp_path):
    intake = Intake(tmp_path)
    intake.open("a/../b", NAME, SIZE).partial.store_chunk(0, DATA[:CHUNK_BYTES], BlobStore(tmp_path))
    assert intake.open("other", NAME, SIZE).missing == ((0, SIZE),)
    assert {path.parent.parent for path in tmp_path.glob("*/*")} == {tmp_path}


@pytest.mark.parametrize("name", ["", "..", "../../etc/passwd", "a" * 63, "A" * 64, "a" * 63 + "/", "a" * 64 + "\n"])
def test_nothing_but_a_hash_becomes_a_path(tmp_path, name):
    with pytest.raises(MaquetteError):
        BlobStore(tmp_path).path(name)


def test_arrays_come_back_and_damage_is_found(tmp_path):
    store = BlobStore(tmp_path)
    array = np.arange(12, dtype=np.float32).reshape(4, 3)
    ref = store.write_array(array)
    np.testing.assert_array_equal(store.read_array(ref), array)
    store.path(ref.sha256).write_bytes(b"\1" * 48)
    with pytest.raises(MaquetteError) as caught:
        store.read_array(ref)
    assert caught.value.code == ErrorCode.BLOB_CORRUPT
    store.delete(ref.sha256)
    with pytest.raises(MaquetteError) as caught:
        store.read_array(ref)
    assert caught.value.code == ErrorCode.BLOB_MISSING


def test_a_real_write_that_the_system_refuses_is_disk_full(tmp_path):
    """RLIMIT_FSIZE makes the kernel refuse the write in the middle, as a full disk does."""
    script = f"""
import resource, signal
from pathlib import Path
from maquette_backend.server.blob_store import BlobStore
from maquette_backend.server.partial import Partial
from maquette_protocol.errors import MaquetteError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, ({CHUNK_BYTES // 2}, {resource.RLIM_INFINITY}))
partial = Partial(Path({str(tmp_path)!r}), {NAME!r}, {SIZE})
try:
    partial.store_chunk(0, bytes({CHUNK_BYTES}), BlobStore(Path({str(tmp_path)!r})))
except MaquetteError as error:
    assert partial.missing == ((0, {SIZE}),)
    raise SystemExit(str(error.code))
"""
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert ended.stderr.strip() == "disk_full"


def test_other_errors_of_the_disk_are_not_called_full():
    with pytest.raises(PermissionError), disk_errors("a blob"):
        raise PermissionError(errno.EACCES, "no")


def test_keys_are_private_and_the_list_follows_the_file(tmp_path):
    home = open_home(tmp_path / "home")
    assert stat.S_IMODE(home.root.stat().st_mode) == 0o700
    server = load_server_keys(home.keys)
    assert load_server_keys(home.keys) == server
    assert stat.S_IMODE((home.keys / "server.json").stat().st_mode) == 0o600
    running, tool = ClientKeys(home.keys), ClientKeys(home.keys)
    public = generate_key_pair().public
    assert not running.admits(public)
    tool.enrol(public, "ada")
    assert running.admits(public)
    assert tool.revoke(public)
    assert not running.admits(public)
    assert not tool.revoke(public)
    with pytest.raises(MaquetteError):
        tool.enrol("not a key", "eve")


def test_a_private_file_is_never_open_to_others_not_even_under_a_lax_umask(tmp_path):
    before = os.umask(0)
    try:
        write_private(tmp_path / "secret", b"x")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "secret").stat().st_mode) == 0o600


@pytest.mark.parametrize("endpoint", ["tcp://0.0.0.0:5555", "tcp://*:0", "tcp://[::]:1", "tcp://example.org:5"])
def test_a_bind_off_loopback_needs_an_enrolled_key(tmp_path, endpoint):
    clients = ClientKeys(tmp_path)
    with pytest.raises(MaquetteError, match="other machines") as caught:
        refuse_open_bind(endpoint, clients)
    assert "keys enrol" in caught.value.remedy
    for local in ("tcp://127.0.0.1:0", "tcp://[::1]:0", "tcp://localhost:7"):
        refuse_open_bind(local, clients)
    clients.enrol(generate_key_pair().public, "ada")
    refuse_open_bind(endpoint, clients)
