"""Content-addressed blobs in chunks: uploads that resume, downloads that are checked. No disk, no socket.

A blob is cut at multiples of ``limits.CHUNK_BYTES``; chunk ``i`` covers ``[i·C, min((i+1)·C, size))``.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence

from . import limits
from .arrays import Bytes, sha256_hex
from .errors import ErrorCode, ProtocolError

Range = tuple[int, int]
"""Bytes from start up to, not including, end."""


def check_size(sha256: str, size: int) -> None:
    """Raises ``ProtocolError`` when a blob of this size may not exist."""
    if not 0 < size <= limits.MAX_BLOB_BYTES:
        raise ProtocolError(
            f"Blob {sha256[:12]}… has {size} bytes; 1 to {limits.MAX_BLOB_BYTES} are allowed.", "Reduce the mesh."
        )


def chunk_length(offset: int, size: int) -> int:
    """Length of the chunk at ``offset`` of a blob of ``size`` bytes.

    Raises:
        ProtocolError: no chunk starts there.
    """
    if not 0 <= offset < size or offset % limits.CHUNK_BYTES:
        raise ProtocolError(f"No chunk of a blob of {size} bytes starts at {offset}.")
    return min(limits.CHUNK_BYTES, size - offset)


def check_chunk(offset: int, length: int, size: int) -> None:
    """Raises ``ProtocolError`` unless ``offset`` and ``length`` are those of one whole chunk."""
    expected = chunk_length(offset, size)
    if length != expected:
        raise ProtocolError(f"The chunk at {offset} has {length} bytes instead of {expected}.")


class RangeSet:
    """Which bytes of a blob have arrived: sorted, disjoint, merged ranges."""

    def __init__(self, ranges: Iterable[Range] = ()) -> None:
        self._ranges: list[Range] = []
        for start, end in ranges:
            self.add(start, end)

    @property
    def ranges(self) -> tuple[Range, ...]:
        return tuple(self._ranges)

    @property
    def total(self) -> int:
        """Bytes covered."""
        return sum(end - start for start, end in self._ranges)

    def add(self, start: int, end: int) -> None:
        """Cover ``[start, end)``; what is covered already does no harm."""
        if not 0 <= start < end:
            raise ProtocolError(f"[{start}, {end}) is no range of bytes.")
        apart = [known for known in self._ranges if known[1] < start or known[0] > end]
        touching = [known for known in self._ranges if not (known[1] < start or known[0] > end)]
        merged = (min([start, *(low for low, _ in touching)]), max([end, *(high for _, high in touching)]))
        self._ranges = sorted([*apart, merged])

    def missing(self, size: int) -> tuple[Range, ...]:
        """What is not covered of ``[0, size)``."""
        edges = [0, *(edge for known in self._ranges for edge in known), size]
        pairs = zip(edges[::2], edges[1::2], strict=True)
        return tuple((start, min(end, size)) for start, end in pairs if start < min(end, size))

    def holds(self, at: int) -> bool:
        """True when the byte at ``at`` has arrived."""
        return any(start <= at < end for start, end in self._ranges)

    def covers(self, size: int) -> bool:
        return not self.missing(size)


class Upload:
    """The sender's side of one blob: which chunks are wanted, on the way, stored."""

    def __init__(self, data: Bytes, sha256: str = "") -> None:
        self._data = memoryview(data).cast("B")
        self.sha256 = sha256 or sha256_hex(self._data)
        self.size = len(self._data)
        check_size(self.sha256, self.size)
        self.complete = False
        self._wanted: deque[int] | None = None
        self._on_the_way: set[int] = set()

    @property
    def offered(self) -> bool:
        """True once the receiver has said what it lacks."""
        return self._wanted is not None

    @property
    def on_the_way(self) -> int:
        """Chunks sent and not yet acknowledged."""
        return len(self._on_the_way)

    @property
    def stored(self) -> int:
        """Bytes known to be at the receiver."""
        if self.complete or self._wanted is None:
            return self.size if self.complete else 0
        return self.size - sum(chunk_length(offset, self.size) for offset in (*self._wanted, *self._on_the_way))

    def wanted(self, missing: Sequence[Range]) -> None:
        """The receiver's answer to an offer; replaces what was known. Nothing missing: the blob is complete.

        Raises:
            ProtocolError: a range lies outside the blob.
        """
        if any(not 0 <= start < end <= self.size for start, end in missing):
            raise ProtocolError(f"The missing ranges of blob {self.sha256[:12]}… lie outside its {self.size} bytes.")
        step = limits.CHUNK_BYTES
        offsets = {at for start, end in missing for at in range(start // step * step, end, step)}
        self._wanted = deque(sorted(offsets))
        self._on_the_way.clear()
        self.complete = not offsets

    def next_chunk(self) -> tuple[int, memoryview] | None:
        """The next chunk to send as (offset, bytes), or none now."""
        if not self._wanted or len(self._on_the_way) >= limits.CHUNK_WINDOW:
            return None
        offset = self._wanted.popleft()
        self._on_the_way.add(offset)
        return offset, self._data[offset : offset + chunk_length(offset, self.size)]

    def acknowledged(self, offset: int, complete: bool) -> None:
        """The receiver has taken a chunk in; only with ``complete`` is it sure to keep it."""
        self._on_the_way.discard(offset)
        self.complete = self.complete or complete

    def restart(self) -> None:
        """Forget what is on the way: it must be offered again (lost chunk, new connection)."""
        self._wanted = None
        self._on_the_way.clear()

    @property
    def starved(self) -> bool:
        """All sent and acknowledged, yet not complete: the receiver dropped some, so offer again."""
        return self.offered and not self._wanted and not self._on_the_way and not self.complete


class Download:
    """The receiver's side of one blob: asks for chunks within a window, checks the whole."""

    def __init__(self, sha256: str, size: int) -> None:
        check_size(sha256, size)
        self.sha256 = sha256
        self.size = size
        self._data = bytearray(size)
        self._to_ask = deque(range(0, size, limits.CHUNK_BYTES))
        self._asked: set[int] = set()
        self._left = set(self._to_ask)

    @property
    def arrived(self) -> int:
        """Bytes received."""
        return self.size - sum(chunk_length(offset, self.size) for offset in self._left)

    @property
    def on_the_way(self) -> int:
        """Chunks asked for and not yet here."""
        return len(self._asked)

    @property
    def complete(self) -> bool:
        return not self._left

    def next_request(self) -> tuple[int, int] | None:
        """The next chunk to ask for as (offset, length), or none now."""
        if not self._to_ask or len(self._asked) >= limits.CHUNK_WINDOW:
            return None
        offset = self._to_ask.popleft()
        self._asked.add(offset)
        return offset, chunk_length(offset, self.size)

    def receive(self, offset: int, data: Bytes, size: int) -> None:
        """Take a chunk in.

        Raises:
            ProtocolError: the blob has another size, or this is no whole chunk of it.
        """
        if size != self.size:
            raise ProtocolError(f"Blob {self.sha256[:12]}… has {size} bytes, not {self.size} as announced.")
        check_chunk(offset, len(data), size)
        self._data[offset : offset + len(data)] = data
        self._left.discard(offset)
        self._asked.discard(offset)

    def restart(self) -> None:
        """Ask again for what has not arrived."""
        self._asked.clear()
        self._to_ask = deque(sorted(self._left))

    def content(self) -> bytearray:
        """The whole blob, once complete.

        Raises:
            ProtocolError: (``blob_corrupt``) the bytes have another hash.
        """
        if sha256_hex(self._data) != self.sha256:
            raise ProtocolError(
                f"Blob {self.sha256[:12]}… arrived with another hash.", "Fetch it again.", ErrorCode.BLOB_CORRUPT
            )
        return self._data
