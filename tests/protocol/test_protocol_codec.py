"""The codec: a round trip for everything that is allowed, ``ProtocolError`` for everything that is not."""

from __future__ import annotations

import time
import tracemalloc
import zlib
from dataclasses import replace

import msgpack
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from maquette_protocol import limits
from maquette_protocol.codec import HEADER, MAGIC, Envelope, decode, encode
from maquette_protocol.errors import ErrorCode, ProtocolError
from maquette_protocol.messages import Error, JobProgress, Ping, Preview, PutChunk, SubmitJob
from maquette_protocol.version import MAJOR
from protocol_samples import COMBINED, GUIDED, HASH, JOB, PAINTED_SCENE, SAMPLES, SUBJECT

FULL = tuple(Envelope(SubmitJob(JOB, recipe), 11) for recipe in (PAINTED_SCENE, GUIDED, COMBINED))
FRAMES = [[bytes(frame) for frame in encode(sample)] for sample in (*SAMPLES, *FULL)]
PREVIEW = Preview(JOB, SUBJECT, "geometry", 1, 1)

arrays = st.sampled_from(limits.DTYPES).flatmap(
    lambda dtype: npst.arrays(np.dtype(f"<{dtype}"), npst.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=6))
)
texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=60)
finite = st.floats(allow_nan=False, allow_infinity=False, min_value=-1e300, max_value=1e300)


def _control(frames: list[bytes]) -> dict:
    return msgpack.unpackb(frames[1])


def _message(control: object, *payloads: bytes) -> list[bytes]:
    packed = control if isinstance(control, bytes) else msgpack.packb(control)
    return [HEADER.pack(MAGIC, MAJOR, 0, len(payloads)), packed, *payloads]


def _ping(**changes: object) -> list[bytes]:
    return _message({"type": "Ping", "seq": 1, "re": None, "payloads": [], "body": {"nonce": 1}, **changes})


def _announce(payload: bytes, **changes: object) -> list[bytes]:
    spec = {
        "name": "a",
        "dtype": "u1",
        "shape": [4],
        "codec": "raw",
        "raw_len": 4,
        "frames": 1,
        "digest": "",
        **changes,
    }
    return _message({"type": "Ping", "seq": 1, "payloads": [spec], "body": {"nonce": 1}}, payload)


# ---- round trips ------------------------------------------------------------------------------------
@given(
    given_arrays=st.dictionaries(st.text(st.characters(codec="ascii"), min_size=1, max_size=9), arrays, max_size=5),
    step=st.integers(-(2**63), 2**63 - 1),
    compress=st.booleans(),
)
@settings(max_examples=80, deadline=None)
def test_arrays_come_back_bit_for_bit(given_arrays: dict[str, np.ndarray], step: int, compress: bool) -> None:
    sent = Envelope(replace(PREVIEW, step=step), 3, 2, given_arrays)
    read = decode([bytes(frame) for frame in encode(sent, compress=compress)])
    assert (read.message, read.seq, read.re) == (sent.message, 3, 2)
    assert list(read.arrays) == list(given_arrays)
    for name, array in given_arrays.items():
        assert read.arrays[name].dtype == array.dtype
        assert read.arrays[name].shape == array.shape
        assert read.arrays[name].tobytes() == array.tobytes()


@given(code=texts, message=texts, eta=finite, loss=finite)
@settings(max_examples=80, deadline=None)
def test_text_and_numbers_come_back(code: str, message: str, eta: float, loss: float) -> None:
    error = Envelope(Error(code, message), 1)
    progress = Envelope(JobProgress(JOB, "geometry", "", 1, 2, eta, loss), 1)
    assert decode(encode(error)).message == error.message
    assert decode(encode(progress)).message == progress.message


@pytest.mark.parametrize("order", ["C", "F", "strided", "big-endian"])
def test_any_memory_layout_is_sent_little_endian_in_c_order(order: str) -> None:
    plain = np.arange(24, dtype=np.int32).reshape(4, 6)
    layouts = {"C": plain, "F": np.asfortranarray(plain), "strided": np.repeat(plain, 2, axis=1)[:, ::2]}
    array = layouts.get(order, plain.astype(">i4"))
    frames = encode(Envelope(PREVIEW, 1, None, {"a": array}))
    assert bytes(frames[2]) == plain.astype("<i4").tobytes()
    np.testing.assert_array_equal(decode(frames).arrays["a"], plain)


