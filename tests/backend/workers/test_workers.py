"""The worker's own parts: checkpoints, the pipe, and what a job's errors become."""

from __future__ import annotations

import io
import json
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from maquette_backend.workers.channel import read_message, write_message
from maquette_backend.workers.checkpoint import FileCheckpoints
from maquette_backend.workers.executor import Beat, Ended, Previewed, RunJob, SetWish
from maquette_backend.workers.runner import explain
from maquette_protocol.errors import ErrorCode, MaquetteError, ProtocolError
from maquette_protocol.messages import Preview
from maquette_protocol.recipe import ArrayRef, MeshRef, Recipe, Subject

MESH = MeshRef(ArrayRef("a" * 64, "f4", (3, 3)), ArrayRef("b" * 64, "i4", (1, 3)))
RECIPE = Recipe((Subject("c" * 32, "Chair", "a chair", MESH),))


def test_a_checkpoint_comes_back_exactly_and_the_newest_wins(tmp_path):
    store = FileCheckpoints(tmp_path / "job")
    assert store.load() is None
    arrays = {
        "a": np.arange(6, dtype=np.float32).reshape(2, 3).T,
        "scalar": np.array(7, np.int64),
        "none": np.zeros((0, 3), np.float64),
        "flags": np.array([True, False]),
    }
    store.save({"old": np.zeros(3)}, {"step": "1"})
    store.save(arrays, {"step": "2"})
    found = FileCheckpoints(tmp_path / "job").load()
    assert found is not None
    assert found[1] == {"step": "2"}
    assert found[0].keys() == arrays.keys()
    for name, array in arrays.items():
        assert found[0][name].dtype == array.dtype
        np.testing.assert_array_equal(found[0][name], array, strict=True)
    store.clear()
    assert not (tmp_path / "job").exists()


def test_a_damaged_checkpoint_is_put_aside_and_the_job_begins_again(tmp_path):
    store = FileCheckpoints(tmp_path)
    store.save({"a": np.ones(100)}, {})
    path = tmp_path / "checkpoint.safetensors"
    path.write_bytes(path.read_bytes()[:50])
    assert store.load() is None
    assert (tmp_path / "checkpoint.damaged").exists()
    store.save({"a": np.ones(1)}, {})
    assert store.load() is not None


MESSAGES = [RunJob("d" * 32, 3, RECIPE, "cancel"), SetWish(2, "stop_and_keep"), Beat(), Ended("d" * 32, 1, "finished")]


def test_messages_pass_the_pipe_in_order_with_their_arrays():
    pipe = io.BytesIO()
    preview = Previewed(1, Preview("d" * 32, "c" * 32, "geometry", 5, 0))
    arrays = {"positions": np.random.default_rng(0).random((7, 3), np.float32), "empty": np.zeros((0, 3), np.int32)}
    for message in MESSAGES:
        write_message(pipe, message)
    write_message(pipe, preview, arrays)
    pipe.seek(0)
    for message in MESSAGES:
        assert read_message(pipe) == (message, {})
    received = read_message(pipe)
    assert received is not None
    assert received[0] == preview
    for name, array in arrays.items():
        np.testing.assert_array_equal(received[1][name], array, strict=True)
    assert read_message(pipe) is None


def test_a_pipe_that_ends_anywhere_is_an_end_not_an_error():
    pipe = io.BytesIO()
    write_message(pipe, MESSAGES[0])
    whole = pipe.getvalue()
    for length in range(len(whole)):
        assert read_message(io.BytesIO(whole[:length])) is None


@settings(max_examples=200)
@given(st.binary(max_size=200))
def test_noise_in_the_pipe_is_a_protocol_error_or_an_end(noise):
    try:
        read_message(io.BytesIO(struct.pack("<I", len(noise)) + noise))
    except ProtocolError:
        return


@pytest.mark.parametrize(
    "head",
    [
        {"type": "Ended", "body": {}},
        {"type": "os.system", "body": {}},
        {"type": "Beat", "body": {}, "arrays": [{"name": "a", "dtype": "O8", "shape": [1]}]},
        {"type": "Beat", "body": {}, "arrays": [{"name": "a", "dtype": "u1", "shape": [2**40]}]},
        {"type": "Beat", "body": {}, "arrays": [{"name": "a", "dtype": "u1", "shape": [2**23]}] * 3},
    ],
)
def test_what_is_no_message_or_too_large_is_refused_before_it_is_read(head):
    data = json.dumps(head).encode()
    with pytest.raises(ProtocolError):
        read_message(io.BytesIO(struct.pack("<I", len(data)) + data))


def test_a_header_beyond_the_bound_is_refused_before_it_is_read():
    with pytest.raises(ProtocolError):
        read_message(io.BytesIO(struct.pack("<I", 2**31)))


class OutOfMemoryError(RuntimeError):
    """Named as torch names its own."""


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (MaquetteError(ErrorCode.EMPTY_MESH, "m", "r"), ErrorCode.EMPTY_MESH),
        (MemoryError("x"), ErrorCode.OUT_OF_MEMORY),
        (OutOfMemoryError("CUDA out of memory"), ErrorCode.OUT_OF_MEMORY),
        (KeyError("k"), ErrorCode.INTERNAL),
    ],
)
def test_every_error_of_a_job_becomes_one_that_a_person_can_act_on(error, code):
    explained = explain(error)
    assert explained.code == code
    assert explained.message
    assert explained.remedy
