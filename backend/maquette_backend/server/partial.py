"""One blob that is being received: its file, the log of which bytes are in it, and the hash so far.

Chunks are written where they belong. The log follows them, a few chunks late, and never claims bytes that were not
written before it; what it lacks after a crash is asked for again. Nothing is synced until the end: after a power cut the
log may claim bytes that never reached the disk, and the hash of the whole finds out.
"""

from __future__ import annotations

import hashlib
import logging
import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from maquette_protocol.arrays import Bytes
from maquette_protocol.blobs import Range, RangeSet, check_chunk
from maquette_protocol.errors import ErrorCode, MaquetteError

from .blob_store import BlobStore, disk_errors, file_sha256

LOG_EVERY_CHUNKS = 8
"""So much at most is sent again after the process was killed."""
_RECORD = struct.Struct("<QQ")
_BINARY: int = getattr(os, "O_BINARY", 0)
"""Windows would turn every line feed into two bytes without it."""
_LOG = logging.getLogger(__name__)


class Partial:
    """``size`` was checked, and its room reserved, by the caller.

    All methods are slow (disk, hash) and belong on one worker thread. ``before_write`` is called before each chunk.
    """

    def __init__(self, folder: Path, sha256: str, size: int, before_write: Callable[[], None] = lambda: None) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._data_path = folder / f"{sha256}.{size}.part"
        self._log_path = folder / f"{sha256}.{size}.log"
        self._before_write = before_write
        self.sha256 = sha256
        self.size = size
        self.failure: MaquetteError | None = None
        """Why a chunk could not be kept. Until ``reopen`` every answer about this blob is this one."""
        self._hash = hashlib.sha256()
        self._hashed = 0
        self._file: int | None = None
        self._unlogged: list[Range] = []
        self._log_bytes = 0
        self._ranges = RangeSet(self._logged())
        self._state: Literal["open", "stored", "discarded"] = "open"

    @property
    def written(self) -> tuple[Range, ...]:
        """What is in the file."""
        return self._ranges.ranges

    @property
    def missing(self) -> tuple[Range, ...]:
        return self._ranges.missing(self.size)

    def store_chunk(self, offset: int, chunk: Bytes, store: BlobStore) -> bool:
        """Write one chunk, and settle the blob with its last one; True once the whole is in ``store``.

        A chunk that is here already is not written again: its bytes have been hashed.

        Raises:
            ProtocolError: it is no whole chunk of this blob.
            MaquetteError: DISK_FULL or INTERNAL (another error of the disk), and the chunk counts as not received;
                what an earlier chunk failed with; BLOB_CORRUPT as ``settle`` does.
        """
        check_chunk(offset, len(chunk), self.size)
        self._require_sound()
        if self._state == "open" and not self._ranges.holds(offset):
            self._guarded(lambda: self._write(offset, chunk))
        return self.settle(store)

    def settle(self, store: BlobStore) -> bool:
        """If all has arrived, check the whole and move it into ``store``; True once it is there.

        Raises:
            MaquetteError: BLOB_CORRUPT; what was received is thrown away, and must be offered again. Or as
                ``store_chunk`` does.
        """
        self._require_sound()
        if self._state == "open" and not self.missing:
            self._guarded(lambda: self._finish(store))
        return self._state == "stored"

    def reopen(self) -> None:
        """The client begins anew: what failed may be tried again."""
        self.failure = None

    def rest(self) -> None:
        """Bring the log up to date and close the file, until the next chunk."""
        self._log_written()
        self._close()

    def discard(self) -> None:
        self._state = "discarded"
        self._close()
        self._data_path.unlink(missing_ok=True)
        self._log_path.unlink(missing_ok=True)

    def _require_sound(self) -> None:
        if self.failure is not None:
            raise self.failure
        if self._state == "discarded":
            raise self._corrupt()

    def _guarded(self, work: Callable[[], None]) -> None:
        """Keep the disk's errors: the chunk may have been acknowledged already."""
        name = f"blob {self.sha256[:12]}…"
        try:
            with disk_errors(name):
                work()
        except MaquetteError as error:
            self.failure = error
            raise
        except OSError as error:
            _LOG.exception("%s cannot be written", name)
            what = f"The backend's disk failed on {name}: {error.strerror or type(error).__name__}."
            self.failure = MaquetteError(ErrorCode.INTERNAL, what, "Check the disk of the backend's home.")
            raise self.failure from error

    def _write(self, offset: int, chunk: Bytes) -> None:
        self._before_write()
        _write_at(self._opened(), offset, chunk)
        end = offset + len(chunk)
        self._ranges.add(offset, end)
        # Chunks nearly always come in order: then the whole's hash is ready with the last of them.
        # Only now: what is sent in place of a chunk that was not written need not be the same bytes.
        if offset == self._hashed:
            self._hash.update(chunk)
            self._hashed = end
        self._unlogged.append((offset, end))
        if len(self._unlogged) >= LOG_EVERY_CHUNKS:
            self._log_written()

    def _finish(self, store: BlobStore) -> None:
        found = self._hash.hexdigest() if self._hashed == self.size else file_sha256(self._data_path)
        if found != self.sha256:
            self.discard()
            raise self._corrupt()
        os.fsync(self._opened())
        self._close()  # Windows renames no open file
        store.adopt(self.sha256, self._data_path)
        self._log_path.unlink(missing_ok=True)
        self._unlogged.clear()
        self._state = "stored"

    def _opened(self) -> int:
        if self._file is None:
            self._file = os.open(self._data_path, os.O_WRONLY | os.O_CREAT | _BINARY, 0o600)
        return self._file

    def _close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _corrupt(self) -> MaquetteError:
        return MaquetteError(
            ErrorCode.BLOB_CORRUPT,
            f"The bytes sent as blob {self.sha256[:12]}… have another hash.",
            "Upload it again; if that repeats, the sender's memory or disk is damaged.",
        )

    # ---- the log ----
    def _log_written(self) -> None:
        """Add what was written since. A log that cannot grow is no reason to refuse a chunk: it only lags."""
        if not self._unlogged or self._state != "open":
            return
        records = b"".join(_RECORD.pack(*written) for written in self._unlogged)
        try:
            descriptor = os.open(self._log_path, os.O_WRONLY | os.O_CREAT | _BINARY, 0o600)
            try:
                # At the end of the last whole record: after a torn one, appending would be out of step for ever.
                _write_at(descriptor, self._log_bytes, records)
            finally:
                os.close(descriptor)
        except OSError as error:
            _LOG.warning("the log of blob %s… lags behind: %s", self.sha256[:12], error)
            return
        self._log_bytes += len(records)
        self._unlogged.clear()

    def _logged(self) -> list[Range]:
        """What an earlier run received; a torn last record is left out."""
        if not (self._log_path.exists() and self._data_path.exists()):
            return []
        log = self._log_path.read_bytes()
        self._log_bytes = len(log) // _RECORD.size * _RECORD.size
        records = _RECORD.iter_unpack(log[: self._log_bytes])
        return [(start, end) for start, end in records if start < end <= self.size]


def _write_at(descriptor: int, offset: int, data: Bytes) -> None:
    os.lseek(descriptor, offset, os.SEEK_SET)  # Windows has no pwrite
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