def test_large_array_spans_frames_and_small_one_is_not_copied() -> None:
    large = np.arange(700_000, dtype=np.float32)
    small = np.arange(9, dtype=np.float32)
    frames = encode(Envelope(PREVIEW, 1, None, {"large": large, "small": small}))
    assert [len(frame) for frame in frames[2:]] == [1 << 20, 1 << 20, 2_800_000 - 2 * (1 << 20), 36]
    assert np.shares_memory(np.frombuffer(frames[2], np.uint8), large)
    read = decode(frames)
    np.testing.assert_array_equal(read.arrays["large"], large)
    assert np.shares_memory(read.arrays["small"], small)


def test_compression_is_used_only_where_it_pays() -> None:
    flat = np.zeros(10_000, dtype=np.uint8)
    noise = np.random.default_rng(0).integers(0, 256, 10_000, dtype=np.uint8)
    frames = encode(Envelope(PREVIEW, 1, None, {"flat": flat, "noise": noise}), compress=True)
    assert [spec["codec"] for spec in _control([bytes(f) for f in frames])["payloads"]] == ["zlib", "raw"]
    assert len(frames[2]) < 100
    np.testing.assert_array_equal(decode(frames).arrays["flat"], flat)


def test_unknown_fields_are_skipped_and_missing_ones_take_their_default() -> None:
    frames = [bytes(frame) for frame in encode(Envelope(Error("conflict", "no", "do"), 1))]
    control = _control(frames)
    control["future"] = {"anything": [1, 2]}
    control["body"]["future"] = [[]]
    del control["body"]["remedy"], control["re"]
    assert decode(_message(control)).message == Error("conflict", "no", "")


# ---- refusals ---------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "frames",
    [
        [],
        [b""],
        [b"", b""],
        [b"HTTP/1.1", b"x"],
        [HEADER.pack(MAGIC, MAJOR, 1, 0), msgpack.packb({})],
        [HEADER.pack(MAGIC, MAJOR, 0, 1), msgpack.packb({})],
        _message(b"x" * (limits.MAX_CONTROL_BYTES + 1)),
        _message(b"\xc1"),
        _message(msgpack.packb({}) + b"\x01"),
        _message([1, 2]),
        _message({"type": "Ping"}),
        _message(b"\x82\xa4type\xa4Ping\xa4type\xa4Ping"),
        _message(msgpack.packb({"type": msgpack.ExtType(5, b"")})),
        _message(msgpack.packb({"type": "Ping", "seq": 1, "body": {"nonce": 1}, "x": b"bytes"})),
        _ping(type="Nothing"),
        _ping(type=["Ping"]),
        _ping(seq=True),
        _ping(seq=2**64 - 1),
        _ping(re="1"),
        _ping(body=None),
        _ping(body={}),
        _ping(body={"nonce": 1.0}),
        _ping(body=[1]),
        _ping(payloads={}),
        _message({"type": "CancelJob", "seq": 1, "body": {"job_id": JOB.upper()}}),
        _message({"type": "CancelJob", "seq": 1, "body": {"job_id": "../../etc/passwd"}}),
        _message({"type": "CancelJob", "seq": 1, "body": {"job_id": JOB + "\n"}}),
        _message({"type": "CancelJob", "seq": 1, "body": {"job_id": JOB, "keep": 1}}),
        _message({"type": "BlobWanted", "seq": 1, "body": {"sha256": HASH, "missing": [[1, 2, 3]]}}),
        _message({"type": "Error", "seq": 1, "body": {"code": "x", "message": "m" * (limits.MAX_TEXT_CHARS + 1)}}),
        *[
            _message({"type": "JobProgress", "seq": 1, "body": {"job_id": JOB, "stage": "geometry", "subject_id": "",
                      "step": 1, "steps": 1, "eta_secs": 1, "loss": loss}})
            for loss in (float("nan"), float("inf"), "1", None, 1e301)
        ],
        _message({"type": "JobProgress", "seq": 1, "body": {"job_id": JOB, "stage": "dancing", "subject_id": "",
                  "step": 1, "steps": 1, "eta_secs": 1, "loss": 1}}),
        _announce(b"1234", raw_len=5),
        _announce(b"12345"),
        _announce(b"1234", shape=[2, 3]),
        _announce(b"1234", shape=[-1, -4]),
        _announce(b"1234", shape=[2**40, 2**40]),
        _announce(b"1234", shape=[1] * 3 + [4, 1]),
        _announce(b"1234", dtype="O"),
        _announce(b"1234", dtype="u8"),
        _announce(b"1234", frames=0),
        _announce(b"1234", frames=2),
        _announce(b"1234", frames=-1),
        _announce(b"1234", digest="0" * 64),
        _announce(b"1234", name=""),
        _announce(b"1234", name="x" * 33),
        _announce(b"1234", codec="zstd"),
        _announce(b"1234", codec="zlib"),
        _announce(zlib.compress(b"12345"), codec="zlib"),
        _announce(zlib.compress(b"123"), codec="zlib"),
        _announce(zlib.compress(b"1234") + b"tail", codec="zlib"),
        _announce(zlib.compress(b"1234")[:-1], codec="zlib"),
        _announce(b""),
        _message({"type": "Ping", "seq": 1, "body": {"nonce": 1}, "payloads": []}, b"stowaway"),
    ],
)  # fmt: skip
def test_refused(frames: list[bytes]) -> None:
    with pytest.raises(ProtocolError) as caught:
        decode(frames)
    assert caught.value.code in (ErrorCode.MALFORMED, ErrorCode.BLOB_CORRUPT)
    assert len(str(caught.value)) < 500


