"""numpy arrays ↔ little-endian C-order bytes and the ``ArrayRef`` that names them."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from . import limits
from .errors import ErrorCode, ProtocolError
from .recipe import ArrayRef

Bytes = bytes | bytearray | memoryview
Array = NDArray[np.generic]


def sha256_hex(data: Bytes) -> str:
    """The hash that names a blob: 64 lower-case hex digits."""
    return hashlib.sha256(data).hexdigest()


def dtype_name(array: Array) -> str:
    """The array's element type as it is named on the wire.

    Raises:
        ProtocolError: the type is not in ``limits.DTYPES``.
    """
    name = f"{array.dtype.kind}{array.dtype.itemsize}"
    if name not in limits.DTYPES:
        raise ProtocolError(f"Arrays of {array.dtype} cannot be sent.", f"Use one of {', '.join(limits.DTYPES)}.")
    return name


def array_bytes(array: Array) -> memoryview:
    """The array's bytes, little-endian and in C order; no copy where it already lies so."""
    name = dtype_name(array)
    if array.size == 0:
        return memoryview(b"")
    return np.ascontiguousarray(array, dtype=f"<{name}").data.cast("B")


def array_ref(array: Array) -> ArrayRef:
    """Names an array by the hash of its bytes."""
    return ArrayRef(sha256_hex(array_bytes(array)), dtype_name(array), tuple(int(side) for side in array.shape))


def byte_size(dtype: str, shape: Sequence[int], limit: int = limits.MAX_BLOB_BYTES) -> int:
    """Bytes of an array of this type and shape.

    Raises:
        ProtocolError: the type is not allowed, a side is negative, or the size is above ``limit`` bytes.
    """
    if dtype not in limits.DTYPES:
        raise ProtocolError(f"The array type {dtype[:16]!a} is not one of {', '.join(limits.DTYPES)}.")
    if len(shape) > limits.MAX_DIMENSIONS or any(side < 0 or side > limit for side in shape):
        raise ProtocolError(f"The array shape {list(shape[:8])} is out of bounds.")
    size = math.prod(shape) * int(dtype[1:])
    if size > limit:
        raise ProtocolError(f"An array of shape {list(shape)} has {size} bytes, above the limit of {limit}.")
    return size


def ref_size(ref: ArrayRef) -> int:
    """Bytes of the blob behind a reference; raises as ``byte_size`` does."""
    return byte_size(ref.dtype, ref.shape)


def view_array(data: Bytes, dtype: str, shape: Sequence[int]) -> Array:
    """Bytes as an array, without a copy; read-only where ``data`` is.

    Raises:
        ProtocolError: type or shape out of bounds, or another number of bytes.
    """
    size = byte_size(dtype, shape)
    if size != len(data):
        raise ProtocolError(f"An array of {dtype} {list(shape)} needs {size} bytes, not {len(data)}.")
    return np.frombuffer(data, dtype=f"<{dtype}").reshape(tuple(shape))


def array_from(ref: ArrayRef, data: Bytes) -> Array:
    """The array behind a reference, from its blob's bytes; read-only where ``data`` is.

    Raises:
        ProtocolError: type, shape or length do not fit, or (``blob_corrupt``) the hash is another.
    """
    array = view_array(data, ref.dtype, ref.shape)
    if sha256_hex(data) != ref.sha256:
        raise ProtocolError(
            f"The bytes of blob {ref.sha256[:12]}… have another hash.",
            "Send it again; if that repeats, check the disk.",
            ErrorCode.BLOB_CORRUPT,
        )
    return array
