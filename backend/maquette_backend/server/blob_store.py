"""Whole blobs on disk, named by the hash of their content: ``blobs/aa/<sha256>``.

The file's name is the hash, in fixed-width hex that is checked first, so no text from a client becomes a path.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from maquette_protocol.arrays import Array, Bytes, array_bytes, array_from, array_ref, sha256_hex
from maquette_protocol.errors import ErrorCode, MaquetteError
from maquette_protocol.recipe import ArrayRef
from numpy.typing import NDArray

_SHA256 = re.compile(r"[0-9a-f]{64}")
RESERVE_BYTES = 64 * 2**20
"""Left free on the disk, so that the journal and the checkpoints can still be written."""


def free_bytes_of(folder: Path) -> int:
    """Free space of the disk that ``folder`` is on."""
    return shutil.disk_usage(folder).free


def disk_full(what: str) -> MaquetteError:
    return MaquetteError(
        ErrorCode.DISK_FULL, f"The backend's disk has no room for {what}.", "Free some space in the backend's home."
    )


@contextmanager
def disk_errors(what: str) -> Iterator[None]:
    """Turns "no space" errors of the operating system into DISK_FULL."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise disk_full(what) from error
        raise


class BlobStore:
    """The folder of whole blobs. Used by the gateway and, on the same machine, by its workers."""

    def __init__(self, folder: Path, free_bytes: Callable[[Path], int] = free_bytes_of) -> None:
        self.folder = folder
        self._free_bytes = free_bytes

    def path(self, sha256: str) -> Path:
        if not _SHA256.fullmatch(sha256):
            raise MaquetteError(ErrorCode.MALFORMED, "A blob is named by 64 lower-case hex digits.")
        return self.folder / sha256[:2] / sha256

    def has(self, sha256: str) -> bool:
        return self.path(sha256).exists()

    def size(self, sha256: str) -> int:
        """Bytes of a blob that is there.

        Raises:
            MaquetteError: BLOB_MISSING.
        """
        try:
            return self.path(sha256).stat().st_size
        except FileNotFoundError as error:
            raise _missing(sha256) from error

    def map(self, sha256: str, offset: int, length: int) -> NDArray[np.uint8]:
        """Part of a blob, read-only and read from disk only when it is touched, u1 [length]."""
        return np.memmap(self.path(sha256), dtype=np.uint8, mode="r", offset=offset, shape=(length,))

    def read_array(self, ref: ArrayRef) -> Array:
        """An ``ArrayReader``: the array behind a reference, its hash, type and shape checked.

        Raises:
            MaquetteError: BLOB_MISSING; BLOB_CORRUPT when the file was damaged.
        """
        try:
            data = self.path(ref.sha256).read_bytes()
        except FileNotFoundError as error:
            raise _missing(ref.sha256) from error
        return array_from(ref, data)

    def write_array(self, array: Array) -> ArrayRef:
        """Store an array; durable when this returns.

        Raises:
            MaquetteError: DISK_FULL.
        """
        ref = array_ref(array)
        self.put(ref.sha256, array_bytes(array))
        return ref

    def put(self, sha256: str, data: Bytes) -> None:
        """Store whole bytes whose hash is ``sha256``."""
        if self.has(sha256):
            return
        self.require_room(len(data))
        fresh = self.folder / f"{sha256}.{os.getpid()}.fresh"
        with disk_errors("a result"):
            with fresh.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            self.adopt(sha256, fresh)

    def adopt(self, sha256: str, file: Path) -> None:
        """Move a checked and synced file of the same disk into its place."""
        place = self.path(sha256)
        place.parent.mkdir(mode=0o700, exist_ok=True)
        file.replace(place)
        _sync_folder(place.parent)

    def require_room(self, size: int) -> None:
        """Raises ``MaquetteError`` DISK_FULL when ``size`` more bytes would leave too little free."""
        if self._free_bytes(self.folder) < size + RESERVE_BYTES:
            raise disk_full(f"{size} bytes")

    def delete(self, sha256: str) -> None:
        self.path(sha256).unlink(missing_ok=True)


def file_sha256(path: Path) -> str:
    with path.open("rb") as file:
        return sha256_hex(file.read())


def _sync_folder(folder: Path) -> None:
    """A rename is durable once its folder is synced; Windows can't and need not."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _missing(sha256: str) -> MaquetteError:
    return MaquetteError(ErrorCode.BLOB_MISSING, f"The blob {sha256[:12]}… is not here.", "Upload it again.")