def test_two_payloads_of_one_name_are_refused() -> None:
    spec = {"name": "a", "dtype": "u1", "shape": [1], "codec": "raw", "raw_len": 1, "frames": 1}
    with pytest.raises(ProtocolError, match="twice"):
        decode(_message({"type": "Ping", "seq": 1, "body": {"nonce": 1}, "payloads": [spec, spec]}, b"1", b"2"))


def test_another_major_is_named_with_ours() -> None:
    frames = [HEADER.pack(MAGIC, 9, 0, 0), msgpack.packb({})]
    with pytest.raises(ProtocolError, match=rf"version 9.*version {MAJOR}") as caught:
        decode(frames)
    assert caught.value.code == ErrorCode.VERSION_MISMATCH


def test_refusal_names_the_message_at_fault() -> None:
    with pytest.raises(ProtocolError) as caught:
        decode(_ping(seq=77, body={"nonce": "x"}))
    assert caught.value.seq == 77


@pytest.mark.parametrize(
    "envelope",
    [
        Envelope(Ping(1), 1, None, {"a": np.array([None])}),
        Envelope(Ping(1), 1, None, {"a": np.zeros(2, np.int64)}),
        Envelope(Ping(1), 1, None, {"a": np.zeros((1, 1, 1, 1, 1), np.uint8)}),
        Envelope(Ping(1), 1, None, {"a": np.zeros(limits.MAX_ARRAY_BYTES + 1, np.uint8)}),
        Envelope(Ping(1), 1, None, {str(i): np.zeros(1, np.uint8) for i in range(limits.MAX_PAYLOADS + 1)}),
        Envelope(Ping(1), 1, None, {"": np.zeros(1, np.uint8)}),
        Envelope(Ping("1"), 1),  # type: ignore[arg-type]
        Envelope(Error("x", "half a pair \ud800"), 1),
        Envelope(PutChunk("../x", 0), 1),
    ],
)
def test_sender_refuses_what_a_receiver_would(envelope: Envelope) -> None:
    with pytest.raises(ProtocolError):
        encode(envelope)


# ---- garbage ----------------------------------------------------------------------------------------
def _decodes_or_refuses(frames: list[bytes]) -> None:
    try:
        decode(frames)
    except ProtocolError:
        return


