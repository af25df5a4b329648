"""The disk's thread: writes, hashes and syncs one after the other, beside the gateway's loop."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from queue import Empty, SimpleQueue

from .partial import Partial

MAX_OPEN_FILES = 16
"""Of blobs that are being received; the one that waited longest is closed for another."""
REST_SECS = 0.05
"""So long without work, and every file is closed and every log brought up to date."""


class DiskThread:
    """Does what it is given in order. ``call_soon`` runs a function on the gateway's loop."""

    def __init__(self, call_soon: Callable[[Callable[[], None]], None]) -> None:
        self._call_soon = call_soon
        self._queue: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._open: OrderedDict[Partial, None] = OrderedDict()
        self._thread = threading.Thread(target=self._run, name="disk", daemon=True)
        self._thread.start()

    def submit(self, work: Callable[[], None]) -> None:
        """Work deals with the errors that it expects; any other ends the gateway, as in its own loop."""
        self._queue.put(work)

    def used(self, blob: Partial) -> None:
        """Work calls this for a blob whose file it may have opened."""
        self._open[blob] = None
        self._open.move_to_end(blob)
        if len(self._open) > MAX_OPEN_FILES:
            self._open.popitem(last=False)[0].rest()

    def close(self) -> None:
        """Finish what waits, and bring the logs up to date."""
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        try:
            while self._turn():
                continue
        except BaseException as error:
            self._call_soon(partial(_raise, error))
        finally:
            self._rest()

    def _turn(self) -> bool:
        """One piece of work; False at the end."""
        try:
            work = self._queue.get(timeout=REST_SECS if self._open else None)
        except Empty:
            self._rest()
            return True
        if work is None:
            return False
        work()
        return True

    def _rest(self) -> None:
        while self._open:
            self._open.popitem()[0].rest()


def _raise(error: BaseException) -> None:
    raise error
