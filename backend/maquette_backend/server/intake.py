"""Blobs on their way in: one partial file for each (client, blob), resumable over connections and restarts.

Chunks are written where they belong, and a log beside the file says which came. Nothing is synced until the end:
after a power cut the log may claim bytes that never reached the disk, and the hash of the whole finds out.
"""

from __future__ import annotations

import hashlib
import os
import struct
from pathlib import Path

from maquette_protocol.arrays import Bytes
from maquette_protocol.blobs import Range, RangeSet, check_chunk
from maquette_protocol.errors import ErrorCode, MaquetteError

from .blob_store import BlobStore, disk_errors, file_sha256

_RECORD = struct.Struct("<QQ")


class Partial:
    """One blob that is being received. ``size`` was checked and its room reserved by the caller."""

    def __init__(self, folder: Path, sha256: str, size: int) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._data_path = folder / f"{sha256}.{size}.part"
        self._log_path = folder / f"{sha256}.{size}.log"
        self.sha256 = sha256
        self.size = size
        self._hash = hashlib.sha256()
        self._hashed = 0
        self._ranges = RangeSet(self._logged())
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0)
        self._data = os.open(self._data_path, flags, 0o600)
        self._log = self._log_path.open("ab", buffering=0)

    @property
    def missing(self) -> tuple[Range, ...]:
        return self._ranges.missing(self.size)

    def write(self, offset: int, chunk: Bytes) -> None:
        """Store one chunk.

        Raises:
            ProtocolError: it is no whole chunk of this blob.
            MaquetteError: DISK_FULL; the chunk counts as not received.
        """
        check_chunk(offset, len(chunk), self.size)
        with disk_errors(f"blob {self.sha256[:12]}…"):
            self._write_at(offset, chunk)
            self._log.write(_RECORD.pack(offset, offset + len(chunk)))
        self._ranges.add(offset, offset + len(chunk))
        # Chunks nearly always come in order: then the whole's hash is ready with the last of them.
        if offset == self._hashed:
            self._hash.update(chunk)
            self._hashed += len(chunk)

    def finish(self, store: BlobStore) -> None:
        """Check the whole and move it into the store. Slow (hash, fsync): not for the gateway's loop.

        Raises:
            MaquetteError: BLOB_CORRUPT; what was received is thrown away.
        """
        with disk_errors(f"blob {self.sha256[:12]}…"):
            os.fsync(self._data)
        self.close()
        found = self._hash.hexdigest() if self._hashed == self.size else file_sha256(self._data_path)
        if found != self.sha256:
            self.discard()
            raise MaquetteError(
                ErrorCode.BLOB_CORRUPT,
                f"The bytes sent as blob {self.sha256[:12]}… have another hash ({found[:12]}…).",
                "Upload it again; if that repeats, the sender's memory or disk is damaged.",
            )
        store.adopt(self.sha256, self._data_path)
        self._log_path.unlink()

    def close(self) -> None:
        if self._data >= 0:
            os.close(self._data)
            self._log.close()
            self._data = -1

    def discard(self) -> None:
        self.close()
        self._data_path.unlink(missing_ok=True)
        self._log_path.unlink(missing_ok=True)

    def _write_at(self, offset: int, chunk: Bytes) -> None:
        os.lseek(self._data, offset, os.SEEK_SET)
        rest = memoryview(chunk)
        while rest:
            rest = rest[os.write(self._data, rest) :]

    def _logged(self) -> list[Range]:
        """What an earlier run received; a torn last record is left out."""
        if not (self._log_path.exists() and self._data_path.exists()):
            return []
        log = self._log_path.read_bytes()
        whole = log[: len(log) // _RECORD.size * _RECORD.size]
        return [(start, end) for start, end in _RECORD.iter_unpack(whole) if start < end <= self.size]


class Intake:
    """All partial files, by client and blob."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._open: dict[tuple[str, str], Partial] = {}

    def open(self, owner: str, sha256: str, size: int) -> Partial:
        """The partial file of a blob that the client offered. Another size starts it anew."""
        held = self._open.get((owner, sha256))
        if held is not None and held.size == size:
            return held
        if held is not None:
            held.discard()
        fresh = Partial(self._folder / owner_folder(owner), sha256, size)
        self._open[owner, sha256] = fresh
        return fresh

    def find(self, owner: str, sha256: str) -> Partial | None:
        return self._open.get((owner, sha256))

    def forget(self, owner: str, sha256: str) -> None:
        """The partial was finished or discarded."""
        self._open.pop((owner, sha256), None)

    def close_idle(self, keep: int) -> None:
        """Close all but the ``keep`` newest, so that open files stay few. Their bytes remain."""
        for key in list(self._open)[: max(len(self._open) - keep, 0)]:
            self._open.pop(key).close()

    def close(self) -> None:
        self.close_idle(0)


def owner_folder(owner: str) -> str:
    """A client's folder name: Z85 keys hold characters that no path may have."""
    return hashlib.sha256(owner.encode()).hexdigest()[:16]