@st.composite
def mutated(draw: st.DrawFn) -> list[bytes]:
    """A valid message with bytes changed, cut, doubled, or frames swapped."""
    frames = [bytearray(frame) for frame in draw(st.sampled_from(FRAMES))]
    for _ in range(draw(st.integers(1, 4))):
        frame = frames[draw(st.integers(0, len(frames) - 1))]
        kind = draw(st.sampled_from(["set", "cut", "insert", "swap", "drop", "copy"]))
        at = draw(st.integers(0, max(len(frame) - 1, 0)))
        if kind == "set" and frame:
            frame[at] = draw(st.integers(0, 255))
        elif kind == "cut":
            del frame[at:]
        elif kind == "insert":
            frame[at:at] = draw(st.binary(max_size=8))
        elif kind == "swap":
            frames.reverse()
        elif kind == "drop" and len(frames) > 1:
            frames.pop()
        elif kind == "copy":
            frames.append(bytearray(frame))
    return [bytes(frame) for frame in frames]


@given(mutated())
@settings(max_examples=600, deadline=None)
def test_mutations_raise_nothing_else(frames: list[bytes]) -> None:
    _decodes_or_refuses(frames)


@given(st.lists(st.binary(max_size=200), max_size=5))
@settings(max_examples=200, deadline=None)
def test_noise_raises_nothing_else(frames: list[bytes]) -> None:
    _decodes_or_refuses(frames)


plain_trees = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)


@given(
    kind=st.sampled_from([type(sample.message).__name__ for sample in SAMPLES]),
    body=plain_trees,
    payloads=plain_trees,
    field=st.text(max_size=9),
)
@example("Preview", {"job_id": JOB}, [{}], "name")
@settings(max_examples=300, deadline=None)
def test_valid_msgpack_of_any_shape_raises_nothing_else(kind: str, body: object, payloads: object, field: str) -> None:
    _decodes_or_refuses(_message({"type": kind, "seq": 1, "body": body, "payloads": payloads, field: body}))


LIMIT = limits.MAX_CONTROL_BYTES
WORST = {
    "empty lists": b"\xdc\xff\xff" + b"\x90" * (LIMIT - 3),
    "empty maps": b"\xdc\x01\x00" + (b"\xdc\x01\x00" + b"\x80" * 256) * 250,
    "nested lists that promise much": b"\xdd\x00\x00\x01\x00" * (LIMIT // 5),
    "nested lists that promise more": b"\xdd\x00\xff\xff\xff" * (LIMIT // 5),
    "deep maps": b"\x81\xa1a" * (LIMIT // 3),
    "many short texts": b"\xdc\x01\x00" + (b"\xdc\x01\x00" + b"\xa2ab" * 256) * 84,
    "many long integers": b"\xdc\x01\x00" + (b"\xdc\x01\x00" + b"\xcf" + b"\xff" * 8) * 256,
    "extensions": b"\xdc\x01\x00" + b"\xd6\xff\x00\x00\x00\x00" * 256,
    "one long text": b"\xdb\x00\x00\xff\xf0" + b"a" * (LIMIT - 16),
    "unknown field full of containers": msgpack.packb({"type": "Ping", "seq": 1, "body": {"nonce": 1}, "x": [[[]] * 250] * 240}),
}  # fmt: skip


@pytest.mark.parametrize("control", WORST.values(), ids=WORST.keys())
def test_hostile_control_costs_little(control: bytes) -> None:
    """At most 10 ms (the best of three, the machine is shared) and 4 MB, whatever is in 64 KiB."""
    frames = [HEADER.pack(MAGIC, MAJOR, 0, 0), control[:LIMIT]]

    def seconds() -> float:
        start = time.perf_counter()
        with pytest.raises(ProtocolError):
            decode(frames)
        return time.perf_counter() - start

    assert min(seconds() for _ in range(3)) < 0.010
    tracemalloc.start()
    with pytest.raises(ProtocolError):
        decode(frames)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4e6


def test_zlib_bomb_holds_no_more_than_announced() -> None:
    bomb = zlib.compress(bytes(64 << 20), 9)
    tracemalloc.start()
    with pytest.raises(ProtocolError):
        decode(_announce(bomb, codec="zlib", shape=[1 << 20], raw_len=1 << 20))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4e6
