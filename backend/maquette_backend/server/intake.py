"""All blobs on their way in, by client and hash; resumable over connections and restarts.

The gateway's loop knows what has *arrived* (``Incoming``), the disk's thread what is *written* (``Partial``).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

from maquette_protocol.blobs import Range, RangeSet, check_chunk

from .partial import Partial


class Incoming:
    """One blob as the gateway's loop sees it: a chunk counts from when it came, not from when it is on the disk."""

    def __init__(self, partial: Partial) -> None:
        self.partial = partial
        self.size = partial.size
        self._arrived = RangeSet(partial.written)

    @property
    def missing(self) -> tuple[Range, ...]:
        """What the client has to send."""
        return self._arrived.missing(self.size)

    def take(self, offset: int, length: int) -> bool:
        """Count a chunk as arrived; False when it was here already and its bytes are not wanted.

        Raises:
            ProtocolError: it is no whole chunk of this blob.
        """
        check_chunk(offset, length, self.size)
        if self._arrived.holds(offset):
            return False
        self._arrived.add(offset, offset + length)
        return True

    def forget_unwritten(self) -> None:
        """After a failure only what is in the file counts."""
        self._arrived = RangeSet(self.partial.written)


class Intake:
    """All blobs on their way, by client and hash. ``before_write`` is called before each chunk is written."""

    def __init__(self, folder: Path, before_write: Callable[[], None] = lambda: None) -> None:
        self._folder = folder
        self._before_write = before_write
        self._incoming: dict[tuple[str, str], Incoming] = {}

    def open(self, owner: str, sha256: str, size: int) -> Incoming:
        """The blob that the client offered. Another size starts it anew."""
        held = self._incoming.get((owner, sha256))
        if held is not None and held.size == size:
            return held
        fresh = Incoming(Partial(self._folder / owner_folder(owner), sha256, size, self._before_write))
        self._incoming[owner, sha256] = fresh
        return fresh

    def find(self, owner: str, sha256: str) -> Incoming | None:
        return self._incoming.get((owner, sha256))

    def forget(self, owner: str, sha256: str) -> None:
        """The blob is stored, or was thrown away."""
        self._incoming.pop((owner, sha256), None)


def owner_folder(owner: str) -> str:
    """A client's folder name: Z85 keys hold characters that no path may have."""
    return hashlib.sha256(owner.encode()).hexdigest()[:16]
