"""Messages ↔ frames. The only file that touches msgpack.

    [8-byte header: magic, major, flags, payload count] [msgpack control] [raw payload frames …]

Decoding trusts nothing: every size is checked before it is believed, and ``ProtocolError`` is the
only error it raises. The layout is described in full in ``PROTOCOL.md``.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import msgpack

from . import limits
from .arrays import Array, Bytes, array_bytes, byte_size, dtype_name, sha256_hex, view_array
from .errors import ErrorCode, ProtocolError
from .messages import BackendMessage, Chunk, ClientMessage, PutChunk
from .plain import from_plain, to_plain
from .version import MAJOR, MISMATCH_REMEDY, compatible, mismatch

Message = ClientMessage | BackendMessage
MESSAGES: Mapping[str, type[Message]] = {kind.__name__: kind for kind in get_args(Message)}
"""Every message by its name on the wire."""

MAGIC = b"MAQT"
HEADER = struct.Struct("<4sBBH")
"""Magic, major, flags (0), number of payload frames."""
_UNHASHED = (PutChunk, Chunk)
"""Their bytes are covered by the hash of the whole blob."""
_ZLIB_MAX_RATIO = 1032
"""Deflate's largest possible expansion (RFC 1951: 258 bytes from 2 bits)."""


@dataclass(frozen=True)
class Envelope:
    """A message on its way: numbered, and perhaps the answer to another."""

    message: Message
    seq: int
    """Counts this side's messages on this connection, from 1."""
    re: int | None = None
    """``seq`` of the request that this answers."""
    arrays: Mapping[str, Array] = field(default_factory=dict)
    """Payload arrays by name."""


