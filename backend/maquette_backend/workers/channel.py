"""Orders and reports over a pipe: one JSON header with the message, then its arrays as raw bytes.

Read with the same checks as messages from the network (``maquette_protocol.plain``): a worker runs other people's
models and libraries, and whatever goes wrong in it must not spread to the gateway.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import BinaryIO, get_args

from maquette_protocol import limits
from maquette_protocol.arrays import Array, array_bytes, byte_size, dtype_name, view_array
from maquette_protocol.errors import ProtocolError
from maquette_protocol.plain import from_plain, to_plain

from .executor import Order, Report

MAX_HEADER_BYTES = 4 * limits.MAX_CONTROL_BYTES
"""A recipe of the largest size that fits the wire, in JSON with every field."""
_LENGTH = struct.Struct("<I")
_KINDS: Mapping[str, type[Order | Report]] = {kind.__name__: kind for kind in get_args(Order | Report)}


@dataclass(frozen=True)
class _ArraySpec:
    name: str
    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class _Head:
    type: str
    arrays: tuple[_ArraySpec, ...] = ()


def write_message(pipe: BinaryIO, message: Order | Report, arrays: Mapping[str, Array] | None = None) -> None:
    """Write one message and flush. Blocks while the pipe is full.

    Raises:
        OSError: nobody reads at the other end any more.
    """
    named = arrays or {}
    specs = tuple(_ArraySpec(name, dtype_name(array), tuple(array.shape)) for name, array in named.items())
    head = {**to_plain(_Head(type(message).__name__, specs)), "body": to_plain(message)}
    data = json.dumps(head, allow_nan=False).encode()
    pipe.write(_LENGTH.pack(len(data)) + data)
    for array in named.values():
        pipe.write(array_bytes(array))
    pipe.flush()


def read_message(pipe: BinaryIO) -> tuple[Order | Report, dict[str, Array]] | None:
    """Read one message; None at the end of the pipe.

    Raises:
        ProtocolError: these bytes are no message, or break a bound.
    """
    prefix = pipe.read(_LENGTH.size)
    if len(prefix) < _LENGTH.size:
        return None
    (length,) = _LENGTH.unpack(prefix)
    if length > MAX_HEADER_BYTES:
        raise ProtocolError(f"A header of {length} bytes came through the worker's pipe.")
    data = pipe.read(length)
    if len(data) < length:
        return None
    message, specs = _parse(data)
    if sum(byte_size(spec.dtype, spec.shape, limits.MAX_ARRAY_BYTES) for spec in specs) > limits.MAX_ARRAY_BYTES:
        raise ProtocolError("A message's arrays are too large together.")
    arrays: dict[str, Array] = {}
    for spec in specs:
        size = byte_size(spec.dtype, spec.shape)
        raw = pipe.read(size)
        if len(raw) < size:
            return None
        arrays[spec.name] = view_array(raw, spec.dtype, spec.shape)
    return message, arrays


def _parse(data: bytes) -> tuple[Order | Report, tuple[_ArraySpec, ...]]:
    try:
        plain = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ProtocolError("The header in the worker's pipe is not JSON.") from error
    head = from_plain(_Head, plain)
    kind = _KINDS.get(head.type)
    if kind is None:
        raise ProtocolError(f"There is no worker message {head.type[:40]!a}.")
    return from_plain(kind, plain.get("body")), head.arrays
