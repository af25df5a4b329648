"""Ranges, chunks and references, against a plain model of what they stand for."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from maquette_protocol import limits
from maquette_protocol.arrays import array_bytes, array_from, array_ref, byte_size, ref_size, sha256_hex
from maquette_protocol.blobs import Download, RangeSet, Upload, check_chunk, check_size, chunk_length
from maquette_protocol.errors import ErrorCode, ProtocolError
from maquette_protocol.recipe import ArrayRef

MIB = 1 << 20
ranges = st.lists(st.tuples(st.integers(0, 30), st.integers(1, 12)).map(lambda r: (r[0], r[0] + r[1])), max_size=12)


@given(ranges, st.integers(1, 40))
@settings(max_examples=200, deadline=None)
def test_ranges_are_the_set_of_their_bytes(added: list[tuple[int, int]], size: int) -> None:
    found = RangeSet(added)
    covered = {byte for start, end in added for byte in range(start, end)}
    assert found.total == len(covered)
    assert {byte for start, end in found.ranges for byte in range(start, end)} == covered
    assert {byte for start, end in found.missing(size) for byte in range(start, end)} == set(range(size)) - covered
    assert found.covers(size) == (set(range(size)) <= covered)
    edges = [edge for one in found.ranges for edge in one]
    assert edges == sorted(set(edges)), "disjoint, sorted, and merged where they touch"


@pytest.mark.parametrize("bad", [(5, 5), (5, 4), (-1, 4)])
def test_impossible_ranges_are_refused(bad: tuple[int, int]) -> None:
    with pytest.raises(ProtocolError):
        RangeSet().add(*bad)


def test_chunks_tile_a_blob() -> None:
    size = 3 * MIB + 17
    offsets = range(0, size, limits.CHUNK_BYTES)
    assert [chunk_length(at, size) for at in offsets] == [MIB, MIB, MIB, 17]
    for offset, length in ((1, MIB), (4 * MIB, 1), (-MIB, MIB), (0, 17), (3 * MIB, 18), (3 * MIB, 0)):
        with pytest.raises(ProtocolError):
            check_chunk(offset, length, size)
    for size in (0, -1, limits.MAX_BLOB_BYTES + 1):
        with pytest.raises(ProtocolError):
            check_size("ab" * 32, size)


@given(st.integers(1, 6 * MIB), st.lists(st.integers(0, 6), max_size=4))
@settings(max_examples=40, deadline=None)
def test_upload_sends_exactly_what_is_missing(size: int, stored: list[int]) -> None:
    data = np.random.default_rng(size).bytes(size)
    have = RangeSet(
        (at * MIB, at * MIB + chunk_length(at * MIB, size)) for at in sorted(set(stored)) if at * MIB < size
    )
    target = bytearray(size)
    for start, end in have.ranges:
        target[start:end] = data[start:end]
    upload = Upload(data)
    assert upload.next_chunk() is None, "nothing before the receiver has said what it wants"
    upload.wanted(have.missing(size))
    while (chunk := upload.next_chunk()) is not None:
        offset, part = chunk
        assert not any(start <= offset < end for start, end in have.ranges), "never sends what is there"
        check_chunk(offset, len(part), size)
        target[offset : offset + len(part)] = part
        have.add(offset, offset + len(part))
        upload.acknowledged(offset, have.covers(size))
        assert upload.stored == have.total
    assert upload.complete
    assert target == data


def test_download_survives_doubled_and_unordered_chunks() -> None:
    data = np.random.default_rng(1).bytes(3 * MIB + 5)
    download = Download(sha256_hex(data), len(data))
    asked = []
    while (request := download.next_request()) is not None:
        asked.append(request)
    for offset, length in [*reversed(asked), asked[1]]:
        download.receive(offset, data[offset : offset + length], len(data))
    assert download.complete
    assert download.arrived == len(data)
    assert download.content() == data


@given(
    st.sampled_from(limits.DTYPES).flatmap(
        lambda dtype: npst.arrays(np.dtype(dtype), npst.array_shapes(max_dims=4, max_side=5))
    )
)
@settings(max_examples=60, deadline=None)
def test_references_name_their_arrays(array: np.ndarray) -> None:
    ref = array_ref(array)
    assert ref_size(ref) == array.nbytes == len(array_bytes(array))
    assert array_from(ref, array_bytes(array)).tobytes() == array.tobytes()
    assert array_ref(np.asfortranarray(array)) == ref
    assert array_ref(array.astype(array.dtype.newbyteorder())) == ref


def test_array_whose_bytes_changed_is_corrupt() -> None:
    array = np.arange(4, dtype=np.float32)
    ref = array_ref(array)
    with pytest.raises(ProtocolError) as caught:
        array_from(ref, (array + 1).tobytes())
    assert caught.value.code == ErrorCode.BLOB_CORRUPT
    with pytest.raises(ProtocolError, match="16 bytes, not 15"):
        array_from(ref, array.tobytes()[:-1])


@pytest.mark.parametrize(
    ("dtype", "shape"),
    [("O", (1,)), ("f4", (-1,)), ("f4", (2**40, 2**40)), ("u1", (1, 1, 1, 1, 1)), ("u1", (limits.MAX_BLOB_BYTES + 1,))],
)
def test_impossible_references_have_no_size(dtype: str, shape: tuple[int, ...]) -> None:
    with pytest.raises(ProtocolError):
        byte_size(dtype, shape)
    with pytest.raises(ProtocolError):
        array_from(ArrayRef("0" * 64, dtype, shape), b"")