@dataclass(frozen=True)
class PayloadSpec:
    """One payload array, as announced in the control frame."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    codec: Literal["raw", "zlib"]
    raw_len: int
    """Bytes after decompression."""
    frames: int
    """Payload frames it spans, each full but the last."""
    digest: str = ""
    """SHA-256 of the raw bytes in hex; empty for chunks, whose blob has a hash of its own."""


@dataclass(frozen=True)
class Control:
    """The control frame, without the body."""

    type: str
    seq: int
    re: int | None = None
    payloads: tuple[PayloadSpec, ...] = ()


# ---- writing --------------------------------------------------------------------------------------
def encode(envelope: Envelope, *, compress: bool = False) -> list[bytes | memoryview]:
    """The frames of a message; arrays are not copied. ``compress`` uses zlib where it makes one smaller.

    Raises:
        ProtocolError: a field breaks its type, or a size breaks a bound of ``limits``.
    """
    specs: list[PayloadSpec] = []
    payloads: list[bytes | memoryview] = []
    for name, array in envelope.arrays.items():
        spec, frames = _pack_array(name, array, compress, not isinstance(envelope.message, _UNHASHED))
        specs.append(spec)
        payloads.extend(frames)
    _check_total(specs, len(payloads))
    control = to_plain(Control(type(envelope.message).__name__, envelope.seq, envelope.re, tuple(specs)))
    control["body"] = to_plain(envelope.message)
    packed = msgpack.packb(control, use_bin_type=True)
    assert packed is not None  # only a streaming packer returns nothing
    if len(packed) > limits.MAX_CONTROL_BYTES:
        raise ProtocolError(
            f"{control['type']} needs a control frame of {len(packed)} bytes, above {limits.MAX_CONTROL_BYTES}.",
            "Send fewer or shorter items.",
        )
    return [HEADER.pack(MAGIC, MAJOR, 0, len(payloads)), packed, *payloads]


def _pack_array(name: str, array: Array, compress: bool, hashed: bool) -> tuple[PayloadSpec, list[memoryview]]:
    raw = array_bytes(array)
    small = zlib.compress(raw, 1) if compress else raw
    packed, codec = (memoryview(small), "zlib") if len(small) < len(raw) else (raw, "raw")
    frames = [packed[at : at + limits.MAX_PAYLOAD_BYTES] for at in range(0, len(packed), limits.MAX_PAYLOAD_BYTES)]
    shape = tuple(int(side) for side in array.shape)
    digest = sha256_hex(raw) if hashed else ""
    return PayloadSpec(name, dtype_name(array), shape, codec, len(raw), len(frames), digest), frames


# ---- reading --------------------------------------------------------------------------------------
def decode(frames: Sequence[Bytes]) -> Envelope:
    """The message in frames that came from anywhere. Arrays that came in one raw frame share its memory.

    Raises:
        ProtocolError: anything at all is wrong; ``version_mismatch`` when the peer's major is another.
    """
    count = _read_header(frames)
    control, body = _read_control(frames[1])
    try:
        return _read_rest(control, body, frames, count)
    except ProtocolError as error:
        error.seq = control.seq
        raise


def _read_rest(control: Control, body: object, frames: Sequence[Bytes], count: int) -> Envelope:
    kind = MESSAGES.get(control.type)
    if kind is None:
        raise ProtocolError(f"There is no message of type {control.type[:40]!a}.")
    _check_total(control.payloads, count)
    message = from_plain(kind, body)
    arrays: dict[str, Array] = {}
    at = 2
    for spec in control.payloads:
        if spec.name in arrays:
            raise ProtocolError(f"The payload {spec.name!a} comes twice.")
        arrays[spec.name] = _read_array(spec, frames[at : at + spec.frames])
        at += spec.frames
    return Envelope(message, control.seq, control.re, arrays)


def _read_header(frames: Sequence[Bytes]) -> int:
    """Checks the frames from outside; returns the number of payload frames."""
    if not 2 <= len(frames) <= limits.MAX_FRAMES:
        raise ProtocolError(f"A message has 2 to {limits.MAX_FRAMES} frames, not {len(frames)}.")
    if len(frames[0]) != HEADER.size:
        raise ProtocolError(f"A header has {HEADER.size} bytes, not {len(frames[0])}.")
    magic, major, flags, count = HEADER.unpack(frames[0])
    if magic != MAGIC:
        raise ProtocolError("These frames are not of this protocol.", "Check the port: does something else answer?")
    if not compatible(major):
        raise ProtocolError(mismatch(major, "peer"), MISMATCH_REMEDY, ErrorCode.VERSION_MISMATCH)
    if flags != 0 or count != len(frames) - 2:
        raise ProtocolError(f"The header announces {count} payload frames and flags {flags}; {len(frames) - 2} came.")
    if len(frames[1]) > limits.MAX_CONTROL_BYTES:
        raise ProtocolError(f"A control frame of {len(frames[1])} bytes is above {limits.MAX_CONTROL_BYTES}.")
    if any(not 0 < len(frame) <= limits.MAX_PAYLOAD_BYTES for frame in frames[2:]):
        raise ProtocolError(f"A payload frame has 1 to {limits.MAX_PAYLOAD_BYTES} bytes.")
    return count


def _read_control(frame: Bytes) -> tuple[Control, object]:
    try:
        plain = _Unpacker().unpack(frame)
    except (ValueError, RecursionError, MemoryError, OverflowError, TypeError) as error:
        raise ProtocolError(f"The control frame is not valid msgpack: {type(error).__name__}.") from error
    return from_plain(Control, plain), plain.get("body")


class _Unpacker:
    """msgpack with every bound set; counts containers, because small empty ones cost most."""

    def __init__(self) -> None:
        self._containers = 0

    def unpack(self, frame: Bytes) -> Any:
        return msgpack.unpackb(
            frame, raw=False, strict_map_key=True, max_str_len=4 * limits.MAX_TEXT_CHARS, max_bin_len=0, max_ext_len=0,
            max_array_len=limits.MAX_ITEMS, max_map_len=limits.MAX_ITEMS, list_hook=self._list,
            object_pairs_hook=self._map, ext_hook=self._extension,
        )  # fmt: skip

    def _count(self) -> None:
        self._containers += 1
        if self._containers > limits.MAX_CONTAINERS:
            raise ValueError("too many containers")

    def _list(self, items: list[Any]) -> list[Any]:
        self._count()
        return items

    def _map(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        self._count()
        found = dict(pairs)
        if len(found) != len(pairs):
            raise ValueError("a key comes twice")
        return found

    def _extension(self, code: int, data: bytes) -> object:
        raise ValueError(f"extension type {code} of {len(data)} bytes")


def _check_total(specs: Sequence[PayloadSpec], frames: int) -> None:
    """All that can be known of the arrays before one is read."""
    for spec in specs:
        if not 0 < len(spec.name) <= limits.MAX_ARRAY_NAME:
            raise ProtocolError(f"The payload name {spec.name[:40]!a} has no or too many characters.")
        size = byte_size(spec.dtype, spec.shape, limits.MAX_ARRAY_BYTES)
        if size != spec.raw_len:
            raise ProtocolError(f"The payload {spec.name!a} announces {spec.raw_len} bytes; its shape has {size}.")
        if spec.frames < 0 or (spec.codec == "raw" and spec.frames != math.ceil(size / limits.MAX_PAYLOAD_BYTES)):
            raise ProtocolError(f"The payload {spec.name!a} of {size} bytes cannot span {spec.frames} frames.")
    if sum(spec.frames for spec in specs) != frames or frames > limits.MAX_PAYLOADS:
        raise ProtocolError(
            f"{frames} payload frames do not fit what is announced, or are above {limits.MAX_PAYLOADS}."
        )
    if sum(spec.raw_len for spec in specs) > limits.MAX_ARRAY_BYTES:
        raise ProtocolError(f"A message's arrays have more than {limits.MAX_ARRAY_BYTES} bytes together.")


def _read_array(spec: PayloadSpec, frames: Sequence[Bytes]) -> Array:
    packed = frames[0] if len(frames) == 1 else b"".join(frames)
    raw = packed if spec.codec == "raw" else _inflate(packed, spec)
    array = view_array(raw, spec.dtype, spec.shape)
    if spec.digest and sha256_hex(raw) != spec.digest:
        raise ProtocolError(f"The payload {spec.name!a} has another hash than announced.", code=ErrorCode.BLOB_CORRUPT)
    return array


def _inflate(packed: Bytes, spec: PayloadSpec) -> bytes:
    """Decompress to exactly the announced length; never holds more than that plus one byte."""
    if spec.raw_len > _ZLIB_MAX_RATIO * len(packed):
        raise ProtocolError(f"The payload {spec.name!a} cannot hold {spec.raw_len} bytes in {len(packed)}.")
    inflater = zlib.decompressobj()
    try:
        raw = inflater.decompress(packed, spec.raw_len + 1)
    except zlib.error as error:
        raise ProtocolError(f"The payload {spec.name!a} is not valid zlib data.") from error
    if len(raw) != spec.raw_len or not inflater.eof or inflater.unused_data:
        raise ProtocolError(f"The payload {spec.name!a} does not decompress to {spec.raw_len} bytes.")
    return raw
