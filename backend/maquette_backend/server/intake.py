"""Blobs on their way in: one partial file for each (client, blob), resumable over connections and restarts.

Chunks are written where they belong, and a log beside the file says which came. Nothing is synced until the end:
after a power cut the log may claim bytes that never reached the disk, and the hash of the whole finds out.
"""

from __future__ import annotations

import hashlib
import os
import struct
from pathlib import Path
from typing import Literal

from maquette_protocol.arrays import Bytes
from maquette_protocol.blobs import Range, RangeSet, check_chunk
from maquette_protocol.errors import ErrorCode, MaquetteError

from .blob_store import BlobStore, disk_errors, file_sha256

_RECORD = struct.Struct("<QQ")
_BINARY: int = getattr(os, "O_BINARY", 0)
"""Windows would turn every line feed into two bytes without it."""


class Partial:
    """One blob that is being received. ``size`` was checked and its room reserved by the caller.

    ``store_chunk`` and ``settle`` are slow (disk, hash) and belong on one worker thread; ``missing`` may be read on any.
    No file stays open between calls, so any number of blobs can be on their way.
    """

    def __init__(self, folder: Path, sha256: str, size: int) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._data_path = folder / f"{sha256}.{size}.part"
        self._log_path = folder / f"{sha256}.{size}.log"
        self.sha256 = sha256
        self.size = size
        self._hash = hashlib.sha256()
        self._hashed = 0
        self._ranges = RangeSet(self._logged())
        self._state: Literal["open", "stored", "discarded"] = "open"

    @property
    def missing(self) -> tuple[Range, ...]:
        return self._ranges.missing(self.size)

    def store_chunk(self, offset: int, chunk: Bytes, store: BlobStore) -> bool:
        """Write one chunk, and settle the blob with its last one; True once the whole is in ``store``.

        A chunk that is here already is not written again: its bytes have been hashed.

        Raises:
            ProtocolError: it is no whole chunk of this blob.
            MaquetteError: DISK_FULL, and the chunk counts as not received; BLOB_CORRUPT as ``settle`` does.
        """
        check_chunk(offset, len(chunk), self.size)
        if self._state == "open" and not self._ranges.holds(offset):
            self._write(offset, chunk)
        return self.settle(store)

    def settle(self, store: BlobStore) -> bool:
        """If all has arrived, check the whole and move it into ``store``; True once it is there.

        Raises:
            MaquetteError: BLOB_CORRUPT; what was received is thrown away, and must be offered again.
        """
        if self._state == "discarded":
            raise self._corrupt()
        if self._state == "open" and not self.missing:
            self._finish(store)
        return self._state == "stored"

    def discard(self) -> None:
        self._state = "discarded"
        self._data_path.unlink(missing_ok=True)
        self._log_path.unlink(missing_ok=True)

    def _write(self, offset: int, chunk: Bytes) -> None:
        with disk_errors(f"blob {self.sha256[:12]}…"):
            _write_at(self._data_path, offset, chunk)
            _append(self._log_path, _RECORD.pack(offset, offset + len(chunk)))
        self._ranges.add(offset, offset + len(chunk))
        # Chunks nearly always come in order: then the whole's hash is ready with the last of them.
        # Only now: what is sent in place of a chunk that was not written need not be the same bytes.
        if offset == self._hashed:
            self._hash.update(chunk)
            self._hashed += len(chunk)

    def _finish(self, store: BlobStore) -> None:
        found = self._hash.hexdigest() if self._hashed == self.size else file_sha256(self._data_path)
        if found != self.sha256:
            self.discard()
            raise self._corrupt()
        with disk_errors(f"blob {self.sha256[:12]}…"), self._data_path.open("r+b") as file:
            os.fsync(file.fileno())
        store.adopt(self.sha256, self._data_path)
        self._log_path.unlink()
        self._state = "stored"

    def _corrupt(self) -> MaquetteError:
        return MaquetteError(
            ErrorCode.BLOB_CORRUPT,
            f"The bytes sent as blob {self.sha256[:12]}… have another hash.",
            "Upload it again; if that repeats, the sender's memory or disk is damaged.",
        )

    def _logged(self) -> list[Range]:
        """What an earlier run received; a torn last record is left out."""
        if not (self._log_path.exists() and self._data_path.exists()):
            return []
        log = self._log_path.read_bytes()
        whole = log[: len(log) // _RECORD.size * _RECORD.size]
        return [(start, end) for start, end in _RECORD.iter_unpack(whole) if start < end <= self.size]


def _write_at(path: Path, offset: int, data: Bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | _BINARY, 0o600)
    try:
        os.lseek(descriptor, offset, os.SEEK_SET)  # Windows has no pwrite
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
    finally:
        os.close(descriptor)


def _append(path: Path, record: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | _BINARY, 0o600)
    try:
        os.write(descriptor, record)
    finally:
        os.close(descriptor)


class Intake:
    """All blobs on their way, by client and hash."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._partials: dict[tuple[str, str], Partial] = {}

    def open(self, owner: str, sha256: str, size: int) -> Partial:
        """The partial of a blob that the client offered. Another size starts it anew."""
        held = self._partials.get((owner, sha256))
        if held is not None and held.size == size:
            return held
        fresh = Partial(self._folder / owner_folder(owner), sha256, size)
        self._partials[owner, sha256] = fresh
        return fresh

    def find(self, owner: str, sha256: str) -> Partial | None:
        return self._partials.get((owner, sha256))

    def forget(self, owner: str, sha256: str) -> None:
        """The blob is stored, or was thrown away."""
        self._partials.pop((owner, sha256), None)


def owner_folder(owner: str) -> str:
    """A client's folder name: Z85 keys hold characters that no path may have."""
    return hashlib.sha256(owner.encode()).hexdigest()[:16]
