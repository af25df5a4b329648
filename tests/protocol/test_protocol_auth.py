"""The connection file holds a secret: only its owner may read it, and it is never shown."""

from __future__ import annotations

import json
import os
import stat
from dataclasses import replace
from pathlib import Path

import pytest
from maquette_protocol.auth import Connection, check_connection, is_key, read_connection, write_connection
from maquette_protocol.errors import ErrorCode, MaquetteError, ProtocolError

posix_only = pytest.mark.skipif(os.name != "posix", reason="Windows has access lists instead of modes")

SERVER = "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7"
CLIENT = "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID"
SECRET = "D:)Q[IlAW!ahhC2ac:9*A}h:p?([4%wOTJ%JR%cs"
CONNECTION = Connection("tcp://127.0.0.1:5555", SERVER, CLIENT, SECRET, 42)
"""The keys are the example of the ZeroMQ manual (zmq_curve)."""


def test_real_keys_are_keys() -> None:
    zmq = pytest.importorskip("zmq")
    for _ in range(20):
        assert all(is_key(key.decode()) for key in zmq.curve_keypair())


@pytest.mark.parametrize("text", ["", SERVER[:-1], SERVER + "0", " " * 40, "é" * 40, "#####" * 8, "a\n" * 20, "'" * 40])
def test_other_text_is_no_key(text: str) -> None:
    assert not is_key(text)


def test_largest_key_is_one() -> None:
    assert is_key("%nSc0" * 8)  # Z85 of 0xffffffff
    assert not is_key("%nSc1" * 8)


def test_written_file_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "state" / "connection.json"
    write_connection(path, replace(CONNECTION, pid=1))
    write_connection(path, CONNECTION)
    assert read_connection(path) == CONNECTION
    assert [file.name for file in path.parent.iterdir()] == ["connection.json"]


@posix_only
def test_file_is_private_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        write_connection(tmp_path / "connection.json", CONNECTION)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "connection.json").stat().st_mode) == 0o600


@posix_only
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o602])
def test_file_that_others_can_reach_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "connection.json"
    write_connection(path, CONNECTION)
    path.chmod(mode)
    with pytest.raises(MaquetteError, match=f"{mode:o}") as caught:
        read_connection(path)
    assert caught.value.code == ErrorCode.NOT_AUTHORISED
    assert SECRET not in str(caught.value)


def test_no_file_means_no_backend(tmp_path: Path) -> None:
    with pytest.raises(MaquetteError) as caught:
        read_connection(tmp_path / "connection.json")
    assert caught.value.code == ErrorCode.UNREACHABLE
    assert caught.value.remedy


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        "{}",
        "[" * 100_000,
        "\x00" * 10,
        json.dumps({"endpoint": "tcp://127.0.0.1:1"}),
        "x" * 5000,
    ],
)
def test_damaged_file_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "connection.json"
    path.touch(mode=0o600)
    path.write_text(text)
    with pytest.raises(ProtocolError):
        read_connection(path)


@pytest.mark.parametrize(
    "changes",
    [
        {"endpoint": "ipc:///tmp/x"},
        {"endpoint": "tcp://*:5555"},
        {"endpoint": "tcp://127.0.0.1:0"},
        {"endpoint": "tcp://127.0.0.1:65536"},
        {"endpoint": "tcp://127.0.0.1:5555\n"},
        {"server_public_key": "x"},
        {"client_public_key": "x"},
        {"client_secret_key": SECRET[:-1]},
    ],
)
def test_impossible_connection_is_neither_written_nor_shown(tmp_path: Path, changes: dict[str, str]) -> None:
    with pytest.raises(ProtocolError) as caught:
        write_connection(tmp_path / "connection.json", replace(CONNECTION, **changes))  # type: ignore[arg-type]
    assert SECRET[:-1] not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("endpoint", ["tcp://[::1]:5555", "tcp://render-box.local:49152", "tcp://192.168.0.7:1"])
def test_other_machines_can_be_named(endpoint: str) -> None:
    check_connection(replace(CONNECTION, endpoint=endpoint))


def test_secret_is_not_in_the_repr() -> None:
    assert SECRET not in repr(CONNECTION)
